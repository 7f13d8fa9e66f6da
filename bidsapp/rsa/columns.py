"""RDM columns made ready to be multiplied: centred, scaled, and freed of what depends on the lag.

A column is one RDM over the chosen pairs. RDMs have a mean near 1 and little spread, so their
float32 products would lose the result. The mean is therefore taken in float64 and subtracted first:
after that float32 holds a column as exactly as the RDM was given.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import numpy as np

from bidsapp.arrays import Floats
from bidsapp.rsa.pairs import PairSet

Preparation = Literal["centred", "lag-centred"]

_FLOAT32_NOISE = 4 * float(
    np.finfo(np.float32).eps
)  # relative spread under which a column is constant


@dataclass(frozen=True)
class Columns:
    """Columns over two sets of pairs that have none in common.

    Attributes
    ----------
    near
        Shape (k, n_pairs of the first set), float32: centred over both sets, and scaled to unit
        variance over both; zeros for a column that is constant or missing.
    far
        Shape (k, n_pairs of the second set), float32: the same less its mean at each lag of the
        second set; zeros where that leaves nothing.
    lag_mean
        Shape (k, n_lags of the second set): those means.
    mean, sd
        Shape (k,): of the raw columns, over both sets.
    far_sd
        Shape (k,): SD of ``far``.
    """

    near: Floats
    far: Floats
    lag_mean: Floats
    mean: Floats
    sd: Floats
    far_sd: Floats


def prepare(parts: Sequence[Floats], near: PairSet, far: PairSet) -> Columns:
    """Centre and scale columns, and subtract the mean at each lag from some of their pairs.

    Parameters
    ----------
    parts
        Arrays of condensed RDMs, each (k, n_pairs of the whole run); taken one after the other.
    near, far
        Pairs that are centred only, and those that are lag-centred.

    Raises
    ------
    ValueError
        A column has values that are not finite among the pairs.
    """
    index = np.concatenate([near.index, far.index])
    k = sum(len(part) for part in parts)
    values = np.zeros((k, len(index)), dtype=np.float32)
    mean, sd, far_sd = (np.zeros(k) for _ in range(3))
    lag_mean: Floats = np.zeros((k, len(far.lag_groups[0])))
    for i, rdm in enumerate(chain(*parts)):  # one column at a time stays in the processor's cache
        column = rdm.copy().take(index, mode="clip")
        mean[i], sd[i] = _standardised(column)
        if sd[i] == 0:
            if not np.isfinite(mean[i]):
                _check_missing(rdm[index])
                mean[i] = 0.0
            continue
        if far.n_pairs:
            noise = _FLOAT32_NOISE * max(1.0, abs(mean[i]) / sd[i])
            lag_mean[i], far_sd[i] = _lag_centred(column[near.n_pairs :], far, noise)
        values[i] = column
    apart = near.n_pairs
    return Columns(values[:, :apart], values[:, apart:], lag_mean, mean, sd, far_sd)


def standardise(parts: Sequence[Floats], pairs: PairSet, preparation: Preparation) -> Floats:
    """Prepare columns and scale them to unit variance.

    Parameters
    ----------
    parts
        As in `prepare`.
    pairs, preparation
        As in `bidsapp.rsa.gram.run_products`.

    Returns
    -------
    Floats
        float32, (k of all parts, n_pairs), in the order of ``pairs``; zeros for a column that is
        constant or missing.
    """
    none = pairs.without(pairs)
    if preparation == "centred":
        return prepare(parts, pairs, none).near
    columns = prepare(parts, none, pairs)
    scale = np.divide(1.0, columns.far_sd, out=np.zeros_like(columns.sd), where=columns.far_sd > 0)
    scaled: Floats = columns.far
    scaled *= scale.astype(np.float32)[:, None]
    return scaled


def lag_centred(column: Floats, pairs: PairSet) -> None:
    """Subtract a column's mean at each lag, in place.

    Parameters
    ----------
    column
        Shape (n_pairs,), in the order of ``pairs``.
    pairs
        The pairs, for their lags.
    """
    column -= column.mean()  # first, so that the sums below round little
    _subtract_lag_means(column, pairs)


def _standardised(column: Floats) -> tuple[float, float]:
    """Centre a column and scale it to unit variance, in place; give its mean and SD, 0 if none."""
    if not len(column):
        return 0.0, 0.0
    mean = float(column.mean(dtype=np.float64))
    column -= mean
    spread = float(np.sqrt(column @ column / len(column)))
    if not spread > _FLOAT32_NOISE * abs(mean):
        return mean, 0.0
    column *= 1 / spread
    return mean, spread


def _lag_centred(column: Floats, pairs: PairSet, noise: float) -> tuple[Floats, float]:
    """Subtract a column's mean at each lag, in place; give these means and the SD of the rest."""
    means = _subtract_lag_means(column, pairs)
    spread = float(np.sqrt(column @ column / pairs.n_pairs))
    if spread > noise:
        return means, spread
    column[:] = 0.0
    return means, 0.0


def _subtract_lag_means(column: Floats, pairs: PairSet) -> Floats:
    starts, counts = pairs.lag_groups
    means: Floats = np.add.reduceat(column, starts, dtype=np.float64) / counts
    column -= np.repeat(means.astype(column.dtype), counts)
    return means


def _check_missing(column: Floats) -> None:
    """Accept a column of NaN alone, which is missing, and no other value that is not finite."""
    if not np.isnan(column).all():
        raise ValueError("an RDM has values that are not finite among pairs of defined volumes")
