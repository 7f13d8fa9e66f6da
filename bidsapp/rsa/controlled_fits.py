"""Fits of a control with its further columns, and of targets to what it leaves, from products.

The control is regressed out of each run by itself, the one left out too: how large its columns are
beside each other differs between runs, and with weights of other runs a slow control would leave a
part of itself. That tells nothing of the target, whose weights are those of the other runs, by one
ordinary least squares, each run counting alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bidsapp.arrays import Bools, Floats, Ints
from bidsapp.rsa.controlled_run import N_CONTROL
from bidsapp.rsa.folds import FLAT
from bidsapp.rsa.regression import ols
from bidsapp.rsa.unique import NOTHING_LEFT

_SPANNED = 1e-6  # variance that a control leaves of a layer, relative to it, that is rounding


@dataclass(frozen=True)
class Control:
    """One model as the control, and all others as targets.

    Attributes
    ----------
    position
        Of the model.
    own
        Its columns.
    targets
        Positions of the other models.
    others
        Columns of each of them.
    """

    position: int
    own: Ints
    targets: tuple[int, ...]
    others: tuple[Ints, ...]

    @classmethod
    def of(cls, position: int, models: Sequence[slice], p: int) -> "Control":
        """Take one of some models, whose layers are slices of p, as the control."""
        layers = [np.arange(p)[columns] for columns in models]
        targets = tuple(m for m in range(len(models)) if m != position)
        own = np.concatenate([layers[position] + p * (1 + kind) for kind in range(N_CONTROL)])
        return cls(position, own, targets, tuple(layers[m] for m in targets))

    @property
    def all(self) -> Ints:
        """Columns that the fits need: its own, then those of each target."""
        return np.concatenate([self.own, *self.others])

    def within(self) -> tuple[slice, list[slice]]:
        """Say where among ``all`` its own columns stand, and those of each target."""
        ends = np.cumsum([len(self.own), *map(len, self.others)])
        own, *others = (
            slice(int(start), int(end)) for start, end in zip([0, *ends[:-1]], ends, strict=True)
        )
        return own, others


@dataclass(frozen=True)
class Beyond:
    """Scores of targets beyond one control: each (targets, n, T), n runs left out."""

    r: Floats
    constant: Bools
    exhausted: Bools
    cut: Bools  # (targets, n)


def beyond(xx: Floats, xy: Floats, control: Control) -> Beyond:
    """Regress the control out of each run, fit each target on all runs but one, score in that one.

    Parameters
    ----------
    xx
        Shape (n, columns, columns).
    xy
        Shape (n, T, columns), of regions of unit variance.
    control
        The control and its targets.
    """
    own, others = control.within()
    gamma, cut_own = ols(xx[:, own, own], xy[..., own])
    explained = np.einsum("nto,nto->nt", gamma, xy[..., own])
    exhausted = 1 - explained <= NOTHING_LEFT
    spread = np.sqrt(np.where(exhausted, 1.0, 1 - explained))
    r, constant, cut = [], [], []
    for target in others:
        inside = xx[:, target, target]
        rest = xy[..., target] - gamma @ xx[:, own, target]
        rest *= ~_spanned(xx, own, target)[:, None]
        delta, cut_target = ols(_sum_of_others(inside), _sum_of_others(rest))
        variance = np.einsum("ntp,ntp->nt", delta @ inside, delta)
        flat = variance <= FLAT * np.einsum("ntp,ntp->nt", delta, delta)
        if inside.shape[-1] == 1:  # nothing to fit: see `bidsapp.rsa.folds.score`
            delta, variance = np.ones_like(delta), np.where(flat, 0.0, 1.0)
        covariance = np.einsum("ntp,ntp->nt", delta, rest)
        score = covariance / (np.sqrt(np.where(flat, 1.0, variance)) * spread)
        r.append(np.clip(np.where(flat | exhausted, 0.0, score), -1.0, 1.0))
        constant.append(flat & ~exhausted)
        cut.append(cut_own | cut_target)
    everywhere = np.broadcast_to(exhausted, (len(others), *exhausted.shape))
    return Beyond(np.array(r), np.array(constant), everywhere, np.array(cut))


def _spanned(xx: Floats, own: slice, target: slice) -> Bools:
    """Tell which layers of a target its control explains wholly in each run, (n, p).

    Their products with what the control leaves are zero but for rounding.
    """
    across = xx[:, target, own]
    weights, _ = ols(xx[:, own, own], across)
    explained = np.einsum("npo,npo->np", weights, across)
    whole = np.diagonal(xx[:, target, target], axis1=1, axis2=2)
    spanned: Bools = whole - explained <= _SPANNED * whole
    return spanned


def delta_r2(xx: Floats, xy: Floats, control: Control) -> tuple[Floats, Bools]:
    """R² of control and target together less R² of the control, (targets, n, T); what was cut."""
    own, others = control.within()
    alone, _ = _r2(xx, xy, np.arange(own.stop))
    gains, cut = [], []
    for target in others:
        both = np.concatenate([np.arange(own.stop), np.arange(target.start, target.stop)])
        together, cut_both = _r2(xx, xy, both)
        gains.append(together - alone)
        cut.append(cut_both)
    return np.array(gains), np.array(cut)


def _r2(xx: Floats, xy: Floats, columns: Ints) -> tuple[Floats, Bools]:
    """R² of one fit in each run left out, (n, T)."""
    xx, xy = xx[:, columns[:, None], columns], xy[..., columns]
    weights, cut = ols(_sum_of_others(xx), _sum_of_others(xy))
    return np.einsum("ntp,ntp->nt", weights, 2 * xy - weights @ xx), cut


def _sum_of_others(terms: Floats) -> Floats:
    """Add up all runs but each, (n, ...)."""
    others: Floats = terms.sum(axis=0) - terms
    return others
