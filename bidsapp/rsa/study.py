"""The one pass over all RDMs of a study: a run at a time in, small products out.

A volume may be undefined in a participant's RDMs (censored, or beyond the end of a scan cut short).
It is left out of all columns of that participant's fits, and of no one else's: participants who
define the same volumes in every run share their products, as a cohort.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, Self, TypeVar

import numpy as np

from bidsapp.arrays import Bools, Floats, Ints
from bidsapp.rsa.gram import RunProducts, defined_volumes, mode_products
from bidsapp.rsa.lag_regressors import LagRegressors
from bidsapp.rsa.modes import mode_pairs
from bidsapp.rsa.pairs import lag_in_volumes


@dataclass(frozen=True)
class RunRDMs:
    """All condensed RDMs of one run; p layers, R regions, S participants.

    Attributes
    ----------
    run
        The run's name.
    models
        Shape (p, n_pairs).
    targets
        Shape (R, S, n_pairs); NaN where a participant lacks the region or the run.
    repetition_time
        Seconds.
    trim_end
        Volumes whose film the next run shows again; left out of the robust mode.
    """

    run: str
    models: Floats
    targets: Floats
    repetition_time: float
    trim_end: int = 0

    def of(self, participants: Ints) -> "RunRDMs":
        """Give the RDMs of some participants, by position."""
        return replace(self, targets=self.targets[:, participants])


@dataclass(frozen=True)
class LagProducts:
    """Centred products of every run, of pairs at least ``min_lag_s`` seconds apart."""

    min_lag_s: float
    runs: tuple[RunProducts, ...]


@dataclass(frozen=True)
class Products:
    """Products of every run, for both modes and for each least lag of the lag curve."""

    replicate: tuple[RunProducts, ...]
    robust: tuple[RunProducts, ...]
    lags: tuple[LagProducts, ...]


@dataclass(frozen=True)
class Cohort(Products):
    """Products of participants (by position, ascending) who define the same volumes."""

    participants: Ints


@dataclass(frozen=True)
class StudyProducts(Products):
    """Products of all participants on the volumes that all of them define, and of each cohort.

    Ceilings compare participants with each other and rest on the former; fits of models rest on
    the latter. Each participant is in one cohort; where there is only one, it is everybody.
    """

    cohorts: tuple[Cohort, ...]

    @property
    def n_participants(self) -> int:
        """How many participants there are."""
        return sum(len(cohort.participants) for cohort in self.cohorts)


class RunPart(Protocol):
    """Something of one run and of participants (by position, ascending) alike in it."""

    @property
    def participants(self) -> Ints:
        """Their positions."""

    def of(self, participants: Ints) -> Self:
        """Give the part of some of them, by position in the study."""


_Part = TypeVar("_Part", bound=RunPart)


@dataclass(frozen=True)
class _Lags:
    """In seconds: the robust mode's least, those of the lag curve, and the regressors' decays."""

    least: float
    curve: tuple[float, ...]
    regressors: tuple[float, ...]


@dataclass(frozen=True)
class _RunPart:
    """One run of participants who define the same volumes in it."""

    participants: Ints
    replicate: RunProducts
    lags: tuple[RunProducts, ...]
    robust: RunProducts

    def of(self, participants: Ints) -> "_RunPart":
        inside = np.searchsorted(self.participants, participants)
        return _RunPart(
            participants,
            self.replicate.of(inside),
            tuple(products.of(inside) for products in self.lags),
            self.robust.of(inside),
        )


def study_products(
    runs: Iterable[RunRDMs],
    min_lag_s: float,
    lag_curve_s: Sequence[float] = (),
    lag_regressors_s: Sequence[float] = (),
) -> StudyProducts:
    """Reduce a study to its products, holding one run's RDMs at a time.

    Parameters
    ----------
    runs
        The runs, in order; a generator keeps memory at one run.
    min_lag_s
        Least lag of the robust mode's pairs, around the run's ends too, in seconds.
    lag_curve_s
        Least lags, in seconds, at which the replicate mode is repeated.
    lag_regressors_s
        Time constants, in seconds, of curves over the lag that are regressed out of every RDM of
        the replicate mode and the lag curve; none for none (see `bidsapp.rsa.lag_regressors`).
    """
    lags_s = _Lags(min_lag_s, tuple(lag_curve_s), tuple(lag_regressors_s))
    everyone: list[_RunPart] = []
    parts: list[list[_RunPart]] = []
    for run in runs:
        defined = defined_volumes(run.models, run.targets)
        groups = same_volumes(defined, run.targets)
        together = np.arange(len(defined))
        everyone.append(_part(run, together, _in_all(defined), lags_s))
        parts.append(
            everyone[-1:]
            if len(groups) == 1
            else [_part(run.of(group), group, _in_all(defined[group]), lags_s) for group in groups]
        )
    joined = _joined(everyone, lag_curve_s)
    cohorts = tuple(
        Cohort(**vars(_joined(own, lag_curve_s)), participants=own[0].participants)
        for own in cohorts_of(parts)
    )
    return StudyProducts(**vars(joined), cohorts=cohorts)


def same_volumes(defined: Bools, targets: Floats) -> list[Ints]:
    """Group participants by the volumes that they define in a run.

    Who lacks the run has no say about volumes, and joins the largest group.

    Parameters
    ----------
    defined
        Shape (S, n_volumes), of `bidsapp.rsa.gram.defined_volumes`.
    targets
        Shape (R, S, n_pairs); NaN where a participant lacks the region or the run.

    Returns
    -------
    list of Ints
        Positions of each group's participants.
    """
    here = np.isfinite(targets).any(axis=(0, 2))
    if not here.any():
        return [np.arange(len(defined))]
    _, group, counts = np.unique(defined[here], axis=0, return_inverse=True, return_counts=True)
    label = np.full(len(defined), counts.argmax())
    label[here] = group.ravel()
    return [np.flatnonzero(label == i) for i in range(len(counts))]


def _in_all(defined: Bools) -> Bools:
    common: Bools = np.logical_and.reduce(defined, axis=0)
    return common


def _part(run: RunRDMs, participants: Ints, defined: Bools, lags_s: _Lags) -> _RunPart:
    tr = run.repetition_time
    lags = [lag_in_volumes(lag, tr) for lag in (0.0, *lags_s.curve)]
    nuisance = LagRegressors(tr, lags_s.regressors) if lags_s.regressors else None
    every = mode_pairs(run, "replicate", lags_s.least, defined)
    far = mode_pairs(run, "robust", lags_s.least, defined)
    (plain, *at_lags), robust = mode_products(
        run.models, run.targets, every, far, lags, run.run, nuisance
    )
    return _RunPart(participants, plain, tuple(at_lags), robust)


def cohorts_of(parts: Sequence[Sequence[_Part]]) -> Iterator[list[_Part]]:
    """Give every run's part of each set of participants who are together in all runs.

    Parameters
    ----------
    parts
        For each run its parts; together they hold every participant once.
    """
    n = sum(len(part.participants) for part in parts[0]) if parts else 0
    labels = np.zeros((n, len(parts)), dtype=np.int64)
    for run, its_parts in enumerate(parts):
        for i, part in enumerate(its_parts):
            labels[part.participants, run] = i
    for pattern in np.unique(labels, axis=0):
        members = np.flatnonzero((labels == pattern).all(axis=1))
        yield [parts[run][i].of(members) for run, i in enumerate(pattern)]


def _joined(parts: Sequence[_RunPart], lag_curve_s: Sequence[float]) -> Products:
    return Products(
        replicate=tuple(part.replicate for part in parts),
        robust=tuple(part.robust for part in parts),
        lags=tuple(
            LagProducts(lag, tuple(part.lags[i] for part in parts))
            for i, lag in enumerate(lag_curve_s if parts else ())
        ),
    )
