"""How much of a model's RDM can still be seen in a run after its nuisance regression.

Features that change as slowly as the nuisance regressors go with these: however much of a brain
follows them, its RDM cannot show it. What is left of them follows from their Gram matrix (see
`bidsapp.rsa.feature_gram`).
"""

from collections.abc import Sequence

import numpy as np

from bidsapp.analysis.part import Dissimilarity
from bidsapp.arrays import Floats
from bidsapp.rsa.columns import standardise
from bidsapp.rsa.feature_gram import FLOAT32_NOISE, feature_gram, residual_gram
from bidsapp.rsa.pairs import PairSet
from bidsapp.rsa.rdm import UnitMoments

NOT_VISIBLE = 0.05
"""A model less visible than this cannot be found at any effect size."""

BARELY_VISIBLE = 0.15
"""Of a model less visible than this, only large effects can be found."""


def visibility(
    rdms: Floats,
    dissimilarities: Sequence[Dissimilarity],
    moments: Sequence[UnitMoments | None],
    pairs: PairSet,
    basis: Floats,
) -> Floats:
    """Correlate each layer's RDM with that of a noisy brain that follows the layer's features.

    The brain's distance between volumes i and j is 1 - H_ij / sqrt((H_ii + v) (H_jj + v)), with
    H = P G P. This is the correlation distance expected of many voxels that each mix the features
    with random weights, are denoised, and have white noise as large as the features were before
    denoising: v is the features' variance over volumes, summed over units. Both RDMs are
    lag-centred. For a correlation RDM, the features are those less each pattern's mean over units.
    A negative result means that the brain's RDM runs against the model's.

    Parameters
    ----------
    rdms
        Shape (p, n_pairs of the whole run): condensed RDMs of p layers.
    dissimilarities
        p: what each RDM holds.
    moments
        p: those of each layer's patterns in the whole run; None where they are unknown. Euclidean
        RDMs do without.
    pairs
        Those that the robust mode compares. Volumes that it leaves out play no part.
    basis
        Shape (m, k): orthonormal basis of the nuisance regressors, intercept included, over the m
        volumes that ``pairs`` keeps.

    Returns
    -------
    Floats
        Shape (p,): Pearson's r over the pairs, -1 to 1. NaN if no pair is compared, or if moments
        that are needed are unknown, or they or the RDM are not finite at a volume used. 0 if the
        RDM is constant, the features are, or nothing is left of them.

    Raises
    ------
    ValueError
        The basis has not as many rows as volumes are kept.
    """
    if len(basis) != len(pairs.kept):
        raise ValueError(f"{len(pairs.kept)} volumes are kept, but the basis has {len(basis)}")
    if not pairs.n_pairs:
        return np.full(len(rdms), np.nan)
    layers = zip(rdms, dissimilarities, moments, strict=True)
    return np.array([_visible(*layer, pairs, basis) for layer in layers])


def _visible(
    rdm: Floats,
    dissimilarity: Dissimilarity,
    moments: UnitMoments | None,
    pairs: PairSet,
    basis: Floats,
) -> float:
    gram = feature_gram(rdm, dissimilarity, moments, pairs)
    if gram is None:
        return np.nan
    expected = _expected_distance(gram, pairs, basis)
    if np.isnan(expected[0]):  # then all are, since the regression mixes all volumes
        return np.nan
    both = np.stack([rdm.take(pairs.index), expected])
    model, brain = standardise([both], pairs.in_order, "lag-centred")
    return float(model @ brain) / pairs.n_pairs


def _expected_distance(gram: Floats, pairs: PairSet, basis: Floats) -> Floats:
    """Correlation distance of the noisy brain, for each pair compared."""
    noise = _variance(gram)
    denoised = residual_gram(gram, basis)
    variance = np.diag(denoised) + noise
    above_rounding = variance > FLOAT32_NOISE * np.abs(gram).max()
    scale = np.where(above_rounding, variance, np.inf) ** -0.5
    first, second = pairs.places
    distance: Floats = 1.0 - denoised[first, second] * scale[first] * scale[second]
    return distance.astype(np.float32)


def _variance(gram: Floats) -> float:
    """Variance of the features over volumes, summed over units."""
    m = len(gram)
    return float(np.trace(gram) - gram.sum() / m) / m
