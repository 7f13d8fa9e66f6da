"""Volumes left out of the robust mode: counted by reason, and each mode's RDMs its own."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_study import LENGTHS, MIN_LAG_S, undefine

from bidsapp.rsa.study import study_products
from bidsapp.rsa.volumes import FilmVolumes, VolumeCount, count_volumes, film_volumes


def flags(n):
    return st.lists(st.booleans(), min_size=n, max_size=n).map(np.array)


@st.composite
def runs_of_volumes(draw):
    """What the volumes of a run know of the film, and which are defined."""
    n = draw(st.integers(1, 20))
    return FilmVolumes(draw(flags(n)), draw(flags(n))), draw(flags(n))


def by_hand(film, defined):
    """Give each volume one reason, the first that holds."""
    reasons = []
    for covered, repeated, known in zip(film.covered, film.repeated, defined, strict=True):
        if repeated:
            reasons.append("repeated")
        elif not covered:
            reasons.append("uncovered")
        else:
            reasons.append("used" if known else "undefined")
    kinds = ("used", "repeated", "uncovered", "undefined")
    return VolumeCount(**{kind: reasons.count(kind) for kind in kinds})


@given(runs_of_volumes())
def test_every_volume_is_counted_once_by_the_first_reason(run):
    film, defined = run
    count = count_volumes(film, defined)
    assert count == by_hand(film, defined)
    assert count.used + count.repeated + count.uncovered + count.undefined == len(defined)


@given(runs_of_volumes(), runs_of_volumes())
def test_counts_of_two_runs_add_up_to_those_of_all_their_volumes(first, second):
    covered = np.concatenate([film.covered for film, _ in (first, second)])
    repeated = np.concatenate([film.repeated for film, _ in (first, second)])
    defined = np.concatenate([first[1], second[1]])
    together = count_volumes(FilmVolumes(covered, repeated), defined)
    assert count_volumes(*first) + count_volumes(*second) == together


@pytest.mark.parametrize(
    ("n_repeated", "repeated"), [(0, []), (2, [3, 4]), (5, range(5)), (7, range(5))]
)
def test_volumes_with_enough_of_the_film_that_is_not_shown_again(n_repeated, repeated):
    coverage = np.array([0.0, 0.94, 0.95, 1.0, 0.3])
    film = film_volumes(coverage, 0.95, n_repeated)
    assert np.flatnonzero(film.covered).tolist() == [2, 3]  # the least share is enough
    assert np.flatnonzero(film.repeated).tolist() == list(repeated)
    assert np.flatnonzero(film.used).tolist() == [i for i in (2, 3) if i not in repeated]
    whole = FilmVolumes.whole(5, n_repeated)
    assert whole.covered.all()
    np.testing.assert_array_equal(whole.repeated, film.repeated)


def with_robust(runs, volume_left_out, participant):
    """Give each run robust RDMs, in which a participant lacks a volume of run 2."""
    own = [replace(run, robust_targets=run.targets.copy()) for run in runs]
    undefine(own[1].robust_targets[:, participant], volume_left_out, LENGTHS[1])
    return own


def of_modes(products):
    return products.replicate, products.robust


def test_each_mode_has_its_own_targets(runs):
    """Regions change places in the RDMs of robust, and in its products alone."""
    swapped = [replace(run, robust_targets=run.targets[::-1]) for run in runs]
    plain, study = (study_products(given, MIN_LAG_S, (4.0,)) for given in (runs, swapped))
    for i in range(len(runs)):
        np.testing.assert_array_equal(study.replicate[i].xy, plain.replicate[i].xy)
        np.testing.assert_array_equal(study.lags[0].runs[i].xy, plain.lags[0].runs[i].xy)
        np.testing.assert_allclose(study.robust[i].xy, plain.robust[i].xy[::-1], atol=1e-6)
        np.testing.assert_allclose(study.robust[i].yy, plain.robust[i].yy[::-1], atol=1e-6)
    assert np.abs(study.robust[0].xy - plain.robust[0].xy).max() > 0.05


def test_volumes_of_the_robust_mode_alone_set_participants_apart(runs):
    given = with_robust(runs, volume_left_out=7, participant=1)
    study, plain = study_products(given, MIN_LAG_S), study_products(runs, MIN_LAG_S)
    cohorts = {tuple(cohort.participants.tolist()): cohort for cohort in study.cohorts}
    assert set(cohorts) == {(1,), (0, 2)}
    for members, in_robust in (((1,), [0, 1, 0, 0]), ((0, 2), [0] * 4)):
        cohort = cohorts[members]
        assert [run.volumes.undefined for run in cohort.replicate] == [0] * 4
        assert [run.volumes.undefined for run in cohort.robust] == in_robust
        own = study_products([run.of(np.array(members)) for run in given], MIN_LAG_S)
        for of_cohort, alone in zip(of_modes(cohort), of_modes(own), strict=True):
            assert [run.n_pairs for run in of_cohort] == [run.n_pairs for run in alone]
            for together, apart in zip(of_cohort, alone, strict=True):
                np.testing.assert_allclose(together.xy, apart.xy, atol=1e-6)
    for run, before in zip(study.replicate, plain.replicate, strict=True):
        np.testing.assert_array_equal(run.xy, before.xy)


def test_who_lacks_the_robust_rdms_of_a_run_has_no_volume_in_robust_there(runs):
    given = [replace(run, robust_targets=run.targets.copy()) for run in runs]
    given[1].robust_targets[:, 2] = np.nan
    study, plain = study_products(given, MIN_LAG_S), study_products(runs, MIN_LAG_S)
    cohorts = {tuple(cohort.participants.tolist()): cohort for cohort in study.cohorts}
    assert set(cohorts) == {(2,), (0, 1)}
    alone, others = cohorts[2,].robust, cohorts[0, 1].robust
    assert [run.present.all() for run in alone] == [True, False, True, True]
    assert (alone[1].n_pairs, alone[1].volumes.used) == (0, 0)
    for run, before in zip(others, plain.robust, strict=True):
        assert run.present.all()
        assert (run.n_pairs, run.volumes) == (before.n_pairs, before.volumes)
    for run, before in zip(study.replicate, plain.replicate, strict=True):
        np.testing.assert_array_equal(run.xy, before.xy)


def test_volumes_that_are_defined_in_each_mode(runs):
    """Of one who lacks the RDMs of both modes, the run, nothing is known but what models define."""
    run = with_robust(runs, volume_left_out=7, participant=0)[1]
    undefine(run.models[0], 4, LENGTHS[1])
    run.robust_targets[:, 1:] = np.nan
    run.targets[:, 2] = np.nan
    undefined = {mode: np.logical_not(own) for mode, own in run.defined().items()}
    places = {
        mode: [np.flatnonzero(row).tolist() for row in own] for mode, own in undefined.items()
    }
    assert places["replicate"] == [[4]] * 3
    assert places["robust"] == [[4, 7], list(range(LENGTHS[1])), [4]]
    same = replace(run, robust_targets=None).defined()
    np.testing.assert_array_equal(same["robust"], same["replicate"])
