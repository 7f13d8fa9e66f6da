from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import pearsonr

from bidsapp.rsa.study import study_products
from bidsapp.tables.columns import describe
from bidsapp.tables.participant import participant_tables
from bidsapp.tables.scores import layer_columns

LAYERS = {"good": ("first", "second"), "bad": ("only",)}
REGIONS = ("FFA", "V1v", "V1d")


def tables_of(runs, analysis, participant=1):
    own = [replace(run, targets=run.targets[:, participant : participant + 1]) for run in runs]
    return participant_tables(study_products(own, 10.0), LAYERS, REGIONS, analysis)


def test_every_combination_has_its_row(runs, analysis):
    tables = tables_of(runs, analysis)
    similarity, weights = tables["similarity"], tables["weights"]
    assert list(similarity) == ["mode", "fit", "roi", "model", "run", "r", "n_pairs", "note"]
    assert list(weights) == ["mode", "fit", "roi", "model", "run", "layer", "weight", "note"]
    assert len(similarity) == 2 * 3 * 3 * 2 * 4
    assert len(weights) == 2 * 3 * 3 * 3 * 4
    assert list(tables["unique"]) == list(describe("unique", "participant"))
    assert len(tables["unique"]) == 2 * 3 * 3 * 2
    assert (tables["unique"]["n_runs"] == 4).all()
    for table, key in ((similarity, 5), (weights, 6), (tables["unique"].drop(columns="note"), 5)):
        assert not table.duplicated(list(table)[:key]).any()
        assert np.isfinite(table.iloc[:, key].astype(float)).all()


def test_values_stand_in_their_own_rows(runs, analysis):
    tables = tables_of(runs, analysis)
    weights = tables["weights"].set_index(["mode", "fit", "roi", "model", "run", "layer"])["weight"]
    similarity = tables["similarity"].set_index(["mode", "fit", "roi", "model", "run"])
    for r, roi in enumerate(REGIONS):
        for run in runs:
            key = ("replicate", "ols", roi, "good", run.run)
            w = [weights[(*key, layer)] for layer in LAYERS["good"]]
            expected = pearsonr(np.array(w) @ run.models[:2], run.targets[r, 1])[0]
            assert similarity.loc[key, "r"] == pytest.approx(expected, abs=1e-5)
            assert similarity.loc[key, "n_pairs"] == run.models.shape[1]


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
    unique = tables["unique"].set_index("roi")
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
    rows, columns = np.triu_indices(50, 1)
    own[0].models[2, (rows == 4) | (columns == 4)] = np.nan
    study = study_products(own, 10.0)
    table = participant_tables(study, LAYERS, REGIONS, analysis)["similarity"]
    table = table.set_index(["fit", "roi", "model", "run"])
    assert table.loc[("nnls", "FFA", "bad", "2"), "note"].tolist() == ["constant", "constant"]
    assert (table.loc[("nnls", "FFA", "bad", "2"), "r"] == 0).all()
    assert table.loc[("ols", "V1v", "good", "2"), "note"].str.contains("collinear").all()
    assert table.loc[("ridge", "V1v", "good", "2"), "note"].str.contains("collinear.*penalty").all()
    assert table.loc[("ols", "V1v", "bad", "1"), "note"].str.contains("1 undefined").all()


def test_run_too_short_for_the_robust_mode_is_noted(runs, analysis):
    own = [replace(run, targets=run.targets[:, :1]) for run in runs]
    tables = participant_tables(study_products(own, 60.0), LAYERS, REGIONS, analysis)
    table, unique = tables["similarity"], tables["unique"]
    beyond = unique.loc[unique["mode"] == "robust", "note"]
    assert beyond.str.contains("run too short").all()
    assert beyond.str.endswith("; fewer than 3 runs").all()
    robust = table[table["mode"] == "robust"]
    assert robust["note"].str.contains("too short").all()
    assert robust["r"].isna().all()
    assert (robust["n_pairs"] == 0).all()


def test_layers_that_do_not_fit_the_rdms_are_refused(runs, analysis):
    with pytest.raises(ValueError, match="layers are named"):
        participant_tables(study_products(runs, 10.0), {"good": ("first",)}, REGIONS, analysis)


def test_columns_of_models_follow_each_other():
    assert layer_columns(LAYERS) == {"good": slice(0, 2), "bad": slice(2, 3)}
