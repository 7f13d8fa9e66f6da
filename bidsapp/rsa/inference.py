"""Group statistics of scores: each test's unit is a participant."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import stats

from bidsapp.arrays import Floats

MAX_EXACT = 15
"""Participants up to which every sign flip is tried."""
_RANDOM_FLIPS = 2**MAX_EXACT
_TESTS_AT_ONCE = 512


@dataclass(frozen=True)
class TTest:
    """t tests against zero; each field has the shape of the tests, NaN with fewer than two values.

    Attributes
    ----------
    n, mean, t, df, p
        Values, their mean, the statistic, its degrees of freedom, and the two-sided p.
    """

    n: Floats
    mean: Floats
    t: Floats
    df: Floats
    p: Floats


def finite_mean(values: Floats, axis: int) -> Floats:
    """Mean of the finite values along an axis; NaN where there is none."""
    there = np.isfinite(values)
    n = there.sum(axis=axis)
    total = np.where(there, values, 0.0).sum(axis=axis)
    mean: Floats = np.divide(total, n, out=np.full(n.shape, np.nan), where=n > 0)
    return mean


def finite_sd(values: Floats, axis: int) -> Floats:
    """Sample SD (n - 1) of the finite values along an axis; NaN where there are fewer than two."""
    there = np.isfinite(values)
    n = there.sum(axis=axis)
    mean = np.expand_dims(finite_mean(values, axis), axis)
    squares = np.where(there, values - mean, 0.0) ** 2
    variance = np.divide(squares.sum(axis=axis), n - 1, out=np.full(n.shape, np.nan), where=n > 1)
    sd: Floats = np.sqrt(variance)
    return sd


def fisher_z(r: Floats) -> Floats:
    """Fisher's z of correlations; |r| = 1 is taken as the next number below, so z is finite."""
    limit = np.nextafter(1.0, 0.0)
    z: Floats = np.arctanh(np.clip(r, -limit, limit))
    return z


def one_sample_t(values: Floats) -> TTest:
    """Two-sided one-sample t test against zero, participant by participant.

    Parameters
    ----------
    values
        Shape (..., S); NaN where a participant is missing. For a paired test give the differences.

    Returns
    -------
    TTest
        Each field of shape (...). t and p are NaN with fewer than two values, or without variance.
    """
    n = np.isfinite(values).sum(axis=-1)
    mean = finite_mean(values, -1)
    df = np.where(n > 1, n - 1.0, np.nan)
    error = finite_sd(values, -1) / np.sqrt(np.maximum(n, 1))
    t = np.divide(mean, error, out=np.full(n.shape, np.nan), where=error > 1e-14 * np.abs(mean))
    return TTest(n.astype(np.float64), mean, t, df, 2 * stats.t.sf(np.abs(t), df))


def sign_flip(values: Floats, generator: np.random.Generator | None = None) -> Floats:
    """Two-sided sign-flip test of the mean against zero.

    Exact for up to `MAX_EXACT` participants: p is the share of all 2^S flips whose mean is at least
    as far from zero. Beyond, that share among 2^15 random flips and the unflipped one.

    Parameters
    ----------
    values
        Shape (..., S); NaN where a participant is missing.
    generator
        For more than `MAX_EXACT` participants.

    Returns
    -------
    Floats
        p, shape (...); NaN with fewer than two values.

    Raises
    ------
    ValueError
        More than `MAX_EXACT` participants and no generator.
    """
    flat = values.reshape(-1, values.shape[-1])
    # A missing participant as zero leaves every flip's sum as it is, and so the share as well.
    whole = np.where(np.isfinite(flat), flat, 0.0)
    signs = _signs(flat.shape[1], generator)
    p = np.empty(len(flat))
    for start in range(0, len(flat), _TESTS_AT_ONCE):
        some = whole[start : start + _TESTS_AT_ONCE]
        observed = np.abs(some.sum(axis=1)) * (1 - 1e-12)  # equal sums may differ by rounding
        p[start : start + len(some)] = (np.abs(signs @ some.T) >= observed).mean(axis=0)
    p[np.isfinite(flat).sum(axis=1) < 2] = np.nan
    return p.reshape(values.shape[:-1])


def bonferroni(p: Floats) -> Floats:
    """Multiply p by the number of tests made, up to 1; NaN (no test) stays and does not count."""
    corrected: Floats = np.minimum(p * np.isfinite(p).sum(), 1.0)
    return corrected


def benjamini_hochberg(p: Floats) -> Floats:
    """Give each test's false discovery rate q; NaN (no test) stays and does not count.

    References
    ----------
    Benjamini and Hochberg (1995), Journal of the Royal Statistical Society B 57:289.
    """
    q = np.full(p.shape, np.nan)
    made = np.isfinite(p)
    if made.any():
        q[made] = stats.false_discovery_control(p[made], method="bh")
    return q


def bootstrap_interval(
    scores: Floats, draws: int, generator: np.random.Generator, level: float = 0.95
) -> tuple[Floats, Floats]:
    """Interval of the mean score for other participants and other runs, by resampling both.

    The scores are fixed: nothing is fitted again. Percentiles of so few participants and runs would
    be too narrow; the interval is the mean and its standard error times the quantile of Student's t
    with the degrees of freedom of the smaller factor. The variances from resampling each factor
    alone both hold the scores' own noise, which resampling both at once tells apart.

    Parameters
    ----------
    scores
        Shape (..., S, n_runs); NaN where there is none.
    draws
        How often to resample; every test shares the draws.
    generator
        Source of the draws.
    level
        Coverage.

    Returns
    -------
    tuple of Floats
        Lower and upper end, each of shape (...); NaN with fewer than two participants or runs, or
        no draws.

    References
    ----------
    Two-factor resampling and its corrected variance: Schütt et al. (2023), eLife 12:e82566.
    """
    *shape, s, n_runs = scores.shape
    flat = scores.reshape(-1, s, n_runs)
    if not draws or not len(flat):
        return np.full(shape, np.nan), np.full(shape, np.nan)
    participants = _counts(s, draws, generator)
    runs = _counts(n_runs, draws, generator)
    ends = np.array([_interval(some, participants, runs, level) for some in flat])
    return ends[:, 0].reshape(shape), ends[:, 1].reshape(shape)


def _interval(scores: Floats, participants: Floats, runs: Floats, level: float) -> Floats:
    """Give one test's interval."""
    there = np.isfinite(scores)
    n_participants, n_runs = (int(there.any(axis=axis).sum()) for axis in (1, 0))
    fewer = min(n_participants, n_runs)
    if fewer < 2:
        return np.array([np.nan, np.nan])
    once_each = np.ones_like(participants), np.ones_like(runs)
    of_participants = _means(scores, participants, once_each[1]).var()
    of_runs = _means(scores, once_each[0], runs).var()
    own = _means(scores, participants, runs).var() - of_participants - of_runs
    for n in (n_participants, n_runs):
        own *= n / (n - 1)  # a bootstrap variance is too small by (n - 1) / n
    of_participants *= n_participants / (n_participants - 1)
    of_runs *= n_runs / (n_runs - 1)
    both = of_participants + of_runs
    variance = np.clip(both - own, max(of_participants, of_runs), both)
    half = stats.t.ppf((1 + level) / 2, fewer - 1) * np.sqrt(variance)
    mean = float(_means(scores, once_each[0][:1], once_each[1][:1])[0])
    return np.array([mean - half, mean + half])


def _means(scores: Floats, participants: Floats, runs: Floats) -> Floats:
    """Mean of every draw; a participant's mean is over the drawn runs that it has."""
    there = np.isfinite(scores)
    n = runs @ there.T  # (draws, S)
    mean = np.divide(runs @ np.where(there, scores, 0.0).T, n, out=np.zeros(n.shape), where=n > 0)
    weight = participants * (n > 0)
    total = weight.sum(axis=1)
    drawn: Floats = (weight * mean).sum(axis=1)[total > 0] / total[total > 0]
    return drawn


def _counts(n: int, draws: int, generator: np.random.Generator) -> Floats:
    """How often each of n items is drawn, shape (draws, n)."""
    counts: Floats = generator.multinomial(n, np.full(n, 1 / n), size=draws).astype(np.float64)
    return counts


def _signs(n: int, generator: np.random.Generator | None) -> Floats:
    if n <= MAX_EXACT:
        return _all_signs(n)
    if generator is None:
        raise ValueError(
            f"more than {MAX_EXACT} participants need a generator of random sign flips"
        )
    signs = generator.choice([-1.0, 1.0], size=(_RANDOM_FLIPS + 1, n))
    signs[0] = 1.0
    return signs


@lru_cache(maxsize=2)
def _all_signs(n: int) -> Floats:
    """Half of all flips, the first participant's sign kept: the other half mirrors it."""
    codes = np.arange(2 ** (n - 1))[:, None] >> np.arange(n - 1)
    return np.hstack([np.ones((len(codes), 1)), 1.0 - 2.0 * (codes & 1)])
