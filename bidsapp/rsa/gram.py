"""Products of one run's RDM columns, from which every fit and score follows without the pairs.

A column is one RDM over the chosen pairs. Columns are prepared and scaled to unit variance in
float64, multiplied in float32 in blocks of pairs, and summed in float64 (a single block is
multiplied in float64): float32 products of raw columns would lose the result, since RDMs have a
mean near 1 and little spread.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from typing import Literal

import numpy as np

from bidsapp.arrays import Bools, Floats, Ints
from bidsapp.rsa.pairs import PairSet
from bidsapp.rsa.rdm import n_volumes_of, volume_defined

Preparation = Literal["centred", "lag-centred"]

BLOCK_PAIRS = 8192
_FLOAT32_NOISE = 4 * float(
    np.finfo(np.float32).eps
)  # relative spread under which a column is constant
_COLLINEAR = 1e-6  # variance of a mixture of nuisance columns, relative, that says nothing new
_BIN_NOISE = 1e-6  # variance left in some lags, relative to all lags, that float32 products resolve


@dataclass(frozen=True)
class RunProducts:
    """One run, one pair set, one preparation; p layers, R regions, S participants.

    Attributes
    ----------
    run, n_pairs, n_dropped
        The run's name, the pairs used, and the undefined volumes left out.
    xx
        Shape (p, p): correlations of the prepared layer columns; zeros for a constant layer.
    xy
        Shape (R, S, p): correlations of regions with layers; NaN where the target is absent.
    yy
        Shape (R, S, S): correlations of participants within a region; NaN where one is absent.
    x_mean, x_sd
        Shape (p,): mean of the raw columns; SD of the prepared ones before scaling, 0 if constant.
    y_mean, y_sd
        Shape (R, S): the same of the targets; NaN where absent.
    present
        Shape (R, S): False for a target that is missing (all NaN) or constant.
    """

    run: str
    n_pairs: int
    n_dropped: int
    xx: Floats
    xy: Floats
    yy: Floats
    x_mean: Floats
    x_sd: Floats
    y_mean: Floats
    y_sd: Floats
    present: Bools

    def of(self, participants: Ints) -> "RunProducts":
        """Give the products of some participants, by position."""
        return replace(
            self,
            xy=self.xy[:, participants],
            yy=self.yy[:, participants][:, :, participants],
            y_mean=self.y_mean[:, participants],
            y_sd=self.y_sd[:, participants],
            present=self.present[:, participants],
        )


@dataclass(frozen=True)
class _Sums:
    """Sums over some pairs of standardised columns and of their products."""

    n_pairs: int
    x: Floats
    y: Floats
    xx: Floats
    xy: Floats
    yy: Floats

    def __add__(self, other: "_Sums") -> "_Sums":
        return _Sums(
            self.n_pairs + other.n_pairs,
            self.x + other.x,
            self.y + other.y,
            self.xx + other.xx,
            self.xy + other.xy,
            self.yy + other.yy,
        )


def defined_volumes(models: Floats, targets: Floats) -> Bools:
    """Tell which volumes every layer and every RDM of a participant defines.

    Parameters
    ----------
    models
        Shape (p, n_pairs): condensed RDMs of the layers.
    targets
        Shape (R, S, n_pairs): condensed RDMs of regions and participants. An RDM of NaN alone is
        missing and says nothing about volumes.

    Returns
    -------
    Bools
        Shape (S, n_volumes); a participant without any RDM has the volumes that the layers define.
    """
    by_layers = np.ones(n_volumes_of(models.shape[-1]), dtype=np.bool_)
    for rdm in models:
        by_layers &= _unless_missing(rdm)
    defined = np.tile(by_layers, (targets.shape[1], 1))
    for region in targets:
        for own, rdm in zip(defined, region, strict=True):
            own &= _unless_missing(rdm)
    return defined


def _unless_missing(rdm: Floats) -> Bools:
    defined = volume_defined(rdm)
    return defined if defined.any() else ~defined


def run_products(
    models: Floats, targets: Floats, pairs: PairSet, preparation: Preparation, run: str
) -> RunProducts:
    """Multiply all columns of a run with each other, once.

    Parameters
    ----------
    models
        Shape (p, n_pairs of the whole run): condensed RDMs of the layers.
    targets
        Shape (R, S, n_pairs of the whole run): those of regions and participants; NaN where
        missing.
    pairs
        The pairs to use; none may hold an undefined volume (see `defined_volumes`).
    preparation
        "centred": subtract each column's mean. "lag-centred": subtract each column's mean at each
        lag of ``pairs``, which removes whatever depends on the lag alone.
    run
        The run's name.

    Raises
    ------
    ValueError
        A column has values that are not finite among the pairs.
    """
    return _products(models, targets, pairs, preparation, run, (0,))[0]


def lag_products(
    models: Floats,
    targets: Floats,
    pairs: PairSet,
    min_lags: Sequence[int],
    run: str,
    nuisance: Floats | None = None,
) -> tuple[RunProducts, ...]:
    """Centred products for several least lags, from one pass over the pairs.

    Parameters
    ----------
    models, targets, pairs, run
        As in `run_products`.
    min_lags
        Volumes. Each gives one result: that of the pairs whose lag is at least so long.
    nuisance
        Shape (k, n_pairs of the whole run): columns regressed out, with an intercept, of all others
        (see `bidsapp.rsa.lag_regressors`); None for none. Means are then 0, as those of residuals.

    Returns
    -------
    tuple of RunProducts
        In the order of ``min_lags``. A least lag of 0 gives what `run_products` gives.
    """
    return _products(models, targets, pairs, "centred", run, min_lags, nuisance)


def centred(column: Floats) -> float:
    """Subtract a column's mean, in place, and return it.

    Parameters
    ----------
    column
        Shape (n_pairs,), float64.
    """
    mean = float(column.mean())
    column -= mean
    return mean


def lag_centred(column: Floats, pairs: PairSet) -> float:
    """Subtract a column's mean at each lag, in place, and return the mean over all pairs.

    Parameters
    ----------
    column
        Shape (n_pairs,), float64, in the order of ``pairs``.
    pairs
        The pairs, for their lags.
    """
    mean = centred(column)  # first, so that the sums below round little
    starts, counts = pairs.lag_groups
    column -= np.repeat(np.add.reduceat(column, starts) / counts, counts)
    return mean


def _products(
    models: Floats,
    targets: Floats,
    pairs: PairSet,
    preparation: Preparation,
    run: str,
    min_lags: Sequence[int],
    nuisance: Floats | None = None,
) -> tuple[RunProducts, ...]:
    p, shape = len(models), targets.shape[:2]
    extra = models[:0] if nuisance is None else nuisance
    if not pairs.n_pairs:
        return tuple(_nothing(p, shape, pairs, run) for _ in min_lags)
    columns, mean, sd = standardise(
        (models, extra, targets.reshape(-1, targets.shape[-1])), pairs, preparation
    )
    starts = [int(np.searchsorted(pairs.lag, lag)) for lag in min_lags]
    cuts = sorted({*starts, pairs.n_pairs})
    tails: dict[int, _Sums] = {}
    tail: _Sums | None = None
    for start, stop in reversed(list(pairwise(cuts))):
        sums = _sums(columns[:, start:stop], p + len(extra), shape)
        tail = sums if tail is None else sums + tail
        tails[start] = tail
    return tuple(
        _correlations(tails[start], mean, sd, pairs, run, len(extra))
        if start in tails
        else _nothing(p, shape, pairs, run)
        for start in starts
    )


def standardise(
    parts: Sequence[Floats], pairs: PairSet, preparation: Preparation
) -> tuple[Floats, Floats, Floats]:
    """Prepare columns and scale them to unit variance.

    Parameters
    ----------
    parts
        Arrays of condensed RDMs, each (k, n_pairs of the whole run); taken one after the other.
    pairs, preparation
        As in `run_products`.

    Returns
    -------
    columns : Floats
        float32, (k of all parts, n_pairs), in the order of ``pairs``; zeros for a column that is
        constant or missing.
    mean, sd : Floats
        Of the raw columns, and of the prepared ones before scaling.

    Raises
    ------
    ValueError
        A column has values that are not finite among the pairs.
    """
    k = sum(len(part) for part in parts)
    columns = np.empty((k, pairs.n_pairs), dtype=np.float32)
    mean: Floats = np.zeros(k)
    sd: Floats = np.zeros(k)
    for i, rdm in enumerate(chain(*parts)):  # one column at a time stays in the processor's cache
        column = rdm.copy().take(pairs.index, mode="clip").astype(np.float64)
        mean[i] = centred(column) if preparation == "centred" else lag_centred(column, pairs)
        spread = np.sqrt(column @ column / pairs.n_pairs)
        if spread > _FLOAT32_NOISE * np.abs(mean[i]):
            sd[i] = spread
            column *= 1 / spread
            columns[i] = column
            continue
        columns[i] = 0.0
        if not np.isfinite(mean[i]):
            _check_missing(rdm, pairs)
            mean[i] = 0.0
    return columns, mean, sd


def _check_missing(rdm: Floats, pairs: PairSet) -> None:
    """Accept a column of NaN alone, which is missing, and no other value that is not finite."""
    if not np.isnan(rdm[pairs.index]).all():
        raise ValueError("an RDM has values that are not finite among pairs of defined volumes")


def _sums(columns: Floats, p: int, shape: tuple[int, int]) -> _Sums:
    total: _Sums | None = None
    if columns.shape[1] <= BLOCK_PAIRS:
        # Cheap, and needed: BLAS rounds more in float32 products as small as these.
        columns = columns.astype(np.float64)
    for start in range(0, columns.shape[1], BLOCK_PAIRS):
        block = columns[:, start : start + BLOCK_PAIRS]
        x, y = block[:p], block[p:]
        by_region = y.reshape(*shape, block.shape[1])
        sums = _Sums(
            block.shape[1],
            x.sum(axis=1).astype(np.float64),
            y.sum(axis=1).astype(np.float64),
            (x @ x.T).astype(np.float64),
            (y @ x.T).astype(np.float64),
            (by_region @ by_region.swapaxes(1, 2)).astype(np.float64),
        )
        total = sums if total is None else total + sums
    if total is None:
        raise ValueError("no pairs")
    return total


def _correlations(
    sums: _Sums, mean: Floats, sd: Floats, pairs: PairSet, run: str, n_nuisance: int
) -> RunProducts:
    """Centre over the summed pairs (some lags have means of their own), partial out, and scale."""
    n, n_columns = sums.n_pairs, len(sums.xx)
    shape = sums.yy.shape[:2]
    x, y = sums.x / n, (sums.y / n).reshape(shape)
    xx: Floats = sums.xx / n - np.outer(x, x)
    xy: Floats = sums.xy.reshape(*shape, n_columns) / n - y[:, :, None] * x
    yy: Floats = sums.yy / n - y[:, :, None] * y[:, None, :]
    p = n_columns - n_nuisance
    x_mean, y_mean = mean[:p] + sd[:p] * x[:p], mean[n_columns:].reshape(shape)
    x_sd, y_sd = sd[:p], sd[n_columns:].reshape(shape)
    y_mean = y_mean + y_sd * y
    if n_nuisance:
        xx, xy, yy = _partialled(xx, xy, yy, p)
        x_mean, y_mean = 0.0 * x_mean, 0.0 * y_mean
    x_scale = _scale(np.diag(xx))
    y_scale = _scale(np.diagonal(yy, axis1=1, axis2=2))
    present = y_scale > 0
    x_inverse = np.divide(1.0, x_scale, out=np.zeros(p), where=x_scale > 0)
    y_inverse = np.divide(1.0, y_scale, out=np.full(shape, np.nan), where=present)
    return RunProducts(
        run=run,
        n_pairs=n,
        n_dropped=pairs.n_dropped,
        xx=_unit_diagonal(xx * np.outer(x_inverse, x_inverse)),
        xy=xy * y_inverse[:, :, None] * x_inverse,
        yy=_unit_diagonal(yy * y_inverse[:, :, None] * y_inverse[:, None, :]),
        x_mean=x_mean,
        x_sd=x_sd * x_scale,
        y_mean=np.where(present, y_mean, np.nan),
        y_sd=np.where(present, y_sd * y_scale, np.nan),
        present=present,
    )


def _partialled(xx: Floats, xy: Floats, yy: Floats, p: int) -> tuple[Floats, Floats, Floats]:
    """Regress the columns from ``p`` on out of all others (Frisch and Waugh 1933), by products."""
    values, vectors = np.linalg.eigh(xx[p:, p:])
    kept = values > _COLLINEAR * values[-1]
    root = vectors[:, kept] / np.sqrt(values[kept])
    x, y = xx[:p, p:] @ root, xy[..., p:] @ root
    return xx[:p, :p] - x @ x.T, xy[..., :p] - y @ x.T, yy - y @ y.swapaxes(1, 2)


def _scale(variance: Floats) -> Floats:
    scale: Floats = np.sqrt(np.where(variance > _BIN_NOISE, variance, 0.0))
    return scale


def _unit_diagonal(correlation: Floats) -> Floats:
    """Make exact the diagonal that is 1 but for rounding; zeros and NaN stay."""
    i = np.arange(correlation.shape[-1])
    diagonal = correlation[..., i, i]
    correlation[..., i, i] = np.where(diagonal > 0, 1.0, diagonal)
    return correlation


def _nothing(p: int, shape: tuple[int, int], pairs: PairSet, run: str) -> RunProducts:
    """Products of a run in which no pair is left: every target is absent."""
    return RunProducts(
        run=run,
        n_pairs=0,
        n_dropped=pairs.n_dropped,
        xx=np.zeros((p, p)),
        xy=np.full((*shape, p), np.nan),
        yy=np.full((*shape, shape[1]), np.nan),
        x_mean=np.zeros(p),
        x_sd=np.zeros(p),
        y_mean=np.full(shape, np.nan),
        y_sd=np.full(shape, np.nan),
        present=np.zeros(shape, dtype=np.bool_),
    )
