from dataclasses import replace

import numpy as np
import pytest
from rsa_plain import leave_one_run_out
from small_study import MIN_LAG_S

from bidsapp.rsa.gram import run_products
from bidsapp.rsa.pairs import all_pairs
from bidsapp.rsa.similarity import similarity
from bidsapp.rsa.study import study_products

MODELS = {"all": slice(0, 4), "few": slice(0, 2), "one": slice(2, 3)}
PENALTIES = [1e-3, 1e-2, 1e-1, 1.0, 10.0]


def products_of(runs, mode):
    return getattr(study_products(runs, MIN_LAG_S), mode)


@pytest.mark.parametrize("fit", ["ols", "nnls", "ridge"])
@pytest.mark.parametrize("mode", ["replicate", "robust"])
def test_whole_procedure_agrees_with_explicit_fits(gappy_runs, mode, fit):
    found = similarity(products_of(gappy_runs, mode), MODELS, mode, fit, PENALTIES)
    for m, columns in enumerate(MODELS.values()):
        for region in range(2):
            for participant in range(3):
                r, r2, penalty = leave_one_run_out(
                    gappy_runs, columns, region, participant, mode, fit, PENALTIES, MIN_LAG_S
                )
                at = (m, region, participant)
                np.testing.assert_allclose(found.r[at], r, atol=1e-5)
                np.testing.assert_allclose(found.r2[at], r2, atol=1e-5)
                if fit == "ridge":
                    np.testing.assert_allclose(found.penalty[at], penalty)
    assert np.isnan(found.r[:, 0, 2]).all()
    assert np.isnan(found.r[:, :, 1, 1]).all()
    assert np.isfinite(found.r[:, 1, 1, [0, 2, 3]]).all()
    assert np.isnan(found.penalty).all() == (fit != "ridge")


@pytest.mark.parametrize("min_lag_s", [0.0, 2.0, 5.0, 15.0])
def test_any_least_lag_agrees_with_explicit_fits(runs, min_lag_s):
    products = study_products(runs, min_lag_s).robust
    found = similarity(products, MODELS, "robust", "ols")
    r, r2, _ = leave_one_run_out(runs, slice(0, 4), 0, 1, "robust", "ols", [], min_lag_s)
    np.testing.assert_allclose(found.r[0, 0, 1], r, atol=1e-5)
    np.testing.assert_allclose(found.r2[0, 0, 1], r2, atol=1e-5)


def test_data_carry_a_signal_so_that_agreement_means_something(runs):
    found = similarity(products_of(runs, "robust"), MODELS, "robust", "ols")
    assert found.r[0].mean() > 0.1


def test_weights_are_those_of_the_explicit_fits(runs):
    replicate = similarity(products_of(runs, "replicate"), MODELS, "replicate", "ols")
    raw = []
    for run in runs[1:]:
        x = np.vstack([run.models, np.ones_like(run.models[0])]).T.astype(float)
        raw.append(np.linalg.lstsq(x, run.targets[1, 2].astype(float), rcond=None)[0][:4])
    np.testing.assert_allclose(replicate.weights[0][1, 2, 0], np.mean(raw, axis=0), atol=1e-5)
    assert replicate.weights[1].shape == (2, 3, 4, 2)


def test_single_layer_scores_are_rsatoolboxs_correlations(runs):
    rsatoolbox = pytest.importorskip("rsatoolbox")
    found = similarity(products_of(runs, "replicate"), MODELS, "replicate", "nnls")
    for i, run in enumerate(runs):
        brain = rsatoolbox.rdm.RDMs(run.targets[0].astype(float))
        model = rsatoolbox.rdm.RDMs(run.models[2:3].astype(float))
        oracle = rsatoolbox.rdm.compare(brain, model, method="corr").ravel()
        scored = ~found.constant[2, 0, :, i]
        np.testing.assert_allclose(found.r[2, 0, scored, i], oracle[scored], atol=1e-5)
        assert not found.r[2, 0, ~scored, i].any()


@pytest.mark.parametrize("fit", ["ols", "nnls", "ridge"])
@pytest.mark.parametrize("mode", ["replicate", "robust"])
def test_order_of_participants_and_layers_changes_nothing_else(runs, mode, fit):
    plain = similarity(products_of(runs, mode), MODELS, mode, fit, PENALTIES)
    layers = [3, 1, 0, 2]
    swapped = [
        replace(run, models=run.models[layers], targets=run.targets[:, [2, 0, 1]]) for run in runs
    ]
    turned = similarity(products_of(swapped, mode), {"all": slice(0, 4)}, mode, fit, PENALTIES)
    np.testing.assert_allclose(turned.r[0], plain.r[0][:, [2, 0, 1]], atol=1e-6)
    np.testing.assert_allclose(
        turned.weights[0], plain.weights[0][:, [2, 0, 1]][..., layers], atol=1e-5
    )


@pytest.mark.parametrize("mode", ["replicate", "robust"])
def test_affine_change_of_all_rdms_of_a_kind_leaves_r(runs, mode):
    plain = similarity(products_of(runs, mode), MODELS, mode, "ols")
    scale = np.array([3.0, 0.2, 1.5, 40.0], dtype=np.float32)[:, None]
    moved = [replace(run, models=scale * run.models + 2, targets=0.5 * run.targets) for run in runs]
    changed = similarity(products_of(moved, mode), MODELS, mode, "ols")
    np.testing.assert_allclose(changed.r, plain.r, atol=1e-4)


def test_affine_change_of_one_runs_brain_rdms_leaves_robust_r(runs):
    plain = similarity(products_of(runs, "robust"), MODELS, "robust", "ols")
    runs[1] = replace(runs[1], targets=2 * runs[1].targets + 1)
    changed = similarity(products_of(runs, "robust"), MODELS, "robust", "ols")
    np.testing.assert_allclose(changed.r, plain.r, atol=1e-5)


def test_constant_prediction_scores_zero_and_says_so(runs):
    opposite = [
        replace(run, models=run.models[[0, 0]], targets=2 - run.models[None, :1]) for run in runs
    ]
    for mode in ("replicate", "robust"):
        scores = similarity(products_of(opposite, mode), {"twins": slice(0, 2)}, mode, "nnls")
        assert not scores.r.any()
        assert scores.constant.all()
        assert (scores.r2 <= 1e-9).all()


@pytest.mark.parametrize("fit", ["ols", "nnls", "ridge"])
def test_single_layer_has_its_own_r_in_robust_whatever_its_sign(runs, fit):
    opposite = [replace(run, targets=2 - run.models[None, :1]) for run in runs]
    products = products_of(opposite, "robust")
    scores = similarity(products, {"a": slice(0, 1)}, "robust", fit, PENALTIES)
    np.testing.assert_allclose(scores.r, -1.0, atol=1e-6)
    assert not scores.constant.any()
    learned = similarity(products_of(opposite, "replicate"), {"a": slice(0, 1)}, "replicate", "ols")
    np.testing.assert_allclose(learned.r, 1.0, atol=1e-6)


def test_constant_single_layer_scores_zero_in_robust(runs):
    flat = [replace(run, models=np.full_like(run.models[:1], 0.7)) for run in runs]
    scores = similarity(products_of(flat, "robust"), {"a": slice(0, 1)}, "robust", "ols")
    assert not scores.r.any()
    assert scores.constant.all()


def test_constant_layer_in_one_run_is_as_if_it_were_not_there(runs):
    runs[1].models[3] = 0.8
    found = similarity(products_of(runs, "replicate"), MODELS, "replicate", "ols")
    r, r2, _ = leave_one_run_out(runs, slice(0, 4), 0, 0, "replicate", "ols", [], MIN_LAG_S)
    np.testing.assert_allclose(found.r[0, 0, 0], r, atol=1e-5)
    np.testing.assert_allclose(found.r2[0, 0, 0], r2, atol=1e-5)


@pytest.mark.parametrize("fit", ["ols", "nnls"])
@pytest.mark.parametrize("mode", ["replicate", "robust"])
def test_nearly_collinear_layers_agree_with_explicit_fits(runs, mode, fit):
    rng = np.random.default_rng(3)
    for run in runs:
        spread = 0.01 * run.models[0].std()
        run.models[1] = run.models[0] + spread * rng.normal(size=run.models[0].shape)
    products = products_of(runs, mode)
    assert 1e4 < np.linalg.cond(products[0].xx) < 1e5
    found = similarity(products, MODELS, mode, fit)
    for region, participant in ((0, 0), (1, 2)):
        r, r2, _ = leave_one_run_out(
            runs, slice(0, 4), region, participant, mode, fit, [], MIN_LAG_S
        )
        np.testing.assert_allclose(found.r[0, region, participant], r, atol=1e-5)
        np.testing.assert_allclose(found.r2[0, region, participant], r2, atol=1e-5)
    assert not found.cut[0].any()


@pytest.mark.parametrize("mode", ["replicate", "robust"])
def test_twin_layers_share_their_weight_in_ridge_and_are_told(runs, mode):
    twins = [replace(run, models=run.models[[0, 1, 1]]) for run in runs]
    models = {"twins": slice(0, 3), "one": slice(0, 2)}
    found = similarity(products_of(twins, mode), models, mode, "ridge", PENALTIES)
    weights = found.weights[0]
    np.testing.assert_allclose(weights[..., 1], weights[..., 2], rtol=1e-4, atol=1e-7)
    assert found.cut[0].all()
    assert not found.cut[1].any()


@pytest.mark.parametrize("mode", ["replicate", "robust"])
def test_twin_layers_are_cut_and_score_as_one(runs, mode):
    twins = [replace(run, models=run.models[[0, 1, 1]]) for run in runs]
    models = {"twins": slice(0, 3), "one": slice(0, 2)}
    found = similarity(products_of(twins, mode), models, mode, "ols")
    np.testing.assert_allclose(found.r[0], found.r[1], atol=1e-5)
    assert found.cut[0].all()
    assert not found.cut[1].any()


def test_equal_scores_take_the_smallest_penalty(runs):
    flat = [replace(run, models=np.full_like(run.models[:1], 0.7)) for run in runs]
    scores = similarity(
        products_of(flat, "robust"), {"a": slice(0, 1)}, "robust", "ridge", PENALTIES
    )
    np.testing.assert_array_equal(scores.penalty, np.full_like(scores.penalty, min(PENALTIES)))


@pytest.mark.parametrize("mode", ["replicate", "robust"])
def test_ridge_does_not_shrink_a_single_layer_that_predicts(runs, mode):
    copies = [replace(run, targets=run.models[None, :1].copy()) for run in runs]
    scores = similarity(
        products_of(copies, mode), {"a": slice(0, 1)}, mode, "ridge", [1e-4, 1.0, 1e4]
    )
    np.testing.assert_array_equal(scores.penalty, np.full_like(scores.penalty, 1e-4))
    np.testing.assert_allclose(scores.r2, 1.0, atol=1e-3)


def test_two_runs_are_too_few(runs):
    found = similarity(products_of(runs[:2], "robust"), MODELS, "robust", "ridge", PENALTIES)
    assert np.isnan(found.r).all()


def test_each_run_counts_alike_in_robust(runs):
    """Repeating a run's pairs, hence scaling its sums but not its means, must change nothing."""
    products = products_of(runs, "robust")
    heavier = [replace(products[0], n_pairs=10 * products[0].n_pairs), *products[1:]]
    np.testing.assert_array_equal(
        similarity(heavier, MODELS, "robust", "ols").r,
        similarity(products, MODELS, "robust", "ols").r,
    )


def test_ridge_needs_penalties(runs):
    products = run_products(runs[0].models, runs[0].targets, all_pairs(40), "centred", "1")
    with pytest.raises(ValueError, match="penalties"):
        similarity([products], MODELS, "replicate", "ridge")
