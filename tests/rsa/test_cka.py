import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidsapp.rsa.cka import centred_kernels, cka
from bidsapp.rsa.rdm import correlation_distance, cosine_distance, euclidean_distance

N = 40


def features(rng):
    """Three representations of the same volumes, and the RDMs' own kind of noise."""
    common = rng.normal(size=(N, 30))
    return [common, common @ rng.normal(size=(30, 20)) + rng.normal(size=(N, 20)), common**2]


def plain_cka(x, y):
    """Kornblith et al. (2019), equation for features: |Y'X|² / (|X'X| |Y'Y|), columns centred."""
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    scale = np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)
    return np.linalg.norm(y.T @ x) ** 2 / scale


def unit(patterns, centred):
    patterns = patterns - patterns.mean(axis=1, keepdims=True) if centred else patterns
    return patterns / np.linalg.norm(patterns, axis=1, keepdims=True)


def as_is(patterns):
    return patterns


KINDS = {
    "correlation": (correlation_distance, lambda x: unit(x, True)),
    "cosine": (cosine_distance, lambda x: unit(x, False)),
    "euclidean": (euclidean_distance, as_is),
}


@pytest.mark.parametrize("y_kind", KINDS)
@pytest.mark.parametrize("x_kind", KINDS)
def test_cka_of_rdms_is_that_of_features(x_kind, y_kind):
    patterns = features(np.random.default_rng(0))
    (x_distance, x_features), (y_distance, y_features) = KINDS[x_kind], KINDS[y_kind]
    x = centred_kernels(np.array([x_distance(p) for p in patterns]), x_kind, debiased=False)
    y = centred_kernels(np.array([y_distance(p) for p in patterns]), y_kind, debiased=False)
    expected = [[plain_cka(x_features(a), y_features(b)) for b in patterns] for a in patterns]
    np.testing.assert_allclose(cka(x, y), expected, atol=1e-6)


def hsic_unbiased(k, ell):
    """Song et al. (2012), equation 5, term by term."""
    n = len(k)
    k, ell = k - np.diag(np.diag(k)), ell - np.diag(np.diag(ell))
    one = np.ones(n)
    total = np.trace(k @ ell) + (one @ k @ one) * (one @ ell @ one) / ((n - 1) * (n - 2))
    return (total - 2 / (n - 2) * (one @ k @ ell @ one)) / (n * (n - 3))


@pytest.mark.parametrize("kind", KINDS)
def test_debiased_cka_is_a_ratio_of_unbiased_hsic(kind):
    patterns = features(np.random.default_rng(1))
    distance, scaled = KINDS[kind]
    kernels = centred_kernels(np.array([distance(p) for p in patterns]), kind, debiased=True)
    gram = [scaled(p) @ scaled(p).T for p in patterns]
    expected = [
        [hsic_unbiased(a, b) / np.sqrt(hsic_unbiased(a, a) * hsic_unbiased(b, b)) for b in gram]
        for a in gram
    ]
    np.testing.assert_allclose(cka(kernels, kernels), expected, atol=1e-6)


def test_unrelated_features_of_many_units_are_alike_but_for_debiasing():
    """With more units than volumes plain CKA nears 1 whatever the features; debiased, zero."""
    rng = np.random.default_rng(2)
    found = {True: [], False: []}
    for _ in range(20):
        rdms = np.array([correlation_distance(rng.normal(size=(N, 400))) for _ in range(2)])
        for debiased, values in found.items():
            kernels = centred_kernels(rdms, "correlation", debiased=debiased)
            values.append(cka(kernels[:1], kernels[1:])[0, 0])
    assert np.mean(found[False]) > 0.85
    assert abs(np.mean(found[True])) < 0.02


@given(st.integers(0, 2**31), st.booleans(), st.floats(0.1, 10))
def test_rotation_scale_and_order_of_volumes_change_nothing(seed, debiased, scale):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(12, 6)), rng.normal(size=(12, 5))
    rotation = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    order = rng.permutation(12)

    def value(a, b):
        a, b = (
            centred_kernels(euclidean_distance(p)[None], "euclidean", debiased=debiased)
            for p in (a, b)
        )
        return cka(a, b)[0, 0]

    expected = value(x, y)
    assert value(scale * x @ rotation, y) == pytest.approx(expected, abs=1e-4)
    assert value(x[order], y[order]) == pytest.approx(expected, abs=1e-5)
    assert value(x, x) == pytest.approx(1)


def test_a_kernel_without_spread_has_no_similarity():
    flat = centred_kernels(np.zeros((1, 45)), "euclidean", debiased=False)
    other = centred_kernels(np.random.default_rng(3).random((1, 45)), "euclidean", debiased=False)
    assert cka(flat, other) == 0
