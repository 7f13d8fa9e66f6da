"""Principal components of all models' layers, and how much each pair of volumes says of them.

The layers are the observations and the pairs of volumes, of all runs together, the features. The
p x p products of the layers are all that the components need; what a pair contributes needs a
second look at the layers' RDMs, a run at a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bidsapp.analysis.part import Mode
from bidsapp.arrays import Bools, Floats
from bidsapp.rsa.columns import standardise
from bidsapp.rsa.gram import RunProducts, run_products
from bidsapp.rsa.modes import PREPARATION, mode_pairs
from bidsapp.rsa.pairs import PairSet
from bidsapp.rsa.rdm import volume_defined
from bidsapp.rsa.study import RunRDMs

N_COMPONENTS = 5
_NOISE = 1e-9  # variance, relative to all of it, that products of float32 resolve


@dataclass(frozen=True)
class Components:
    """The first components of p layers.

    Attributes
    ----------
    scores
        Shape (p, `N_COMPONENTS`): of each layer; of each component the largest in size is positive.
        NaN for a layer that is missing, and for a component that there is not.
    explained
        Shape (`N_COMPONENTS`,): part of the variance over layers, 0 to 1; NaN likewise.
    absent
        Shape (p,): layers without variance in every run, which take no part.
    """

    scores: Floats
    explained: Floats
    absent: Bools


def layer_pairs(run: RunRDMs, mode: Mode, min_lag_s: float) -> PairSet:
    """Pairs of a run that a mode compares, of volumes that all layers define.

    Parameters are those of `bidsapp.rsa.modes.mode_pairs`; the run's models are looked at.
    """
    defined: Bools = np.logical_and.reduce([volume_defined(rdm) for rdm in run.models])
    return mode_pairs(run, mode, min_lag_s, defined)


def model_products(run: RunRDMs, mode: Mode, min_lag_s: float) -> RunProducts:
    """Products of one run's layers alone; parameters as in `layer_pairs`."""
    none = np.empty((0, 0, run.models.shape[-1]), dtype=np.float32)
    pairs = layer_pairs(run, mode, min_lag_s)
    return run_products(run.models, none, pairs, PREPARATION[mode], run.run)


def components(runs: Sequence[RunProducts], mode: Mode) -> Components:
    """Principal components of the layers, each pair being centred over layers.

    Replicate looks at raw RDMs, robust at prepared ones of unit variance. A layer that is constant
    in all runs takes no part; one constant in some counts there as its mean (raw) or zero.

    Parameters
    ----------
    runs
        Products of all runs, in one mode.
    mode
        Which.

    References
    ----------
    The eigenvectors of doubly centred products are the principal components' scores: Gower (1966),
    Biometrika 53:325.
    """
    gram = np.sum([run.n_pairs * _products(run, mode) for run in runs], axis=0)
    varies = np.any([np.diag(run.xx) > 0 for run in runs], axis=0)
    p, n = len(gram), int(varies.sum())
    scores, explained = np.full((p, N_COMPONENTS), np.nan), np.full(N_COMPONENTS, np.nan)
    if n:
        centring = np.eye(n) - 1 / n
        values, vectors = np.linalg.eigh(centring @ gram[np.ix_(varies, varies)] @ centring)
        values, vectors = values[::-1][:N_COMPONENTS], vectors[:, ::-1][:, :N_COMPONENTS]
        total = np.trace(centring @ gram[np.ix_(varies, varies)])
        real = values > _NOISE * np.trace(gram)
        k = int(real.sum())
        largest = np.abs(vectors[:, :k]).argmax(axis=0)
        signed = vectors[:, :k] * np.sign(vectors[largest, np.arange(k)])
        scores[np.ix_(varies, np.arange(k))] = signed * np.sqrt(values[:k])
        explained[:k] = values[:k] / total if k else 0.0
    return Components(scores, explained, ~varies)


def pair_loadings(
    models: Floats, pairs: PairSet, mode: Mode, found: Components, n_components: int
) -> Floats:
    """Give the loadings of one run's pairs on the first components.

    Parameters
    ----------
    models
        Shape (p, n_pairs of the whole run): condensed RDMs of the layers.
    pairs
        The pairs to look at; every layer defines their volumes.
    mode, found
        As in `components`, and what that gave.
    n_components
        How many components.

    Returns
    -------
    Floats
        Shape (n_components, n_pairs), in the order of ``pairs``; a component's squared loadings sum
        to 1 over all pairs of all runs. NaN for a component that there is not.
    """
    there = ~found.absent
    if not there.any():
        return np.full((n_components, pairs.n_pairs), np.nan)
    scores = found.scores[there, :n_components]
    rdms = models[there]
    if mode == "replicate":
        columns = rdms[:, pairs.index]
        columns = columns - columns.mean(axis=0, dtype=np.float64).astype(np.float32)
    else:
        columns = standardise((rdms,), pairs, "lag-centred")
    loadings: Floats = (scores / (scores**2).sum(axis=0)).T @ columns
    return loadings


def _products(run: RunProducts, mode: Mode) -> Floats:
    """Mean products of two layers over the pairs of a run."""
    if mode == "robust":
        return run.xx
    products: Floats = run.xx * np.outer(run.x_sd, run.x_sd) + np.outer(run.x_mean, run.x_mean)
    return products
