"""How well a model predicts a region's RDM in a run that took no part in the fit.

Every run is left out once. What is fitted on the others depends on the mode:

replicate
    A regression with intercept in each training run apart, on the raw columns; slopes and
    intercepts are averaged over the training runs and applied to the run left out.
robust
    One regression on the sum of the training runs' correlations, each run counting alike.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np

from bidsapp.arrays import Bools, Floats, Ints
from bidsapp.rsa import regression
from bidsapp.rsa.gram import RunProducts

Mode = Literal["replicate", "robust"]
Fit = Literal["ols", "nnls", "ridge"]

MIN_RUNS = 3
"""Runs that a target needs: one left out, and two between which a penalty can be chosen."""
_TIE = 1e-10  # scores closer than this differ by rounding alone
_FLAT = 1e-10  # variance of a prediction, relative to its terms', under which it is constant


@dataclass(frozen=True)
class Similarity:
    """Scores of M models in R regions of S participants, each run left out once.

    Attributes
    ----------
    r
        Shape (M, R, S, n_runs): Pearson's r of prediction and RDM; NaN where the target is absent
        from the run or present in fewer than `MIN_RUNS` runs.
    r2
        Same shape: 1 - SS_residual / SS_total of the same prediction, of raw columns (with
        intercept) in replicate, of prepared and scaled ones in robust. Negative when worse than
        the mean.
    weights
        One a model, shape (R, S, n_runs, p): those applied to the run left out; raw slopes in
        replicate, on prepared columns of unit variance in robust.
    penalty
        Shape (M, R, S, n_runs): the ridge penalty chosen; NaN for other fits.
    constant
        Shape (M, R, S, n_runs): the prediction has no variance, and r is 0 for that reason.
    cut
        Shape (M, n_runs): the layers are so collinear that eigenvalues were cut.
    """

    r: Floats
    r2: Floats
    weights: tuple[Floats, ...]
    penalty: Floats
    constant: Bools
    cut: Bools


@dataclass(frozen=True)
class _Run:
    """One run's products for one model and T targets."""

    xx: Floats  # (p, p)
    xy: Floats  # (T, p)
    x_mean: Floats  # (p,)
    x_sd: Floats  # (p,)
    y_mean: Floats  # (T,)
    y_sd: Floats  # (T,)


@dataclass(frozen=True)
class _Weights:
    """Fits of T targets for each of K penalties."""

    slopes: Floats  # (K, T, p)
    intercepts: Floats  # (K, T)
    cut: bool


@dataclass(frozen=True)
class _Score:
    """Predictions of T targets for each of K penalties, in one run; each of shape (K, T)."""

    r: Floats
    covariance: Floats  # of the prediction and the target in units of its SD
    variance: Floats  # of the prediction
    constant: Bools


def joined(parts: Sequence[tuple[Ints, Similarity]]) -> Similarity:
    """Put the scores of several sets of participants together.

    Parameters
    ----------
    parts
        Positions of participants, and their scores, of the same models, regions and runs.

    Returns
    -------
    Similarity
        Of all participants; layers count as cut where they are in any part.
    """
    order = np.argsort(np.concatenate([participants for participants, _ in parts]))
    scores = [score for _, score in parts]

    def together(values: Sequence[Floats], axis: int) -> Floats:
        return np.concatenate(values, axis).take(order, axis)

    return Similarity(
        r=together([score.r for score in scores], 2),
        r2=together([score.r2 for score in scores], 2),
        weights=tuple(
            together(of_model, 1)
            for of_model in zip(*(score.weights for score in scores), strict=True)
        ),
        penalty=together([score.penalty for score in scores], 2),
        constant=np.concatenate([score.constant for score in scores], 2).take(order, 2),
        cut=np.logical_or.reduce([score.cut for score in scores]),
    )


_Solve = Callable[[Floats, Floats], tuple[Floats, bool]]  # (xx, xy) -> (K, T, p), cut
_FitRuns = Callable[[tuple[int, ...]], _Weights]


def similarity(
    runs: Sequence[RunProducts],
    models: Mapping[str, slice],
    mode: Mode,
    fit: Fit,
    penalties: Sequence[float] = (),
) -> Similarity:
    """Fit every model to every target with each run left out in turn, and score it in that run.

    Parameters
    ----------
    runs
        Products of the runs: centred ones for replicate, lag-centred ones for robust.
    models
        Which columns each model's layers are.
    mode, fit
        See the module, and `bidsapp.rsa.regression`.
    penalties
        Of ridge. For each target, model and run left out, that one is taken whose mean r over inner
        left-out runs is highest; of equal ones the largest.

    Raises
    ------
    ValueError
        Ridge without penalties.
    """
    if fit == "ridge" and not penalties:
        raise ValueError("ridge needs penalties")
    grid = np.sort(np.asarray(penalties if fit == "ridge" else [np.nan], dtype=np.float64))
    present = np.array([run.present.ravel() for run in runs])
    regions_participants = runs[0].present.shape
    shape = (len(models), present.shape[1], len(runs))
    r, r2, penalty = (np.full(shape, np.nan) for _ in range(3))
    constant = np.zeros(shape, dtype=np.bool_)
    cut = np.zeros((len(models), len(runs)), dtype=np.bool_)
    combine = _averaged if mode == "replicate" else _pooled
    weights = [np.full((*shape[1:], runs[0].xx[c].shape[0]), np.nan) for c in models.values()]
    for there, targets in _same_runs(present):
        for m, columns in enumerate(models.values()):
            parts = [_part(runs[i], columns, targets, mode) for i in there]
            fit_runs = cache(combine(parts, _solver(fit, grid)))
            for position, run in enumerate(there):
                training = tuple(i for i in range(len(there)) if i != position)
                chosen = _choose(parts, training, fit_runs, len(grid))
                fitted = _pick(fit_runs(training), chosen)
                score = _score(fitted, parts[position])
                r[m, targets, run] = score.r[0]
                r2[m, targets, run] = _explained(score, fitted, parts[position])[0]
                constant[m, targets, run] = score.constant[0]
                penalty[m, targets, run] = grid[chosen]
                weights[m][targets, run] = fitted.slopes[0]
                cut[m, run] |= fitted.cut

    full = (len(models), *regions_participants, len(runs))
    return Similarity(
        r=r.reshape(full),
        r2=r2.reshape(full),
        weights=tuple(w.reshape(*regions_participants, *w.shape[1:]) for w in weights),
        penalty=penalty.reshape(full),
        constant=constant.reshape(full),
        cut=cut,
    )


def _same_runs(present: Bools) -> list[tuple[Ints, Ints]]:
    """Group targets by the runs they are present in, leaving out those with too few."""
    patterns, group = np.unique(present, axis=1, return_inverse=True)
    groups: list[tuple[Ints, Ints]] = []
    for g, pattern in enumerate(patterns.T):
        if pattern.sum() >= MIN_RUNS:
            groups.append((np.flatnonzero(pattern), np.flatnonzero(group.ravel() == g)))
    return groups


def _part(run: RunProducts, columns: slice, targets: Ints, mode: Mode) -> _Run:
    xx, xy = (
        run.xx[columns, columns],
        run.xy[:, :, columns].reshape(-1, run.xx[columns].shape[0])[targets],
    )
    p, t = len(xx), len(targets)
    if mode == "robust":  # prepared columns of unit variance are all there is
        return _Run(xx, xy, np.zeros(p), np.ones(p), np.zeros(t), np.ones(t))
    return _Run(
        xx,
        xy,
        run.x_mean[columns],
        run.x_sd[columns],
        run.y_mean.ravel()[targets],
        run.y_sd.ravel()[targets],
    )


def _solver(fit: Fit, penalties: Floats) -> _Solve:
    if fit == "ridge":
        return lambda xx, xy: (regression.ridge(xx, xy, penalties.tolist()), False)
    solve = regression.ols if fit == "ols" else regression.nnls

    def alone(xx: Floats, xy: Floats) -> tuple[Floats, bool]:
        weights, cut = solve(xx, xy)
        return weights[None], cut

    return alone


def _averaged(parts: Sequence[_Run], solve: _Solve) -> _FitRuns:
    """Fit each run apart, on raw columns; a set of runs then has the mean of its runs' fits."""
    slopes, intercepts, cuts = [], [], []
    for part in parts:
        standard, cut = solve(part.xx, part.xy)
        inverse = np.divide(1.0, part.x_sd, out=np.zeros_like(part.x_sd), where=part.x_sd > 0)
        raw = standard * part.y_sd[:, None] * inverse
        slopes.append(raw)
        intercepts.append(part.y_mean - raw @ part.x_mean)
        cuts.append(cut)
    all_slopes, all_intercepts = np.array(slopes), np.array(intercepts)

    def fit_runs(training: tuple[int, ...]) -> _Weights:
        chosen = list(training)
        return _Weights(
            all_slopes[chosen].mean(axis=0),
            all_intercepts[chosen].mean(axis=0),
            any(cuts[i] for i in chosen),
        )

    return fit_runs


def _pooled(parts: Sequence[_Run], solve: _Solve) -> _FitRuns:
    """Fit a set of runs at once, on the sum of their correlations."""

    def fit_runs(training: tuple[int, ...]) -> _Weights:
        xx = np.sum([parts[i].xx for i in training], axis=0)
        xy = np.sum([parts[i].xy for i in training], axis=0)
        slopes, cut = solve(xx, xy)
        return _Weights(slopes, np.zeros(slopes.shape[:2]), cut)

    return fit_runs


def _choose(
    parts: Sequence[_Run], training: tuple[int, ...], fit_runs: _FitRuns, n_penalties: int
) -> Ints:
    """Position of each target's penalty: highest mean r over inner runs, ties to the larger."""
    if n_penalties == 1:
        return np.zeros(len(parts[0].xy), dtype=np.intp)
    scores = np.mean(
        [_score(fit_runs(tuple(t for t in training if t != i)), parts[i]).r for i in training],
        axis=0,
    )
    best = scores >= scores.max(axis=0) - _TIE
    chosen: Ints = n_penalties - 1 - best[::-1].argmax(axis=0)
    return chosen


def _pick(fitted: _Weights, chosen: Ints) -> _Weights:
    targets = np.arange(len(chosen))
    return _Weights(
        fitted.slopes[chosen, targets][None], fitted.intercepts[chosen, targets][None], fitted.cut
    )


def _score(fitted: _Weights, run: _Run) -> _Score:
    """Pearson's r of the prediction and the target in a run, from its products."""
    slopes = fitted.slopes * run.x_sd
    variance = np.einsum("ktp,ktp->kt", slopes @ run.xx, slopes)
    constant = variance <= _FLAT * np.einsum("ktp,ktp->kt", slopes, slopes)
    variance[constant] = 0.0
    covariance = np.einsum("ktp,tp->kt", slopes, run.xy)
    covariance[constant] = 0.0
    r = covariance / np.sqrt(np.where(constant, 1.0, variance))
    return _Score(np.clip(r, -1.0, 1.0), covariance, variance, constant)


def _explained(score: _Score, fitted: _Weights, run: _Run) -> Floats:
    """R² of the scored prediction, its offset from the target's mean counted as residual."""
    offset = fitted.intercepts + fitted.slopes @ run.x_mean - run.y_mean
    total = run.y_sd**2
    residual = score.variance - 2 * score.covariance * run.y_sd + total + offset**2
    r2: Floats = 1 - residual / total
    return r2
