from itertools import product

import numpy as np
import pytest
from scipy import stats

from bidsapp.rsa import inference


@pytest.fixture
def values():
    values = np.random.default_rng(0).normal(0.3, 1, (5, 8))
    values[1, 3] = np.nan
    values[2, 1:] = np.nan
    return values


def test_t_is_scipys_participant_by_participant(values):
    found = inference.one_sample_t(values)
    for row in (0, 1, 3, 4):
        there = values[row][np.isfinite(values[row])]
        t, p = stats.ttest_1samp(there, 0)
        np.testing.assert_allclose([found.t[row], found.p[row]], [t, p])
        assert found.n[row] == len(there)
        assert found.df[row] == len(there) - 1
        np.testing.assert_allclose(found.mean[row], there.mean())
    assert found.n[2] == 1
    assert np.isnan([found.t[2], found.p[2], found.df[2]]).all()


def test_values_without_variance_have_no_t():
    found = inference.one_sample_t(np.full((1, 4), 0.1))
    assert np.isnan(found.t).all()
    assert np.isnan(found.p).all()


def test_difference_is_the_paired_test():
    a, b = np.random.default_rng(1).normal(size=(2, 9))
    np.testing.assert_allclose(inference.one_sample_t(a - b).p, stats.ttest_rel(a, b).pvalue)


def test_fisher_z_stays_finite():
    z = inference.fisher_z(np.array([-1.0, -0.5, 0.0, 1.0, np.nan]))
    np.testing.assert_allclose(z[1:3], [np.arctanh(-0.5), 0])
    assert np.isfinite(z[:4]).all()
    assert np.isnan(z[4])


def test_sign_flip_by_brute_force(values):
    found = inference.sign_flip(values)
    for row in (0, 1, 3, 4):
        there = values[row][np.isfinite(values[row])]
        flips = [abs(np.dot(s, there)) for s in product([-1, 1], repeat=len(there))]
        np.testing.assert_allclose(found[row], np.mean(np.array(flips) >= flips[-1] * (1 - 1e-12)))
    assert np.isnan(found[2])


def test_sign_flip_agrees_with_scipys_exact_permutation_test(values):
    exact = stats.permutation_test(
        (values[0],), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    np.testing.assert_allclose(inference.sign_flip(values[0]), exact.pvalue)


def test_smallest_p_of_fifteen_participants_is_two_in_all_flips():
    np.testing.assert_allclose(inference.sign_flip(np.arange(1.0, 16.0)), 2 / 2**15)


def test_more_participants_use_random_flips():
    values = np.random.default_rng(2).normal(0.2, 1, 18)
    with pytest.raises(ValueError, match="generator"):
        inference.sign_flip(values)
    found = inference.sign_flip(values, np.random.default_rng(3))
    np.testing.assert_allclose(found, stats.ttest_1samp(values, 0).pvalue, atol=0.02)
    assert found == inference.sign_flip(values, np.random.default_rng(3))


def test_bonferroni_counts_the_tests_made():
    p = np.array([0.01, np.nan, 0.4, 0.03])
    np.testing.assert_allclose(inference.bonferroni(p), [0.03, np.nan, 1.0, 0.09])


def test_benjamini_hochberg_by_hand():
    p = np.array([0.01, np.nan, 0.04, 0.03, 0.005])
    np.testing.assert_allclose(
        inference.benjamini_hochberg(p), [0.02, np.nan, 0.04, 0.04, 0.02], rtol=1e-12
    )
    assert np.isnan(inference.benjamini_hochberg(np.array([np.nan, np.nan]))).all()


def test_bootstrap_by_explicit_resampling():
    rng = np.random.default_rng(4)
    scores = rng.normal(0.2, 0.1, (3, 6, 4))
    scores += rng.normal(0, 0.1, (6, 1)) + rng.normal(0, 0.1, 4)
    scores[0, 2, 1] = np.nan
    scores[1, 1:] = np.nan
    scores[2, :, 1:] = np.nan
    low, high = inference.bootstrap_interval(scores, 4000, np.random.default_rng(5))
    rng = np.random.default_rng(6)

    def variance(participants, runs):
        means = []
        for _ in range(4000):
            drawn = scores[0]
            drawn = drawn[rng.integers(6, size=6)] if participants else drawn
            drawn = drawn[:, rng.integers(4, size=4)] if runs else drawn
            rows = [row[np.isfinite(row)] for row in drawn]
            means.append(np.mean([row.mean() for row in rows if len(row)]))
        return np.var(means)

    alone, of_runs = variance(True, False) * 6 / 5, variance(False, True) * 4 / 3
    own = variance(True, True) - alone * 5 / 6 - of_runs * 3 / 4
    expected = alone + of_runs - own * (6 / 5) * (4 / 3)
    assert max(alone, of_runs) < expected < alone + of_runs
    half = stats.t.ppf(0.975, 3) * np.sqrt(expected)
    mean = np.nanmean(scores[0], axis=1).mean()
    np.testing.assert_allclose([low[0], high[0]], [mean - half, mean + half], atol=0.012)
    assert np.isnan([low[1:], high[1:]]).all()


@pytest.mark.parametrize(("participants", "runs"), [(3, 4), (8, 4), (15, 8)])
def test_interval_covers_the_true_mean(participants, runs):
    """Scores of participants and runs that differ as much as single scores do."""
    rng = np.random.default_rng(0)
    shape = (400, participants, runs)
    scores = rng.normal(size=shape) + rng.normal(size=(*shape[:2], 1))
    scores += rng.normal(size=(shape[0], 1, runs))
    low, high = inference.bootstrap_interval(scores, 200, rng)
    assert ((low <= 0) & (high >= 0)).mean() > 0.925  # percentiles: .88 to .92


def test_bootstrap_repeats_with_its_seed_and_can_be_left_out():
    scores = np.random.default_rng(7).normal(size=(3, 5, 4))
    one = inference.bootstrap_interval(scores, 50, np.random.default_rng(8))
    two = inference.bootstrap_interval(scores, 50, np.random.default_rng(8))
    np.testing.assert_array_equal(one, two)
    none = inference.bootstrap_interval(scores, 0, np.random.default_rng(8))
    assert np.isnan(none).all()
    assert none[0].shape == (3,)


def test_finite_mean_and_sd(values):
    np.testing.assert_allclose(inference.finite_mean(values, -1), np.nanmean(values, axis=-1))
    expected = np.nanstd(values[[0, 1, 3, 4]], axis=-1, ddof=1)
    np.testing.assert_allclose(inference.finite_sd(values, -1)[[0, 1, 3, 4]], expected)
    assert np.isnan(inference.finite_sd(values, -1)[2])
    assert np.isnan(inference.finite_mean(np.full((2, 3), np.nan), 0)).all()
