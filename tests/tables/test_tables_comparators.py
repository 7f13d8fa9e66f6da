from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
from gaps import undefine
from scipy import stats

from bidsapp.analysis.spec import Comparators, changed
from bidsapp.rsa.comparators import columns
from bidsapp.rsa.modes import mode_pairs
from bidsapp.rsa.pairs import all_pairs
from bidsapp.rsa.rdm import n_volumes_of
from bidsapp.rsa.similarity import similarity
from bidsapp.rsa.study import study_products
from bidsapp.tables import notes
from bidsapp.tables.columns import describe
from bidsapp.tables.comparator_ceilings import comparator_ceilings
from bidsapp.tables.comparators import ALL_LAYERS, group_comparators, participant_comparators

LAYERS = {"good": ("first", "second"), "bad": ("only",)}
SETS = {"functional": ("FFA",), "atlas": ("V1v", "V1d")}
MODELS = {"good": slice(0, 2), "bad": slice(2, 3)}
CORRELATION = dict.fromkeys(LAYERS, "correlation")
METHODS = ("pearson", "spearman", "tau-a", "cosine", "whitened", "cka", "cka-debiased")
KEYS = ["mode", "method", "roi", "model", "layer"]


@pytest.fixture(scope="module")
def chosen(analysis):
    atlas = replace_atlas(analysis)
    methods = Comparators(methods=METHODS, fit="ols")
    return changed(analysis, models=tuple(LAYERS), comparators=methods, **atlas)


def replace_atlas(analysis):
    functional = analysis.functional.model_copy(
        update={"regions": tuple(r for r in analysis.functional.regions if r.name == "FFA")}
    )
    return {
        "functional": functional,
        "atlas": analysis.atlas.model_copy(update={"regions": ("V1v", "V1d")}),
    }


def of_one(runs, participant, analysis):
    alone = [run.of(np.array([participant])) for run in runs]
    return participant_comparators(lambda: alone, LAYERS, CORRELATION, analysis)


def cell(table, **keys):
    rows = table
    for key, value in keys.items():
        rows = rows[rows[key] == value]
    return rows


def test_every_combination_has_its_row(runs, chosen):
    table = of_one(runs, 0, chosen)
    assert list(table) == list(describe("comparators", "participant"))
    layers = [("good", "first"), ("good", "second"), ("bad", "only")]
    names = [*layers, ("good", ALL_LAYERS), ("bad", ALL_LAYERS)]
    expected = set(product(chosen.modes, METHODS, chosen.region_names, names, "1234"))
    found = {
        (row.mode, row.method, row.roi, (row.model, row.layer), row.run)
        for row in table.itertuples()
    }
    assert found == expected
    assert len(table) == len(expected)
    missing = table["r"].isna()
    assert (table["note"].notna() == missing).all()
    assert set(table.loc[missing, "method"]) == {"cosine", "whitened", "cka", "cka-debiased"}


def test_values_by_hand(runs, chosen):
    table = of_one(runs, 1, chosen)
    run = runs[2]
    n = n_volumes_of(run.models.shape[1])
    index = np.sort(all_pairs(n).index)
    layer, target = run.models[1][index], run.targets[0, 1][index]
    keys = {"mode": "replicate", "roi": "FFA", "model": "good", "layer": "second", "run": "3"}
    for method, plain in (("spearman", stats.spearmanr), ("tau-a", stats.kendalltau)):
        (row,) = cell(table, method=method, **keys).itertuples()
        assert row.r == pytest.approx(plain(layer, target)[0], abs=1e-5)
        assert row.n_pairs == n * (n - 1) // 2
        assert row.n_volumes == n


@pytest.mark.parametrize("mode", ["replicate", "robust"])
@pytest.mark.parametrize("fit", ["ols", "nnls"])
def test_the_prediction_is_the_one_of_the_fits(runs, chosen, mode, fit):
    """Pearson's r of the prediction, pair by pair, is the score that follows from products."""
    chosen = changed(chosen, comparators=Comparators(methods=("pearson",), fit=fit))
    table = cell(of_one(runs, 3, chosen), mode=mode, layer=ALL_LAYERS)
    study = study_products([run.of(np.array([3])) for run in runs], chosen.robust.min_lag_s)
    products = study.replicate if mode == "replicate" else study.robust
    expected = similarity(products, MODELS, mode, fit).r[:, :, 0]
    for (m, model), (r, roi) in product(enumerate(LAYERS), enumerate(chosen.region_names)):
        found = cell(table, model=model, roi=roi)["r"]
        np.testing.assert_allclose(found, expected[m, r], atol=1e-5)


def test_fewer_methods_models_and_regions(runs, chosen):
    asked = Comparators(methods=("cosine",), models=("bad",), regions=("V1d",), layers=False)
    table = of_one(runs, 0, changed(chosen, comparators=asked))
    assert set(table["model"]) == {"bad"}
    assert set(table["roi"]) == {"V1d"}
    assert set(table["layer"]) == {ALL_LAYERS}
    assert len(table) == 2 * 4


def test_gaps_are_said(runs, chosen):
    runs[0].targets[1] = np.nan  # V1v is missing in one run
    runs[1].targets[2] = np.nan  # V1d in two
    runs[2].targets[2] = np.nan
    runs[3] = replace(runs[3], models=np.vstack([runs[3].models[:2], np.ones_like(
        runs[3].models[2:])]))  # fmt: skip
    table = cell(of_one(runs, 0, chosen), method="spearman", mode="replicate")
    absent = cell(table, roi="V1v", run="1")
    assert set(absent["note"]) == {notes.ABSENT}
    assert absent["r"].isna().all()
    few = cell(table, roi="V1d", run="1", layer=ALL_LAYERS)
    assert set(few["note"]) == {notes.TOO_FEW_RUNS}
    assert cell(table, roi="V1d", run="1", layer="first")["r"].notna().all()
    flat = cell(table, roi="FFA", run="4", model="bad", layer="only")
    assert flat["r"].tolist() == [0]
    assert set(flat["note"]) == {notes.CONSTANT}


def test_undefined_volumes_are_left_out(runs, chosen):
    n = n_volumes_of(runs[0].models.shape[1])
    undefine(runs[0].targets[0, 0], 4)
    without = np.isnan(runs[0].targets[0, 0])
    table = cell(of_one(runs, 0, chosen), mode="replicate", run="1", roi="FFA")
    assert set(table["n_pairs"]) == {(n - 1) * (n - 2) // 2}
    assert set(table["n_volumes"]) == {n - 1}
    (row,) = cell(table, method="spearman", layer="first").itertuples()
    expected = stats.spearmanr(runs[0].models[0][~without], runs[0].targets[0, 0][~without])[0]
    assert row.r == pytest.approx(expected, abs=1e-6)


def test_each_mode_compares_its_own_rdms(runs, chosen):
    """Regions change places in the RDMs of robust, which lack a volume more."""
    chosen = changed(chosen, comparators=Comparators(methods=("spearman",), fit="ols"))
    gappy = [replace(run, targets=run.targets.copy()) for run in runs]
    undefine(gappy[0].targets, 4)
    swapped = [
        replace(run, robust_targets=other.targets[::-1])
        for run, other in zip(runs, gappy, strict=True)
    ]
    own, whole, lacking = (of_one(given, 0, chosen) for given in (swapped, runs, gappy))
    pd.testing.assert_frame_equal(cell(own, mode="replicate"), cell(whole, mode="replicate"))
    for roi, source in zip(chosen.region_names, chosen.region_names[::-1], strict=True):
        robust, expected = (
            cell(table, mode="robust", roi=name).drop(columns="roi").reset_index(drop=True)
            for table, name in ((own, roi), (lacking, source))
        )
        pd.testing.assert_frame_equal(robust, expected)
    assert set(cell(own, mode="robust", run="1")["n_volumes"]) == {50 - 2 - 1}


def test_without_robust_rdms_of_a_run_no_volume_of_it_is_compared(runs, chosen):
    chosen = changed(chosen, comparators=Comparators(methods=("spearman",), fit="ols"))
    own = [replace(run, robust_targets=run.targets.copy()) for run in runs]
    own[0].robust_targets[:] = np.nan
    table, plain = of_one(own, 0, chosen), of_one(runs, 0, chosen)
    lacking = cell(table, mode="robust", run="1")
    assert set(lacking["note"]) == {notes.NO_PAIRS}
    assert (lacking[["n_pairs", "n_volumes"]] == 0).all(axis=None)
    assert lacking["r"].isna().all()
    assert cell(table, mode="robust")["r"].drop(lacking.index).notna().all()
    pd.testing.assert_frame_equal(cell(table, mode="replicate"), cell(plain, mode="replicate"))


def test_a_run_too_short_for_far_pairs_is_said(runs, chosen):
    chosen = changed(chosen, robust=chosen.robust.model_copy(update={"min_lag_s": 60.0}))
    table = of_one(runs, 0, chosen)
    far = cell(table, mode="robust")
    assert set(far["note"]) == {notes.NO_PAIRS}
    assert far["r"].isna().all()
    assert cell(table, mode="replicate", method="spearman")["r"].notna().all()


def few_methods(analysis):
    methods = ("spearman", "cosine", "cka", "cka-debiased")
    return changed(analysis, comparators=Comparators(methods=methods))


def test_group_by_hand(runs, chosen):
    chosen = few_methods(chosen)
    tables = [of_one(runs, s, chosen) for s in range(5)]
    table = group_comparators(tables, comparator_ceilings(runs, chosen), SETS, seed=1)
    assert list(table) == list(describe("comparators"))
    assert not table.duplicated(KEYS).any()
    of_each = pd.concat(
        [t.groupby(KEYS)["r"].mean().rename(s) for s, t in enumerate(tables)], axis=1
    )
    for row in table.itertuples():
        r = of_each.loc[(row.mode, row.method, row.roi, row.model, row.layer)].to_numpy()
        if np.isnan(r).all():
            assert row.n == 0
            assert np.isnan(row.p)
            assert "replicate" in row.mode or "pair" in row.note
            continue
        assert row.r_mean == pytest.approx(r.mean())
        assert row.r_sd == pytest.approx(r.std(ddof=1))
        if row.method in ("cosine", "cka") and row.mode == "replicate":
            assert row.note == notes.NEVER_NEGATIVE
            assert np.isnan(row.p)
            assert np.isnan(row.p_signflip)
        else:
            t, p = stats.ttest_1samp(np.arctanh(r), 0)
            assert (row.t, row.p) == pytest.approx((t, p))
            its_set = next(regions for regions in SETS.values() if row.roi in regions)
            family = cell(table, mode=row.mode, method=row.method)
            made = family[family["roi"].isin(its_set)]["p"].notna().sum()
            assert made in (len(its_set) * 5, len(its_set) * 3)  # with and without predictions
            assert row.p_bonferroni == pytest.approx(min(1, p * made))
    planted = cell(table, roi="FFA", model="good", layer=ALL_LAYERS, method="spearman")
    nothing = cell(table, roi="V1d", model="bad", layer="only", method="spearman")
    assert (planted["r_mean"] > 0.2).all()
    assert (nothing["r_mean"].abs() < 0.05).all()


def test_group_of_tables_that_differ(runs, chosen):
    """A participant who lacks a region or run counts where it is there."""
    first, second = (of_one(runs, s, few_methods(chosen)) for s in range(2))
    second.loc[second["roi"] == "FFA", "r"] = np.nan
    pair = [run.of(np.arange(2)) for run in runs]
    for run in pair:
        run.targets[0, 1] = np.nan
    ceilings = comparator_ceilings(pair, few_methods(chosen))
    table = group_comparators([first, second], ceilings, SETS, seed=1)
    ffa = cell(table, roi="FFA", method="spearman")
    assert set(ffa["n"]) == {1}
    assert set(ffa["note"]) == {notes.TOO_FEW_PARTICIPANTS}
    assert ffa["ceiling_upper"].isna().all()
    assert set(cell(table, roi="FFA", method="cosine", mode="replicate", layer="only")["note"]) == {
        f"{notes.NEVER_NEGATIVE}; {notes.TOO_FEW_PARTICIPANTS}"
    }
    assert set(cell(table, roi="V1v", method="spearman")["n"]) == {2}
    assert cell(table, roi="V1v", method="spearman")["ceiling_upper"].notna().all()


def test_ceilings_are_in_the_rows_that_the_method_is_applied_to(runs, chosen):
    chosen = changed(chosen, comparators=Comparators(methods=METHODS, fit="ols"))
    ceilings = comparator_ceilings(runs, chosen)
    assert len(ceilings) == 2 * len(METHODS) * 3
    table = group_comparators([of_one(runs, s, chosen) for s in range(5)], ceilings, SETS, seed=1)
    bounds = table[["ceiling_lower", "ceiling_upper"]]
    assert (bounds.isna().all(axis=1) == (table["n"] == 0)).all()
    assert (bounds.isna().any(axis=1) == (table["n"] == 0)).all()
    assert table.loc[table["n"] == 0, "note"].str.contains("offset|every pair").all()
    for _, rows in table[table["n"] > 0].groupby(["mode", "method", "roi"]):
        assert rows[["ceiling_lower", "ceiling_upper"]].drop_duplicates().shape == (1, 2)
    shared = cell(table, roi="FFA", layer="first")
    shared = shared[shared["n"] > 0]
    assert (shared["ceiling_lower"] < shared["ceiling_upper"]).all()
    assert (shared["ceiling_lower"] > 0.2).all()
    assert (
        cell(shared, mode="robust")["r_mean"] < cell(shared, mode="robust")["ceiling_upper"]
    ).all()


@pytest.mark.parametrize("mode", ["replicate", "robust"])
def test_ceilings_by_a_plain_loop_over_runs_and_participants(runs, chosen, mode):
    """A participant has no say where a region or run lacks, and their gaps count for the rest."""
    chosen = changed(chosen, comparators=Comparators(methods=("spearman",), regions=("V1v",)))
    undefine(runs[0].targets[1, 0], 4)  # of V1v, in which it counts
    undefine(runs[0].targets[:, 4], 9)  # in a run without V1v of this participant
    runs[0].targets[1, 4] = np.nan
    runs[1].targets[:, 3] = np.nan
    runs[2].targets[1, 2] = 1.0  # constant
    (row,) = cell(comparator_ceilings(runs, chosen), mode=mode).itertuples()
    lower, upper = (np.full((4, 5), np.nan) for _ in range(2))
    for i, run in enumerate(runs):
        n = n_volumes_of(run.models.shape[1])
        there = [s for s in range(5) if np.ptp(np.nan_to_num(run.targets[1, s])) > 0]
        defined = np.ones(n, bool)
        defined[[4] if i == 0 else []] = False
        pairs = mode_pairs(run, mode, chosen.robust.min_lag_s, defined)
        prepared = {s: columns(run.targets[1, [s]], pairs, mode)[0][0] for s in there}
        for s in there:
            ranks = [stats.rankdata(prepared[t]) for t in there if t != s]
            of_others = np.mean(ranks, axis=0)
            of_all = np.mean([*ranks, stats.rankdata(prepared[s])], axis=0)
            lower[i, s] = stats.spearmanr(of_others, prepared[s])[0]
            upper[i, s] = stats.spearmanr(of_all, prepared[s])[0]
    assert row.ceiling_lower == pytest.approx(np.nanmean(np.nanmean(lower, axis=0)), abs=1e-10)
    assert row.ceiling_upper == pytest.approx(np.nanmean(np.nanmean(upper, axis=0)), abs=1e-10)


def test_why_there_are_no_ceilings(runs, chosen):
    chosen = changed(chosen, comparators=Comparators(methods=("spearman", "whitened")))
    for i, run in enumerate(runs):
        run.targets[0, np.arange(5) != i] = np.nan  # no two participants of FFA in one run
        run.targets[1, 2:] = np.nan
        for volume in range(n_volumes_of(run.models.shape[1])):
            undefine(run.targets[1, int(volume < 20)], volume)  # the two of V1v share no volume
        run.targets[2, :2] = np.nan
    ceilings = comparator_ceilings([run.of(np.arange(4)) for run in runs], chosen)
    expected = {"FFA": notes.NO_COMMON_RUN, "V1v": notes.FEW_COMMON_VOLUMES, "V1d": ""}
    for roi, note in expected.items():
        made = cell(ceilings, roi=roi, method="spearman")
        assert set(made["note"]) == {note}
        assert (made["ceiling_lower"].isna() == bool(note)).all()
    (whitened,) = set(cell(ceilings, method="whitened", mode="robust")["note"])
    assert whitened.startswith("needs every pair")


def test_each_mode_has_ceilings_of_its_own_rdms(runs, chosen):
    chosen = changed(chosen, comparators=Comparators(methods=("pearson",)))
    swapped = [replace(run, robust_targets=run.targets[::-1].copy()) for run in runs]
    own, plain = (comparator_ceilings(given, chosen) for given in (swapped, runs))
    assert cell(own, mode="replicate").equals(cell(plain, mode="replicate"))
    for roi, source in zip(chosen.region_names, chosen.region_names[::-1], strict=True):
        robust, expected = cell(own, mode="robust", roi=roi), cell(plain, mode="robust", roi=source)
        assert robust["ceiling_lower"].item() == pytest.approx(expected["ceiling_lower"].item())
