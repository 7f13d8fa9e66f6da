from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rsa_plain import prepared_columns
from scipy.ndimage import gaussian_filter1d
from small_study import autoregressive

from bidsapp.rsa.pairs import lagged_pairs
from bidsapp.rsa.rdm import DISTANCES, UnitMoments, correlation_distance, rdm_with_moments
from bidsapp.rsa.visible import NOT_VISIBLE, visibility
from bidsapp.rsa.volumes import FilmVolumes
from bidsapp.vision.projection import sparse_projection

N = 120
MIN_LAG = 10


def gappy_pairs():
    """Pairs without the first 6 and the last 5 volumes, and without two that are undefined."""
    volume = np.arange(N)
    film = FilmVolumes(covered=volume >= 6, repeated=volume >= N - 5)
    return lagged_pairs(N, MIN_LAG, film, ~np.isin(volume, [30, 71]))


PAIRS = gappy_pairs()
WHOLE = lagged_pairs(N, MIN_LAG)


def regressors(rng, pairs):
    """Cosines, noise and an intercept, over the volumes kept."""
    m = len(pairs.kept)
    phase = np.pi * (np.arange(m) + 0.5) / m
    cosines = np.cos(phase[:, None] * np.arange(1, 5))
    return np.column_stack([cosines, rng.normal(size=(m, 2)), np.ones(m)])


def basis_of(design):
    return np.linalg.qr(design)[0]


def uneven(rng, n_units=40, rho=0.6):
    """Features around a mean pattern, whose size changes a lot over the run."""
    size = np.exp(autoregressive(rng, N, 1, 0.9))
    return size * autoregressive(rng, N, n_units, rho) + rng.normal(size=n_units)


def visible(features, dissimilarity, pairs, basis):
    rdm, moments = rdm_with_moments(features, dissimilarity)
    return visibility(rdm[None], [dissimilarity], [moments], pairs, basis)[0]


def visible_plain(features, dissimilarity, pairs, design):
    """The same by explicit regression of the features."""
    used = features[pairs.kept].astype(np.float64)
    if dissimilarity == "correlation":
        used = used - used.mean(axis=1, keepdims=True)
    rest = used - design @ np.linalg.lstsq(design, used, rcond=None)[0]
    products = rest @ rest.T
    length = np.sqrt(np.diag(products) + used.var(axis=0).sum())
    expected = np.full((N, N), np.nan)
    expected[np.ix_(pairs.kept, pairs.kept)] = 1 - products / np.outer(length, length)
    expected = expected[np.triu_indices(N, 1)]
    columns = [
        prepared_columns(rdm, pairs, "lag-centred")
        for rdm in (DISTANCES[dissimilarity](features), expected)
    ]
    return np.mean(columns[0] * columns[1])


@pytest.mark.parametrize("rho", [0.0, 0.7, 0.97])
@pytest.mark.parametrize("dissimilarity", DISTANCES)
def test_visible_agrees_with_explicit_features(dissimilarity, rho):
    rng = np.random.default_rng(0)
    design = regressors(rng, PAIRS)
    layers = [uneven(rng, n_units, rho) for n_units in (5, 40, 300)]
    rdms, moments = zip(*(rdm_with_moments(x, dissimilarity) for x in layers), strict=True)
    expected = [visible_plain(x, dissimilarity, PAIRS, design) for x in layers]
    result = visibility(np.array(rdms), [dissimilarity] * 3, moments, PAIRS, basis_of(design))
    np.testing.assert_allclose(result, expected, atol=1e-5)


@pytest.mark.parametrize("dissimilarity", DISTANCES)
def test_what_little_is_left_of_slow_features_is_resolved(dissimilarity):
    """Less than a thousandth of the variance, about a mean pattern much larger than the changes."""
    rng = np.random.default_rng(12)
    design = regressors(rng, WHOLE)
    changes = gaussian_filter1d(rng.normal(size=(N, 100)), 20, axis=0)
    features = changes / changes.std() + 10 * rng.normal(size=100)
    assert visible(features, dissimilarity, WHOLE, basis_of(design)) == pytest.approx(
        visible_plain(features, dissimilarity, WHOLE, design), abs=1e-5
    )


def test_layers_of_several_dissimilarities_go_together():
    rng = np.random.default_rng(1)
    basis = basis_of(regressors(rng, PAIRS))
    layers = [uneven(rng) for _ in DISTANCES]
    made = [rdm_with_moments(x, d) for x, d in zip(layers, DISTANCES, strict=True)]
    together = visibility(
        np.array([rdm for rdm, _ in made]), list(DISTANCES), [m for _, m in made], PAIRS, basis
    )
    alone = [visible(x, d, PAIRS, basis) for x, d in zip(layers, DISTANCES, strict=True)]
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("dissimilarity", ["correlation", "cosine"])
def test_without_the_norms_of_patterns_visible_is_far_off(dissimilarity):
    """A few strong volumes: noise as large as the features hides all others."""
    rng = np.random.default_rng(2)
    design = regressors(rng, WHOLE)
    features = np.exp(rng.normal(size=(N, 1))) * rng.normal(size=(N, 30))
    rdm, moments = rdm_with_moments(features, dissimilarity)
    even = replace(moments, mean=np.zeros(N), sd=np.ones(N))
    exact, guess = (
        visibility(rdm[None], [dissimilarity], [known], WHOLE, basis_of(design))[0]
        for known in (moments, even)
    )
    assert exact == pytest.approx(visible_plain(features, dissimilarity, WHOLE, design), abs=1e-5)
    assert guess - exact > 0.3


def test_visible_is_what_a_brain_of_many_voxels_shows():
    """Voxels mix the features, are denoised, and have noise as large as the features."""
    rng = np.random.default_rng(3)
    design = regressors(rng, WHOLE)
    features = autoregressive(rng, N, 8, 0.8)
    signal = features @ rng.normal(size=(8, 40000))
    basis = basis_of(design)
    denoised = signal - basis @ (basis.T @ signal)
    noise = rng.normal(scale=np.sqrt(features.var(axis=0).sum()), size=signal.shape)
    rdms = DISTANCES["euclidean"](features), correlation_distance(denoised + noise)
    model, brain = (prepared_columns(rdm, WHOLE, "lag-centred") for rdm in rdms)
    assert np.mean(model * brain) == pytest.approx(
        visible(features, "euclidean", WHOLE, basis), abs=0.02
    )


@pytest.mark.parametrize("dissimilarity", DISTANCES)
def test_slow_features_are_not_visible_and_fast_ones_are(dissimilarity):
    rng = np.random.default_rng(4)
    design = regressors(rng, WHOLE)
    slow = design[:, :4] @ rng.normal(size=(4, 30)) + 0.01 * rng.normal(size=(N, 30))
    fast = rng.normal(size=(N, 30))
    assert abs(visible(slow, dissimilarity, WHOLE, basis_of(design))) < NOT_VISIBLE
    assert visible(fast, dissimilarity, WHOLE, basis_of(design)) > 0.5


@pytest.mark.parametrize("dissimilarity", DISTANCES)
@pytest.mark.parametrize("kind", ["explained", "constant"])
def test_nothing_is_visible_of_features_that_are_explained_or_constant(kind, dissimilarity):
    rng = np.random.default_rng(5)
    design = regressors(rng, WHOLE)
    explained = design @ rng.normal(size=(design.shape[1], 20))
    features = explained if kind == "explained" else np.tile(explained[0], (N, 1))
    assert visible(features, dissimilarity, WHOLE, basis_of(design)) == 0.0


def test_a_projected_layer_is_nearly_as_visible_as_the_layer():
    """Centred over units before, so that the cosine stands for the correlation."""
    rng = np.random.default_rng(11)
    basis = basis_of(regressors(rng, PAIRS))
    features = uneven(rng, n_units=2000).astype(np.float32)
    projected = sparse_projection(2000, 1000, centred=True)(features)
    rdm, moments = rdm_with_moments(projected, "cosine", projected_from=2000)
    result = visibility(rdm[None], ["correlation"], [moments], PAIRS, basis)[0]
    assert result == pytest.approx(visible(features, "correlation", PAIRS, basis), abs=0.03)


@pytest.mark.parametrize("dissimilarity", ["correlation", "cosine"])
def test_unknown_moments_give_nan_except_for_euclidean_distances(dissimilarity):
    rng = np.random.default_rng(6)
    basis = basis_of(regressors(rng, PAIRS))
    features = uneven(rng)
    rdms = np.array([DISTANCES[d](features) for d in (dissimilarity, "euclidean")])
    result = visibility(rdms, [dissimilarity, "euclidean"], [None, None], PAIRS, basis)
    np.testing.assert_array_equal(np.isnan(result), [True, False])


@pytest.mark.parametrize("dissimilarity", DISTANCES)
def test_volumes_left_out_play_no_part(dissimilarity):
    rng = np.random.default_rng(7)
    basis = basis_of(regressors(rng, PAIRS))
    features = uneven(rng)
    other = features.copy()
    left_out = np.setdiff1d(np.arange(N), PAIRS.kept)
    other[left_out] = np.nan
    assert visible(other, dissimilarity, PAIRS, basis) == pytest.approx(
        visible(features, dissimilarity, PAIRS, basis), abs=1e-6
    )
    other[PAIRS.kept[3]] = np.nan
    assert np.isnan(visible(other, dissimilarity, PAIRS, basis))


@pytest.mark.parametrize("dissimilarity", DISTANCES)
def test_an_rdm_that_is_missing_gives_nan_and_a_constant_one_zero(dissimilarity):
    basis = basis_of(regressors(np.random.default_rng(8), PAIRS))
    n_pairs = N * (N - 1) // 2
    rdms = np.stack([np.full(n_pairs, np.nan), np.full(n_pairs, 0.8)]).astype(np.float32)
    moments = [UnitMoments(np.zeros(N), np.ones(N), 10)] * 2
    result = visibility(rdms, [dissimilarity] * 2, moments, PAIRS, basis)
    np.testing.assert_array_equal(result, [np.nan, 0.0])


def test_without_pairs_visible_is_nan():
    pairs = lagged_pairs(20, 15)
    rdm = correlation_distance(np.random.default_rng(9).normal(size=(20, 5)))
    basis = basis_of(np.ones((20, 1)))
    assert pairs.n_pairs == 0
    assert np.isnan(visibility(rdm[None], ["euclidean"], [None], pairs, basis)).all()


def test_a_basis_over_other_volumes_is_refused():
    rdm = correlation_distance(np.random.default_rng(10).normal(size=(N, 5)))
    with pytest.raises(ValueError, match="107 volumes are kept, but the basis has 120"):
        visibility(rdm[None], ["euclidean"], [None], PAIRS, np.ones((N, 1)))


@given(st.integers(0, 2**31), st.sampled_from(sorted(DISTANCES)), st.floats(-12, 12))
def test_scale_of_the_features_changes_nothing(seed, dissimilarity, exponent):
    rng = np.random.default_rng(seed)
    basis = basis_of(regressors(rng, PAIRS))
    features = uneven(rng)
    assert visible(10**exponent * features, dissimilarity, PAIRS, basis) == pytest.approx(
        visible(features, dissimilarity, PAIRS, basis), abs=1e-5
    )


@given(st.integers(0, 2**31), st.floats(-100, 100))
def test_a_constant_pattern_changes_nothing_for_euclidean_distances(seed, size):
    rng = np.random.default_rng(seed)
    basis = basis_of(regressors(rng, PAIRS))
    features = uneven(rng)
    moved = features + size * rng.normal(size=features.shape[1])
    assert visible(moved, "euclidean", PAIRS, basis) == pytest.approx(
        visible(features, "euclidean", PAIRS, basis), abs=1e-5
    )


@given(st.integers(0, 2**31), st.sampled_from(sorted(DISTANCES)))
def test_any_basis_of_the_regressors_gives_the_same(seed, dissimilarity):
    rng = np.random.default_rng(seed)
    basis = basis_of(regressors(rng, PAIRS))
    turned = basis @ np.linalg.qr(rng.normal(size=(basis.shape[1], basis.shape[1])))[0]
    features = uneven(rng)
    assert visible(features, dissimilarity, PAIRS, turned) == pytest.approx(
        visible(features, dissimilarity, PAIRS, basis), abs=1e-5
    )
