from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
from gaps import undefine
from plain_control import scores_in_robust
from scipy import stats

from bidsapp.rsa.ceiling import ceilings
from bidsapp.rsa.inference import interval, two_factor
from bidsapp.rsa.null import shift_p
from bidsapp.rsa.similarity import similarity
from bidsapp.rsa.study import study_products
from bidsapp.rsa.unique import unique
from bidsapp.rsa.volumes import FilmVolumes
from bidsapp.tables import notes
from bidsapp.tables.columns import describe
from bidsapp.tables.group import group_tables, mean_visible
from bidsapp.tables.null import P_COLUMNS, RegionNull, null_table

LAYERS = {"good": ("first", "second"), "bad": ("only",)}
REGIONS = ("FFA", "V1v", "V1d")
LENGTHS = (50, 46, 52, 48)
SETS = {"functional": ("FFA",), "atlas": ("V1v", "V1d")}
UNIQUE = (("replicate", "ols"), ("replicate", "nnls"), ("robust", "ols"))
MODELS = {"good": slice(0, 2), "bad": slice(2, 3)}


def nulls_of(analysis, layers=LAYERS):
    """What the scores with shifted models would be, made up."""
    rng = np.random.default_rng(0)
    return [
        RegionNull(
            region,
            mode,
            fit,
            rng.normal(size=(60, len(layers))),
            "something of p_null" if region == "V1d" else None,
        )
        for region, mode, fit in product(REGIONS, analysis.modes, analysis.fits)
    ]


def study_of(runs):
    return study_products(runs, 10.0, (0.0, 10.0))


def tables_of(study, analysis, layers=LAYERS, region_sets=SETS, visible=None):
    given = nulls_of(analysis, layers), scores_in_robust(study, layers), visible or {}
    return group_tables(study, layers, REGIONS, region_sets, analysis, *given, seed=1)


@pytest.fixture
def study(runs):
    return study_of(runs)


@pytest.fixture
def tables(study, analysis):
    return tables_of(study, analysis)


def test_columns_and_rows_are_complete(tables):
    rows = {
        "similarity": 2 * 3 * 3 * 2,
        "comparisons": 2 * 3 * 3,
        "lag": 3 * 3 * 2 * 2,
        "unique": 2 * 3 * 3 * 2,
        "split": 2 * 3 * 2,
    }
    for desc, n in rows.items():
        assert list(tables[desc]) == list(describe(desc)), desc
        assert len(tables[desc]) == n, desc


def test_similarity_rows_by_hand(study, tables, analysis):
    table = tables["similarity"].set_index(["mode", "fit", "roi", "model"]).sort_index()
    for mode, fit in product(analysis.modes, analysis.fits):
        runs = getattr(study, mode)
        found = similarity(runs, MODELS, mode, fit, analysis.robust.penalties)
        ceiling = ceilings(runs)
        for (r, roi), (m, model) in product(enumerate(REGIONS), enumerate(MODELS)):
            row = table.loc[(mode, fit, roi, model)]
            of_participants = found.r[m, r].mean(axis=-1)
            t, p = stats.ttest_1samp(np.arctanh(of_participants), 0)
            expected = {
                "n": 5,
                "r_mean": of_participants.mean(),
                "r_sd": of_participants.std(ddof=1),
                "r2_mean": found.r2[m, r].mean(),
                "ceiling_paper": ceiling.paper[r].mean(),
                "ceiling_lower": ceiling.lower[r].mean(),
                "ceiling_upper": ceiling.upper[r].mean(),
                "t": t,
                "df": 4,
                "p": p,
            }
            for name, value in expected.items():
                assert row[name] == pytest.approx(value, rel=1e-9), name
            ends = interval(two_factor(found.r[m, r]))
            np.testing.assert_allclose([row["ci_low"], row["ci_high"]], ends)


def test_p_is_corrected_within_its_family(tables):
    table = tables["similarity"]
    one = table[(table["mode"] == "robust") & (table["fit"] == "ols")]
    for members, n in ((["FFA"], 2), (["V1v", "V1d"], 4)):
        family = one[one["roi"].isin(members)]
        p = family["p"].to_numpy()
        assert len(p) == n
        np.testing.assert_allclose(family["p_bonferroni"], np.minimum(n * p, 1))
        np.testing.assert_allclose(family["q_fdr"], stats.false_discovery_control(p))


def test_comparison_is_the_test_for_other_participants_and_runs(study, tables):
    z = np.arctanh(similarity(study.robust, MODELS, "robust", "ols").r[:, 1])  # V1v
    difference = z[0] - z[1]
    of_participants, of_runs = difference.mean(axis=1), difference.mean(axis=0)
    own = difference - of_participants[:, None] - of_runs + difference.mean()
    a, b = of_participants.var(ddof=1) / 5, of_runs.var(ddof=1) / 4
    squared_error = np.clip(a + b - (own**2).sum() / (4 * 3) / 20, max(a, b), a + b)
    t = difference.mean() / np.sqrt(squared_error)
    expected = {
        "n": 5,
        "n_runs": 20,
        "diff_z": difference.mean(),
        "t": t,
        "df": 3,
        "p": 2 * stats.t.sf(abs(t), 3),
        "p_signflip": 2 / 2**5,
    }
    row = tables["comparisons"].set_index(["mode", "fit", "roi"]).loc[("robust", "ols", "V1v")]
    assert (row["model_a"], row["model_b"]) == ("good", "bad")
    for name, value in expected.items():
        assert row[name] == pytest.approx(value, rel=1e-9), name


def test_comparison_corrects_p_over_regions_and_pairs(tables):
    rows = tables["comparisons"].query("mode == 'robust' and fit == 'ols'").set_index("roi")
    atlas = rows.loc[["V1v", "V1d"]]
    np.testing.assert_allclose(atlas["p_bonferroni"], np.minimum(2 * atlas["p"], 1))
    np.testing.assert_allclose(atlas["q_fdr"], stats.false_discovery_control(atlas["p"]))
    assert rows.loc["FFA", "p_bonferroni"] == rows.loc["FFA", "p"]


def test_comparison_where_runs_are_missing(runs, analysis):
    runs[0].targets[:, 1] = np.nan  # a participant without run 1
    study = study_of(runs)
    z = np.arctanh(similarity(study.robust, MODELS, "robust", "ols").r[:, 1])
    difference = z[0] - z[1]
    estimate = two_factor(difference)
    rows = tables_of(study, analysis)["comparisons"].set_index(["mode", "fit", "roi"])
    row = rows.loc[("robust", "ols", "V1v")]
    assert (row["n"], row["n_runs"], row["df"]) == (5, 19, 3)
    mean = np.nanmean(difference, axis=1).mean()
    assert row["diff_z"] == pytest.approx(mean, rel=1e-9)
    assert row["t"] == pytest.approx(mean / estimate.error, rel=1e-9)


def test_planted_region_wins_and_the_empty_one_does_not(tables):
    table = tables["similarity"].set_index(["mode", "fit", "model", "roi"])["r_mean"]
    for mode in ("replicate", "robust"):
        assert table[(mode, "ols", "good", "FFA")] > table[(mode, "ols", "good", "V1v")] > 0.05
        assert abs(table[(mode, "ols", "good", "V1d")]) < 0.03


def test_lag_curve_repeats_replicate(tables):
    lag = tables["lag"]
    plain = tables["similarity"].query("mode == 'replicate'")
    at_zero = lag[lag["min_lag_s"] == 0].merge(plain, on=["fit", "roi", "model"])
    np.testing.assert_allclose(at_zero["r_mean_x"], at_zero["r_mean_y"])
    assert sorted(lag["min_lag_s"].unique()) == [0.0, 10.0]


def test_p_of_shifts_stands_in_its_own_row_with_its_note(tables, analysis):
    keys = ["mode", "fit", "roi", "model"]
    families = {region: name for name, members in SETS.items() for region in members}
    given = null_table(nulls_of(analysis), list(LAYERS), families).set_index(keys)
    similarity = tables["similarity"].set_index(keys)
    for column in P_COLUMNS:
        assert given[column].notna().all()
        np.testing.assert_array_equal(similarity[column], given[column].loc[similarity.index])
    has_note = similarity["note"].fillna("").str.contains("something of p_null")
    np.testing.assert_array_equal(has_note, similarity.index.get_level_values("roi") == "V1d")


def test_visibility_stands_in_its_own_rows_and_changes_no_others(study, analysis, tables):
    keys = ["mode", "fit", "roi", "model"]
    given = {"good": 0.04, "bad": 0.4}
    seen = tables_of(study, analysis, visible=given)["similarity"].set_index(keys)
    plain = tables["similarity"].set_index(keys)
    good, robust = (
        seen.index.get_level_values(level) == value
        for level, value in (("model", "good"), ("mode", "robust"))
    )
    assert (seen.loc[robust & good, "visible"] == 0.04).all()
    assert (seen.loc[robust & ~good, "visible"] == 0.4).all()
    assert seen.loc[~robust, "visible"].isna().all()
    assert plain["visible"].isna().all()
    noted = seen["note"].fillna("").str.contains("not visible: cannot be found")
    np.testing.assert_array_equal(noted, robust & good)
    others = ~(robust & good)
    pd.testing.assert_series_equal(seen.loc[others, "note"], plain.loc[others, "note"])
    values = seen.columns.drop(["visible", "note"])
    pd.testing.assert_frame_equal(seen[values], plain[values])


def test_volumes_are_those_of_the_participant_with_the_fewest(runs, analysis):
    for participant, volumes in ((3, [9]), (1, [20, 21])):
        for volume in volumes:
            undefine(runs[2].targets[:, participant], volume)
    runs[0] = replace(runs[0], film=FilmVolumes(np.arange(50) >= 4, runs[0].film.repeated))
    table = tables_of(study_of(runs), analysis)["similarity"].set_index("mode")
    assert set(table.loc["replicate", "n_volumes"]) == {sum(LENGTHS) - 2}
    assert set(table.loc["robust", "n_volumes"]) == {sum(LENGTHS) - 2 - 4 * 2 - 4}


def visible_table(**by_model):
    """A participant's table; each value, one a run, is repeated for every fit and region."""
    rows = [
        (mode, fit, roi, model, str(run), value if mode == "robust" else np.nan)
        for model, values in by_model.items()
        for run, value in enumerate(values, start=1)
        for mode, fit, roi in product(("replicate", "robust"), ("ols", "ridge"), REGIONS)
    ]
    return pd.DataFrame(rows, columns=["mode", "fit", "roi", "model", "run", "visible"])


def test_visibility_is_averaged_over_participants_and_runs():
    whole = visible_table(good=(0.2, 0.3, 0.4), bad=(0.1, np.nan, 0.2), never=(np.nan,) * 3)
    one_run = visible_table(good=(0.7,), bad=(np.nan,), never=(np.nan,))
    assert mean_visible([whole, one_run]) == pytest.approx({"good": 1.6 / 4, "bad": 0.3 / 2})
    assert mean_visible([one_run]) == pytest.approx({"good": 0.7})


def test_visibility_is_unknown_without_robust_rows_or_moments():
    table = visible_table(good=(0.2, 0.3))
    assert mean_visible([]) == {}
    assert mean_visible([table[table["mode"] == "replicate"]]) == {}
    assert mean_visible([visible_table(good=(np.nan, np.nan))]) == {}


def test_each_mode_scores_its_own_rdms(runs, analysis, tables):
    """Regions change places in the RDMs of robust, and their ceilings with them."""
    swapped = [replace(run, robust_targets=run.targets[::-1]) for run in runs]
    own, before = (
        given["similarity"].set_index(["mode", "roi"]).sort_index()
        for given in (tables_of(study_of(swapped), analysis), tables)
    )
    values = ["r_mean", "r2_mean", "t", "ceiling_paper", "ceiling_lower", "ceiling_upper"]
    pd.testing.assert_frame_equal(own.loc["replicate", values], before.loc["replicate", values])
    for roi, source in zip(REGIONS, REGIONS[::-1], strict=True):
        expected = before.loc[("robust", source), values]
        np.testing.assert_allclose(own.loc[("robust", roi), values], expected, rtol=1e-4)
    assert before.loc[("robust", "FFA"), "ceiling_paper"].min() > 0.2
    assert own.loc[("robust", "FFA"), "ceiling_paper"].max() < 0.05


def test_who_lacks_all_robust_rdms_counts_in_replicate_alone(runs, analysis, tables):
    without = [replace(run, robust_targets=run.targets.copy()) for run in runs]
    for run in without:
        run.robust_targets[:, 2] = np.nan
    fewer = tables_of(study_of(without), analysis)
    others = np.array([0, 1, 3, 4])
    four = tables_of(study_of([run.of(others) for run in runs]), analysis)
    values = ["n", "n_runs", "r_mean", "t", "p", "p_signflip"]
    for mode, n, of_these in (("replicate", 5, tables), ("robust", 4, four)):
        own, expected = (
            given["similarity"].set_index("mode").loc[mode, values].astype(float)
            for given in (fewer, of_these)
        )
        assert (own["n"] == n).all()
        np.testing.assert_allclose(own, expected, rtol=1e-5, atol=1e-7)


def test_a_run_that_somebody_has_no_volume_of_in_robust_is_named(runs, analysis, tables):
    runs[2] = replace(runs[2], robust_targets=runs[2].targets.copy())
    runs[2].robust_targets[:, 4] = np.nan
    lacking = tables_of(study_of(runs), analysis)
    short = "run too short: no pair of volumes is far enough apart (run 3)"
    for desc in ("similarity", "comparisons", "unique"):
        table = lacking[desc].query("fit == 'ols'").set_index("mode")
        note = table["note"].fillna("").str.startswith(short)
        assert note["robust"].all(), desc
        assert not note["replicate"].any(), desc
        assert (table["n"] == 5).all(), desc  # three runs are enough
    own, before = (given["similarity"].set_index("mode") for given in (lacking, tables))
    assert (own.loc["robust", "n_runs"] == 5 * 4 - 1).all()
    assert set(own.loc["robust", "n_volumes"]) == {sum(LENGTHS) - LENGTHS[2] - 3 * 2}
    pd.testing.assert_frame_equal(own.loc["replicate"], before.loc["replicate"])


def test_unique_rows_by_hand(study, tables, analysis):
    table = tables["unique"].set_index(["mode", "fit", "roi", "control", "target"]).sort_index()
    for mode, fit in UNIQUE:
        given = (getattr(study, mode), MODELS, mode, fit)
        alone = similarity(*given, analysis.robust.penalties)
        found = unique(*given, alone, analysis.robust.penalties)
        for (r, roi), (p, pair) in product(
            enumerate(REGIONS), enumerate((("good", "bad"), ("bad", "good")))
        ):
            row = table.loc[(mode, fit, roi, *pair)]
            own, delta = found.r[p, r].mean(axis=-1), found.delta_r2[p, r].mean(axis=-1)
            t, p_value = stats.ttest_1samp(np.arctanh(own), 0)
            expected = {
                "n": 5,
                "r_mean": own.mean(),
                "r_sd": own.std(ddof=1),
                "delta_r2_mean": delta.mean(),
                "delta_r2_sd": delta.std(ddof=1),
                "t": t,
                "df": 4,
                "p": p_value,
            }
            for name, value in expected.items():
                assert row[name] == pytest.approx(value, rel=1e-9), name


def test_other_fits_do_not_tell_what_models_add_and_say_why(tables):
    table = tables["unique"].set_index(["mode", "fit"])
    others = table.index.unique().difference(UNIQUE)
    assert len(others) == 3
    for mode, fit in others:
        rows = table.loc[(mode, fit)]
        assert rows.drop(columns=["roi", "control", "target", "note"]).isna().all(axis=None)
        assert set(rows["note"]) == {notes.RIDGE_CONTROL if fit == "ridge" else notes.NNLS_CONTROL}


def test_p_of_shifts_is_of_what_models_add_in_robust(study, tables):
    table, of_robust = tables["unique"], "mode == 'robust' and fit == 'ols'"
    p = table.query(of_robust).set_index(["roi", "target"])
    means = scores_in_robust(study, LAYERS).means
    expected = [shift_p(means[:, rows]) for rows in ([0], [1, 2])]
    for name in ("p", "p_fwe"):
        own = np.concatenate([getattr(of_set, name) for of_set in expected]).ravel()
        np.testing.assert_allclose(p[name.replace("p", "p_null", 1)], own)
    assert p.loc[("FFA", "good"), "p_null_fwe"] == pytest.approx(0.01)
    others = table.query(f"not ({of_robust})")
    assert others[["p_null", "p_null_fwe"]].isna().all(axis=None)


@pytest.mark.parametrize(("draws", "note"), [
    (0, notes.UNIQUE_NULL_NOT_ASKED), (99, notes.UNIQUE_NOT_SHIFTED),
])  # fmt: skip
def test_what_models_add_says_why_it_has_no_p(study, analysis, draws, note):
    scores = scores_in_robust(study, LAYERS, draws)
    scores.means[:, 1:] = np.nan
    given = nulls_of(analysis), replace(scores, means=scores.means[: 1 + draws]), {}
    tables = group_tables(study, LAYERS, REGIONS, SETS, analysis, *given, seed=1)
    table = tables["unique"].query("mode == 'robust' and fit == 'ols'").set_index("roi")
    lacking = ["V1v", "V1d"] if draws else list(REGIONS)
    assert table.loc[lacking, ["p_null", "p_null_fwe"]].isna().all(axis=None)
    assert table.loc[lacking, "note"].str.contains(note, regex=False).all()
    if draws:
        assert table.loc["FFA", "p_null"].notna().all()
        assert not table.loc["FFA", "note"].fillna("").str.contains("no p_null").any()


def test_planted_model_adds_and_the_other_does_not(tables):
    table = tables["unique"].set_index(["mode", "fit", "roi", "target"])
    for mode in ("replicate", "robust"):
        assert table.loc[(mode, "ols", "FFA", "good"), "r_mean"] > 0.1
        assert table.loc[(mode, "ols", "FFA", "good"), "delta_r2_mean"] > 0.01
        assert table.loc[(mode, "ols", "FFA", "good"), "p_bonferroni"] < 0.05
        assert abs(table.loc[(mode, "ols", "FFA", "bad"), "r_mean"]) < 0.03


def test_split_sums_to_the_joint_r2(study, tables):
    parts = tables["split"].groupby(["mode", "roi"])["r2_part"].sum()
    joint = similarity(study.robust, {"all": slice(0, 3)}, "robust", "ols").r2[0]
    for r, roi in enumerate(REGIONS):
        assert parts["robust", roi] == pytest.approx(joint[r].mean())
    assert tables["split"]["note"].isna().all()


def test_model_that_is_a_copy_adds_nothing_and_says_so(runs, analysis):
    copied = [replace(run, models=run.models[[0, 1, 0, 1]]) for run in runs]
    layers = {"good": ("a", "b"), "twin": ("a", "b")}
    tables = tables_of(study_of(copied), analysis, layers)
    table = tables["unique"][tables["unique"]["fit"] == "ols"]
    assert (table["r_mean"] == 0).all()
    assert (
        table["note"].str.contains("target predicts nothing beyond the control in 20 of 20").all()
    )
    assert table["note"].str.contains("collinear").all()
    assert table["t"].isna().all()
    assert tables["split"]["note"].str.contains("collinear").all()


def test_region_of_one_participant_and_missing_region_keep_their_rows(runs, analysis):
    for run in runs:
        run.targets[0, 1:] = np.nan
        run.targets[1] = np.nan
    tables = tables_of(study_of(runs), analysis)
    table = tables["similarity"].set_index("roi")
    assert (table.loc["FFA", "n"] == 1).all()
    assert np.isfinite(table.loc["FFA", "r_mean"]).all()
    assert (table.loc["V1v", "n"] == 0).all()
    assert table.loc["V1v", "r_mean"].isna().all()
    beyond = tables["unique"].query("fit == 'ols'").set_index("roi")
    assert (beyond.loc["FFA", "n"] == 1).all()
    assert (beyond.loc["V1v", "n"] == 0).all()
    assert beyond.loc["V1v", "note"].str.contains("no participant has the region").all()
    assert beyond.loc["FFA", ["r_sd", "t", "p"]].isna().all(axis=None)
    parts = tables["split"].set_index("roi")
    assert parts.loc["V1v", "r2_part"].isna().all()
    assert parts.loc["FFA", "r2_part"].notna().all()
    assert table.loc["FFA", "note"].str.contains("fewer than 2 participants").all()
    assert table.loc["V1v", "note"].str.contains("no participant has the region in 3 runs").all()
    for roi in ("FFA", "V1v"):
        some = table.loc[roi]
        missing = ["r_sd", "ceiling_paper", "ci_low", "t", "df", "p", "q_fdr", "p_signflip"]
        assert some[missing].isna().all(axis=None)
    assert np.isfinite(table.loc["V1d", "p"]).all()


def test_runs_behind_a_mean_are_counted(runs, analysis):
    runs[0].targets[:, 1] = np.nan  # a participant without run 1
    runs[1].targets[0] = np.nan  # nobody has FFA in run 2
    tables = tables_of(study_of(runs), analysis)
    for desc in ("similarity", "unique"):
        rows = tables[desc].query("fit == 'ols'").set_index("roi")
        assert (rows.loc["V1v", "n"] == 5).all()
        assert (rows.loc["V1v", "n_runs"] == 5 * 4 - 1).all()
        assert (rows.loc["FFA", "n"] == 4).all()  # the other one has two runs
        assert (rows.loc["FFA", "n_runs"] == 4 * 3).all()


def test_run_too_short_for_robust_is_named(runs, analysis):
    nine_volumes = FilmVolumes.whole(LENGTHS[2], n_repeated=LENGTHS[2] - 9)
    runs[2] = replace(runs[2], film=nine_volumes)  # the least lag is 5 volumes
    tables = tables_of(study_of(runs), analysis)
    short = "run too short: no pair of volumes is far enough apart (run 3)"
    for desc in ("similarity", "comparisons", "unique", "split"):
        rows = tables[desc] if desc == "split" else tables[desc].query("fit == 'ols'")
        said = rows.set_index("mode")["note"].fillna("")
        assert said["robust"].str.contains(short, regex=False).all(), desc
        assert not said["replicate"].str.contains("too short").any(), desc


def test_least_lag_beyond_all_runs_is_the_cause(runs, analysis):
    study = study_products(runs, 500.0)
    tables = tables_of(study, analysis)
    cause = (
        "run too short: no pair of volumes is far enough apart (run 1, 2, 3 and 1 more); "
        "fewer than 3 runs are left"
    )
    for desc in ("similarity", "comparisons", "unique", "split"):
        rows = tables[desc] if desc == "split" else tables[desc].query("fit == 'ols'")
        rows = rows.query("mode == 'robust' and roi == 'FFA'")
        assert set(rows["note"]) == {cause}, desc


def test_one_participant_alone_has_scores_and_no_group_test(runs, analysis):
    alone = study_of([run.of(np.array([0])) for run in runs])
    tables = tables_of(alone, analysis)
    table = tables["similarity"]
    assert (table["n"] == 1).all()
    assert table["r_mean"].notna().all()
    assert table[["ceiling_paper", "ceiling_lower", "ceiling_upper"]].isna().all(axis=None)
    assert table["note"].str.contains("fewer than 2 participants").all()
    for desc in ("similarity", "unique", "comparisons"):
        assert tables[desc][["t", "df", "p", "p_bonferroni", "q_fdr"]].isna().all(axis=None), desc


def test_volume_undefined_in_one_participant_is_said_and_changes_no_other(runs, analysis, tables):
    undefine(runs[2].targets[:, 3], 9)
    censored = tables_of(study_of(runs), analysis)
    assert censored["similarity"]["note"].str.contains("0 to 1 undefined volumes left out").all()
    for desc in ("similarity", "lag"):
        n = 5
        change = (censored[desc]["r_mean"] - tables[desc]["r_mean"]).abs() * n
        assert 0 < change.max() < 0.05  # of one participant's mean over four runs


def test_model_above_the_ceiling_is_noted_not_clipped(runs, analysis):
    for run in runs:  # brains that share nothing with each other but each a model's layer
        run.targets[0, 0], run.targets[0, 1] = run.models[0], run.models[1]
        run.targets[0, 2:] = np.nan
    tables = tables_of(study_of(runs), analysis)
    row = tables["similarity"].set_index(["mode", "fit", "roi", "model"])
    row = row.loc[("robust", "ols", "FFA", "good")]
    assert row["r_mean"] == pytest.approx(1, abs=1e-4)
    assert row["r_mean"] > row["ceiling_paper"]
    assert "model above ceiling_paper" in row["note"]


def test_same_seed_gives_the_same_tables(study, analysis, tables):
    again = tables_of(study, analysis)
    for desc, table in tables.items():
        pd.testing.assert_frame_equal(table, again[desc])


def test_single_model_has_no_pairs(study, analysis):
    layers = {"all": ("a", "b", "c")}
    tables = tables_of(study, analysis, layers)
    for desc in ("comparisons", "unique"):
        assert tables[desc].empty
        assert list(tables[desc]) == list(describe(desc))


def test_region_in_no_set_is_refused(study, analysis):
    with pytest.raises(ValueError, match="V1d"):
        tables_of(study, analysis, region_sets={"some": ("FFA", "V1v")})
