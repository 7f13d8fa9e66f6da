"""Which pairs of volumes enter a comparison, and how far apart in time the two volumes are."""

from dataclasses import dataclass
from functools import cached_property
from math import ceil

import numpy as np

from bidsapp.arrays import Bools, Ints


@dataclass(frozen=True)
class PairSet:
    """Pairs of one run's volumes, sorted by ``lag`` (then by the order of the condensed RDM).

    Attributes
    ----------
    n_volumes
        Volumes of the whole run.
    n_trimmed
        Volumes left after the end was trimmed; circular lags are of this length.
    kept
        Positions in the run of the volumes that are neither trimmed nor undefined.
    index
        Shape (n_pairs,): where each pair stands in the run's condensed RDM.
    lag
        Shape (n_pairs,), volumes: the plain lag ``|i - j|`` of `all_pairs`, the circular lag
        ``min(|i - j|, n_trimmed - |i - j|)`` of `lagged_pairs`.
    n_dropped
        Undefined volumes that were left out.
    """

    n_volumes: int
    n_trimmed: int
    kept: Ints
    index: Ints
    lag: Ints
    n_dropped: int

    @property
    def n_pairs(self) -> int:
        """How many pairs there are."""
        return len(self.index)

    @cached_property
    def lag_groups(self) -> tuple[Ints, Ints]:
        """Where each lag's pairs start, and how many there are."""
        starts = np.flatnonzero(np.diff(self.lag, prepend=-1))
        return starts, np.diff(starts, append=self.n_pairs)


def all_pairs(n_volumes: int, defined: Bools | None = None) -> PairSet:
    """Every pair of a run's defined volumes.

    Parameters
    ----------
    n_volumes
        Volumes of the run.
    defined
        Shape (n_volumes,): volumes that every RDM of the fit defines; None for all.
    """
    return _pairs(n_volumes, 0, defined, 0, circular=False)


def lagged_pairs(
    n_volumes: int, min_lag_volumes: int, trim_end: int = 0, defined: Bools | None = None
) -> PairSet:
    """Pairs whose circular lag is at least ``min_lag_volumes``, without the end of the run.

    Of the n volumes left after trimming, those pairs stay with L <= |i - j| <= n - L.

    Parameters
    ----------
    n_volumes
        Volumes of the run.
    min_lag_volumes
        L, in volumes; see `lag_in_volumes`.
    trim_end
        Volumes dropped from the end, because the next run shows their film again.
    defined
        Shape (n_volumes,): volumes that every RDM of the fit defines; None for all.
    """
    return _pairs(n_volumes, trim_end, defined, min_lag_volumes, circular=True)


def lag_in_volumes(lag_s: float, repetition_time: float) -> int:
    """Return the smallest whole number of volumes that is no shorter than ``lag_s`` seconds."""
    return ceil(lag_s / repetition_time - 1e-6)


def _pairs(
    n_volumes: int, trim_end: int, defined: Bools | None, min_lag: int, *, circular: bool
) -> PairSet:
    n = max(n_volumes - trim_end, 0)
    whole = np.ones(n_volumes, dtype=np.bool_) if defined is None else defined
    if whole.shape != (n_volumes,):
        raise ValueError(f"defined has shape {whole.shape}, expected ({n_volumes},)")
    rows, columns = np.triu_indices(n_volumes, 1)
    plain = columns - rows
    lag = np.minimum(plain, n - plain) if circular else plain
    chosen = (columns < n) & whole[rows] & whole[columns] & (lag >= min_lag)
    index = np.flatnonzero(chosen)
    index = index[np.argsort(lag[index], kind="stable")]
    return PairSet(
        n_volumes=n_volumes,
        n_trimmed=n,
        kept=np.flatnonzero(whole[:n]),
        index=index,
        lag=lag[index],
        n_dropped=int(n - whole[:n].sum()),
    )
