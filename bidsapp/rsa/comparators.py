"""Ways to compare two RDMs other than by regression: ranks, cosine, whitening, CKA.

The first three are rsatoolbox's. Which of them say something depends on the mode: see `problem`.
"""

from typing import Literal

import numpy as np
from rsatoolbox.rdm import compare as rsatoolbox_compare

from bidsapp.analysis.part import Comparator, Dissimilarity, Mode
from bidsapp.arrays import Bools, Floats
from bidsapp.rsa.cka import centred_kernels, cka
from bidsapp.rsa.columns import lag_centred
from bidsapp.rsa.pairs import PairSet

What = Literal["layer", "prediction"]

RSATOOLBOX: dict[Comparator, str] = {
    "pearson": "corr",
    "spearman": "spearman",
    "rho-a": "rho-a",
    "tau-a": "tau-a",
    "cosine": "cosine",
    "whitened": "corr_cov",
}
"""rsatoolbox's names of the methods that it has."""
_WHOLE: tuple[Comparator, ...] = ("whitened", "cka", "cka-debiased")  # need every pair of volumes
_HEED_ZERO: tuple[Comparator, ...] = ("cosine", "cka", "cka-debiased")
_NEVER_NEGATIVE: tuple[Comparator, ...] = ("cosine", "cka")  # on raw dissimilarities
_FLOAT32_NOISE = 4 * float(np.finfo(np.float32).eps)


def problem(method: Comparator, mode: Mode, what: What) -> str | None:
    """Say why a method is not applied; None where it is.

    Whitening and CKA rest on all pairs of volumes, of which robust leaves some out. A prediction is
    no Gram matrix, and its offset, which cosine would heed, says nothing about geometry.
    """
    if mode == "robust" and method in _WHOLE:
        return "needs every pair of volumes, which robust leaves out"
    if mode == "replicate" and what == "prediction" and method in _HEED_ZERO:
        return "not for predictions, whose offset is arbitrary"
    return None


def untested(method: Comparator, mode: Mode) -> bool:
    """Tell whether values cannot be negative, so that a test against zero would say nothing."""
    return mode == "replicate" and method in _NEVER_NEGATIVE


def columns(rdms: Floats, pairs: PairSet, mode: Mode) -> tuple[Floats, Bools]:
    """RDMs over the pairs that a mode compares, raw in replicate and lag-centred in robust.

    Parameters
    ----------
    rdms
        Shape (k, n_pairs of the whole run): condensed RDMs.
    pairs
        The pairs to use, none of an undefined volume.
    mode
        Decides on the preparation.

    Returns
    -------
    columns : Floats
        Shape (k, n_pairs), float64, in the condensed order of the volumes kept.
    constant : Bools
        Shape (k,): all values are equal but for rounding.
    """
    values = rdms[:, pairs.index].astype(np.float64)
    if not pairs.n_pairs:
        return values, np.ones(len(rdms), dtype=np.bool_)
    size = np.abs(values).mean(axis=1)
    if mode == "robust":
        for column in values:
            lag_centred(column, pairs)
    constant = values.std(axis=1) <= _FLOAT32_NOISE * size
    return values[:, np.argsort(pairs.index)], constant


def compare(
    method: Comparator,
    x: Floats,
    y: Floats,
    x_dissimilarity: Dissimilarity = "correlation",
    y_dissimilarity: Dissimilarity = "correlation",
) -> Floats:
    """Compare each of k RDMs with each of T.

    Parameters
    ----------
    method
        "pearson"; "spearman"; "rho-a", Spearman's expected value when ties are broken at random;
        "tau-a", Kendall's; "cosine"; "whitened", Pearson's after whitening by the covariance that
        pairs have because they share volumes (Diedrichsen et al. 2021, "Comparing representational
        geometries using whitened unbiased-distance-matrix similarity"); "cka" and "cka-debiased",
        see `bidsapp.rsa.cka`. The last three need all pairs of the volumes kept.
    x, y
        Shapes (k, n_pairs) and (T, n_pairs): results of `columns`.
    x_dissimilarity, y_dissimilarity
        What the values are; heeded by CKA alone.

    Returns
    -------
    Floats
        Shape (k, T).

    References
    ----------
    rsatoolbox (``rsatoolbox.rdm.compare``); ranks of tied RDMs: Schütt et al. (2023), eLife
    12:e82566.
    """
    if method in ("cka", "cka-debiased"):
        debiased = method == "cka-debiased"
        return cka(
            centred_kernels(x, x_dissimilarity, debiased=debiased),
            centred_kernels(y, y_dissimilarity, debiased=debiased),
        )
    found: Floats = np.asarray(rsatoolbox_compare(x, y, method=RSATOOLBOX[method]))
    return found
