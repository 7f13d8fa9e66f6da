import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import gamma

from bidsapp.arrays import Floats
from bidsapp.vision.hemodynamics import (
    canonical_hrf,
    hrf_weights,
    interval_weights,
    response_coverage,
)


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


def _covered(intervals: list[tuple[float, float]], volumes: Floats, hrf_s: float = 20.0) -> Floats:
    onsets, durations = np.array(intervals, np.float64).reshape(-1, 2).T
    return response_coverage(onsets, durations, volumes, hrf_s)


def _plainly_covered(intervals: list[tuple[float, float]], volume: float, hrf_s: float) -> float:
    """Sum the response's absolute value over fine steps of age."""
    step = 1e-3
    age = np.arange(step / 2, hrf_s, step)
    shown = np.zeros(len(age), dtype=bool)
    for onset, duration in intervals:
        shown |= (volume - age >= onset) & (volume - age < onset + duration)
    weight = np.abs(canonical_hrf(age))
    return float(weight[shown].sum() / weight.sum())


_INTERVALS = st.lists(st.tuples(st.floats(-30, 60), st.floats(0, 40)), max_size=6)


@given(intervals=_INTERVALS, volume=st.floats(-10, 70), hrf_s=st.floats(5, 32))
def test_coverage_is_the_share_of_the_absolute_response(
    intervals: list[tuple[float, float]], volume: float, hrf_s: float
) -> None:
    (covered,) = _covered(intervals, np.array([volume]), hrf_s)
    assert 0 <= covered <= 1
    assert covered == pytest.approx(_plainly_covered(intervals, volume, hrf_s), abs=5e-3)


@given(intervals=_INTERVALS, more=st.tuples(st.floats(-30, 60), st.floats(0, 40)))
def test_coverage_never_falls_with_another_interval(
    intervals: list[tuple[float, float]], more: tuple[float, float]
) -> None:
    volumes = np.arange(0.0, 60.0, 2.0)
    assert np.all(_covered([*intervals, more], volumes) >= _covered(intervals, volumes) - 1e-9)


@given(frames=st.lists(st.floats(0.01, 1), min_size=25, max_size=60), late=st.floats(0, 5))
def test_a_full_window_is_covered(frames: list[float], late: float) -> None:
    """Frames one after the other leave nothing between them."""
    onsets = np.cumsum([0.0, *frames[:-1]])
    volumes = np.arange(0.0, onsets[-1] + frames[-1] + late, 0.5)
    covered = response_coverage(onsets, np.array(frames), volumes)
    whole = (volumes >= 20) & (volumes <= onsets[-1] + frames[-1])
    np.testing.assert_allclose(covered[whole], 1.0, atol=1e-9)
    np.testing.assert_allclose(covered, _covered([(0.0, sum(frames))], volumes), atol=1e-9)


def test_coverage_grows_to_one_over_the_length_of_the_response() -> None:
    covered = _covered([(0.0, 100.0)], np.array([-1.0, 0.0, 10.0, 17.0, 19.0, 20.0, 50.0, 120.0]))
    np.testing.assert_allclose(covered, [0, 0, 0.8823, 0.9664, 0.9908, 1, 1, 0], atol=1e-4)
    assert np.all(_covered([], np.array([0.0, 2.0])) == 0)
