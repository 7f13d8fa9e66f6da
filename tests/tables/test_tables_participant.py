from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from gaps import undefine
from plain_control import unique_in_robust
from scipy.stats import pearsonr

from bidsapp.rsa.study import study_products
from bidsapp.rsa.volumes import FilmVolumes
from bidsapp.tables import notes
from bidsapp.tables.columns import describe
from bidsapp.tables.participant import participant_tables
from bidsapp.tables.scores import layer_columns

LAYERS = {"good": ("first", "second"), "bad": ("only",)}
REGIONS = ("FFA", "V1v", "V1d")
LENGTHS = (50, 46, 52, 48)


KEYS = ["mode", "fit", "roi", "model", "run"]


def tables_of(runs, analysis, participant=1, min_lag_s=10.0, visible=None):
    study = study_products([run.of(np.array([participant])) for run in runs], min_lag_s)
    unique = unique_in_robust(study, LAYERS)
    return participant_tables(study, LAYERS, REGIONS, analysis, visible or {}, unique)


def test_every_combination_has_its_row(runs, analysis):
    tables = tables_of(runs, analysis)
    similarity, weights = tables["similarity"], tables["weights"]
    assert list(similarity) == list(describe("similarity", "participant"))
    assert list(weights) == list(describe("weights", "participant"))
    assert len(similarity) == 2 * 3 * 3 * 2 * 4
    assert len(weights) == 2 * 3 * 3 * 3 * 4
    assert list(tables["unique"]) == list(describe("unique", "participant"))
    assert len(tables["unique"]) == 2 * 3 * 3 * 2
    unique = tables["unique"].query("fit == 'ols'").drop(columns="note")
    assert (unique["n_runs"] == 4).all()
    for table, key in ((similarity, 5), (weights, 6), (unique, 5)):
        assert not table.duplicated(list(table)[:key]).any()
        assert np.isfinite(table.iloc[:, key].astype(float)).all()


def test_values_stand_in_their_own_rows(runs, analysis):
    tables = tables_of(runs, analysis)
    weights = tables["weights"].set_index(["mode", "fit", "roi", "model", "run", "layer"])["weight"]
    similarity = tables["similarity"].set_index(KEYS)
    for r, roi in enumerate(REGIONS):
        for run in runs:
            key = ("replicate", "ols", roi, "good", run.run)
            w = [weights[(*key, layer)] for layer in LAYERS["good"]]
            expected = pearsonr(np.array(w) @ run.models[:2], run.targets[r, 1])[0]
            assert similarity.loc[key, "r"] == pytest.approx(expected, abs=1e-5)
            assert similarity.loc[key, "n_pairs"] == run.models.shape[1]


def test_volumes_compared_are_counted_in_each_mode(runs, analysis):
    undefine(runs[2].targets[:, 1], 9)
    covered = np.arange(LENGTHS[3]) >= 3
    runs[3] = replace(runs[3], film=FilmVolumes(covered, runs[3].film.repeated))
    table = tables_of(runs, analysis)["similarity"]
    by_run = table.groupby(["mode", "run"])["n_volumes"].agg(["min", "max"])
    for mode, counts in (("replicate", [50, 46, 51, 48]), ("robust", [48, 44, 49, 43])):
        assert by_run.loc[mode, "min"].tolist() == by_run.loc[mode, "max"].tolist() == counts


def test_visibility_is_that_of_the_most_visible_layer_in_robust_rows_alone(runs, analysis):
    visible = {"1": np.array([0.2, 0.4, 0.1]), "2": np.array([np.nan, -0.3, np.nan])}
    visible["3"] = np.array([0.1, -0.2, 0.5])
    tables, plain = tables_of(runs, analysis, visible=visible), tables_of(runs, analysis)
    expected = {
        "good": {"1": 0.4, "2": 0.3, "3": 0.2, "4": np.nan},
        "bad": {"1": 0.1, "2": np.nan, "3": 0.5, "4": np.nan},
    }
    for row in tables["similarity"].itertuples():
        value = expected[row.model][row.run] if row.mode == "robust" else np.nan
        assert row.visible == pytest.approx(value, nan_ok=True)
    assert plain["similarity"]["visible"].isna().all()
    for desc, table in tables.items():
        others = [name for name in table if name not in ("visible", "note")]
        pd.testing.assert_frame_equal(table[others], plain[desc][others])


def test_what_is_hard_to_see_is_noted_in_robust_rows_alone(runs, analysis):
    undefine(runs[2].targets[:, 1], 9)
    visible = {
        "1": np.array([0.01, -0.04, 0.2]),
        "2": np.array([-0.1, np.nan, np.nan]),
        "3": np.array([0.3, 0.0, 0.02]),
    }
    table = tables_of(runs, analysis, visible=visible)["similarity"]
    unseen = "not visible: cannot be found at any size of effect"
    barely = "barely visible: only large effects can be found"
    gap = "1 undefined volumes left out"
    expected = {
        ("good", "1"): unseen, ("good", "2"): barely, ("good", "3"): gap, ("good", "4"): "",
        ("bad", "1"): "", ("bad", "2"): "", ("bad", "3"): f"{gap}; {unseen}", ("bad", "4"): "",
    }  # fmt: skip
    for row in table[table["fit"] == "ols"].fillna({"note": ""}).itertuples():
        in_replicate = gap if row.run == "3" else ""
        note = expected[row.model, row.run] if row.mode == "robust" else in_replicate
        assert row.note == note


def test_single_layer_keeps_the_sign_of_its_visibility(runs, analysis):
    """In robust its score has its own sign, so that it cannot be found the wrong way round."""
    visible = {"1": np.array([0.1, -0.4, -0.3])}
    table = tables_of(runs, analysis, visible=visible)["similarity"]
    table = table.query("mode == 'robust' and run == '1'").set_index("model")
    np.testing.assert_allclose(table.loc["good", "visible"], 0.4)
    np.testing.assert_allclose(table.loc["bad", "visible"], -0.3)
    assert table.loc["bad", "note"].str.contains("not visible").all()


def test_each_mode_scores_its_own_rdms(runs, analysis):
    """Regions change places in the RDMs of robust."""
    swapped = [replace(run, robust_targets=run.targets[::-1]) for run in runs]
    tables, plain = tables_of(swapped, analysis), tables_of(runs, analysis)
    for desc, value in (("similarity", "r"), ("weights", "weight"), ("unique", "r")):
        own, before = (
            given[desc].set_index(["mode", "roi"]).sort_index()[value] for given in (tables, plain)
        )
        own, before = own.dropna(), before.dropna()
        pd.testing.assert_series_equal(own["replicate"], before["replicate"])
        for roi, source in zip(REGIONS, REGIONS[::-1], strict=True):
            np.testing.assert_allclose(own["robust", roi], before["robust", source], atol=1e-6)
        assert np.abs(own["robust", "FFA"] - before["robust", "FFA"]).max() > 0.05


def test_too_few_volumes_for_the_regressors_of_robust_leave_replicate(runs, analysis):
    without = [
        replace(run, robust_targets=np.full_like(run.targets, np.nan) if i == 2 else run.targets)
        for i, run in enumerate(runs)
    ]
    table = tables_of(without, analysis)["similarity"].set_index(["mode", "run"])
    assert table.loc[("robust", "3"), ["r", "visible"]].isna().all(axis=None)
    assert (table.loc[("robust", "3"), ["n_pairs", "n_volumes"]] == 0).all(axis=None)
    assert set(table.loc[("robust", "3"), "note"]) == {notes.NO_PAIRS}
    others = table.drop(("robust", "3"))
    assert others["r"].notna().all()
    assert (others["n_volumes"] > 0).all()


def test_a_region_without_robust_rdm_is_missing_there_and_costs_the_others_nothing(runs, analysis):
    without = [replace(run, robust_targets=run.targets.copy()) for run in runs]
    without[2].robust_targets[0] = np.nan
    table = tables_of(without, analysis)["similarity"].set_index(["mode", "run", "roi"])
    absent = table.loc[("robust", "3", "FFA")]
    assert set(absent["note"]) == {notes.ABSENT}
    assert absent["r"].isna().all()
    assert (absent["n_volumes"] > 0).all()
    assert table.drop(("robust", "3", "FFA"))["r"].notna().all()


def test_missing_values_say_why(runs, analysis):
    runs[2].targets[0, 1] = np.nan
    runs[2].targets[1, 1] = runs[3].targets[1, 1] = np.nan
    tables = tables_of(runs, analysis)
    similarity = tables["similarity"].set_index(["roi", "run"])
    missing = similarity.loc[("FFA", "3")]
    assert missing["r"].isna().all()
    assert missing["note"].str.contains("missing").all()
    assert similarity.loc[("FFA", "1"), "r"].notna().all()
    assert (similarity.loc[("V1v", "1"), "note"] == "fewer than 3 runs").all()
    unique = tables["unique"].query("fit == 'ols'").set_index("roi")
    assert (unique.loc["V1v", "note"] == "fewer than 3 runs").all()
    whole = similarity[similarity["fit"] == "ols"].loc[("V1d", "1")]
    assert whole["note"].isna().all()


def test_constant_collinear_and_undefined_are_noted(runs, analysis):
    own = []
    for run in runs:
        models = run.models[[0, 0, 2]]
        targets = run.targets[:, 1:2].copy()
        targets[0, 0] = 2 - run.models[2]
        own.append(replace(run, models=models, targets=targets))
    undefine(own[0].models[2], 4)
    study = study_products(own, 10.0)
    table = participant_tables(study, LAYERS, REGIONS, analysis, {})["similarity"]
    table = table.set_index(["fit", "roi", "model", "run"])
    replicate, robust = (
        table[table["mode"] == mode].loc[("nnls", "FFA", "bad", "2")]
        for mode in ("replicate", "robust")
    )
    assert replicate["note"] == "constant"
    assert replicate["r"] == 0
    assert robust["r"] == pytest.approx(-1, abs=1e-6)  # a single layer keeps its sign
    assert table.loc[("ols", "V1v", "good", "2"), "note"].str.contains("collinear").all()
    assert table.loc[("ridge", "V1v", "good", "2"), "note"].str.contains("collinear.*penalty").all()
    assert table.loc[("ols", "V1v", "bad", "1"), "note"].str.contains("1 undefined").all()


def test_run_too_short_for_the_robust_mode_is_noted(runs, analysis):
    tables = tables_of(runs, analysis, min_lag_s=60.0)
    table, unique = tables["similarity"], tables["unique"]
    beyond = unique.query("mode == 'robust' and fit == 'ols'")["note"]
    assert beyond.str.contains("run too short").all()
    assert beyond.str.endswith("; fewer than 3 runs").all()
    robust = table[table["mode"] == "robust"]
    assert robust["note"].str.contains("too short").all()
    assert robust["r"].isna().all()
    assert (robust["n_pairs"] == 0).all()


def test_layers_that_do_not_fit_the_rdms_are_refused(runs, analysis):
    with pytest.raises(ValueError, match="layers are named"):
        participant_tables(study_products(runs, 10.0), {"good": ("first",)}, REGIONS, analysis, {})


def test_columns_of_models_follow_each_other():
    assert layer_columns(LAYERS) == {"good": slice(0, 2), "bad": slice(2, 3)}
