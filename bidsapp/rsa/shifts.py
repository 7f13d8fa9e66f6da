"""Products of brain RDMs with models shifted in time, for every shift at once.

A model shifted by s volumes along the circle of a run has at (i, j) what it had at (i - s, j - s).
Pairs keep their circular lag, so a set of pairs that holds each lag wholly or not at all stays the
same. Columns are prepared before they are shifted, so everything known of the models alone stays
too: only their products with the brain change.
At one lag d the pairs (i, i + d) form a ring, on which a shift of the model is a cross-correlation
of two sequences. Fourier transforms give that for all shifts, and lags add up.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import fft

from bidsapp.analysis.part import Mode
from bidsapp.arrays import Bools, Floats, Ints
from bidsapp.rsa.columns import Preparation, standardise
from bidsapp.rsa.gram import RunProducts, lag_products, run_products
from bidsapp.rsa.lag_regressors import LagRegressors
from bidsapp.rsa.modes import PREPARATION, mode_pairs
from bidsapp.rsa.pairs import PairSet, condensed_index
from bidsapp.rsa.study import RunRDMs, cohorts_of, defined_by_all, same_volumes

_Lags = tuple[float, tuple[float, ...]]  # least lag, and decays of lag regressors; seconds
_BYTES_AT_ONCE = 32e6
_TARGETS_AT_ONCE = 512


@dataclass(frozen=True)
class ShiftedProducts:
    """Products of one run for every circular shift of its models.

    Attributes
    ----------
    unshifted
        The run's products as they are.
    xy
        Shape (m, R, S, p), float32: correlations of regions with layers shifted by 0 ... m - 1 of
        the run's m kept volumes; NaN where the target is absent. No other product changes.
    given
        Shape (R, S): whether there is an RDM, also where no pair of it is used.
    in_run
        Shape (S,): whether a participant has an RDM of any region in this run.
    """

    unshifted: RunProducts
    xy: Floats
    given: Bools
    in_run: Bools

    @property
    def n_volumes(self) -> int:
        """Volumes on the circle."""
        return len(self.xy)

    def of(self, participants: Ints) -> "ShiftedProducts":
        """Give the products of some participants, by position."""
        return ShiftedProducts(
            self.unshifted.of(participants),
            self.xy[:, :, participants],
            self.given[:, participants],
            self.in_run[participants],
        )

    def of_region(self, region: int) -> "ShiftedProducts":
        """Give the products of one region, by position (R = 1)."""
        one = slice(region, region + 1)
        plain = self.unshifted
        own = replace(
            plain,
            xy=plain.xy[one],
            yy=plain.yy[one],
            y_mean=plain.y_mean[one],
            y_sd=plain.y_sd[one],
            present=plain.present[one],
        )
        return ShiftedProducts(own, self.xy[:, one], self.given[one], self.in_run)

    def at(self, shifts: Ints) -> RunProducts:
        """Give products in which each shift of the models makes targets of its own.

        Parameters
        ----------
        shifts
            Shape (K,), volumes; they go round the circle if its owners, lacking the region, have
            a shorter one than was drawn for.

        Returns
        -------
        RunProducts
            With K S participants: all of the first shift, then all of the second, and so on. It has
            no products of participants with each other (``yy`` is empty).
        """
        k, (n_regions, s) = len(shifts), self.unshifted.present.shape
        circle = self.xy if len(self.xy) else np.full((1, *self.xy.shape[1:]), np.nan)
        xy = circle[shifts % len(circle)].transpose(1, 0, 2, 3).reshape(n_regions, k * s, -1)
        return replace(
            self.unshifted,
            xy=xy.astype(np.float64),
            yy=np.empty((n_regions, 0, 0)),
            y_mean=np.tile(self.unshifted.y_mean, k),
            y_sd=np.tile(self.unshifted.y_sd, k),
            present=np.tile(self.unshifted.present, k),
        )


def shifted_products(
    models: Floats,
    targets: Floats,
    pairs: PairSet,
    preparation: Preparation,
    run: str,
    nuisance: LagRegressors | None = None,
    given: Bools | None = None,
) -> ShiftedProducts:
    """Multiply a run's brain RDMs with its models shifted by every number of volumes.

    Parameters
    ----------
    models, targets, pairs, preparation, run
        As in `bidsapp.rsa.gram.run_products`. Undefined volumes are not on the circle: a shift by s
        moves each kept volume's model to the s-th kept volume after it.
    nuisance
        As in `bidsapp.rsa.gram.lag_products`, of centred columns; regressed out before the shift.
    given
        Shape (R, S): who has the region in this run, with or without volumes to compare; None:
        whose RDM holds a number.
    """
    if nuisance is None:
        unshifted = run_products(models, targets, pairs, preparation, run)
    else:
        (unshifted,) = lag_products(models, targets, pairs, (0,), run, nuisance)
    p, shape, m = len(models), targets.shape[:2], len(pairs.kept)
    if given is None:
        given = np.logical_or.reduce(np.isfinite(targets), axis=-1)
    in_run: Bools = np.logical_or.reduce(given, axis=0)
    if pairs.n_pairs:
        xy = _shifted_correlations(models, targets, pairs, preparation, nuisance)
    else:
        xy = np.full((m, *shape, p), np.nan, np.float32)
    xy[:, ~unshifted.present] = np.nan
    return ShiftedProducts(unshifted, xy, given, in_run)


def _shifted_correlations(
    models: Floats,
    targets: Floats,
    pairs: PairSet,
    preparation: Preparation,
    nuisance: LagRegressors | None,
) -> Floats:
    """Correlate targets with models at every shift, (m, R, S, p), some regions at a time."""
    p, (n_regions, s), m = len(models), targets.shape[:2], len(pairs.kept)
    xy = np.empty((m, n_regions, s, p), np.float32)
    at_once = max(1, _TARGETS_AT_ONCE // max(s, 1))
    for start in range(0, n_regions, at_once):
        some = targets[start : start + at_once]
        columns = standardise((models, some.reshape(-1, some.shape[-1])), pairs, preparation)
        if nuisance is not None:
            columns = _without(columns, pairs, nuisance)
        spectrum = np.zeros((m // 2 + 1, len(columns) - p, p), np.complex64)
        for ring, weight in circular_lags(pairs, len(columns)):
            waves = fft.rfft(columns[:, ring], axis=-1)
            waves[:p] *= weight[:, None]
            waves = np.ascontiguousarray(waves.transpose(2, 0, 1))  # or BLAS would not multiply it
            spectrum += waves[:, p:] @ waves[:, :p].conj().swapaxes(1, 2)
        own = fft.irfft(spectrum, n=m, axis=0) / pairs.n_pairs
        xy[:, start : start + at_once] = own.reshape(m, -1, s, p)
    return xy


def _without(columns: Floats, pairs: PairSet, nuisance: LagRegressors) -> Floats:
    """Regress curves over the lag out of columns and scale what is left to unit variance."""
    starts, counts = pairs.lag_groups
    basis = nuisance.basis(pairs.lag[starts], counts)
    sums = np.add.reduceat(columns, starts, axis=1, dtype=np.float64)
    fitted = sums @ basis.T / pairs.n_pairs @ basis
    rest = columns - np.repeat(fitted.astype(np.float32), counts, axis=1)
    spread = np.sqrt(np.mean(rest**2, axis=1, keepdims=True))
    scaled: Floats = np.divide(rest, spread, out=np.zeros_like(rest), where=spread > 1e-3)
    return scaled


def circular_lags(pairs: PairSet, n_columns: int) -> Iterator[tuple[Ints, Floats]]:
    """Yield the rings of pairs of some circular lags, as many as fit the processor's memory.

    Parameters
    ----------
    pairs
        Those that are compared; each circular lag wholly or not at all.
    n_columns
        How many columns will be taken there.

    Yields
    ------
    ring : Ints
        Shape (lags, m): where among ``pairs`` each ring's pairs stand.
    weight : Floats
        Shape (lags,): 1, but a half where the ring meets every pair twice, at half the circle.

    Raises
    ------
    ValueError
        A circular lag is there in part.
    """
    m = len(pairs.kept)
    place = np.full(pairs.n_volumes * (pairs.n_volumes - 1) // 2, -1)
    place[pairs.index] = np.arange(pairs.n_pairs)
    start = np.arange(m)
    at_once = max(1, int(_BYTES_AT_ONCE / (8 * n_columns * m)))
    for first in range(1, m // 2 + 1, at_once):
        lag = np.arange(first, min(first + at_once, m // 2 + 1))
        end = (start + lag[:, None]) % m
        rows, columns = np.minimum(start, end), np.maximum(start, end)
        ring = place[condensed_index(pairs.kept[rows], pairs.kept[columns], pairs.n_volumes)]
        used = ring[:, 0] >= 0
        if (ring[used] < 0).any() or (ring[~used] >= 0).any():
            raise ValueError(
                "pairs of one circular lag are there in part: models cannot be shifted"
            )
        if used.any():
            weight = np.where(2 * lag[used] == m, 0.5, 1.0).astype(np.float32)
            yield ring[used], weight


@dataclass(frozen=True)
class ShiftedPart:
    """One run of participants (by position) who define the same volumes in it."""

    participants: Ints
    products: Mapping[Mode, ShiftedProducts]

    def of(self, participants: Ints) -> "ShiftedPart":
        """Give the part of some of them, by position in the study."""
        inside = np.searchsorted(self.participants, participants)
        own = {mode: run.of(inside) for mode, run in self.products.items()}
        return ShiftedPart(participants, own)

    def of_region(self, region: int) -> "ShiftedPart":
        """Give the part of one region, by position."""
        own = {mode: run.of_region(region) for mode, run in self.products.items()}
        return ShiftedPart(self.participants, own)


@dataclass(frozen=True)
class ShiftedCohort:
    """Products for every shift, of participants (by position) who define the same volumes."""

    participants: Ints
    runs: Mapping[Mode, tuple[ShiftedProducts, ...]]


def shifted_parts(
    run: RunRDMs, min_lag_s: float, modes: Sequence[Mode], lag_regressors_s: Sequence[float] = ()
) -> list[ShiftedPart]:
    """Reduce one run to its products for every shift, of all regions.

    Parameters
    ----------
    run
        The run's RDMs.
    min_lag_s, lag_regressors_s
        As in `bidsapp.rsa.study.study_products`.
    modes
        Modes wanted.

    Returns
    -------
    list of ShiftedPart
        Each participant is in one.
    """
    lags_s = min_lag_s, tuple(lag_regressors_s)
    defined = run.defined()
    parts = []
    for group in same_volumes(run, defined):
        own = run.of(group)
        products = {
            mode: _shifted(own, defined_by_all(defined[mode], group), mode, lags_s)
            for mode in modes
        }
        parts.append(ShiftedPart(group, products))
    return parts


def shifted_cohorts(runs: Sequence[Sequence[ShiftedPart]]) -> tuple[ShiftedCohort, ...]:
    """Join the parts of all runs; each participant is in one cohort."""
    return tuple(
        ShiftedCohort(
            own[0].participants,
            {mode: tuple(part.products[mode] for part in own) for mode in own[0].products},
        )
        for own in cohorts_of(runs)
    )


def _shifted(run: RunRDMs, defined: Bools, mode: Mode, lags_s: _Lags) -> ShiftedProducts:
    least_s, regressors_s = lags_s
    pairs = mode_pairs(run, mode, least_s, defined)
    nuisance = (
        LagRegressors(run.repetition_time, regressors_s)
        if mode == "replicate" and regressors_s
        else None
    )
    given: Bools = np.logical_or.reduce(np.isfinite(run.targets), axis=-1)
    targets = run.targets_of(mode)
    return shifted_products(run.models, targets, pairs, PREPARATION[mode], run.run, nuisance, given)
