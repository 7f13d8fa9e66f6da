"""Products of one run's RDM columns, from which every fit and score follows without the pairs.

A column is one RDM over the chosen pairs. Prepared columns (see `bidsapp.rsa.columns`) are
multiplied in float32 in blocks of pairs, and summed in float64 (a single block is multiplied in
float64).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import accumulate, pairwise
from operator import add

import numpy as np

from bidsapp.arrays import Bools, Floats, Ints
from bidsapp.rsa.columns import Columns, Preparation, prepare
from bidsapp.rsa.lag_regressors import LagRegressors
from bidsapp.rsa.pairs import PairSet
from bidsapp.rsa.rdm import n_volumes_of, volume_defined
from bidsapp.rsa.volumes import VolumeCount

BLOCK_PAIRS = 8192
_BIN_NOISE = 1e-6  # variance left in some lags, relative to all lags, that float32 products resolve


@dataclass(frozen=True)
class RunProducts:
    """One run, one pair set, one preparation; p layers, R regions, S participants.

    Attributes
    ----------
    run, n_pairs, volumes
        The run's name, the pairs used, and the volumes that they are of.
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
    volumes: VolumeCount
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
    p, shape = len(models), targets.shape[:2]
    columns = _prepared(models, targets, pairs, preparation, run)
    least = 0.0 if preparation == "lag-centred" else _BIN_NOISE
    return _correlations(_sums(columns.values, p, shape), columns, pairs, run, least=least)


def lag_products(
    models: Floats,
    targets: Floats,
    pairs: PairSet,
    min_lags: Sequence[int],
    run: str,
    nuisance: LagRegressors | None = None,
) -> tuple[RunProducts, ...]:
    """Centred products for several least lags, from one pass over the pairs.

    Parameters
    ----------
    models, targets, pairs, run
        As in `run_products`.
    min_lags
        Volumes. Each gives one result: that of the pairs whose lag is at least so long.
    nuisance
        Curves regressed out, with an intercept, of all columns over the pairs of each result; None
        for none. Means are then 0, as those of residuals.

    Returns
    -------
    tuple of RunProducts
        In the order of ``min_lags``. A least lag of 0 gives what `run_products` gives.
    """
    p, shape = len(models), targets.shape[:2]
    columns = _prepared(models, targets, pairs, "centred", run)
    lags = sorted({0, *min_lags})
    bins = [
        _sums(columns.values[:, _between(pairs.lag, bounds)], p, shape)
        for bounds in reversed(list(pairwise([*lags, pairs.n_volumes])))
    ]
    tails = dict(zip(reversed(lags), accumulate(bins), strict=True))
    explained = {} if nuisance is None else _explained(columns, pairs, nuisance, min_lags)
    return tuple(
        _correlations(tails[lag], columns, pairs, run, explained.get(lag)) for lag in min_lags
    )


def _prepared(
    models: Floats, targets: Floats, pairs: PairSet, preparation: Preparation, run: str
) -> Columns:
    """Prepare the columns of layers, then of targets; an error names the run."""
    try:
        return prepare((models, _flat(targets)), pairs, preparation)
    except ValueError as error:
        raise ValueError(f"run {run}: {error}") from error


def _flat(targets: Floats) -> Floats:
    """One target a row; there may be none."""
    n_regions, n_participants, n_pairs = targets.shape
    return targets.reshape(n_regions * n_participants, n_pairs)


def _between(lag: Ints, lags: tuple[int, int]) -> slice:
    """Say which of ascending lags are at least the first bound and under the second."""
    start, stop = np.searchsorted(lag, lags)
    return slice(int(start), int(stop))


def _explained(
    columns: Columns, pairs: PairSet, nuisance: LagRegressors, min_lags: Sequence[int]
) -> dict[int, Floats]:
    """Give the mean products of columns with curves orthonormal over the pairs of each least lag.

    The curves depend on the lag alone, so the sums of a column at each lag are all that is needed.
    """
    starts, counts = pairs.lag_groups
    lag = pairs.lag[starts]
    sums = np.add.reduceat(columns.values, starts, axis=1, dtype=np.float64)
    explained: dict[int, Floats] = {}
    for least in min_lags:
        own = lag >= least
        basis = nuisance.basis(lag[own], counts[own])
        explained[least] = sums[:, own] @ basis.T / max(counts[own].sum(), 1)
    return explained


def _sums(columns: Floats, p: int, shape: tuple[int, int]) -> _Sums:
    """Multiply all columns, p layers and then the targets, with each other."""
    if columns.shape[1] <= BLOCK_PAIRS:
        # Cheap, and needed: BLAS rounds more in float32 products as small as these.
        return _block_sums(columns.astype(np.float64), p, shape)
    starts = range(0, columns.shape[1], BLOCK_PAIRS)
    blocks = (columns[:, start : start + BLOCK_PAIRS] for start in starts)
    return reduce(add, (_block_sums(block, p, shape) for block in blocks))


def _block_sums(block: Floats, p: int, shape: tuple[int, int]) -> _Sums:
    x, y = block[:p], block[p:]
    by_region = y.reshape(*shape, block.shape[1])
    return _Sums(
        block.shape[1],
        x.sum(axis=1).astype(np.float64),
        y.sum(axis=1).astype(np.float64),
        (x @ x.T).astype(np.float64),
        (y @ x.T).astype(np.float64),
        (by_region @ by_region.swapaxes(1, 2)).astype(np.float64),
    )


def _correlations(
    sums: _Sums,
    columns: Columns,
    pairs: PairSet,
    run: str,
    explained: Floats | None = None,
    least: float = _BIN_NOISE,
) -> RunProducts:
    """Centre over the summed pairs (some lags have means of their own), partial out, and scale.

    ``explained`` is the columns' products with orthonormal nuisance, if any; ``least`` the
    variance, relative to that before, under which a column is constant.
    """
    n, p = sums.n_pairs, len(sums.xx)
    shape = sums.yy.shape[:2]
    if not n:
        return _nothing(p, shape, pairs, run)
    mean, sd = columns.mean, columns.sd
    x, y = sums.x / n, (sums.y / n).reshape(shape)
    xx: Floats = sums.xx / n - np.outer(x, x)
    xy: Floats = sums.xy.reshape(*shape, p) / n - y[:, :, None] * x
    yy: Floats = sums.yy / n - y[:, :, None] * y[:, None, :]
    x_mean, y_mean = mean[:p] + sd[:p] * x, mean[p:].reshape(shape)
    x_sd, y_sd = sd[:p], sd[p:].reshape(shape)
    y_mean = y_mean + y_sd * y
    if explained is not None:  # Frisch and Waugh (1933)
        of_x, of_y = explained[:p], explained[p:].reshape(*shape, -1)
        xx, xy, yy = xx - of_x @ of_x.T, xy - of_y @ of_x.T, yy - of_y @ of_y.swapaxes(1, 2)
        x_mean, y_mean = 0.0 * x_mean, 0.0 * y_mean
    x_scale = _scale(np.diag(xx), least)
    y_scale = _scale(np.diagonal(yy, axis1=1, axis2=2), least)
    present = y_scale > 0
    x_inverse = np.divide(1.0, x_scale, out=np.zeros(p), where=x_scale > 0)
    y_inverse = np.divide(1.0, y_scale, out=np.full(shape, np.nan), where=present)
    return RunProducts(
        run=run,
        n_pairs=n,
        volumes=pairs.count,
        xx=_unit_diagonal(xx * np.outer(x_inverse, x_inverse)),
        xy=xy * y_inverse[:, :, None] * x_inverse,
        yy=_unit_diagonal(yy * y_inverse[:, :, None] * y_inverse[:, None, :]),
        x_mean=x_mean,
        x_sd=x_sd * x_scale,
        y_mean=np.where(present, y_mean, np.nan),
        y_sd=np.where(present, y_sd * y_scale, np.nan),
        present=present,
    )


def _scale(variance: Floats, least: float) -> Floats:
    scale: Floats = np.sqrt(np.where(variance > least, variance, 0.0))
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
        volumes=pairs.count,
        xx=np.zeros((p, p)),
        xy=np.full((*shape, p), np.nan),
        yy=np.full((*shape, shape[1]), np.nan),
        x_mean=np.zeros(p),
        x_sd=np.zeros(p),
        y_mean=np.full(shape, np.nan),
        y_sd=np.full(shape, np.nan),
        present=np.zeros(shape, dtype=np.bool_),
    )
