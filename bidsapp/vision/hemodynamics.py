"""From what is on the screen to what the scanner sees: the canonical response and its weights.

The expected BOLD response is linear in the features, so the response at each volume is a weighted
sum of the frames before it. Only these weights are ever computed; no convolved time series exists.
"""

from math import factorial

import numpy as np
from scipy.special import gammainc

from bidsapp.arrays import Floats

HRF_S = 20.0
_PEAK, _UNDERSHOOT, _RATIO = 6, 16, 6.0
# Times are sums and quotients of decimals; less than this apart, they are one and the same.
_TOLERANCE_S = 1e-6
# Where the response turns negative: there the two gamma densities of its difference are equal.
_TURN_S = (_RATIO * factorial(_UNDERSHOOT - 1) / factorial(_PEAK - 1)) ** (
    1 / (_UNDERSHOOT - _PEAK)
)


def canonical_hrf(t_s: Floats) -> Floats:
    """SPM's canonical response to a brief event: a gamma density less a sixth of a later one.

    Parameters
    ----------
    t_s
        Times since the event, in seconds, of any shape.

    Returns
    -------
    Floats
        Of the same shape, per second; zero before the event. The peak lies 5 s after it.

    References
    ----------
    Friston et al. (1998), NeuroImage 7:30-40; the parameters are those of ``spm_hrf``, unscaled.
    """
    t = np.maximum(np.asarray(t_s, dtype=np.float64), 0.0)
    density: Floats = _gamma_density(t, _PEAK) - _gamma_density(t, _UNDERSHOOT) / _RATIO
    return density


def hrf_weights(frame_times: Floats, volume_times: Floats, duration_s: float = HRF_S) -> Floats:
    """Weight of each frame in the expected response at each volume.

    Parameters
    ----------
    frame_times
        Onsets of the frames in seconds, shape (n_frames,).
    volume_times
        Times of the volumes on the same clock, shape (n_volumes,).
    duration_s
        The response is cut off at this age: a frame counts while it is younger.

    Returns
    -------
    Floats
        Shape (n_volumes, n_frames), float64. ``weights @ features`` is the response.

    Notes
    -----
    With frames at j/5 s and volumes at 2i + 1 s this is the sample 10i + 5 of a convolution at 5
    Hz.
    """
    age = np.asarray(volume_times)[:, None] - np.asarray(frame_times)[None, :]
    weights: Floats = np.where(age < duration_s - _TOLERANCE_S, canonical_hrf(age), 0.0)
    return weights


def interval_weights(
    onsets: Floats, durations: Floats, volume_times: Floats, duration_s: float = HRF_S
) -> Floats:
    """Weight of each interval of constant features in the expected response at each volume.

    This is the integral of the response over the interval, in closed form, so that intervals of any
    length need no sampling.

    Parameters
    ----------
    onsets, durations
        Of the intervals, in seconds, shape (n_intervals,).
    volume_times
        Shape (n_volumes,), on the same clock.
    duration_s
        The response is cut off at this age.

    Returns
    -------
    Floats
        Shape (n_volumes, n_intervals), float64.
    """
    age = np.asarray(volume_times)[:, None] - np.asarray(onsets)[None, :]
    since_end = age - durations
    reached = (age > 0) & (since_end < duration_s)
    weights = np.zeros(age.shape)
    weights[reached] = _hrf_integral(age[reached], duration_s)
    weights[reached] -= _hrf_integral(since_end[reached], duration_s)
    return weights


def response_coverage(
    onsets: Floats, durations: Floats, volume_times: Floats, duration_s: float = HRF_S
) -> Floats:
    """Share of the response's absolute weight, at each volume, that falls on intervals.

    Parameters
    ----------
    onsets, durations
        Of the intervals, in seconds, shape (n_intervals,), in any order. What several of them
        cover counts once.
    volume_times
        Shape (n_volumes,), on the same clock.
    duration_s
        The response is cut off at this age.

    Returns
    -------
    Floats
        Shape (n_volumes,), float64, from 0 to 1; 1 where intervals cover all of the
        ``duration_s`` seconds before the volume.
    """
    starts, ends = _joined(np.asarray(onsets), np.asarray(durations))
    volumes = np.asarray(volume_times)[:, None]
    weight = _absolute_integral(volumes - starts, duration_s)
    weight -= _absolute_integral(volumes - ends, duration_s)
    whole = _absolute_integral(np.array(duration_s), duration_s)
    coverage: Floats = np.clip(weight.sum(axis=1) / whole, 0.0, 1.0)
    return coverage


def _joined(onsets: Floats, durations: Floats) -> tuple[Floats, Floats]:
    """Onsets and ends of what intervals cover, those that overlap or touch as one."""
    order = np.argsort(onsets)
    starts = onsets[order]
    ends = np.maximum.accumulate(starts + durations[order])
    apart = np.flatnonzero(starts[1:] > ends[:-1] + _TOLERANCE_S)
    first, last = np.append(-1, apart) + 1, np.append(apart, len(starts) - 1)
    return starts[first[: len(starts)]], ends[last[: len(starts)]]


def _gamma_density(t: Floats, shape: int) -> Floats:
    density: Floats = t ** (shape - 1) * np.exp(-t) / factorial(shape - 1)
    return density


def _hrf_integral(t_s: Floats, duration_s: float) -> Floats:
    """Integrate the response from its event to ``t_s``."""
    t = np.clip(t_s, 0.0, duration_s)
    integral: Floats = gammainc(_PEAK, t) - gammainc(_UNDERSHOOT, t) / _RATIO
    return integral


def _absolute_integral(t_s: Floats, duration_s: float) -> Floats:
    """Integrate the response's absolute value from its event to ``t_s``."""
    turn = _hrf_integral(np.array(_TURN_S), duration_s)
    rise = _hrf_integral(np.minimum(t_s, _TURN_S), duration_s)
    absolute: Floats = rise + turn - _hrf_integral(np.maximum(t_s, _TURN_S), duration_s)
    return absolute
