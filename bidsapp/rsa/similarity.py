"""How well a model predicts a region's RDM in a run that took no part in the fit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bidsapp.analysis.part import Fit, Mode
from bidsapp.arrays import Bools, Floats, Ints
from bidsapp.rsa.folds import Columns, fit_folds, gather, score
from bidsapp.rsa.gram import RunProducts

__all__ = [
    "MIN_RUNS",
    "Columns",
    "Fit",
    "Mode",
    "Similarity",
    "joined",
    "penalty_grid",
    "same_runs",
    "similarity",
]

MIN_RUNS = 3
"""Runs that a target needs: one left out, and two between which a penalty can be chosen."""


@dataclass(frozen=True)
class Similarity:
    """Scores of M models in R regions of S participants, each run left out once.

    Attributes
    ----------
    r
        Shape (M, R, S, n_runs): Pearson's r of prediction and RDM (robust: of a model's only layer
        itself and RDM); NaN where the target is absent from the run or present in fewer than
        `MIN_RUNS` runs.
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
        Shape (M, R, S, n_runs): the prediction (or the only layer) has no variance, and r is 0 for
        that reason.
    cut
        Shape (M, n_runs): the layers are so collinear that eigenvalues were cut, or left to
        ridge's penalty.
    """

    r: Floats
    r2: Floats
    weights: tuple[Floats, ...]
    penalty: Floats
    constant: Bools
    cut: Bools


def similarity(
    runs: Sequence[RunProducts],
    models: Mapping[str, Columns],
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
        See `bidsapp.rsa.folds` and `bidsapp.rsa.regression`.
    penalties
        Of ridge. For each target, model and run left out, that one is taken whose mean R² over
        inner left-out runs is highest; of equal ones the smallest.

    Raises
    ------
    ValueError
        Ridge without penalties.
    """
    grid = penalty_grid(fit, penalties)
    present = np.array([run.present.ravel() for run in runs])
    regions_participants = runs[0].present.shape
    shape = (len(models), present.shape[1], len(runs))
    r, r2, penalty = (np.full(shape, np.nan) for _ in range(3))
    constant = np.zeros(shape, dtype=np.bool_)
    cut = np.zeros((len(models), len(runs)), dtype=np.bool_)
    weights = [np.full((*shape[1:], runs[0].xx[c].shape[0]), np.nan) for c in models.values()]
    for there, targets in same_runs(present):
        here = np.ix_(targets, there)
        for m, columns in enumerate(models.values()):
            data = gather([runs[i] for i in there], columns, targets, mode)
            fits = fit_folds(data, mode, fit, grid)
            scored = score(data, fits, mode)
            r[m][here], r2[m][here] = scored.r.T, scored.r2.T
            constant[m][here], penalty[m][here] = scored.constant.T, fits.penalty.T
            weights[m][here] = fits.slopes.swapaxes(0, 1)
            cut[m, there] |= fits.cut
    full = (len(models), *regions_participants, len(runs))
    return Similarity(
        r=r.reshape(full),
        r2=r2.reshape(full),
        weights=tuple(w.reshape(*regions_participants, *w.shape[1:]) for w in weights),
        penalty=penalty.reshape(full),
        constant=constant.reshape(full),
        cut=cut,
    )


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


def penalty_grid(fit: Fit, penalties: Sequence[float]) -> Floats:
    """Sort the penalties that a fit chooses from, shape (K,); none but for ridge.

    Raises
    ------
    ValueError
        Ridge without penalties.
    """
    if fit != "ridge":
        return np.empty(0)
    if not penalties:
        raise ValueError("ridge needs penalties")
    return np.sort(np.asarray(penalties, dtype=np.float64))


def same_runs(present: Bools) -> list[tuple[Ints, Ints]]:
    """Group targets by the runs they are present in, leaving out those with too few.

    Parameters
    ----------
    present
        Shape (n_runs, T).

    Returns
    -------
    list of tuple
        Positions of the runs, and of the targets that are there in these and no others.
    """
    patterns, group = np.unique(present, axis=1, return_inverse=True)
    groups: list[tuple[Ints, Ints]] = []
    for g, pattern in enumerate(patterns.T):
        if pattern.sum() >= MIN_RUNS:
            groups.append((np.flatnonzero(pattern), np.flatnonzero(group.ravel() == g)))
    return groups
