"""p_null from RDMs to table: planted models are found, gaps are said."""

from dataclasses import replace

import numpy as np
import pytest
from gaps import undefine

from bidsapp.analysis.processing import NullDraws
from bidsapp.rsa.inference import finite_mean
from bidsapp.rsa.rdm import correlation_distance
from bidsapp.rsa.shifts import shifted_parts
from bidsapp.rsa.study import RunRDMs, study_products
from bidsapp.rsa.volumes import FilmVolumes
from bidsapp.tables import notes
from bidsapp.tables.null import P_COLUMNS, null_table, region_null
from bidsapp.tables.scores import all_scores

LAYERS = {"planted": ("first", "second"), "other": ("only",)}
REGIONS = ("FFA", "hV4")
LENGTHS = (70, 64, 66, 68)


def one_run(rng, name, n):
    features = [rng.normal(size=(n, 30)) for _ in range(3)]
    targets = [
        [correlation_distance(strength * features[0] + rng.normal(size=(n, 30))) for _ in range(3)]
        for strength in (1.0, 0.0)
    ]
    models = np.array([correlation_distance(f) for f in features])
    film = FilmVolumes.whole(n, n_repeated=2)
    return RunRDMs(name, models, np.array(targets), 2.0, film)


def without_end(run, n_repeated):
    """Let the next run show the film of the last volumes again."""
    return replace(run, film=FilmVolumes.whole(len(run.film.used), n_repeated))


@pytest.fixture
def long_runs():
    rng = np.random.default_rng(5)
    return [one_run(rng, str(i + 1), n) for i, n in enumerate(LENGTHS)]


@pytest.fixture
def quick(analysis):
    return with_draws(analysis, ols=200, nnls=20, ridge=50)


def with_draws(analysis, **draws):
    statistics = analysis.statistics.model_copy(update={"null_draws": NullDraws(**draws)})
    robust = analysis.robust.model_copy(update={"penalties": (0.01, 1.0, 100.0)})
    return analysis.model_copy(update={"statistics": statistics, "robust": robust})


def nulls_of(runs, analysis, region, seed=3, participants=()):
    """Scores of one region at every draw."""
    parts = [shifted_parts(run, analysis.robust.min_lag_s, analysis.modes) for run in runs]
    own = [[part.of_region(REGIONS.index(region)) for part in run] for run in parts]
    return region_null(own, LAYERS, region, analysis, seed, participants)


def table_of(nulls):
    return null_table(nulls, list(LAYERS), dict.fromkeys(REGIONS, "all"))


def null_of(runs, analysis, region="FFA", seed=3, participants=()):
    """The table of one region alone."""
    table = table_of(nulls_of(runs, analysis, region, seed, participants))
    return table.set_index(["mode", "fit", "model"])


def test_planted_model_is_found_and_the_other_is_not(long_runs, quick):
    table = null_of(long_runs, quick)
    draws = table.index.get_level_values("fit").map({"ols": 200, "nnls": 20, "ridge": 50})
    planted = table.index.get_level_values("model") == "planted"
    lowest = 1 / (1 + np.array(draws))
    np.testing.assert_allclose(table["p_null"][planted], lowest[planted])
    np.testing.assert_allclose(table["p_null_max"][planted], lowest[planted])
    assert (table["p_null"][~planted] > lowest[~planted]).all()
    assert (table["p_null_max"] >= table["p_null"]).all()
    assert table.drop("nnls", level="fit")["note"].isna().all()
    assert (table["note"].xs("nnls", level="fit") == "no q_null: 20 draws, fewer than 40").all()
    assert (null_of(long_runs, quick, "hV4")["p_null"] > 0.03).all()


def test_one_participant_is_enough(long_runs, quick):
    alone = [run.of(np.array([1])) for run in long_runs]
    assert null_of(alone, quick)["p_null"]["robust", "ols", "planted"] < 0.05


def test_same_seed_same_p_and_another_seed_another(long_runs, quick):
    one = null_of(long_runs, quick, "hV4")
    assert one.equals(null_of(long_runs, quick, "hV4"))
    assert not one.equals(null_of(long_runs, quick, "hV4", seed=4))


def test_participants_with_gaps_are_tested_on_their_own_volumes(long_runs, quick):
    long_runs[0].targets[:, 1] = np.nan  # no run 1
    long_runs[1].targets[0, 2] = np.nan  # no FFA in run 2
    undefine(long_runs[2].targets[:, 0], 9)  # a censored volume
    table = null_of(long_runs, quick)
    assert (table["p_null"].xs("planted", level="model") < 0.05).all()
    assert table.drop("nnls", level="fit")["note"].isna().all()


def test_each_mode_is_tested_on_its_own_rdms(long_runs, quick):
    """Regions change places in the RDMs of robust."""
    swapped = [replace(run, robust_targets=run.targets[::-1]) for run in long_runs]
    own, plain, of_other = (
        null_of(runs, quick, region)["p_null"]
        for runs, region in ((swapped, "FFA"), (long_runs, "FFA"), (long_runs, "hV4"))
    )
    assert own["replicate"].equals(plain["replicate"])
    assert own["robust"].equals(of_other["robust"])
    assert not own["robust"].equals(plain["robust"])


def test_who_has_no_volume_in_robust_is_said_and_no_run_is_dropped_for_it(long_runs, quick):
    """Such a scan has too few volumes for the regressors that robust fits on them."""
    without = [replace(run, robust_targets=run.targets.copy()) for run in long_runs]
    without[2].robust_targets[:, 1] = np.nan
    own = null_of(without, quick, participants=("01", "04", "07")).reset_index().set_index("mode")
    assert own.loc["robust", P_COLUMNS].isna().all(axis=None)
    assert set(own.loc["robust", "note"]) == {
        "no p_null: run 3 has 0 volumes to compare, fewer than 60, in sub-04 "
        "(leave out that run or participant: docs/faq.md)"
    }
    plain = null_of(long_runs, quick)["p_null"]
    np.testing.assert_array_equal(own.loc["replicate", "p_null"], plain["replicate"])
    without[2].targets[:, 1] = np.nan  # without the scan there is nothing to lack
    assert np.isfinite(null_of(without, quick)["p_null"]).all()


def test_shifts_are_shared_with_regions_that_lack_a_run(long_runs, quick, monkeypatch):
    long_runs[1].targets[0] = np.nan
    seen = {}

    def spy(runs, shifts, *_):
        seen[tuple(run.unshifted.run for run in runs)] = shifts
        return np.zeros((len(shifts), len(LAYERS), 1, 3))

    monkeypatch.setattr("bidsapp.tables.null.scores_at_shifts", spy)
    for region in REGIONS:
        null_of(long_runs, quick.model_copy(update={"modes": ("robust",)}), region)
    np.testing.assert_array_equal(seen["1", "3", "4"], seen["1", "2", "3", "4"][:, [0, 2, 3]])


def test_constant_layer_is_no_obstacle(long_runs, quick):
    for run in long_runs:
        run.models[2] = 0.7
    table = null_of(long_runs, quick)
    # Its score is 0 whatever the shift, so every draw is as good.
    np.testing.assert_allclose(table["p_null"].xs("other", level="model"), 1.0)


def test_observed_score_is_that_of_the_table(long_runs, quick):
    observed = [null.scores[0] for null in nulls_of(long_runs, quick, "FFA")]
    study = study_products(long_runs, quick.robust.min_lag_s)
    expected = [
        finite_mean(scores.participants[:, 0], -1) for scores in all_scores(study, LAYERS, quick)
    ]
    np.testing.assert_allclose(observed, expected, atol=1e-6)


def test_regions_share_draws_though_some_people_lack_one(long_runs, quick):
    """Who lacks FFA has the shortest circle of run 2, so FFA's own would be longer."""
    undefine(long_runs[1].targets[:, 2], 9)
    long_runs[1].targets[0, 2] = np.nan
    shifts = {}
    for region in REGIONS:
        with pytest.MonkeyPatch.context() as patch:

            def spy(runs, shifts_, *_, region=region):
                shifts[region] = shifts_
                s = runs[0].unshifted.present.shape[1]
                return np.zeros((len(shifts_), len(LAYERS), 1, s))

            patch.setattr("bidsapp.tables.null.scores_at_shifts", spy)
            nulls_of(long_runs, quick, region)
    np.testing.assert_array_equal(shifts["FFA"], shifts["hV4"])


def test_too_short_a_scan_spoils_no_region_that_it_lacks(long_runs, quick):
    cut_short(long_runs, 2, 1, 45)
    long_runs[2].targets[0, 1] = np.nan
    assert np.isfinite(null_of(long_runs, quick)["p_null"]).all()
    assert null_of(long_runs, quick, "hV4")["p_null"].isna().all()


def test_correction_is_over_the_regions_of_a_family(long_runs, quick):
    nulls = [null for region in REGIONS for null in nulls_of(long_runs, quick, region)]
    together = table_of(nulls)
    apart = null_table(nulls, list(LAYERS), {"FFA": "functional", "hV4": "atlas"})
    keys = ["mode", "fit", "roi", "model"]
    together, apart = (table.set_index(keys).sort_index() for table in (together, apart))
    for column in ("p_null", "p_null_max"):
        np.testing.assert_array_equal(together[column], apart[column])
    assert (together["p_null_fwe"] >= apart["p_null_fwe"]).all()
    assert (together["p_null_fwe"] > apart["p_null_fwe"]).any()
    planted = together["p_null_fwe"]["robust", "ols", "FFA", "planted"]
    assert planted == pytest.approx(1 / 201)
    assert (together["p_null_fwe"]["robust", "ols", "hV4"] > 0.05).all()
    assert together["q_null"]["robust", "ols", "FFA", "planted"] < 0.05


def test_region_that_cannot_be_tested_leaves_the_others_their_correction(long_runs, quick):
    for run in long_runs[:2]:
        run.targets[1] = np.nan
    nulls = [null for region in REGIONS for null in nulls_of(long_runs, quick, region)]
    table = table_of(nulls).set_index("roi")
    assert table.loc["hV4", P_COLUMNS].isna().all(axis=None)
    assert (table.loc["hV4", "note"] == "no p_null: fewer than 3 runs").all()
    alone = null_of(long_runs, quick).reset_index()
    np.testing.assert_array_equal(table.loc["FFA", P_COLUMNS], alone[P_COLUMNS])


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (lambda runs: runs[:2], "no p_null: fewer than 3 runs"),
        (lambda runs: [*runs[:3], without_end(runs[3], 9)], "run 4 has 59 volumes"),
        # So short that robust has no pair of it: the run counts all the same.
        (lambda runs: [*runs[:3], without_end(runs[3], 49)], "run 4 has 19 volumes"),
    ],
)
def test_what_cannot_be_tested_says_why(long_runs, quick, change, note):
    table = null_of(change(long_runs), quick).xs("robust", level="mode")
    assert table[P_COLUMNS].isna().all(axis=None)
    assert table["note"].str.contains(note).all()


def cut_short(runs, run, participant, n_volumes):
    """Let a participant's scan of a run break off."""
    _, columns = np.triu_indices(LENGTHS[run], 1)
    runs[run].targets[:, participant, columns >= n_volumes] = np.nan


def test_scan_cut_short_is_said_with_its_participant_and_what_to_do(long_runs, quick):
    cut_short(long_runs, 2, 1, 45)
    table = null_of(long_runs, quick, participants=("01", "04", "07"))
    assert table["p_null"].isna().all()
    assert set(table["note"].xs("replicate")) == {
        "no p_null: run 3 has 45 volumes to compare, fewer than 60, in sub-04 "
        "(leave out that run or participant: docs/faq.md)"
    }
    assert null_of(long_runs, quick)["note"].str.contains("in participant 2 ").all()
    long_runs[2].targets[:, 1] = np.nan
    assert np.isfinite(null_of(long_runs, quick)["p_null"]).all()


def test_scan_of_few_volumes_is_said_in_both_modes(long_runs, quick):
    cut_short(long_runs, 2, 1, 15)  # none of them far enough apart for robust
    table = null_of(long_runs, quick)
    assert table["p_null"].isna().all()
    few = "run 3 has 15 volumes to compare, fewer than 60, in participant 2"
    assert table["note"].str.contains(few).all()


def test_least_lag_beyond_all_runs_is_said(long_runs, quick):
    robust = quick.robust.model_copy(update={"min_lag_s": 500.0})
    table = null_of(long_runs, quick.model_copy(update={"robust": robust}))
    assert set(table["note"].xs("robust")) == {
        "no p_null: run 1 has no pair of volumes far enough apart"
    }
    assert np.isfinite(table["p_null"].xs("replicate")).all()


def test_short_run_that_nobody_has_in_this_region_does_not_count(long_runs, quick):
    long_runs[3] = without_end(long_runs[3], 20)
    long_runs[3].targets[0] = np.nan
    assert np.isfinite(null_of(long_runs, quick)["p_null"]).all()
    assert null_of(long_runs, quick, "hV4")["p_null"].xs("robust").isna().all()


def test_no_draws_no_p(long_runs, quick):
    table = null_of(long_runs, with_draws(quick, ols=0, nnls=20, ridge=0))
    assert table.loc[(slice(None), "ols"), "p_null"].isna().all()
    assert (table["note"].xs("ols", level="fit") == notes.NULL_NOT_ASKED).all()
    assert np.isfinite(table.loc[(slice(None), "nnls"), "p_null"]).all()


def test_more_draws_than_shifts_are_said(long_runs, quick):
    short = [without_end(run, n - 60) for run, n in zip(long_runs, LENGTHS, strict=True)][:3]
    table = null_of(short, with_draws(quick, ols=9300, nnls=0, ridge=0))
    assert table["note"]["robust", "ols", "planted"] == "p_null: 9300 draws of 9261 distinct shifts"
    assert np.isfinite(table["p_null"]["robust", "ols", "planted"])
