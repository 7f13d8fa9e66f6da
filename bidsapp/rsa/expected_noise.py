"""The RDM that nothing but noise would have after its nuisance regression, and how to remove it.

Noise that is the same all along a run no longer is when slow drifts were regressed out of it: how
alike two volumes are then depends on their places in the run, and not on the time between them
alone. Models that change slowly depend on the place too, and so would be found in noise.
"""

import numpy as np

from bidsapp.analysis.part import Dissimilarity
from bidsapp.arrays import Floats
from bidsapp.rsa.columns import lag_centred
from bidsapp.rsa.pairs import PairSet

_LARGEST_AUTOCORRELATION = 0.98
_NOTHING = 1e-9  # variance that is rounding alone, of noise of unit variance
_FLAT = 1e-6  # SD under which an expected RDM, of values near 1, depends on the lag alone


def noise_template(
    pairs: PairSet, basis: Floats, lag1_r: float, dissimilarity: Dissimilarity
) -> Floats:
    """Say how the expected RDM of denoised noise departs from its mean at each lag.

    With S the covariance of AR(1) noise over volumes, S_ij = lag1_r ** abs(i - j), and P what forms
    residuals, the residuals' covariance is C = P S P. Many voxels of such noise have the
    correlation and the cosine distance 1 - C_ij / sqrt(C_ii C_jj), and a Euclidean distance in
    proportion to sqrt(C_ii + C_jj - 2 C_ij).

    Parameters
    ----------
    pairs
        Those that the robust mode compares; m volumes are kept.
    basis
        Shape (m, k): orthonormal basis of the nuisance regressors in the volumes kept.
    lag1_r
        Autocorrelation of the denoised voxels at a lag of one volume; what is negative or not
        finite counts as none.
    dissimilarity
        Of the brain's RDMs.

    Returns
    -------
    Floats
        Shape (n_pairs,), in the order of ``pairs``, of unit norm; zeros where the expected RDM
        depends on the lag alone, or the regressors leave nothing of a volume.

    References
    ----------
    That drifts shape RDMs along a run even after detrending, and to regress their shape out: Alink,
    Walther, Krugliak, van den Bosch and Kriegeskorte (2015), bioRxiv 032391. The shape here follows
    from the residuals' covariance.
    """
    if not pairs.n_pairs:
        return np.zeros(0)
    covariance = _denoised_covariance(pairs, basis, lag1_r)
    variance = np.diag(covariance)
    if not (variance > _NOTHING).all():
        return np.zeros(pairs.n_pairs)
    if dissimilarity == "euclidean":
        expected = np.sqrt(np.maximum(variance[:, None] + variance - 2 * covariance, 0.0))
        expected /= np.sqrt(2 * variance.mean())
    else:
        expected = 1 - covariance / np.sqrt(np.outer(variance, variance))
    template = expected[pairs.places]
    lag_centred(template, pairs)
    norm = np.linalg.norm(template)
    if norm <= _FLAT * np.sqrt(pairs.n_pairs):
        return np.zeros(pairs.n_pairs)
    unit: Floats = template / norm
    return unit


def remove_noise_template(rdms: Floats, pairs: PairSet, template: Floats) -> None:
    """Regress a template out of RDMs, in place, over some pairs; others stay as they are.

    Parameters
    ----------
    rdms
        Shape (..., n_pairs of the whole run): condensed RDMs, finite over the pairs or missing.
    pairs, template
        As `noise_template` takes and gives them.
    """
    compared = rdms[..., pairs.index]
    # The template sums to zero at each lag, so that the RDMs' own means there do not count.
    share = (compared @ template)[..., None]
    rdms[..., pairs.index] = compared - share * template


def _denoised_covariance(pairs: PairSet, basis: Floats, lag1_r: float) -> Floats:
    """Covariance over volumes, (m, m), of the residuals of AR(1) noise."""
    rho = np.clip(lag1_r, 0.0, _LARGEST_AUTOCORRELATION) if np.isfinite(lag1_r) else 0.0
    powers = rho ** np.arange(pairs.n_volumes)
    noise = powers[np.abs(pairs.kept[:, None] - pairs.kept)]
    mixed = basis.T @ noise
    covariance: Floats = noise - basis @ mixed - mixed.T @ basis.T
    covariance += basis @ (mixed @ basis) @ basis.T
    return covariance
