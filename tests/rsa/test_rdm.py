import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import pdist, squareform

from bidsapp.rsa.rdm import (
    DISTANCES,
    correlation_distance,
    cosine_distance,
    euclidean_distance,
    n_volumes_of,
    rdm_with_moments,
    to_square,
    volume_defined,
)

patterns_strategy = arrays(
    np.float64, st.tuples(st.integers(2, 7), st.integers(5, 12)), elements=st.floats(-100, 100)
).filter(lambda p: (p.std(axis=1) > 0.1).all())


@pytest.mark.parametrize("block", [7, 64, 16384])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_correlation_distance_is_one_minus_pearson(block, dtype):
    patterns = np.random.default_rng(0).normal(3, 2, (20, 200)).astype(dtype)
    rdm = correlation_distance(patterns, block=block)
    assert rdm.dtype == np.float32
    upper = np.triu_indices(20, 1)
    np.testing.assert_allclose(rdm, 1 - np.corrcoef(patterns.astype(float))[upper], atol=1e-6)
    np.testing.assert_allclose(rdm, pdist(patterns.astype(float), "correlation"), atol=1e-6)


def test_small_spread_on_a_large_mean_is_not_lost():
    patterns = np.random.default_rng(1).normal(1000, 1, (10, 300)).astype(np.float32)
    expected = pdist(patterns.astype(float), "correlation")
    np.testing.assert_allclose(correlation_distance(patterns, block=50), expected, atol=1e-6)


def test_memory_mapped_patterns_give_the_same(tmp_path):
    patterns = np.random.default_rng(2).normal(size=(12, 500)).astype(np.float32)
    mapped = np.memmap(tmp_path / "features", np.float32, "w+", shape=patterns.shape)
    mapped[:] = patterns
    np.testing.assert_array_equal(
        correlation_distance(mapped, block=64), correlation_distance(patterns, block=64)
    )


def test_distances_agree_with_rsatoolbox():
    rsatoolbox = pytest.importorskip("rsatoolbox")
    patterns = np.random.default_rng(3).normal(size=(9, 40))
    oracle = rsatoolbox.rdm.calc_rdm(rsatoolbox.data.Dataset(patterns), method="correlation")
    np.testing.assert_allclose(correlation_distance(patterns), oracle.dissimilarities[0], atol=1e-6)


@pytest.mark.parametrize("bad", ["constant", "nan", "infinite"])
def test_volume_without_pattern_is_undefined(bad):
    patterns = np.random.default_rng(4).normal(size=(6, 30)).astype(np.float32)
    whole = to_square(correlation_distance(patterns))
    patterns[2] = 0.1 if bad == "constant" else patterns[2]
    if bad != "constant":
        patterns[2, 7] = np.nan if bad == "nan" else np.inf
    rdm = correlation_distance(patterns, block=11)
    np.testing.assert_array_equal(volume_defined(rdm), [True, True, False, True, True, True])
    square = to_square(rdm)
    assert np.isnan(square[2, [0, 1, 3, 4, 5]]).all()
    others = np.ix_([0, 1, 3, 4, 5], [0, 1, 3, 4, 5])
    np.testing.assert_allclose(square[others], whole[others], atol=1e-6)


def test_rdm_depends_on_the_mean_image_unless_voxels_are_centred_over_volumes():
    rng = np.random.default_rng(5)
    bold, image = rng.normal(size=(15, 60)), 50 * rng.normal(size=60)
    shifted = bold + image
    assert np.abs(correlation_distance(shifted) - correlation_distance(bold)).max() > 0.5
    np.testing.assert_allclose(
        correlation_distance(shifted - shifted.mean(axis=0)),
        correlation_distance(bold - bold.mean(axis=0)),
        atol=1e-6,
    )


@pytest.mark.parametrize("block", [4, 1000])
def test_euclidean_distance_agrees_with_scipy(block):
    patterns = np.random.default_rng(6).normal(200, 1, (25, 13))
    rdm = euclidean_distance(patterns, block=block)
    np.testing.assert_allclose(rdm, pdist(patterns), rtol=1e-6)


def test_euclidean_volume_that_is_not_finite_is_undefined():
    patterns = np.random.default_rng(7).normal(size=(6, 3))
    patterns[4, 0] = np.nan
    rdm = euclidean_distance(patterns)
    np.testing.assert_array_equal(volume_defined(rdm), [True, True, True, True, False, True])
    np.testing.assert_allclose(to_square(rdm)[:4, :4], squareform(pdist(patterns[:4])), atol=1e-6)


@pytest.mark.parametrize("name", DISTANCES)
@pytest.mark.parametrize("block", [7, 1000])
def test_distances_of_memory_mapped_patterns_agree_with_scipy(tmp_path, name, block):
    patterns = np.random.default_rng(8).normal(0.5, 1, (20, 90)).astype(np.float32)
    mapped = np.memmap(tmp_path / "features", np.float32, "w+", shape=patterns.shape)
    mapped[:] = patterns
    rdm = DISTANCES[name](mapped, block)
    assert rdm.dtype == np.float32
    np.testing.assert_allclose(rdm, pdist(patterns.astype(float), name), rtol=0, atol=1e-5)


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_cosine_volume_without_pattern_is_undefined(bad):
    patterns = np.random.default_rng(9).normal(size=(6, 30))
    whole = to_square(cosine_distance(patterns))
    if bad == 0:
        patterns[3] = 0
    else:
        patterns[3, 5] = bad
    rdm = cosine_distance(patterns, block=11)
    np.testing.assert_array_equal(volume_defined(rdm), [True, True, True, False, True, True])
    np.testing.assert_allclose(to_square(rdm)[:3, :3], whole[:3, :3], atol=1e-6)


def test_a_constant_pattern_has_a_cosine_but_no_correlation():
    patterns = np.random.default_rng(10).normal(size=(5, 30))
    patterns[1] = 2.5
    assert volume_defined(cosine_distance(patterns)).all()
    assert not volume_defined(correlation_distance(patterns))[1]


@pytest.mark.parametrize("block", [7, 64, 16384])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", DISTANCES)
def test_moments_come_with_the_same_rdm(name, dtype, block):
    patterns = np.random.default_rng(11).normal(3, 2, (20, 200)).astype(dtype)
    rdm, moments = rdm_with_moments(patterns, name, block=block)
    np.testing.assert_array_equal(rdm, DISTANCES[name](patterns, block))
    exact = patterns.astype(np.float64)
    np.testing.assert_allclose(moments.mean, exact.mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(moments.sd, exact.std(axis=1), rtol=1e-12)
    assert moments.n_units == 200


@pytest.mark.parametrize("name", DISTANCES)
def test_moments_of_constant_and_undefined_patterns(name):
    patterns = np.random.default_rng(12).normal(1000, 1e-3, (6, 300))
    patterns[1], patterns[2, 5], patterns[3, 9] = 0.1, np.nan, -np.inf
    rdm, moments = rdm_with_moments(patterns, name, block=64)
    np.testing.assert_array_equal(rdm, DISTANCES[name](patterns, 64))
    for values in (moments.mean, moments.sd):
        np.testing.assert_array_equal(np.isnan(values), [False, False, True, True, False, False])
    assert moments.sd[1] == 0
    np.testing.assert_allclose(moments.sd[[0, 4, 5]], patterns[[0, 4, 5]].std(axis=1), rtol=1e-6)


@pytest.mark.parametrize("name", DISTANCES)
def test_moments_of_a_projected_layer_keep_the_norm_of_its_patterns(name):
    patterns = np.random.default_rng(13).normal(size=(6, 40))
    patterns[4, 0] = np.nan
    rdm, moments = rdm_with_moments(patterns, name, projected_from=1000)
    np.testing.assert_array_equal(rdm, DISTANCES[name](patterns))
    finite = np.arange(6) != 4
    squared_norm = (patterns**2).sum(axis=1)
    assert moments.n_units == 1000
    assert (moments.mean[finite] == 0).all()
    assert np.isnan(moments.mean[4])
    np.testing.assert_allclose(1000 * moments.sd**2, squared_norm, rtol=1e-12)


@given(patterns_strategy, st.floats(0.1, 10), st.integers(0, 2**31))
def test_rotation_and_scale_keep_angles_and_rotation_keeps_distances(patterns, scale, seed):
    n_units = patterns.shape[1]
    rotation = np.linalg.qr(np.random.default_rng(seed).normal(size=(n_units, n_units)))[0]
    turned = patterns @ rotation
    np.testing.assert_allclose(
        cosine_distance(scale * turned), cosine_distance(patterns), atol=1e-5
    )
    np.testing.assert_allclose(
        euclidean_distance(scale * turned),
        scale * euclidean_distance(patterns),
        rtol=1e-5,
        atol=1e-3,
    )


@given(patterns_strategy, st.floats(-10, 10))
def test_a_shift_of_every_pattern_keeps_euclidean_distances(patterns, shift):
    np.testing.assert_allclose(
        euclidean_distance(patterns + shift), euclidean_distance(patterns), atol=1e-3
    )


@given(patterns_strategy, st.floats(0.1, 10), st.floats(-10, 10))
def test_scale_and_shift_of_a_pattern_change_nothing(patterns, scale, shift):
    moved = patterns.copy()
    moved[0] = scale * moved[0] + shift
    np.testing.assert_allclose(
        correlation_distance(moved), correlation_distance(patterns), atol=1e-5
    )


@given(patterns_strategy, st.randoms(use_true_random=False))
def test_permuted_volumes_give_the_permuted_rdm(patterns, random):
    order = list(range(len(patterns)))
    random.shuffle(order)
    square = to_square(correlation_distance(patterns))
    np.testing.assert_array_equal(square, square.T)
    permuted = to_square(correlation_distance(patterns[order]))
    np.testing.assert_allclose(permuted, square[np.ix_(order, order)], atol=1e-5)


def test_square_follows_scipys_order():
    rdm = np.arange(10, dtype=np.float32)
    np.testing.assert_array_equal(to_square(rdm), squareform(rdm))
    assert to_square(np.stack([rdm, rdm])).shape == (2, 5, 5)


@given(st.integers(2, 3000))
def test_volumes_follow_from_pairs(n):
    assert n_volumes_of(n * (n - 1) // 2) == n


@pytest.mark.parametrize("n_pairs", [0, 2, 4, 5, 7])
def test_impossible_number_of_pairs_is_refused(n_pairs):
    with pytest.raises(ValueError, match="number of pairs"):
        n_volumes_of(n_pairs)
