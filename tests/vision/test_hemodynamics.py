import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import gamma

from bidsapp.vision.hemodynamics import canonical_hrf, hrf_weights, interval_weights


def test_response_is_spms_double_gamma() -> None:
    t = np.linspace(-5, 40, 451)
    expected = gamma.pdf(t, 6) - gamma.pdf(t, 16) / 6
    np.testing.assert_allclose(canonical_hrf(t), expected, atol=1e-14)
    assert np.all(canonical_hrf(t[t <= 0]) == 0)


def test_nominal_weights_are_the_5_hz_convolution_at_sample_10i_plus_5() -> None:
    rng = np.random.default_rng(1)
    n_volumes, n_units = 40, 7
    features = rng.normal(size=(n_volumes * 10, n_units))
    h = gamma.pdf(np.arange(100) / 5, 6) - gamma.pdf(np.arange(100) / 5, 16) / 6
    convolved = np.stack([np.convolve(f, h)[: len(features)] for f in features.T], axis=1)
    frames, volumes = np.arange(len(features)) / 5, 2.0 * np.arange(n_volumes) + 1
    response = hrf_weights(frames, volumes) @ features
    np.testing.assert_allclose(response, convolved[10 * np.arange(n_volumes) + 5], atol=1e-12)


@given(onset=st.floats(0, 100))
def test_impulse_peaks_5_s_later(onset: float) -> None:
    volumes = np.arange(0, 130, 0.05)
    weights = hrf_weights(np.array([onset]), volumes)[:, 0]
    assert abs(volumes[weights.argmax()] - onset - 5) <= 0.2


def test_frames_count_while_younger_than_the_response_and_never_before_they_are_shown() -> None:
    weights = hrf_weights(np.array([0.0, 0.3]), np.array([-1.0, 0.0, 10.0, 19.9, 20.0, 20.2, 20.3]))
    np.testing.assert_array_equal(
        weights != 0,
        [
            [False] * 2,
            [False] * 2,
            [True] * 2,
            [True] * 2,
            [False, True],
            [False, True],
            [False] * 2,
        ],
    )


@pytest.mark.parametrize(("onset", "duration"), [(0.0, 2.0), (3.3, 0.04), (7.0, 30.0), (50.0, 4.0)])
def test_interval_weight_is_the_integral_of_the_response(onset: float, duration: float) -> None:
    volumes = np.arange(1.0, 60.0, 2.0)
    weights = interval_weights(np.array([onset]), np.array([duration]), volumes)[:, 0]
    expected = [
        quad(
            lambda age: float(canonical_hrf(np.array(age))),
            np.clip(t - onset - duration, 0, 20),
            np.clip(t - onset, 0, 20),
        )[0]
        for t in volumes
    ]
    np.testing.assert_allclose(weights, expected, atol=1e-10)
