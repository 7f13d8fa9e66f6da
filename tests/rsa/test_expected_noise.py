"""What noise alone is expected to have is what simulated noise has, and is removed from it."""

import numpy as np
import pytest
from small_study import autoregressive

from bidsapp.rsa.columns import lag_centred
from bidsapp.rsa.expected_noise import noise_template, remove_noise_template
from bidsapp.rsa.pairs import lagged_pairs
from bidsapp.rsa.rdm import DISTANCES
from bidsapp.rsa.volumes import FilmVolumes

N, MIN_LAG, N_VOXELS = 80, 8, 50_000


def cosines(n: int, k: int) -> np.ndarray:
    return np.cos(np.pi * (np.arange(n)[:, None] + 0.5) * np.arange(k + 1) / n)


@pytest.fixture(scope="module")
def pairs():
    film = FilmVolumes(np.arange(N) >= 5, np.arange(N) >= N - 3)
    return lagged_pairs(N, MIN_LAG, film, ~np.isin(np.arange(N), [30, 31, 50]))


@pytest.fixture(scope="module")
def basis(pairs):
    return np.linalg.qr(cosines(N, 3)[pairs.kept])[0]


def noise_rdm(rng, pairs, basis, rho, dissimilarity, n_voxels=N_VOXELS):
    """RDM of many voxels of noise, the regressors fitted on the volumes kept; NaN at the others."""
    series = autoregressive(rng, N, n_voxels, rho)[pairs.kept]
    residuals = np.full((N, n_voxels), np.nan)
    residuals[pairs.kept] = series - basis @ (basis.T @ series)
    return DISTANCES[dissimilarity](residuals).astype(np.float64)


def centred(rdm, pairs):
    column = rdm[pairs.index].copy()
    lag_centred(column, pairs)
    return column


@pytest.mark.parametrize("dissimilarity", ["correlation", "cosine", "euclidean"])
@pytest.mark.parametrize("rho", [0.0, 0.6])
def test_simulated_noise_departs_from_its_lag_means_as_expected(pairs, basis, rho, dissimilarity):
    rdm = noise_rdm(np.random.default_rng(0), pairs, basis, rho, dissimilarity)
    column = centred(rdm, pairs)
    template = noise_template(pairs, basis, rho, dissimilarity)
    assert np.linalg.norm(template) == pytest.approx(1.0)
    share = template @ column / np.linalg.norm(column)
    remove_noise_template(rdm, pairs, template)
    rest = centred(rdm, pairs)
    assert share > (0.95 if rho else 0.8)  # more voxels, less else
    assert rest @ template == pytest.approx(0.0, abs=1e-9)
    assert np.linalg.norm(rest) < (0.3 if rho else 0.6) * np.linalg.norm(column)


def test_template_agrees_with_explicit_matrices(pairs, basis):
    rho, m = 0.5, len(pairs.kept)
    noise = rho ** np.abs(np.subtract.outer(pairs.kept, pairs.kept))
    projection = np.eye(m) - basis @ basis.T
    covariance = projection @ noise @ projection
    sd = np.sqrt(np.diag(covariance))
    square = np.zeros((N, N))
    square[np.ix_(pairs.kept, pairs.kept)] = 1 - covariance / np.outer(sd, sd)
    column = centred(square[np.triu_indices(N, 1)], pairs)
    template = noise_template(pairs, basis, rho, "correlation")
    np.testing.assert_allclose(template, column / np.linalg.norm(column), atol=1e-12)


def test_nothing_but_pairs_that_are_compared_is_changed(pairs, basis):
    rng = np.random.default_rng(1)
    rdms = rng.normal(1, 0.1, (3, N * (N - 1) // 2)).astype(np.float32)
    rdms[2] = np.nan
    before = rdms.copy()
    remove_noise_template(rdms, pairs, noise_template(pairs, basis, 0.4, "correlation"))
    others = np.setdiff1d(np.arange(rdms.shape[1]), pairs.index)
    np.testing.assert_array_equal(rdms[:, others], before[:, others])
    assert np.abs(rdms[:2] - before[:2]).max() > 1e-3
    assert np.isnan(rdms[2]).all()


def test_means_at_each_lag_stay(pairs, basis):
    rdm = np.random.default_rng(2).normal(1, 0.1, N * (N - 1) // 2)
    starts, counts = pairs.lag_groups
    before = np.add.reduceat(rdm[pairs.index], starts) / counts
    remove_noise_template(rdm, pairs, noise_template(pairs, basis, 0.4, "correlation"))
    np.testing.assert_allclose(np.add.reduceat(rdm[pairs.index], starts) / counts, before)


def test_an_intercept_alone_leaves_white_noise_nothing_to_remove():
    pairs = lagged_pairs(N, MIN_LAG)
    intercept = np.full((N, 1), N**-0.5)
    assert not noise_template(pairs, intercept, 0.0, "correlation").any()


@pytest.mark.parametrize("lag1_r", [-0.3, np.nan])
def test_autocorrelation_that_is_negative_or_unknown_counts_as_none(pairs, basis, lag1_r):
    np.testing.assert_array_equal(
        noise_template(pairs, basis, lag1_r, "correlation"),
        noise_template(pairs, basis, 0.0, "correlation"),
    )


def test_no_pair_gives_an_empty_template():
    pairs = lagged_pairs(10, 6)
    assert noise_template(pairs, np.full((10, 1), 10**-0.5), 0.3, "cosine").shape == (0,)
