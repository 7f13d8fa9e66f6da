"""Fits of one model's layers to many targets, each run left out in turn, and their scores.

What is fitted on the other runs depends on the mode:

replicate
    A regression with intercept in each training run apart, on the raw columns; slopes and
    intercepts are averaged over the training runs and applied to the run left out.
robust
    One regression on the sum of the training runs' correlations, each run counting alike.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bidsapp.analysis.part import Fit, Mode
from bidsapp.arrays import Bools, Floats, Ints
from bidsapp.rsa import regression
from bidsapp.rsa.gram import RunProducts
from bidsapp.rsa.penalties import choose

Columns = slice | Ints

FLAT = 1e-10
"""Variance of a prediction, relative to its terms, under which it is constant."""
_CANCELLED = 1e-6  # of what was added up; a sum that is smaller is rounding


@dataclass(frozen=True)
class Data:
    """n runs of one model's p layers, and of T targets.

    Attributes
    ----------
    xx
        Shape (n, p, p): correlations of the layers.
    xy
        Shape (F, n, T, p): products of targets with layers of unit variance. F is 1, or n where the
        targets differ with the run that is left out, as residuals do.
    spread
        Shape (F, n, T): SD of the targets, in the units of ``xy``; 0 where there is nothing left.
    x_mean, x_sd
        Shape (n, p): of the raw layers; 0 and 1 in robust.
    y_mean, y_sd
        Shape (n, T): of the raw targets, ``y_sd`` being what 1 in ``xy`` is; 0 and 1 in robust.
    """

    xx: Floats
    xy: Floats
    spread: Floats
    x_mean: Floats
    x_sd: Floats
    y_mean: Floats
    y_sd: Floats


@dataclass(frozen=True)
class Fits:
    """What was fitted on the other runs, for each of n runs left out and each of T targets.

    Attributes
    ----------
    slopes
        Shape (n, T, p), of raw layers in replicate, of prepared ones of unit variance in robust.
    intercepts
        Shape (n, T); zero in robust.
    penalty
        Shape (n, T): the ridge penalty chosen; NaN for other fits.
    cut
        Shape (n,): layers were so collinear that eigenvalues were cut, or left to ridge's penalty.
    """

    slopes: Floats
    intercepts: Floats
    penalty: Floats
    cut: Bools


@dataclass(frozen=True)
class Scores:
    """Predictions in the runs left out; each of shape (n, T).

    Attributes
    ----------
    r
        Pearson's r of prediction and target; 0 where the prediction is constant.
    r2
        1 - SS_residual / SS_total, the offset from the target's mean counted as residual.
    constant
        The prediction has no variance.
    """

    r: Floats
    r2: Floats
    constant: Bools


def gather(runs: Sequence[RunProducts], columns: Columns, targets: Ints, mode: Mode) -> Data:
    """Take one model's layers and some targets from the products of runs.

    Parameters
    ----------
    runs
        Products of n runs.
    columns
        Which columns the p layers are.
    targets
        Shape (T,): positions among regions x participants; each must be there in every run.
    mode
        Robust knows only prepared columns of unit variance.
    """
    xx = np.array([run.xx[columns][:, columns] for run in runs])
    xy = np.array([run.xy.reshape(-1, len(run.xx))[:, columns][targets] for run in runs])[None]
    shape = xy.shape[1:3]
    if mode == "robust":
        means = (np.zeros(xx.shape[:2]), np.ones(xx.shape[:2]), np.zeros(shape), np.ones(shape))
        return Data(xx, xy, np.ones((1, *shape)), *means)
    return Data(
        xx=xx,
        xy=xy,
        spread=np.ones((1, *shape)),
        x_mean=np.array([run.x_mean[columns] for run in runs]),
        x_sd=np.array([run.x_sd[columns] for run in runs]),
        y_mean=np.array([run.y_mean.ravel()[targets] for run in runs]),
        y_sd=np.array([run.y_sd.ravel()[targets] for run in runs]),
    )


def fit_folds(data: Data, mode: Mode, fit: Fit, penalties: Floats) -> Fits:
    """Fit the layers to the targets on all runs but one, for each run left out.

    Parameters
    ----------
    data
        What is fitted to what.
    mode, fit
        See the module, and `bidsapp.rsa.regression`.
    penalties
        Shape (K,), rising: those that ridge chooses from (see `bidsapp.rsa.penalties`).
    """
    n, t = data.xy.shape[1:3]
    if fit == "ridge":
        penalty = penalties[choose(data.xx, data.xy, data.spread, _scales(data, mode), penalties)]
    else:
        penalty = np.full((n, t), np.nan)
    slopes, intercepts, cut = (_averaged if mode == "replicate" else _pooled)(data, fit, penalty)
    return Fits(slopes, intercepts, penalty, cut)


def score(data: Data, fits: Fits, mode: Mode) -> Scores:
    """Compare predictions with targets in the runs left out.

    Parameters
    ----------
    data
        As fitted.
    fits
        Of `fit_folds`.
    mode
        In robust r of a single layer is that of the layer itself, with its sign: there is nothing
        to fit but the size, and a sign that is learned costs power.
    """
    n = len(data.xx)
    fold = np.arange(n) % len(data.xy)
    xy, spread = data.xy[fold, np.arange(n)], data.spread[fold, np.arange(n)]
    slopes = fits.slopes * data.x_sd[:, None]
    variance = np.einsum("ntp,ntp->nt", slopes @ data.xx, slopes)
    constant = variance <= FLAT * np.einsum("ntp,ntp->nt", slopes, slopes)
    variance[constant] = 0.0
    covariance = np.einsum("ntp,ntp->nt", slopes, xy)
    covariance[constant] = 0.0
    offset = fits.intercepts + np.einsum("ntp,np->nt", fits.slopes, data.x_mean) - data.y_mean
    residual = variance - 2 * covariance * data.y_sd + data.y_sd**2 + offset**2
    r2 = 1 - residual / data.y_sd**2
    if mode == "robust" and xy.shape[-1] == 1:
        flat = data.xx[:, 0] == 0  # a constant layer
        return Scores(_r(np.where(flat, 0.0, xy[..., 0]), ~flat, spread), r2, flat | (spread == 0))
    return Scores(_r(covariance, np.where(constant, 1.0, variance), spread), r2, constant)


def _r(covariance: Floats, variance: Floats, spread: Floats) -> Floats:
    """Pearson's r; 0 where prediction or target are constant."""
    scale = np.sqrt(variance) * spread
    r: Floats = np.divide(covariance, scale, out=np.zeros_like(scale), where=scale > 0)
    return np.clip(r, -1.0, 1.0)


def _scales(data: Data, mode: Mode) -> tuple[Floats, Floats] | None:
    """Give the SDs that turn a run's standard slopes into raw ones, where runs are averaged."""
    return (data.x_sd, data.y_sd) if mode == "replicate" else None


def _pooled(data: Data, fit: Fit, penalty: Floats) -> tuple[Floats, Floats, Bools]:
    """Fit all other runs at once, on the sum of their correlations."""
    n, t = penalty.shape
    others = 1.0 - np.eye(n)
    xx = np.tensordot(others, data.xx, 1)
    xy = np.array([_sum(data.xy[f % len(data.xy), np.arange(n) != f]) for f in range(n)])
    slopes, cut = _solve(fit, xx, xy, penalty)
    return slopes, np.zeros((n, t)), cut


def _averaged(data: Data, fit: Fit, penalty: Floats) -> tuple[Floats, Floats, Bools]:
    """Fit each other run apart, on raw columns, and average slopes and intercepts."""
    n, t = penalty.shape
    total, size = np.zeros((2, n, t, data.xx.shape[-1]))
    centre, cut = np.zeros((n, t)), np.zeros(n, dtype=np.bool_)
    scale = np.divide(1.0, data.x_sd, out=np.zeros_like(data.x_sd), where=data.x_sd > 0)
    for i, (standard, its_cut) in enumerate(_fits_of_runs(data, fit, penalty)):
        raw = standard * data.y_sd[i, :, None]
        raw *= scale[i]
        others = np.arange(n) != i
        total[others] += raw
        size[others] += np.abs(raw)
        centre[others] += raw @ data.x_mean[i]
        cut[others] |= its_cut
    intercepts = (data.y_mean.sum(axis=0) - data.y_mean - centre) / (n - 1)
    return _unless_cancelled(total, size) / (n - 1), intercepts, cut


def _fits_of_runs(data: Data, fit: Fit, penalty: Floats) -> Iterator[tuple[Floats, Bools]]:
    """Fit each run alone: standard slopes, (n - 1 or 1, T, p), by the other run left out.

    There is one where it does not matter which other run is left out.
    """
    n = len(penalty)
    if len(data.xy) == 1 and fit != "ridge":
        slopes, cut = _solve(fit, data.xx, data.xy[0], penalty)
        yield from zip(slopes[:, None], cut, strict=True)
        return
    for i in range(n):
        others = np.arange(n) != i
        xy = data.xy[0, i] if len(data.xy) == 1 else data.xy[others, i]
        yield _solve(fit, data.xx[i], xy, penalty[others])


def _solve(fit: Fit, xx: Floats, xy: Floats, penalty: Floats) -> tuple[Floats, Bools]:
    """Solve stacked problems: ``xx`` (..., p, p), ``xy`` (..., T, p), ``penalty`` (..., T)."""
    if fit == "ridge":
        return regression.ridge_each(xx, xy, penalty)
    return regression.ols(xx, xy) if fit == "ols" else regression.nnls(xx, xy)


def _sum(terms: Floats) -> Floats:
    """Add up over the first axis; what cancels but for rounding is zero."""
    return _unless_cancelled(terms.sum(axis=0), np.abs(terms).sum(axis=0))


def _unless_cancelled(total: Floats, size: Floats) -> Floats:
    """Put zeros where a sum is rounding, ``size`` being the sum of absolute terms; in place."""
    total[np.abs(total) <= _CANCELLED * size] = 0.0
    return total
