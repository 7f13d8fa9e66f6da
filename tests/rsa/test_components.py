from dataclasses import replace

import numpy as np
import pytest
from rsa_plain import prepared_columns
from sklearn.decomposition import PCA
from small_study import MIN_LAG_S

from bidsapp.rsa.components import (
    N_COMPONENTS,
    components,
    layer_pairs,
    model_products,
    pair_loadings,
)

MODES = ("replicate", "robust")


def found_in(runs, mode):
    return components([model_products(run, mode, MIN_LAG_S) for run in runs], mode)


def explicit(runs, mode):
    """All layers' columns over the pairs of all runs, (p, n_pairs)."""
    parts = []
    for run in runs:
        pairs = layer_pairs(run, mode, MIN_LAG_S)
        if mode == "replicate":
            parts.append(run.models[:, pairs.index].astype(float))
        else:
            parts.append([prepared_columns(rdm, pairs, "lag-centred") for rdm in run.models])
    return np.hstack(parts)


@pytest.fixture
def two_models(runs):
    """Eight layers, some of them mixtures with noise of their own."""
    rng = np.random.default_rng(2)
    wide = []
    for run in runs:
        noise = rng.normal(0, 0.1, run.models.shape).astype(np.float32)
        wide.append(replace(run, models=np.vstack([run.models, run.models[::-1] + noise])))
    return wide


@pytest.mark.parametrize("mode", MODES)
def test_components_are_scikit_learns(two_models, mode):
    found = found_in(two_models, mode)
    columns = explicit(two_models, mode)
    plain = PCA(N_COMPONENTS, svd_solver="full").fit(columns)
    scores = plain.transform(columns)
    largest = np.abs(scores).argmax(axis=0)
    sign = np.sign(scores[largest, np.arange(N_COMPONENTS)])
    np.testing.assert_allclose(found.scores, scores * sign, atol=1e-6 * np.abs(scores).max())
    np.testing.assert_allclose(found.explained, plain.explained_variance_ratio_, atol=1e-6)
    loadings = np.hstack(
        [
            pair_loadings(run.models, layer_pairs(run, mode, MIN_LAG_S), mode, found, 2)
            for run in two_models
        ]
    )
    np.testing.assert_allclose(loadings, plain.components_[:2] * sign[:2, None], atol=1e-6)
    np.testing.assert_allclose((loadings**2).sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_layers_without_variance_take_no_part(two_models, mode):
    flat = [
        replace(run, models=np.insert(run.models, 3, np.float32(0.8), axis=0)) for run in two_models
    ]
    found, plain = found_in(flat, mode), found_in(two_models, mode)
    assert found.absent.tolist() == [i == 3 for i in range(9)]
    assert np.isnan(found.scores[3]).all()
    np.testing.assert_allclose(np.delete(found.scores, 3, axis=0), plain.scores, atol=1e-6)
    pairs = layer_pairs(flat[0], mode, MIN_LAG_S)
    np.testing.assert_allclose(
        pair_loadings(flat[0].models, pairs, mode, found, 2),
        pair_loadings(two_models[0].models, pairs, mode, plain, 2),
        atol=1e-6,
    )


@pytest.mark.parametrize("mode", MODES)
def test_layer_constant_in_one_run_is_defined(two_models, mode):
    two_models[1].models[3] = 0.8
    found = found_in(two_models, mode)
    assert not found.absent.any()
    assert np.isfinite(found.scores).all()


@pytest.mark.parametrize("mode", MODES)
def test_fewer_layers_than_components_leave_the_rest_undefined(runs, mode):
    twins = [replace(run, models=run.models[[0, 1, 2, 1]]) for run in runs]
    found = found_in(twins, mode)
    assert np.isfinite(found.scores[:, :2]).all()
    assert np.isnan(found.scores[:, 2:]).all()
    assert np.isnan(found.explained[2:]).all()
    np.testing.assert_allclose(found.scores[1], found.scores[3], atol=1e-6)
    assert found.explained[:2].sum() == pytest.approx(1)
    one = found_in([replace(run, models=run.models[:1]) for run in runs], mode)
    assert np.isnan(one.scores).all()
    assert not one.absent.any()


def test_runs_too_short_for_the_robust_mode_have_no_components(runs):
    found = components([model_products(run, "robust", 60.0) for run in runs], "robust")
    assert np.isnan(found.scores).all()
    assert found.absent.all()
