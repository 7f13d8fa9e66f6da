"""Which pairs of volumes enter a comparison, and how far apart in time the two volumes are."""

from dataclasses import dataclass, replace
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
    kept
        Shape (m,): positions in the run of the volumes that are neither trimmed nor undefined. Put
        end to end they are the circle along which models are shifted.
    index
        Shape (n_pairs,): where each pair stands in the run's condensed RDM.
    lag
        Shape (n_pairs,), volumes: ``|i - j|``, undefined volumes between them counted.
    n_dropped
        Undefined volumes that were left out.
    """

    n_volumes: int
    kept: Ints
    index: Ints
    lag: Ints
    n_dropped: int

    @property
    def n_pairs(self) -> int:
        """How many pairs there are."""
        return len(self.index)

    def without(self, others: "PairSet") -> "PairSet":
        """Give these pairs less those that ``others`` holds too."""
        taken = np.zeros(self.n_volumes * (self.n_volumes - 1) // 2, dtype=np.bool_)
        taken[others.index] = True
        left = ~taken[self.index]
        return replace(self, index=self.index[left], lag=self.lag[left])

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

    The m volumes left after trimming and after undefined ones went are put end to end; of these,
    those pairs stay with L <= |a - b| <= m - L. Their volumes are at least as far apart in time,
    and the set of pairs stays the same when models are shifted along the circle.

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
    kept = np.flatnonzero(whole[:n])
    rows, columns = np.triu_indices(len(kept), 1)  # in the order of the condensed RDM
    around = np.minimum(columns - rows, len(kept) - columns + rows)
    rows, columns = kept[rows], kept[columns]
    lag = columns - rows
    index = condensed_index(rows, columns, n_volumes)
    chosen = np.flatnonzero((around if circular else lag) >= min_lag)
    chosen = chosen[np.argsort(lag[chosen], kind="stable")]
    return PairSet(
        n_volumes=n_volumes,
        kept=kept,
        index=index[chosen],
        lag=lag[chosen],
        n_dropped=n - len(kept),
    )


def condensed_index(rows: Ints, columns: Ints, n_volumes: int) -> Ints:
    """Say where pairs of volumes stand in a run's condensed RDM; ``rows`` < ``columns``."""
    index: Ints = rows * (2 * n_volumes - rows - 3) // 2 + columns - 1
    return index
