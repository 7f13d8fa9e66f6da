"""Scores of what models add, put together over participants, with draws and without."""

import numpy as np
import pytest

from bidsapp.rsa.controlled import Controlled
from bidsapp.rsa.null import MIN_SHIFT, draw_shifts
from bidsapp.rsa.rdm import correlation_distance
from bidsapp.rsa.shifts import shifted_parts
from bidsapp.rsa.study import RunRDMs
from bidsapp.rsa.unique import Unique
from bidsapp.tables.unique import joined_scores, scored_at_draws, shifts_of

PAIRS, REGIONS, RUNS, DRAWS = 2, 3, 4, 9


def scores(seed, absent=None):
    """One participant's, who may lack a region."""
    rng = np.random.default_rng(seed)
    shape = (PAIRS, REGIONS, 1, RUNS)
    r, shifted = rng.normal(size=shape), rng.normal(size=(1 + DRAWS, REGIONS, PAIRS))
    if absent is not None:
        r[:, absent] = shifted[:, absent] = np.nan
    none = np.zeros(shape, bool)
    return Controlled(Unique(r, r.copy(), none, none, none[:, 0, 0]), shifted.astype(np.float32))


def test_means_are_over_those_who_have_the_region():
    people = [scores(0), scores(1, absent=2), scores(2)]
    together = joined_scores(people)
    assert together.unique.r.shape == (PAIRS, REGIONS, 3, RUNS)
    all_three = np.mean([own.at_draws for own in people], axis=0)
    np.testing.assert_allclose(together.means[:, :2], all_three[:, :2], atol=1e-6)
    two = np.mean([people[0].at_draws, people[2].at_draws], axis=0)
    np.testing.assert_allclose(together.means[:, 2], two[:, 2], atol=1e-6)
    assert joined_scores([]) is None


def test_region_of_nobody_has_no_mean():
    together = joined_scores([scores(0, absent=1), scores(1, absent=1)])
    assert np.isnan(together.means[:, 1]).all()
    assert np.isfinite(together.means[:, [0, 2]]).all()


def test_who_cannot_be_shifted_leaves_the_region_without_p():
    """The mean would otherwise be of fewer people than the score that it tests."""
    some = scored_at_draws(scores(1, absent=0), np.array([True, True, False, True]))
    assert np.isfinite(some.at_draws[0, 1:]).all()
    assert np.isnan(some.at_draws[1:]).all()
    together = joined_scores([scores(0), some])
    assert np.isfinite(together.means[:, 0]).all()  # the other one lacks it
    assert np.isnan(together.means[:, 1:]).all()
    whole = scores(1)
    np.testing.assert_array_equal(
        scored_at_draws(whole, np.ones(RUNS, bool)).at_draws, whole.at_draws
    )


@pytest.fixture
def parts():
    """Four runs of two participants, of whom the second lacks one and has another cut short."""
    rng = np.random.default_rng(0)
    runs = []
    for i, n in enumerate((70, 66, 68, 64)):
        rdms = [correlation_distance(rng.normal(size=(n, 9))) for _ in range(4)]
        targets = np.array(rdms[2:])[None].repeat(2, axis=0)
        if i == 1:
            targets[:, 1] = np.nan
        if i == 2:
            targets[:, 1, np.triu_indices(n, 1)[1] >= 45] = np.nan
        runs.append(RunRDMs(str(i + 1), np.array(rdms[:2]), targets, 2.0))
    return [shifted_parts(run, 20.0, ["robust"]) for run in runs]


def test_shifts_are_those_of_the_smallest_circle_that_is_long_enough(parts):
    shifts, usable = shifts_of(parts, 0, 20, seed=3)
    circles = {0: 70, 1: 66, 2: 68, 3: 64}
    np.testing.assert_array_equal(shifts, draw_shifts(circles, 20, 3))
    assert usable.all()
    same, own = shifts_of(parts, 1, 20, seed=3)
    np.testing.assert_array_equal(same, shifts)
    assert own.tolist() == [True, True, False, True]
    assert (shifts >= MIN_SHIFT).all()
