from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from rsa_plain import fit_others, run_data, unique_r
from sklearn.metrics import r2_score
from small_study import MIN_LAG_S

from bidsapp.rsa.similarity import similarity
from bidsapp.rsa.study import RunRDMs, study_products
from bidsapp.rsa.unique import pairs_of, split, unique
from bidsapp.rsa.volumes import FilmVolumes

MODELS = {"two": slice(0, 2), "one": slice(2, 3), "last": slice(3, 4)}
PENALTIES = [1e-2, 1e-1, 1.0]
MODES = ("replicate", "robust")
FITS = ("ols", "nnls", "ridge")


def products_of(runs, mode):
    return getattr(study_products(runs, MIN_LAG_S), mode)


def unique_of(runs, mode, fit, models=MODELS):
    products = products_of(runs, mode)
    alone = similarity(products, models, mode, fit, PENALTIES)
    return unique(products, models, mode, fit, alone, PENALTIES)


def columns_of(model):
    return list(range(4)[MODELS[model]])


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("mode", MODES)
def test_unique_contributions_agree_with_explicit_fits(gappy_runs, mode, fit):
    """One participant's own volumes, as a cohort has them; with a gap, and whole."""
    some = (1,) if fit == "ridge" else (0, 1, 2)  # scikit-learn's inner folds take seconds
    for participant in some:
        own = [replace(r, targets=r.targets[:, [participant]]) for r in gappy_runs]
        found = unique_of(own, mode, fit)
        for pair, (control, target) in enumerate(permutations(MODELS, 2)):
            if fit == "ridge" and (control, target) not in (("two", "one"), ("last", "two")):
                continue
            columns = columns_of(control), columns_of(target)
            for region in range(2):
                r, delta = unique_r(own, *columns, region, 0, mode, fit, PENALTIES, MIN_LAG_S)
                np.testing.assert_allclose(found.r[pair, region, 0], r, atol=1e-5)
                np.testing.assert_allclose(found.delta_r2[pair, region, 0], delta, atol=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_split_agrees_with_explicit_fits_and_sums_to_r2(gappy_runs, mode):
    own = [replace(run, targets=run.targets[:, [1]]) for run in gappy_runs]
    parts, _ = split(products_of(own, mode), MODELS, mode)
    for region in range(2):
        data = run_data(own, list(range(4)), region, 0, mode, MIN_LAG_S)
        here = [i for i, d in enumerate(data) if d is not None]
        for test in here:
            (slopes, _), _ = fit_others(data, test, here, mode, "ols", [])
            x, y = (part - part.mean(axis=0) for part in data[test])
            np.testing.assert_allclose(
                parts[:, region, 0, test].sum(), r2_score(y, x @ slopes), atol=1e-5
            )
            predicted = x * slopes
            for m, columns in enumerate(MODELS.values()):
                its = predicted[:, columns].sum(axis=1)
                expected = its @ (2 * y - predicted.sum(axis=1)) / (y @ y)
                assert parts[m, region, 0, test] == pytest.approx(expected, abs=1e-5)
        absent = [i for i in range(4) if i not in here]
        assert np.isnan(parts[:, region, 0, absent]).all()


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("mode", MODES)
def test_order_of_models_and_participants_changes_nothing_else(runs, mode, fit):
    plain = unique_of(runs, mode, fit)
    order = list(reversed(MODELS))
    turned = [replace(run, targets=run.targets[:, [2, 0, 1]]) for run in runs]
    found = unique_of(turned, mode, fit, {name: MODELS[name] for name in order})
    before = [tuple(list(MODELS)[i] for i in pair) for pair in pairs_of(3)]
    after = [tuple(order[i] for i in pair) for pair in pairs_of(3)]
    place = [after.index(pair) for pair in before]
    for name in ("r", "delta_r2"):
        np.testing.assert_allclose(
            getattr(found, name)[place], getattr(plain, name)[:, :, [2, 0, 1]], atol=2e-6
        )


@pytest.mark.parametrize("fit", ["ols", "nnls"])
@pytest.mark.parametrize("mode", MODES)
def test_copy_of_the_control_predicts_nothing_of_the_rest(runs, mode, fit):
    copied = [replace(run, models=run.models[[0, 1, 0, 1, 2]]) for run in runs]
    models = {"original": slice(0, 2), "copy": slice(2, 4), "other": slice(4, 5)}
    found = unique_of(copied, mode, fit, models)
    for pair, (control, target) in enumerate(pairs_of(3)):
        if {control, target} != {0, 1}:
            assert fit == "nnls" or not found.constant[pair].any()
            assert not found.cut[pair].any()
            continue
        if fit == "ols" or mode == "robust":
            assert (found.r[pair] == 0).all()
            assert found.constant[pair].all()
        np.testing.assert_allclose(found.delta_r2[pair], 0, atol=1e-5)
        assert found.cut[pair].all()
        assert not found.exhausted[pair].any()


@pytest.mark.parametrize("fit", ["ols", "nnls"])
@pytest.mark.parametrize("mode", MODES)
def test_control_that_explains_all_leaves_nothing(runs, mode, fit):
    explained = []
    for run in runs:
        targets = run.targets.copy()
        targets[0, 0] = 0.3 * run.models[2] + 0.1
        explained.append(replace(run, targets=targets))
    found = unique_of(explained, mode, fit)
    for pair, (control, _) in enumerate(pairs_of(3)):
        assert found.exhausted[pair, 0, 0].all() == (control == 1)
        if control == 1:
            assert (found.r[pair, 0, 0] == 0).all()
            assert not found.constant[pair, 0, 0].any()
        assert not found.exhausted[pair, 1].any()


def test_two_runs_are_too_few(runs):
    assert np.isnan(unique_of(runs[:2], "robust", "ols").r).all()
    assert np.isnan(split(products_of(runs[:2], "robust"), MODELS, "robust")[0]).all()


def test_single_model_has_no_pairs(runs):
    found = unique_of(runs, "robust", "ols", {"all": slice(0, 4)})
    assert found.r.shape == found.delta_r2.shape == found.constant.shape == (0, 2, 3, 4)
    assert found.cut.shape == (0, 4)


def test_many_targets_are_worked_on_in_pieces(runs, monkeypatch):
    whole = unique_of(runs, "replicate", "ridge")
    monkeypatch.setattr("bidsapp.rsa.unique._AT_ONCE", 4)
    monkeypatch.setattr("bidsapp.rsa.penalties._CACHED", 1)
    pieces = unique_of(runs, "replicate", "ridge")
    np.testing.assert_allclose(pieces.r, whole.r, atol=1e-12)


def mixtures(seed, of_a, of_b, participants=10):
    """Runs whose brains mix two independent layers of A and two of B, weighted, with noise."""
    rng = np.random.default_rng(seed)
    runs = []
    for name in "12345":
        layers = rng.normal(size=(4, 100 * 99 // 2))
        weights = np.array([of_a, -of_a, of_b, of_b])
        brains = weights @ layers + rng.normal(size=(participants, layers.shape[1]))
        models = (1 + 0.05 * layers).astype(np.float32)
        runs.append(RunRDMs(name, models, (1 + 0.05 * brains).astype(np.float32)[None], 2.0))
    return runs


AB = {"A": slice(0, 2), "B": slice(2, 4)}


@pytest.mark.parametrize("mode", MODES)
def test_both_planted_parts_are_found_in_their_size(mode):
    found = unique_of(mixtures(1, 0.3, 0.2), mode, "ols", AB)
    variance = {"A": 2 * 0.3**2, "B": 2 * 0.2**2}
    total = sum(variance.values()) + 1
    for pair, target in enumerate("BA"):
        r, delta = (a[pair, 0].mean(axis=-1) for a in (found.r, found.delta_r2))
        true_r = np.sqrt(variance[target] / (1 + variance[target]))
        for values, true in ((r, true_r), (delta, variance[target] / total)):
            error = values.std(ddof=1) / np.sqrt(len(values))
            assert abs(values.mean() - true) < 3 * error


@pytest.mark.parametrize("mode", MODES)
def test_what_was_not_planted_adds_nothing_but_the_cost_of_its_layers(mode):
    """Each useless weight errs by the residual variance over the training pairs."""
    runs = mixtures(4, 0.4, 0.0, participants=100)
    found = unique_of(runs, mode, "ols", AB)
    beyond_a = pairs_of(2).index((0, 1))
    residual = 1 / (1 + 2 * 0.4**2)
    training_pairs = 4 * products_of(runs, mode)[0].n_pairs
    cost = 2 * residual / training_pairs
    for values, expected in ((found.r, 0.0), (found.delta_r2, -cost)):
        own = values[beyond_a, 0].mean(axis=-1)
        error = own.std(ddof=1) / np.sqrt(len(own))
        assert abs(own.mean() - expected) < 2 * error
    assert error < cost / 5  # so it is told from zero
    assert found.r[1 - beyond_a].mean() > 0.4


def test_control_of_nonnegative_weights_leaves_its_part_to_the_target():
    """Why the table is read in ols: weights of both signs are out of reach of nnls."""
    runs = mixtures(4, 0.4, 0.0)
    for run in runs:  # B resembles the layer that nnls cannot subtract
        run.models[2] = 2 - run.models[1] + 0.5 * (run.models[2] - 1)
    beyond_a = pairs_of(2).index((0, 1))
    r = {fit: unique_of(runs, "robust", fit, AB).r[beyond_a].mean() for fit in ("ols", "nnls")}
    assert abs(r["ols"]) < 0.01
    assert r["nnls"] > 0.2


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("mode", MODES)
def test_run_with_fewer_pairs_than_layers_is_defined(runs, mode, fit):
    short = replace(
        runs[2],
        models=runs[2].models[:, : 9 * 8 // 2],
        targets=runs[2].targets[:, :, : 9 * 8 // 2],
        film=FilmVolumes.whole(9),
    )
    rng = np.random.default_rng(3)
    wide = []
    for run in (*runs[:2], short, runs[3]):
        extra = rng.normal(1, 0.1, (40, run.models.shape[1])).astype(np.float32)
        wide.append(replace(run, models=np.vstack([run.models, extra])))
    found = unique_of(wide, mode, fit, {"few": slice(0, 4), "many": slice(4, 44)})
    assert np.isfinite(found.r).all()
    assert np.isfinite(found.delta_r2).all()
    if mode == "replicate":
        assert found.cut[:, [0, 1, 3]].all()  # where the short run is among the training runs


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("mode", MODES)
def test_layer_constant_over_a_run_counts_as_not_there(runs, mode, fit):
    runs[1].models[1] = 0.8
    found = unique_of(runs, mode, fit)
    assert np.isfinite(found.r).all()
    if fit == "ols":
        r, delta = unique_r(runs, [0, 1], [2], 0, 0, mode, fit, [], MIN_LAG_S)
        np.testing.assert_allclose(found.r[0, 0, 0], r, atol=1e-5)
        np.testing.assert_allclose(found.delta_r2[0, 0, 0], delta, atol=1e-5)
