import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from bidsapp.rsa import nonnegative
from bidsapp.rsa.regression import nnls


def problems(seed, n=2, p=6, targets=15, spread=1.0):
    """Products of layers with a condition number of about 10^(2 spread), and of targets."""
    rng = np.random.default_rng(seed)
    xx, xy = [], []
    for _ in range(n):
        turned, _ = np.linalg.qr(rng.normal(size=(p, p)))
        root = turned * 10 ** rng.uniform(-spread, 0, p)
        xx.append(root @ root.T)
        xy.append(rng.normal(size=(targets, p)) @ root.T)
    return np.array(xx), np.array(xy)


def one_by_one(xx, xy):
    root = np.linalg.cholesky(xx).T
    return np.array([optimize.nnls(root, np.linalg.solve(root.T, h))[0] for h in xy])


@pytest.mark.parametrize("p", [1, 2, 7, 12, 24])
def test_weights_are_scipys(p):
    xx, xy = problems(p, n=3, p=p, targets=40)
    found = nonnegative.solve(xx, xy)
    for its, gram, right in zip(found, xx, xy, strict=True):
        expected = one_by_one(gram, right)
        np.testing.assert_allclose(its, expected, atol=1e-8 * np.abs(expected).max())
    assert (found == 0).any()
    assert (found > 0).any()


def test_badly_conditioned_predictions_are_scipys():
    xx, xy = problems(5, p=10, targets=60, spread=3.0)
    assert np.linalg.cond(xx).min() > 1e4
    found = nonnegative.solve(xx, xy)
    for its, gram, right in zip(found, xx, xy, strict=True):
        difference = its - one_by_one(gram, right)
        off = np.einsum("tp,pq,tq->t", difference, gram, difference)
        assert off.max() < 1e-12


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 12), st.sampled_from([0.5, 1.0, 2.0]))
def test_optimality_conditions(seed, p, spread):
    xx, xy = problems(seed, p=p, spread=spread)
    weights = nonnegative.solve(xx, xy)
    gradient = xy - weights @ xx
    scale = np.abs(xy).max() + np.abs(weights).max()
    assert (weights >= 0).all()
    assert (gradient <= 1e-9 * scale).all()
    assert np.abs(gradient[weights > 0]).max(initial=0) <= 1e-9 * scale


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.permutations(range(6)))
def test_order_of_layers_changes_nothing_else(seed, order):
    xx, xy = problems(seed)
    turned = nonnegative.solve(xx[:, order][:, :, order], xy[..., order])
    plain = nonnegative.solve(xx, xy)[..., order]
    np.testing.assert_allclose(turned, plain, atol=1e-9 * np.abs(plain).max())


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.lists(st.floats(0.1, 10), min_size=6, max_size=6))
def test_weights_scale_with_layers_and_targets(seed, factors):
    xx, xy = problems(seed)
    by = np.array(factors)
    scaled = nonnegative.solve(xx * np.outer(by, by), 3 * xy * by)
    plain = 3 * nonnegative.solve(xx, xy) / by
    np.testing.assert_allclose(scaled, plain, atol=1e-8 * np.abs(plain).max())


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_what_does_not_end_goes_to_scipy_with_the_same_result(monkeypatch, steps):
    xx, xy = problems(3, targets=40)
    plain = nonnegative.solve(xx, xy)
    monkeypatch.setattr(nonnegative, "MAX_STEPS", steps)
    np.testing.assert_allclose(nonnegative.solve(xx, xy), plain, atol=1e-10)


def test_exchanges_one_by_one_end_too(monkeypatch):
    xx, xy = problems(9, p=12, targets=200, spread=2.0)
    plain = nonnegative.solve(xx, xy)
    monkeypatch.setattr(nonnegative, "_FULL_EXCHANGES", -1)
    monkeypatch.setattr(nonnegative, "MAX_STEPS", 5000)
    monkeypatch.setattr(nonnegative, "_one_by_one", None)
    np.testing.assert_allclose(nonnegative.solve(xx, xy), plain, atol=1e-8)


def test_twin_layers_share_their_weight():
    """Of all weights that predict alike those of least norm are taken."""
    xx, xy = problems(1, n=1, p=5, targets=30)
    xx, xy = xx[0] / xx[0].max(), xy[0]
    twins = [0, 1, 2, 3, 4, 1]
    weights, cut = nnls(xx[np.ix_(twins, twins)], xy[:, twins])
    assert cut
    plain = one_by_one(xx, xy)
    expected = plain[:, twins]
    expected[:, [1, 5]] /= 2
    np.testing.assert_allclose(weights, expected, atol=1e-5 * np.abs(plain).max())


def test_stacks_are_their_parts():
    xx, xy = problems(4, n=3)
    xx[1, 0], xx[1, :, 0], xy[1, :, 0] = 0.0, 0.0, 0.0  # a constant layer
    weights, cut = nnls(xx, xy)
    assert cut.tolist() == [False, True, False]
    assert not weights[1, :, 0].any()
    for i in range(3):
        np.testing.assert_allclose(weights[i], nnls(xx[i], xy[i])[0], atol=1e-10)


def test_no_targets():
    xx, xy = problems(0, targets=0)
    assert nonnegative.solve(xx, xy).shape == (2, 0, 6)
