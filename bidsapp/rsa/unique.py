"""What a model explains of a region's RDM beyond another model, and its part in all of them.

For each ordered pair of models, the control is fitted first, as in `bidsapp.rsa.similarity`. Its
prediction is taken off the region's RDM in every run, the one left out too, and the target is
fitted to the rest in the same way. All follows from products: a residual's products with the layers
are the region's less the control's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, permutations

import numpy as np

from bidsapp.analysis.part import Fit, Mode
from bidsapp.arrays import Bools, Floats, Ints
from bidsapp.rsa.folds import Columns, Data, fit_folds, gather, score
from bidsapp.rsa.gram import RunProducts
from bidsapp.rsa.similarity import Similarity, penalty_grid, same_runs, similarity

NOTHING_LEFT = 1e-6
"""Variance of a residual, relative to the region's, under which it is rounding."""
_AT_ONCE = 512  # regions x participants worked on together


@dataclass(frozen=True)
class Unique:
    """What targets explain beyond controls, each run left out once.

    The pairs are in the order of `pairs_of`; S is the axis along which participants can be joined.

    Attributes
    ----------
    r
        Shape (pairs, R, S, n_runs): Pearson's r of the target's prediction with what the control
        leaves of the RDM, in the run left out; NaN as in `Similarity.r`.
    delta_r2
        Same shape: R² of both models' layers, fitted jointly, less R² of the control's.
    constant
        Same shape: the target predicts nothing of the rest (its prediction is constant, as that of
        a model that is a copy of the control), and r is 0 for that reason.
    exhausted
        Same shape: the control leaves nothing (see `NOTHING_LEFT`), and r is 0 for that reason.
    cut
        Shape (pairs, n_runs): layers of control, target or both are so collinear that eigenvalues
        were cut, or left to ridge's penalty.
    """

    r: Floats
    delta_r2: Floats
    constant: Bools
    exhausted: Bools
    cut: Bools


def pairs_of(n_models: int) -> list[tuple[int, int]]:
    """Give all ordered pairs (control, target) of models, by position."""
    return list(permutations(range(n_models), 2))


def unique(
    runs: Sequence[RunProducts],
    models: Mapping[str, Columns],
    mode: Mode,
    fit: Fit,
    alone: Similarity,
    penalties: Sequence[float] = (),
) -> Unique:
    """Fit every model to what every other model leaves of each region's RDM.

    Parameters
    ----------
    runs, models, mode, fit, penalties
        As in `bidsapp.rsa.similarity.similarity`.
    alone
        What that gives for the same: the controls' fits.
    """
    pairs = pairs_of(len(models))
    shape = (len(pairs), *alone.r.shape[1:])
    if not pairs:
        none = np.zeros(shape, dtype=np.bool_)
        return Unique(np.empty(shape), np.empty(shape), none, none, none[:, 0, 0])
    columns, grid = list(models.values()), penalty_grid(fit, penalties)
    present = np.array([run.present.ravel() for run in runs])
    flat = (len(pairs), present.shape[1], len(runs))
    r = np.full(flat, np.nan)
    constant, exhausted = np.zeros(flat, dtype=np.bool_), np.zeros(flat, dtype=np.bool_)
    cut = _cut_of_either(alone, pairs)
    weights = [w.reshape(-1, *w.shape[2:]) for w in alone.weights]
    for there, everyone in same_runs(present):
        for start in range(0, len(everyone), _AT_ONCE):
            targets = everyone[start : start + _AT_ONCE]
            residuals = _Residuals([runs[i] for i in there], targets, columns, mode)
            residuals.take_off([w[targets][:, there].swapaxes(0, 1) for w in weights])
            for target in range(len(columns)):
                controls = [c for c in range(len(columns)) if c != target]
                data = residuals.data(target, controls)
                fits = fit_folds(data, mode, fit, grid)
                scored = score(data, fits, mode)
                for k, control in enumerate(controls):
                    pair = pairs.index((control, target))
                    own = slice(k * len(targets), (k + 1) * len(targets))
                    at = np.ix_(np.array([pair]), targets, there)
                    r[at] = scored.r[:, own].T
                    exhausted[at] = residuals.exhausted(control).T
                    constant[at] = scored.constant[:, own].T & ~exhausted[at]
    both = similarity(runs, _joint(columns), mode, fit, penalties)
    joint = list(combinations(range(len(columns)), 2))
    at_joint = [joint.index((min(pair), max(pair))) for pair in pairs]
    return Unique(
        r=r.reshape(shape),
        delta_r2=both.r2[at_joint] - alone.r2[[control for control, _ in pairs]],
        constant=constant.reshape(shape),
        exhausted=exhausted.reshape(shape),
        cut=cut | both.cut[at_joint],
    )


def split(
    runs: Sequence[RunProducts], models: Mapping[str, Columns], mode: Mode
) -> tuple[Floats, Bools]:
    """Share the R² of all models' layers, fitted jointly by least squares, among the models.

    A model's part is the mean of its part of the prediction times (2 measured - predicted), over
    the variance of what was measured; the parts sum to R². All columns are centred in the run left
    out: an offset of the prediction belongs to no model and is not counted.

    Parameters
    ----------
    runs, models, mode
        As in `bidsapp.rsa.similarity.similarity`; together the models have each column once.

    Returns
    -------
    parts : Floats
        Shape (M, R, S, n_runs); NaN as in `Similarity.r`.
    cut : Bools
        Shape (n_runs,): eigenvalues were cut.

    References
    ----------
    The product measure, Hoffman (1960), Psychological Bulletin 57:116; as in
    ``himalaya.scoring.r2_score_split``.
    """
    columns = list(models.values())
    joint = similarity(runs, {"all": _columns(columns)}, mode, "ols")
    parts = np.full((len(columns), *joint.r.shape[1:]), np.nan)
    ends = np.cumsum([0, *(len(_columns([own])) for own in columns)])
    for i, run in enumerate(runs):
        order = _columns(columns)
        xx, xy = run.xx[np.ix_(order, order)], run.xy[:, :, order]
        slopes = joint.weights[0][:, :, i]
        if mode == "replicate":
            with np.errstate(invalid="ignore"):
                slopes = slopes * run.x_sd[order] / run.y_sd[:, :, None]
        terms = slopes * (2 * xy - slopes @ xx)
        for m in range(len(columns)):
            parts[m, :, :, i] = terms[:, :, ends[m] : ends[m + 1]].sum(axis=-1)
    return parts, joint.cut[0]


def joined(parts: Sequence[tuple[Ints, Unique]]) -> Unique:
    """Put what was found for several sets of participants together.

    Parameters
    ----------
    parts
        Positions of participants, and what was found, of the same pairs, regions and runs.

    Returns
    -------
    Unique
        Of all participants; layers count as cut where they are in any part.
    """
    order = np.argsort(np.concatenate([participants for participants, _ in parts]))
    found = [its for _, its in parts]
    return Unique(
        r=np.concatenate([its.r for its in found], 2).take(order, 2),
        delta_r2=np.concatenate([its.delta_r2 for its in found], 2).take(order, 2),
        constant=np.concatenate([its.constant for its in found], 2).take(order, 2),
        exhausted=np.concatenate([its.exhausted for its in found], 2).take(order, 2),
        cut=np.logical_or.reduce([its.cut for its in found]),
    )


class _Residuals:
    """What each of M controls leaves of T targets in n runs, for each run left out."""

    def __init__(
        self,
        runs: Sequence[RunProducts],
        targets: Ints,
        columns: Sequence[Columns],
        mode: Mode,
    ) -> None:
        self._all = gather(runs, _columns(columns), targets, mode)
        ends = np.cumsum([0, *(len(_columns([own])) for own in columns)])
        self._own = [slice(ends[m], ends[m + 1]) for m in range(len(columns))]
        n, t = self._all.xy.shape[1:3]
        self._slopes: list[Floats] = []
        self._spread = np.empty((len(columns), n, n, t))

    def take_off(self, weights: Sequence[Floats]) -> None:
        """Keep the controls' slopes on standard layers, and the SD of what they leave.

        Parameters
        ----------
        weights
            One a control, (n left out, T, p): its raw slopes.
        """
        every = self._all
        scale = np.divide(1.0, every.y_sd, out=np.zeros_like(every.y_sd), where=every.y_sd > 0)
        for m, (own, raw) in enumerate(zip(self._own, weights, strict=True)):
            standard = raw[:, None] * every.x_sd[:, None, own] * scale[:, :, None]
            xx, xy = every.xx[:, own, own], every.xy[0][..., own]
            explained = np.einsum("fitp,fitp->fit", standard, 2 * xy - standard @ xx)
            left = 1 - explained
            self._spread[m] = np.sqrt(np.where(left > NOTHING_LEFT, left, 0.0))
            self._slopes.append(standard)

    def data(self, target: int, controls: Sequence[int]) -> Data:
        """Give one model's layers, and the residuals: those of the controls x T targets."""
        every, own = self._all, self._own[target]
        n, t, p = every.xy[0][..., own].shape
        xy = np.empty((n, n, len(controls), t, p))
        for k, c in enumerate(controls):
            np.matmul(self._slopes[c], every.xx[:, self._own[c], own], out=xy[:, :, k])
        np.subtract(every.xy[:, :, None, :, own], xy, out=xy)
        spread = self._spread[controls].swapaxes(0, 1).swapaxes(1, 2)
        if not spread.all():
            xy[spread == 0] = 0.0
        return replace(
            every,
            xx=every.xx[:, own, own],
            xy=xy.reshape(n, n, -1, p),
            spread=spread.reshape(n, n, -1),
            x_mean=every.x_mean[:, own],
            x_sd=every.x_sd[:, own],
            y_mean=np.tile(every.y_mean, len(controls)),
            y_sd=np.tile(every.y_sd, len(controls)),
        )

    def exhausted(self, control: int) -> Bools:
        """Tell in which runs left out the control leaves nothing, (n, T)."""
        n = self._spread.shape[1]
        nothing: Bools = self._spread[control, np.arange(n), np.arange(n)] == 0
        return nothing


def _columns(columns: Sequence[Columns]) -> Ints:
    """Give the positions of several models' columns, one model after the other."""
    return np.concatenate(
        [np.arange(c.start, c.stop) if isinstance(c, slice) else c for c in columns]
    )


def _joint(columns: Sequence[Columns]) -> dict[str, Columns]:
    """Join the layers of each two models."""
    return {
        f"{a} {b}": _columns([columns[a], columns[b]])
        for a, b in combinations(range(len(columns)), 2)
    }


def _cut_of_either(alone: Similarity, pairs: Sequence[tuple[int, int]]) -> Bools:
    cut: Bools = np.array([alone.cut[control] | alone.cut[target] for control, target in pairs])
    return cut
