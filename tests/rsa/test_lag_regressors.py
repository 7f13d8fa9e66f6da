import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import StandardScaler
from small_study import MIN_LAG_S, REPETITION_TIME, autoregressive, planted_in

from bidsapp.rsa.gram import lag_products
from bidsapp.rsa.lag_regressors import LagRegressors
from bidsapp.rsa.pairs import all_pairs
from bidsapp.rsa.rdm import correlation_distance
from bidsapp.rsa.similarity import similarity
from bidsapp.rsa.study import study_products

TIME_CONSTANTS_S = (2.0, 4.0, 8.0, 16.0, 32.0)


def plain_curves(lag, taus=TIME_CONSTANTS_S):
    dt = lag * REPETITION_TIME
    return np.array([*(np.exp(-dt / tau) for tau in taus), dt, dt**2])


def basis_of(n, taus, least=1):
    lag = np.arange(least, n)
    return lag, LagRegressors(REPETITION_TIME, taus).basis(lag, n - lag)


@pytest.mark.parametrize("least", [1, 15])
def test_curves_span_decays_and_powers_of_the_lag(least):
    lag, found = basis_of(60, TIME_CONSTANTS_S, least)
    counts = 60 - lag
    np.testing.assert_allclose((found * counts) @ found.T / counts.sum(), np.eye(7), atol=1e-8)
    np.testing.assert_allclose(found @ counts, 0, atol=1e-5)
    for curve in plain_curves(lag):
        centred = curve - np.average(curve, weights=counts)
        left = centred - (found @ (counts * centred) / counts.sum()) @ found
        assert np.linalg.norm(left) < 1e-6 * np.linalg.norm(centred)


@pytest.mark.parametrize(
    ("taus", "like"),
    [
        ((0.002, 0.003), (0.05,)),  # over before the second lag: 1 at the first and 0 after
        ((8.0, 8.0), (8.0,)),
        ((1e9, 1e200), ()),  # straight lines, as dt is
    ],
)
def test_what_curves_do_not_add_is_left_out(taus, like):
    (lag, found), (_, expected) = basis_of(60, taus), basis_of(60, like)
    assert len(found) == len(expected) == len(like) + 2
    joint = np.vstack([found, expected]) * np.sqrt(60 - lag)
    assert np.linalg.matrix_rank(joint, tol=1e-4) == len(expected)


@pytest.mark.parametrize("least", [58, 59, 60])
def test_too_few_lags_for_all_curves(least):
    """Two lags differ in one number, one in none."""
    _, found = basis_of(60, TIME_CONSTANTS_S, least)
    assert found.shape == (max(59 - least, 0), 60 - least)


def residuals_of(columns, curves):
    """What scikit-learn's regression, with an intercept, leaves of each column."""
    scaled = StandardScaler().fit_transform(curves.T)
    return columns.T - LinearRegression().fit(scaled, columns.T).predict(scaled)


def test_far_pairs_of_a_long_run_are_residual_to_all_curves():
    """At 30 s the short decays are a millionth of what they were, and still count."""
    rng, n = np.random.default_rng(0), 450
    columns = np.array(
        [correlation_distance(autoregressive(rng, n, 60, rho)) for rho in (0.95, 0.5, 0.98, 0.8)]
    )
    pairs, min_lags = all_pairs(n), (0, 2, 5, 10, 15)
    nuisance = LagRegressors(REPETITION_TIME, TIME_CONSTANTS_S)
    found = lag_products(columns[:2], columns[None, 2:], pairs, min_lags, "1", nuisance)
    for least, products in zip(min_lags, found, strict=True):
        far = pairs.lag >= least
        curves = plain_curves(pairs.lag[far])
        left = residuals_of(columns[:, pairs.index[far]].astype(float), curves)
        expected = np.corrcoef(left.T)
        np.testing.assert_allclose(products.xx, expected[:2, :2], atol=1e-5)
        np.testing.assert_allclose(products.xy[0], expected[2:, :2], atol=1e-5)


@pytest.mark.parametrize("taus", [TIME_CONSTANTS_S, (8.0, 32.0)])
@pytest.mark.parametrize("min_lag_s", [0.0, 4.0, 30.0])
def test_every_column_is_residual_to_the_curves(runs, min_lag_s, taus):
    """The products are those of residuals of an explicit regression on the pairs themselves."""
    study = study_products(runs, MIN_LAG_S, (min_lag_s,), taus)
    for run, products in zip(runs, study.lags[0].runs, strict=True):
        n = round((1 + np.sqrt(1 + 8 * run.models.shape[1])) / 2)
        rows, columns = np.triu_indices(n, 1)
        far = (columns - rows) * REPETITION_TIME >= min_lag_s
        data = np.vstack([run.models, run.targets[1]])[:, far].astype(float)
        left = residuals_of(data, plain_curves((columns - rows)[far], taus))
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
