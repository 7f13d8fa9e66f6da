from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
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


def crossed(shape, seed=4):
    """Scores of participants and runs that both differ, with some noise of their own."""
    rng = np.random.default_rng(seed)
    *_, participants, runs = shape
    scores = rng.normal(0.2, 0.1, shape) + rng.normal(0, 0.1, (*shape[:-2], participants, 1))
    return scores + rng.normal(0, 0.1, (*shape[:-2], 1, runs))


def with_gaps(scores):
    """The same without three of a participant's runs here, another participant, another run."""
    gappy = scores.copy()
    gappy[..., 0, 1] = gappy[..., 2, 1] = gappy[..., 2, 3] = np.nan
    gappy[..., 4, :] = gappy[..., :, 0] = np.nan
    return gappy


def plain_two_factor(scores):
    """Mean, its squared error and what that is made of, score by score."""
    people = [i for i, row in enumerate(scores) if np.isfinite(row).any()]
    runs = [j for j, column in enumerate(scores.T) if np.isfinite(column).any()]
    p, r = len(people), len(runs)
    own = {i: [j for j in runs if np.isfinite(scores[i, j])] for i in people}
    means = {i: sum(scores[i, j] for j in own[i]) / len(own[i]) for i in people}
    mean = sum(means.values()) / p
    moves = {
        (i, j): (scores[i, j] - means[i]) / (p * len(own[i])) if j in own[i] else 0.0
        for i, j in product(people, runs)
    }
    of_run = {j: sum(moves[i, j] for i in people) for j in runs}
    a = sum((m - mean) ** 2 for m in means.values()) / (p * (p - 1))
    b = r / (r - 1) * sum(x**2 for x in of_run.values())
    e = sum((moves[i, j] - of_run[j] / p) ** 2 for i, j in moves) * p / (p - 1) * r / (r - 1)
    return mean, min(max(a + b - e, a, b), a + b), (a, b, e)


def every_draw(n):
    """How often each of n is drawn, in each of the n^n equally likely draws."""
    return np.array([np.bincount(draw, minlength=n) for draw in product(range(n), repeat=n)])


def some_draws(n, draws, rng):
    return rng.multinomial(n, np.full(n, 1 / n), draws)


def mean_of_draws(scores, who, when):
    """A participant's mean is over the drawn runs that it has; without any it is left out."""
    there = np.isfinite(scores)
    n = when @ there.T
    means = np.divide(when @ np.where(there, scores, 0).T, n, out=np.zeros(n.shape), where=n > 0)
    weight = who * (n > 0)
    return (weight * means).sum(axis=-1) / weight.sum(axis=-1)


def corrected(scores, people, runs, both):
    """A, B and E of Schütt et al. (2023) from variances of the mean over draws of each."""
    n, n_runs = scores.shape
    by_people, by_runs = n / (n - 1), n_runs / (n_runs - 1)
    return by_people * people, by_runs * runs, by_people * by_runs * (both - people - runs)


@pytest.mark.parametrize("gaps", [False, True])
def test_two_factor_score_by_score(gaps):
    scores = crossed((2, 3, 7, 5))
    scores = with_gaps(scores) if gaps else scores
    estimate = inference.two_factor(scores)
    for at in np.ndindex(2, 3):
        mean, squared, _ = plain_two_factor(scores[at])
        np.testing.assert_allclose([estimate.mean[at], estimate.error[at] ** 2], [mean, squared])
    n, n_runs = (6, 4) if gaps else (7, 5)
    np.testing.assert_array_equal(estimate.n, np.full((2, 3), n))
    np.testing.assert_array_equal(estimate.df, np.full((2, 3), min(n, n_runs) - 1))


def test_two_factor_is_the_two_way_layouts_mean_squares():
    scores = crossed((6, 4))
    mean, of_people, of_runs = scores.mean(), scores.mean(axis=1), scores.mean(axis=0)
    between_people = 4 * np.var(of_people, ddof=1)
    between_runs = 6 * np.var(of_runs, ddof=1)
    residual = scores - of_people[:, None] - of_runs + mean
    interaction = (residual**2).sum() / (5 * 3)
    expected = (between_people + between_runs - interaction) / scores.size
    assert expected > max(between_people, between_runs) / scores.size
    np.testing.assert_allclose(inference.two_factor(scores).error ** 2, expected)


def test_two_factor_is_held_between_one_factors_error_and_the_sum():
    """Scores whose noise is more, or less, than chance gives between participants and runs."""
    noise = np.random.default_rng(0).normal(size=(60, 5, 4))
    parts = [plain_two_factor(scores)[2] for scores in noise]
    estimate = inference.two_factor(noise)
    lower = [max(a, b) for a, b, _ in parts]
    assert 10 < np.isclose(estimate.error**2, lower).sum() < 60
    np.testing.assert_array_less(lower, estimate.error**2 * (1 + 1e-9))


def test_two_factor_is_the_bootstrap_with_every_draw():
    scores = crossed((5, 4))
    who, when = every_draw(5), every_draw(4)
    variances = (
        mean_of_draws(scores, who, np.ones((1, 4))).var(),
        mean_of_draws(scores, np.ones((1, 5)), when).var(),
        mean_of_draws(scores, who[:, None], when).var(),
    )
    _, _, parts = plain_two_factor(scores)
    np.testing.assert_allclose(corrected(scores, *variances), parts, rtol=1e-9)


def test_two_factor_is_close_to_the_bootstrap_where_runs_are_missing():
    """It is linear in how often each run is drawn, the mean of the runs drawn is not."""
    scores = crossed((8, 6))
    scores[[0, 2, 2, 3, 5, 7], [1, 1, 3, 0, 5, 2]] = np.nan
    rng = np.random.default_rng(5)
    who, when = some_draws(8, 100_000, rng), some_draws(6, 100_000, rng)
    variances = (
        mean_of_draws(scores, who, np.ones((1, 6))).var(),
        mean_of_draws(scores, np.ones((1, 8)), when).var(),
        mean_of_draws(scores, who, when).var(),
    )
    a, b, e = corrected(scores, *variances)
    _, squared, parts = plain_two_factor(scores)
    np.testing.assert_allclose([a, b], parts[:2], rtol=0.05)
    np.testing.assert_allclose(a + b - e, squared, rtol=0.05)


SCORES = arrays(
    np.float64,
    st.tuples(st.integers(2, 6), st.integers(2, 6)),
    elements=st.integers(-50, 50).map(float) | st.just(np.nan),
)


def assert_same(one, two):
    for name in ("n", "mean", "error", "df"):
        np.testing.assert_allclose(getattr(one, name), getattr(two, name), atol=1e-9, err_msg=name)


@given(SCORES, st.randoms(use_true_random=False))
def test_order_of_participants_and_runs_does_not_matter(scores, random):
    people, runs = (random.sample(range(n), n) for n in scores.shape)
    assert_same(inference.two_factor(scores[people][:, runs]), inference.two_factor(scores))


@given(SCORES, st.integers(-9, 9), st.integers(-9, 9))
def test_scores_times_a_number_and_moved(scores, factor, shift):
    plain = inference.two_factor(scores)
    moved = inference.two_factor(factor * scores + shift)
    expected = replace(plain, mean=factor * plain.mean + shift, error=abs(factor) * plain.error)
    assert_same(moved, expected)


@given(SCORES)
def test_missing_participants_and_runs_count_for_nothing(scores):
    wider = np.full((scores.shape[0] + 2, scores.shape[1] + 1), np.nan)
    wider[1:-1, :-1] = scores
    assert_same(inference.two_factor(wider), inference.two_factor(scores))


def test_two_factor_needs_two_participants_and_two_runs():
    scores = crossed((3, 5, 4))
    scores[0, 1:] = np.nan
    scores[1, :, 1:] = np.nan
    scores[2] = np.nan
    estimate = inference.two_factor(scores)
    assert np.isfinite(estimate.mean[:2]).all()
    assert np.isnan(estimate.mean[2])
    np.testing.assert_array_equal(estimate.n, [1, 5, 0])
    test = inference.two_factor_t(estimate)
    nothing = [estimate.error, estimate.df, test.t, test.p, *inference.interval(estimate)]
    assert np.isnan(nothing).all()


def test_scores_that_are_all_the_same_have_no_t():
    test = inference.two_factor_t(inference.two_factor(np.full((4, 3), 0.1)))
    assert np.isnan([test.t, test.p]).all()
    assert test.df == 2


def test_interval_ends_where_the_test_is_at_its_level():
    scores = crossed((6, 4))
    low, _ = inference.interval(inference.two_factor(scores), level=0.9)
    p = inference.two_factor_t(inference.two_factor(scores - low)).p
    np.testing.assert_allclose(p, 0.1)
    estimate = inference.two_factor(scores)
    test = inference.two_factor_t(estimate)
    np.testing.assert_allclose(test.t, estimate.mean / estimate.error)
    np.testing.assert_allclose(test.p, 2 * stats.t.sf(test.t, 3))


@pytest.mark.parametrize("missing", [0.0, 0.15])
@pytest.mark.parametrize(("participants", "runs"), [(3, 4), (8, 4), (15, 8)])
def test_interval_covers_the_true_mean(participants, runs, missing):
    """Scores of participants and runs that differ as much as single scores do."""
    rng = np.random.default_rng(0)
    shape = (2000, participants, runs)
    scores = rng.normal(size=shape) + rng.normal(size=(*shape[:2], 1))
    scores += rng.normal(size=(shape[0], 1, runs))
    scores[rng.random(shape) < missing] = np.nan
    low, high = inference.interval(inference.two_factor(scores))
    assert ((low <= 0) & (high >= 0)).mean() > 0.945


def test_finite_mean_and_sd(values):
    np.testing.assert_allclose(inference.finite_mean(values, -1), np.nanmean(values, axis=-1))
    expected = np.nanstd(values[[0, 1, 3, 4]], axis=-1, ddof=1)
    np.testing.assert_allclose(inference.finite_sd(values, -1)[[0, 1, 3, 4]], expected)
    assert np.isnan(inference.finite_sd(values, -1)[2])
    assert np.isnan(inference.finite_mean(np.full((2, 3), np.nan), 0)).all()
