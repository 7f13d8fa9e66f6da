"""The Gram matrix of a layer's features, and what the nuisance regression leaves of it.

The features themselves are not kept, but their Gram matrix G over volumes follows from the RDM and
the norms of the patterns. The regression leaves P G P of it, where P = I - B B' forms residuals and
B is an orthonormal basis of the regressors.
"""

import numpy as np

from bidsapp.analysis.part import Dissimilarity
from bidsapp.arrays import Floats
from bidsapp.rsa.pairs import PairSet
from bidsapp.rsa.rdm import UnitMoments

FLOAT32_NOISE = 4 * float(np.finfo(np.float32).eps)
"""Of a sum of float32 numbers, relative to its largest term."""
_NOISE = (0.0, 1e3)  # variance of the noise of a brain that follows features, over theirs
N_FOLLOWERS = len(_NOISE)
"""How many columns `followers_columns` gives."""


def feature_gram(
    rdm: Floats,
    dissimilarity: Dissimilarity,
    moments: UnitMoments | None,
    pairs: PairSet,
    *,
    with_mean: bool = False,
) -> Floats | None:
    """Gram matrix of a layer's features over the volumes used, over n_units.

    For a correlation RDM, the features are those less each pattern's mean over units, unless that
    is asked for.

    Parameters
    ----------
    rdm
        Shape (n_pairs of the whole run,): the layer's condensed RDM.
    dissimilarity
        What it holds.
    moments
        Of the layer's patterns in the whole run; Euclidean RDMs do without.
    pairs
        For the m volumes that it keeps.
    with_mean
        Whether the mean over units belongs to the features of a correlation RDM too, as it does for
        a brain that responds to the units.

    Returns
    -------
    Floats or None
        Shape (m, m), float64; of Euclidean distances up to what is constant in a row or a column,
        which the regression's intercept takes away. None if moments that are needed are unknown.
    """
    # The regression leaves less of slow features than float32 products resolve.
    distance = rdm.take(pairs.square, mode="clip").astype(np.float64)
    np.fill_diagonal(distance, 0.0)
    if dissimilarity == "euclidean":
        distance *= distance
        distance *= -0.5
        return distance
    if moments is None:
        return None
    centred = dissimilarity == "correlation"
    norm = moments.sd if centred else np.hypot(moments.mean, moments.sd)
    norm = norm[pairs.kept]
    gram: Floats = np.subtract(1.0, distance, out=distance)
    gram *= norm[:, None]
    gram *= norm
    if centred and with_mean:
        mean = moments.mean[pairs.kept]
        gram += np.outer(mean, mean)
    return gram


def residual_gram(gram: Floats, basis: Floats) -> Floats:
    """Give what a regression leaves of a Gram matrix.

    Parameters
    ----------
    gram
        G, shape (m, m).
    basis
        B, shape (m, k), orthonormal.

    Returns
    -------
    Floats
        P G P; with W = (I - B B' / 2) G B it is G - B W' - W B', of rank 2 k.
    """
    projected = gram @ basis
    projected -= basis @ (basis.T @ projected) / 2
    residual: Floats = np.hstack([basis, projected]) @ np.hstack([projected, basis]).T
    return np.subtract(gram, residual, out=residual)


def followers_columns(gram: Floats, basis: Floats, pairs: PairSet, brain: Dissimilarity) -> Floats:
    """Give what the RDM of a brain that follows the features holds after its regression.

    With H = P G P, voxels that each mix the features with random weights and have white noise of
    variance v are expected to have the correlation and the cosine distance
    1 - H_ij / sqrt((H_ii + v) (H_jj + v)), and a Euclidean distance in proportion to
    sqrt(H_ii + H_jj + 2 v - 2 H_ij). The larger v, the nearer that is to a line in H_ij.

    Parameters
    ----------
    gram, basis
        As in `residual_gram`.
    pairs
        Those that are compared.
    brain
        Dissimilarity of the brain's RDMs.

    Returns
    -------
    Floats
        Shape (`N_FOLLOWERS`, n_pairs), float32, in the order of ``pairs``: without noise, and with
        noise that is much larger than the features; zeros where the regression leaves nothing of
        these.
    """
    denoised = residual_gram(gram, basis)
    variance = np.diag(denoised).copy()
    above_rounding = variance > FLOAT32_NOISE * np.abs(gram).max()
    if not above_rounding.any():
        return np.zeros((N_FOLLOWERS, pairs.n_pairs), np.float32)
    first, second = pairs.places
    inner = denoised[first, second]
    columns = []
    for noise in _NOISE:
        own = variance + noise * variance.mean()
        if brain == "euclidean":
            columns.append(np.sqrt(np.maximum(own[first] + own[second] - 2 * inner, 0.0)))
        else:
            scale = np.where(above_rounding, own, np.inf) ** -0.5
            columns.append(-inner * scale[first] * scale[second])
    followers: Floats = np.array(columns)
    followers /= np.abs(followers).max(axis=1, keepdims=True)
    return followers.astype(np.float32)
