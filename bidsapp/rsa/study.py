"""The one pass over all RDMs of a study: a run at a time in, small products out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bidsapp.arrays import Bools, Floats
from bidsapp.rsa.gram import RunProducts, defined_volumes, lag_products, run_products
from bidsapp.rsa.pairs import all_pairs, lag_in_volumes, lagged_pairs


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


@dataclass(frozen=True)
class LagProducts:
    """Centred products of every run, of pairs at least ``min_lag_s`` seconds apart."""

    min_lag_s: float
    runs: tuple[RunProducts, ...]


@dataclass(frozen=True)
class StudyProducts:
    """Products of every run, for both modes and for each least lag of the lag curve."""

    replicate: tuple[RunProducts, ...]
    robust: tuple[RunProducts, ...]
    lags: tuple[LagProducts, ...]


def study_products(
    runs: Iterable[RunRDMs], min_lag_s: float, lag_curve_s: Sequence[float] = ()
) -> StudyProducts:
    """Reduce a study to its products, holding one run's RDMs at a time.

    Parameters
    ----------
    runs
        The runs, in order; a generator keeps memory at one run.
    min_lag_s
        Least circular lag of the robust mode's pairs, in seconds.
    lag_curve_s
        Least lags, in seconds, at which the replicate mode is repeated.
    """
    replicate: list[RunProducts] = []
    robust: list[RunProducts] = []
    curve: list[tuple[RunProducts, ...]] = []
    for run in runs:
        defined = defined_volumes(run.models, run.targets)
        plain, *at_lags = _replicate(run, defined, lag_curve_s)
        replicate.append(plain)
        curve.append(tuple(at_lags))
        robust.append(_robust(run, defined, min_lag_s))
    by_lag = zip(lag_curve_s, zip(*curve, strict=True), strict=True) if curve else ()
    lags = tuple(LagProducts(lag, products) for lag, products in by_lag)
    return StudyProducts(tuple(replicate), tuple(robust), lags)


def _replicate(
    run: RunRDMs, defined: Bools, lag_curve_s: Sequence[float]
) -> tuple[RunProducts, ...]:
    lags = [lag_in_volumes(lag, run.repetition_time) for lag in (0.0, *lag_curve_s)]
    return lag_products(run.models, run.targets, all_pairs(len(defined), defined), lags, run.run)


def _robust(run: RunRDMs, defined: Bools, min_lag_s: float) -> RunProducts:
    min_lag = lag_in_volumes(min_lag_s, run.repetition_time)
    pairs = lagged_pairs(len(defined), min_lag, run.trim_end, defined)
    return run_products(run.models, run.targets, pairs, "lag-centred", run.run)
