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
    """Columns over some pairs, ready to be multiplied.

    Attributes
    ----------
    values
        Shape (k, n_pairs), float32: centred and scaled to unit variance; if lag-centred, then less
        their mean at each lag. Zeros for a column that is missing or of which nothing is left.
    mean, sd
        Shape (k,): of the raw columns.
    rest_sd
        Shape (k,): SD of ``values``; 0 for a column of zeros.
    """

    values: Floats
    mean: Floats
    sd: Floats
    rest_sd: Floats


def prepare(parts: Sequence[Floats], pairs: PairSet, preparation: Preparation) -> Columns:
    """Centre and scale columns, and subtract the mean at each lag where that is asked for.

    Parameters
    ----------
    parts
        Arrays of condensed RDMs, each (k, n_pairs of the whole run); taken one after the other.
    pairs, preparation
        As in `bidsapp.rsa.gram.run_products`.

    Raises
    ------
    ValueError
        A column has values that are not finite among the pairs.
    """
    k = sum(len(part) for part in parts)
    values = np.zeros((k, pairs.n_pairs), dtype=np.float32)
    mean, sd, rest_sd = (np.zeros(k) for _ in range(3))
    for i, rdm in enumerate(chain(*parts)):  # one column at a time stays in the processor's cache
        column = rdm.copy().take(pairs.index, mode="clip")
        mean[i], sd[i] = _standardised(column)
        if sd[i] == 0:
            if not np.isfinite(mean[i]):
                _check_missing(rdm[pairs.index])
                mean[i] = 0.0
            continue
        rest_sd[i] = 1.0
        if preparation == "lag-centred":
            noise = _FLOAT32_NOISE * max(1.0, abs(mean[i]) / sd[i])
            rest_sd[i] = _lag_centred(column, pairs, noise)
        values[i] = column
    return Columns(values, mean, sd, rest_sd)


def standardise(parts: Sequence[Floats], pairs: PairSet, preparation: Preparation) -> Floats:
    """Prepare columns and scale them to unit variance.

    Parameters
    ----------
    parts, pairs, preparation
        As in `prepare`.

    Returns
    -------
    Floats
        float32, (k of all parts, n_pairs), in the order of ``pairs``; zeros for a column that is
        constant or missing.
    """
    columns = prepare(parts, pairs, preparation)
    rest = columns.rest_sd
    scale = np.divide(1.0, rest, out=np.zeros_like(rest), where=rest > 0)
    scaled: Floats = columns.values
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


def _lag_centred(column: Floats, pairs: PairSet, noise: float) -> float:
    """Subtract a column's mean at each lag, in place; give the SD of the rest."""
    _subtract_lag_means(column, pairs)
    spread = float(np.sqrt(column @ column / pairs.n_pairs))
    if spread > noise:
        return spread
    column[:] = 0.0
    return 0.0


def _subtract_lag_means(column: Floats, pairs: PairSet) -> None:
    starts, counts = pairs.lag_groups
    means = np.add.reduceat(column, starts, dtype=np.float64) / counts
    column -= np.repeat(means.astype(column.dtype), counts)


def _check_missing(column: Floats) -> None:
    """Accept a column of NaN alone, which is missing, and no other value that is not finite."""
    if not np.isnan(column).all():
        raise ValueError("an RDM has values that are not finite among pairs of defined volumes")
