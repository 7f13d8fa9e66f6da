import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize
from sklearn.linear_model import LinearRegression, Ridge

from bidsapp.rsa.regression import nnls, ols, ridge


def problem(seed=0, n=300, p=6, targets=20):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, p)) @ rng.normal(size=(p, p))
    y = x @ rng.normal(size=(p, targets)) + 3 * rng.normal(size=(n, targets))
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    return x, y, x.T @ x / n, y.T @ x / n


def test_ols_is_scikit_learns():
    x, y, xx, xy = problem()
    weights, cut = ols(xx, xy)
    np.testing.assert_allclose(weights, LinearRegression().fit(x, y).coef_, atol=1e-9)
    assert not cut


@pytest.mark.parametrize("seed", range(5))
def test_nnls_is_scikit_learns(seed):
    x, y, xx, xy = problem(seed)
    weights, cut = nnls(xx, xy)
    np.testing.assert_allclose(weights, LinearRegression(positive=True).fit(x, y).coef_, atol=1e-8)
    assert (weights == 0).any()
    assert not cut


def test_ridge_is_scikit_learns_for_every_penalty():
    x, y, xx, xy = problem()
    penalties = [1e-4, 0.1, 1.0, 1e4]
    for penalty, weights in zip(penalties, ridge(xx, xy, penalties), strict=True):
        alpha = penalty * np.trace(xx) / len(xx) * len(x)
        np.testing.assert_allclose(weights, Ridge(alpha=alpha).fit(x, y).coef_, atol=1e-9)


def test_collinear_layers_are_cut_and_predict_as_the_independent_ones():
    x, y, _, _ = problem()
    doubled = np.hstack([x, x[:, :2]])
    xx, xy = doubled.T @ doubled / len(x), y.T @ doubled / len(x)
    for solve, positive in ((ols, False), (nnls, True)):
        weights, cut = solve(xx, xy)
        assert cut
        expected = LinearRegression(positive=positive).fit(x, y).predict(x)
        np.testing.assert_allclose(doubled @ weights.T, expected, atol=1e-6)


def test_nnls_does_not_wander_along_directions_that_were_cut():
    """Layers that mix few sources with either sign, and next to nothing of their own."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6000, 4)) @ rng.normal(size=(4, 12)) + 1e-3 * rng.normal(size=(6000, 12))
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    signal = x @ rng.normal(size=(12, 50))
    y = signal / signal.std(axis=0) + 3 * rng.normal(size=signal.shape)
    y = (y - y.mean(axis=0)) / y.std(axis=0)
    train, test = slice(0, 3000), slice(3000, 6000)
    xx, xy = (a.T @ x[train] / 3000 for a in (x[train], y[train]))
    weights, cut = nnls(xx, xy)
    assert cut
    assert weights.max() < 50
    plain = np.array([optimize.nnls(x[train], target)[0] for target in y[train].T])
    ours, theirs = (
        np.array(
            [
                np.corrcoef(x[test] @ w, target)[0, 1]
                for w, target in zip(its, y[test].T, strict=True)
            ]
        )
        for its in (weights, plain)
    )
    assert ours.mean() > theirs.mean()
    assert (ours > theirs - 0.01).all()


def test_layers_without_variance_get_no_weight():
    nothing, xy = np.zeros((3, 3)), np.zeros((4, 3))
    assert not ols(nothing, xy)[0].any()
    assert not nnls(nothing, xy)[0].any()
    assert not ridge(nothing, xy, [0.1, 1.0]).any()
    assert ridge(nothing, xy, [0.1, 1.0]).shape == (2, 4, 3)


@settings(max_examples=50)
@given(st.integers(0, 10_000), st.integers(1, 9))
def test_nnls_meets_its_optimality_conditions(seed, p):
    _, _, xx, xy = problem(seed, n=60, p=p, targets=4)
    weights, cut = nnls(xx, xy)
    if cut:
        return
    gradient = xy - weights @ xx
    scale = np.abs(xy).max()
    assert (weights >= 0).all()
    assert (gradient <= 1e-7 * scale).all()
    assert np.abs(gradient[weights > 0]).max(initial=0) <= 1e-7 * scale
