"""The null of shifted models against fits repeated on columns shifted one by one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rsa_plain import cross_validated, pairs_of, run_data
from scipy.stats import false_discovery_control
from small_study import MIN_LAG_S
from test_shifts import shifted

from bidsapp.rsa.inference import finite_mean
from bidsapp.rsa.null import (
    MIN_SHIFT,
    draw_shifts,
    n_distinct,
    scores_at_shifts,
    shift_p,
)
from bidsapp.rsa.shifts import shifted_cohorts, shifted_parts
from bidsapp.rsa.similarity import joined, similarity
from bidsapp.rsa.study import study_products

MODELS = {"all": slice(0, 4), "one": slice(2, 3)}
PENALTIES = [1e-2, 1.0, 100.0]


def scores_of(runs, region, shifts, mode, fit):
    """Shape (K, M, S), participants in their order."""
    parts = [shifted_parts(run, MIN_LAG_S, [mode]) for run in runs]
    cohorts = shifted_cohorts([[part.of_region(region) for part in own] for own in parts])
    found = np.full((len(shifts), len(MODELS), runs[0].targets.shape[1]), np.nan)
    for cohort in cohorts:
        scores = scores_at_shifts(cohort.runs[mode], shifts, MODELS, mode, fit, PENALTIES)
        found[:, :, cohort.participants] = scores[:, :, 0]
    return found


@pytest.mark.parametrize("fit", ["ols", "nnls", "ridge"])
@pytest.mark.parametrize("mode", ["replicate", "robust"])
def test_agrees_with_shifting_and_refitting(gappy_runs, mode, fit):
    shifts = np.array([[3, 0, 11, 20], [17, 30, 8, 1]])
    found = scores_of(gappy_runs, 1, shifts, mode, fit)
    for (k, draw), (m, columns), who in (
        (k, m, who)
        for k in enumerate(shifts)
        for m in enumerate(MODELS.values())
        for who in range(3)
    ):
        data = []
        for run, volumes in zip(gappy_runs, draw, strict=True):
            own = run_data([run.of([who])], columns, 1, 0, mode, MIN_LAG_S)[0]
            if own is not None:
                pairs = pairs_of(run.of([who]), mode, MIN_LAG_S)
                moved = [shifted(column, pairs, volumes) for column in own[0].T]
                own = np.array(moved).T, own[1]
            data.append(own)
        r, _, _ = cross_validated(data, mode, fit, PENALTIES)
        np.testing.assert_allclose(found[k, m, who], finite_mean(r, 0), atol=1e-5)


def test_lag_regressors_are_taken_out_before_the_shift(gappy_runs):
    study = study_products(gappy_runs, MIN_LAG_S, lag_regressors_s=(4.0, 16.0))
    taus = (4.0, 16.0)
    cohorts = shifted_cohorts(
        [shifted_parts(run, MIN_LAG_S, ["replicate"], taus) for run in gappy_runs]
    )
    for cohort, own in zip(cohorts, study.cohorts, strict=True):
        for run, products in zip(cohort.runs["replicate"], own.replicate, strict=True):
            np.testing.assert_allclose(run.xy[0], products.xy, atol=1e-6)
            np.testing.assert_allclose(run.unshifted.xx, products.xx, atol=1e-6)


@pytest.mark.parametrize("fit", ["ols", "nnls", "ridge"])
@pytest.mark.parametrize("mode", ["replicate", "robust"])
def test_no_shift_gives_the_scores_as_they_are(gappy_runs, mode, fit):
    study = study_products(gappy_runs, MIN_LAG_S)
    plain = joined(
        [
            (cohort.participants, similarity(getattr(cohort, mode), MODELS, mode, fit, PENALTIES))
            for cohort in study.cohorts
        ]
    )
    for region in (0, 1):
        found = scores_of(gappy_runs, region, np.zeros((1, 4), int), mode, fit)
        np.testing.assert_allclose(found[0], finite_mean(plain.r[:, region], -1), atol=1e-6)


def test_draws_at_once_change_nothing(runs, monkeypatch):
    shifts = np.random.default_rng(0).integers(0, 30, (7, 4))
    whole = scores_of(runs, 0, shifts, "robust", "ridge")
    monkeypatch.setattr("bidsapp.rsa.null._NUMBERS_AT_ONCE", 100)
    np.testing.assert_allclose(scores_of(runs, 0, shifts, "robust", "ridge"), whole, atol=1e-12)


@given(st.lists(st.integers(60, 200), min_size=3, max_size=5), st.integers(0, 9))
def test_shifts_keep_from_both_ends_and_are_each_runs_own(volumes, seed):
    circles = dict(enumerate(volumes))
    shifts = draw_shifts(circles, 50, seed)
    assert shifts.shape == (50, len(volumes))
    assert (shifts >= MIN_SHIFT).all()
    assert (shifts <= np.array(volumes) - MIN_SHIFT).all()
    del circles[1]  # a run that nobody has
    others = np.delete(shifts, 1, axis=1)
    np.testing.assert_array_equal(draw_shifts(circles, 50, seed), others)
    np.testing.assert_array_equal(draw_shifts(circles, 20, seed), others[:20])


def test_every_shift_is_drawn():
    shifts = draw_shifts({0: 62, 1: 60, 2: 60}, 500, 0)
    assert sorted(set(shifts[:, 0])) == list(range(20, 43))
    assert n_distinct([62, 60, 60]) == 23 * 21 * 21
    assert n_distinct([62, 30, 60]) == 0


def test_short_run_has_no_shifts():
    with pytest.raises(ValueError, match="59 volumes"):
        draw_shifts({0: 100, 1: 59, 2: 80}, 10, 0)


def test_p_by_hand():
    observed = np.array([[0.3, 0.1, np.nan]])
    null = np.array([[0.1, 0.1, np.nan], [0.4, 0.0, np.nan], [0.2, 0.05, np.nan]])
    p = shift_p(np.stack([observed, *null[:, None]]))
    np.testing.assert_allclose(p.p, [[2 / 4, 2 / 4, np.nan]])
    np.testing.assert_allclose(p.p_max, [[2 / 4, 4 / 4, np.nan]])
    # In SDs of their own column, .3 lies .45 above its mean and the other .1 .90; at the draws the
    # highest are .90 (.1 again), 1.34 (.4) and -.30.
    np.testing.assert_allclose(p.p_fwe, [[3 / 4, 3 / 4, np.nan]])
    assert np.isnan(p.q).all()  # 3 draws cannot give any q under .05


def test_p_fwe_and_q_against_loops_over_cells():
    rng = np.random.default_rng(1)
    scores = rng.normal(size=(101, 4, 3)) * rng.uniform(0.1, 9, (4, 3)) + rng.normal(size=(4, 3))
    scores[0, 2, 1] += 30
    scores[:, 3] = np.nan  # a region that nobody has
    p = shift_p(scores)
    cells = [(r, m) for r in range(3) for m in range(3)]
    z = {(r, m): (s := scores[:, r, m]) - s.mean() for r, m in cells}
    z = {cell: values / values.std() for cell, values in z.items()}
    highest = np.max([values[1:] for values in z.values()], axis=0)
    pooled = {m: np.concatenate([z[r, m][1:] for r in range(3)]) for m in range(3)}
    by_model = []
    for r, m in cells:
        own = (1 + (highest >= z[r, m][0]).sum()) / 101
        assert p.p_fwe[r, m] == pytest.approx(own)
        by_model.append((1 + (pooled[m] >= z[r, m][0]).sum()) / 301)
    expected = false_discovery_control(by_model, method="bh")
    np.testing.assert_allclose([p.q[cell] for cell in cells], expected)
    for values in (p.p, p.p_max, p.p_fwe, p.q):
        assert np.isnan(values[3]).all()


def test_scores_of_unlike_spread_count_alike_in_the_correction():
    """A noisy cell would own the maximum of raw scores."""
    rng = np.random.default_rng(2)
    scores = rng.normal(size=(1001, 2, 1)) * [[0.001], [1.0]]
    scores[0] = [[0.005], [0.0]]
    p = shift_p(scores)
    assert p.p_fwe[0, 0] < 0.01
    assert shift_p(scores.swapaxes(1, 2)).p_max[0, 0] > 0.3


def test_corrected_p_of_exchangeable_scores_has_its_error_rate():
    """Cells share noise, as regions and models do; their spreads differ."""
    rng = np.random.default_rng(0)
    shared, own = rng.normal(size=(2000, 200, 1, 1)), rng.normal(size=(2000, 200, 6, 4))
    studies = (shared + own) * rng.uniform(0.1, 9, (6, 4))
    any_fwe, any_q = [], []
    for scores in studies:
        p = shift_p(scores)
        any_fwe.append((p.p_fwe < 0.05).any())
        any_q.append((p.q < 0.05).any())
    assert np.mean(any_fwe) == pytest.approx(0.05, abs=0.012)
    assert np.mean(any_q) < 0.062


def test_score_that_no_shift_changes_has_p_one():
    scores = np.random.default_rng(0).normal(size=(50, 2, 2))
    scores[:, 0, 0] = 0.0
    p = shift_p(scores)
    assert p.p[0, 0] == 1.0
    assert p.p_fwe[0, 0] == 1.0


@given(st.floats(0.01, 100), st.floats(-5, 5), st.integers(0, 9))
def test_correction_heeds_neither_units_nor_offsets(scale, offset, seed):
    scores = np.random.default_rng(seed).normal(size=(40, 3, 2))
    moved = scores.copy()
    moved[:, 1, 0] = scale * moved[:, 1, 0] + offset
    np.testing.assert_array_equal(shift_p(moved).p_fwe, shift_p(scores).p_fwe)


def test_p_of_exchangeable_scores_is_uniform():
    scores = np.random.default_rng(0).normal(size=(20, 4000))
    p = shift_p(scores[:, :, None])
    assert np.mean(p.p <= 0.05) == pytest.approx(0.05, abs=0.012)
    assert (p.p_max >= p.p).all()
