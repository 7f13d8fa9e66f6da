"""Group statistics of scores: over participants, or over participants and runs."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import stats

from bidsapp.arrays import Floats, Ints

MAX_EXACT = 15
"""Participants up to which every sign flip is tried."""
_RANDOM_FLIPS = 2**MAX_EXACT
_TESTS_AT_ONCE = 512


@dataclass(frozen=True)
class TTest:
    """t tests against zero; each field has the shape of the tests, NaN where there is no test.

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


@dataclass(frozen=True)
class TwoFactor:
    """Means of scores as estimates for other participants and other runs; see `two_factor`.

    Each field has the shape of the means.

    Attributes
    ----------
    n
        Participants with a score.
    mean
        Mean over participants of each one's mean over runs.
    error
        Standard error of the mean.
    df
        Degrees of freedom: the smaller of participants and runs, less one.
    """

    n: Floats
    mean: Floats
    error: Floats
    df: Floats


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
    return _t_test(n.astype(np.float64), mean, error, df)


def two_factor(scores: Floats) -> TwoFactor:
    """Estimate mean scores for other participants and other runs, neither taken as fixed.

    With A the squared standard error of the mean if participants alone vary, B if runs alone do,
    and E the part that both hold, the scores' own noise, the squared standard error is A + B - E,
    held between max(A, B) and A + B. Where every participant has every run these are mean squares
    of a two-way layout, E that of the interaction, each divided by the number of scores; and the
    limit of a bootstrap of both factors with many draws, corrected as there. With missing runs it
    is that bootstrap of the mean's linear approximation.

    Parameters
    ----------
    scores
        Shape (..., S, n_runs); NaN where there is none. For a paired comparison give differences.

    Returns
    -------
    TwoFactor
        Each field of shape (...). error and df are NaN with fewer than two participants or runs.

    References
    ----------
    Two-factor bootstrap and its corrected variance: Schütt et al. (2023), eLife 12:e82566.
    """
    there = np.isfinite(scores)
    n, n_runs = (there.any(axis=axis).sum(axis=-1) for axis in (-1, -2))
    fewer = np.minimum(n, n_runs)
    df = np.where(fewer > 1, fewer - 1.0, np.nan)
    mean = finite_mean(finite_mean(scores, -1), -1)
    error = np.sqrt(_squared_error(scores, n, n_runs))
    return TwoFactor(n.astype(np.float64), mean, error, df)


def two_factor_t(estimate: TwoFactor) -> TTest:
    """Two-sided t test of each mean against zero; t and p are NaN without an error above zero."""
    return _t_test(estimate.n, estimate.mean, estimate.error, estimate.df)


def interval(estimate: TwoFactor, level: float = 0.95) -> tuple[Floats, Floats]:
    """Interval of each mean for other participants and other runs.

    Parameters
    ----------
    estimate
        As `two_factor` gives.
    level
        Coverage.

    Returns
    -------
    tuple of Floats
        Lower and upper end: the mean less and plus its standard error times the quantile of
        Student's t; NaN with fewer than two participants or runs.
    """
    half = stats.t.ppf((1 + level) / 2, estimate.df) * estimate.error
    return estimate.mean - half, estimate.mean + half


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


def _t_test(n: Floats, mean: Floats, error: Floats, df: Floats) -> TTest:
    t = np.divide(mean, error, out=np.full(n.shape, np.nan), where=error > 1e-14 * np.abs(mean))
    return TTest(n, mean, t, df, 2 * stats.t.sf(np.abs(t), df))


def _squared_error(scores: Floats, n: Ints, n_runs: Ints) -> Floats:
    """Squared standard errors of `two_factor`, of n participants and n_runs runs with a score."""
    there = np.isfinite(scores)
    n_own, at_least_one = there.sum(axis=-1), np.maximum(n, 1)
    means = finite_mean(scores, -1)
    # By how much the overall mean moves with the weight of a participant's run.
    moves = np.where(there, scores - means[..., None], 0.0)
    moves /= np.maximum(n[..., None] * n_own, 1)[..., None]
    of_runs = moves.sum(axis=-2)
    expected = (of_runs / at_least_one[..., None])[..., None, :]
    interaction = np.where(n_own[..., None] > 0, moves - expected, 0.0)
    by_n, by_runs = _bootstrap_factor(n), _bootstrap_factor(n_runs)
    a = finite_sd(means, -1) ** 2 / at_least_one
    b = by_runs * (of_runs**2).sum(axis=-1)
    e = by_n * by_runs * (interaction**2).sum(axis=(-2, -1))
    squared: Floats = np.clip(a + b - e, np.maximum(a, b), a + b)
    return squared


def _bootstrap_factor(n: Ints) -> Floats:
    """By how much a bootstrap variance of n is too small, n / (n - 1); NaN for fewer than two."""
    factor: Floats = np.divide(n, n - 1, out=np.full(n.shape, np.nan), where=n > 1)
    return factor


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
