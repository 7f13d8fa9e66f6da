import numpy as np
import pytest
from small_study import MIN_LAG_S, REPETITION_TIME, planted_in

from bidsapp.rsa.lag_regressors import lag_regressors
from bidsapp.rsa.similarity import similarity
from bidsapp.rsa.study import study_products

TIME_CONSTANTS_S = (2.0, 4.0, 8.0, 16.0, 32.0)


def plain_curves(n, taus=TIME_CONSTANTS_S):
    rows, columns = np.triu_indices(n, 1)
    dt = (columns - rows) * REPETITION_TIME
    return np.array([*(np.exp(-dt / tau) for tau in taus), dt, dt**2])


def test_curves_span_decays_and_powers_of_the_lag():
    found = lag_regressors(60, REPETITION_TIME, TIME_CONSTANTS_S)
    np.testing.assert_allclose(found @ found.T, np.eye(7), atol=1e-8)
    np.testing.assert_allclose(found.sum(axis=1), 0, atol=1e-8)
    for curve in plain_curves(60):
        centred = curve - curve.mean()
        left = centred - (found @ centred) @ found
        assert np.linalg.norm(left) < 1e-6 * np.linalg.norm(centred)


@pytest.mark.parametrize(("min_lag_s", "taus"), [(0.0, TIME_CONSTANTS_S), (4.0, (8.0, 32.0))])
def test_every_column_is_residual_to_the_curves(runs, min_lag_s, taus):
    """The products are those of residuals of an explicit regression on the pairs themselves."""
    study = study_products(runs, MIN_LAG_S, (min_lag_s,), taus)
    for run, products in zip(runs, study.lags[0].runs, strict=True):
        n = round((1 + np.sqrt(1 + 8 * run.models.shape[1])) / 2)
        rows, columns = np.triu_indices(n, 1)
        far = (columns - rows) * REPETITION_TIME >= min_lag_s
        curves = np.vstack([np.ones(far.sum()), plain_curves(n, taus)[:, far]]).T
        curves /= np.linalg.norm(curves, axis=0)
        data = np.vstack([run.models, run.targets[1]])[:, far].astype(float).T
        left = data - curves @ np.linalg.lstsq(curves, data, rcond=1e-7)[0]
        expected = np.corrcoef(left.T)
        np.testing.assert_allclose(products.xx, expected[:4, :4], atol=1e-5)
        np.testing.assert_allclose(products.xy[1], expected[4:, :4], atol=1e-5)
        np.testing.assert_allclose(products.yy[1], expected[4:, 4:], atol=1e-5)
        assert not products.x_mean.any()


def test_robust_is_left_alone(runs):
    plain, regressed = (study_products(runs, MIN_LAG_S, (), taus) for taus in ((), (2.0, 8.0)))
    np.testing.assert_array_equal(plain.robust[0].xy, regressed.robust[0].xy)
    assert np.abs(plain.replicate[0].xy - regressed.replicate[0].xy).max() > 1e-3


@pytest.mark.parametrize("fit", ["ols", "nnls", "ridge"])
def test_autocorrelation_alone_no_longer_fools_replicate(noise, fit):
    models, penalties = {"smooth": slice(0, 3)}, [0.01, 1.0, 100.0]
    r = [
        similarity(
            study_products(noise, 20.0, (), taus).replicate, models, "replicate", fit, penalties
        ).r.mean()
        for taus in ((), TIME_CONSTANTS_S)
    ]
    assert r[0] > 0.05
    assert abs(r[1]) < 0.02


def test_planted_model_is_still_found(noise):
    study = study_products(planted_in(noise), 20.0, (), TIME_CONSTANTS_S)
    models = {"planted": slice(0, 1), "other": slice(1, 3)}
    r = similarity(study.replicate, models, "replicate", "ols").r.mean(axis=-1)[:, 0]
    assert r[0].min() > 0.1
    assert abs(r[1].mean()) < 0.03
