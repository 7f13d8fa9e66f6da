"""The one pass over all RDMs of a study: a run at a time in, small products out.

A volume may be undefined in a participant's RDMs (censored, or beyond the end of a scan cut short).
It is left out of all columns of that participant's fits, and of no one else's: participants who
define the same volumes in every run share their products, as a cohort. The robust mode has brain
RDMs of its own, since its nuisance regression is fitted on the volumes that it uses.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, Self, TypeVar

import numpy as np

from bidsapp.analysis.part import Mode
from bidsapp.arrays import Bools, Floats, Ints
from bidsapp.rsa.gram import RunProducts, defined_volumes, lag_products, run_products
from bidsapp.rsa.lag_regressors import LagRegressors
from bidsapp.rsa.modes import PREPARATION, mode_pairs
from bidsapp.rsa.pairs import lag_in_volumes
from bidsapp.rsa.volumes import FilmVolumes


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
    film
        Film coverage of the volumes, for the robust mode; None: all are covered.
    robust_targets
        Shape (R, S, n_pairs): the targets of the robust mode, NaN at volumes that it leaves out;
        None: those of replicate.
    """

    run: str
    models: Floats
    targets: Floats
    repetition_time: float
    film: FilmVolumes | None = None
    robust_targets: Floats | None = None

    def targets_of(self, mode: Mode) -> Floats:
        """Give the brain RDMs of a mode, (R, S, n_pairs)."""
        if mode == "robust" and self.robust_targets is not None:
            return self.robust_targets
        return self.targets

    def of(self, participants: Ints) -> "RunRDMs":
        """Give the RDMs of some participants, by position, ascending."""
        if len(participants) == self.targets.shape[1]:
            return self  # a copy would take as long as the products
        robust = self.robust_targets
        return replace(
            self,
            targets=self.targets[:, participants],
            robust_targets=None if robust is None else robust[:, participants],
        )

    def defined(self) -> dict[Mode, Bools]:
        """Tell which volumes each mode's RDMs of a participant, and all layers, define.

        Returns
        -------
        dict
            Mode to (S, n_volumes).
        """
        by_targets = defined_volumes(self.models, self.targets)
        if self.robust_targets is None:
            return {"replicate": by_targets, "robust": by_targets}
        in_robust = defined_volumes(self.models, self.robust_targets)
        # Who has the run, but too few volumes for robust's regressors, has none in robust.
        in_robust &= _has_any(self.robust_targets)[:, None] | ~_has_any(self.targets)[:, None]
        return {"replicate": by_targets, "robust": in_robust}


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
        defined = run.defined()
        groups = same_volumes(run, defined)
        together = np.arange(run.targets.shape[1])
        everyone.append(_part(run, together, defined, lags_s))
        parts.append(
            everyone[-1:]
            if len(groups) == 1
            else [_part(run, group, defined, lags_s) for group in groups]
        )
    joined = _joined(everyone, lag_curve_s)
    cohorts = tuple(
        Cohort(**vars(_joined(own, lag_curve_s)), participants=own[0].participants)
        for own in cohorts_of(parts)
    )
    return StudyProducts(**vars(joined), cohorts=cohorts)


def same_volumes(run: RunRDMs, defined: Mapping[Mode, Bools]) -> list[Ints]:
    """Group participants by the volumes that they define in a run.

    Who lacks the run has no say about volumes, and joins the largest group.

    Parameters
    ----------
    run
        The run.
    defined
        Of `RunRDMs.defined`.

    Returns
    -------
    list of Ints
        Positions of each group's participants.
    """
    here = _has_any(run.targets)
    everyone = np.arange(len(here))
    if not here.any():
        return [everyone]
    patterns = np.hstack(list(defined.values()))
    _, group, counts = np.unique(patterns[here], axis=0, return_inverse=True, return_counts=True)
    label = np.full(len(everyone), counts.argmax())
    label[here] = group.ravel()
    return [np.flatnonzero(label == i) for i in range(len(counts))]


def _has_any(targets: Floats) -> Bools:
    """Tell which participants have any RDM, shape (S,)."""
    there: Bools = np.logical_or.reduce(np.isfinite(targets), axis=(0, 2))
    return there


def defined_by_all(defined: Bools, participants: Ints) -> Bools:
    """Tell which volumes, (n_volumes,), all of some participants define.

    Who defines none, having too few for robust's regressors, has no say if others do.
    """
    own = defined[participants]
    some = own.any(axis=1)
    common: Bools = np.logical_and.reduce(own[some] if some.any() else own, axis=0)
    return common


def _part(
    run: RunRDMs, participants: Ints, defined: Mapping[Mode, Bools], lags_s: _Lags
) -> _RunPart:
    own, tr = run.of(participants), run.repetition_time
    every, far = (
        mode_pairs(run, mode, lags_s.least, defined_by_all(defined[mode], participants))
        for mode in ("replicate", "robust")
    )
    lags = [lag_in_volumes(lag, tr) for lag in (0.0, *lags_s.curve)]
    nuisance = LagRegressors(tr, lags_s.regressors) if lags_s.regressors else None
    plain, *at_lags = lag_products(run.models, own.targets, every, lags, run.run, nuisance)
    robust = run_products(run.models, own.targets_of("robust"), far, PREPARATION["robust"], run.run)
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
