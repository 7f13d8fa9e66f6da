"""Which pairs of volumes enter a comparison, and how far apart in time the two volumes are."""

from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil

import numpy as np

from bidsapp.arrays import Bools, Ints
from bidsapp.rsa.volumes import FilmVolumes, VolumeCount, count_volumes


@dataclass(frozen=True)
class PairSet:
    """Pairs of one run's volumes, sorted by ``lag`` (then by the order of the condensed RDM).

    Attributes
    ----------
    n_volumes
        Volumes of the whole run.
    kept
        Shape (m,): positions in the run of the volumes that are compared. Put end to end they are
        the circle along which models are shifted.
    index
        Shape (n_pairs,): where each pair stands in the run's condensed RDM.
    lag
        Shape (n_pairs,), volumes: ``|i - j|``, volumes left out between them counted.
    count
        How many volumes are compared, and why the others are not.
    """

    n_volumes: int
    kept: Ints
    index: Ints
    lag: Ints
    count: VolumeCount

    @property
    def n_pairs(self) -> int:
        """How many pairs there are."""
        return len(self.index)

    @cached_property
    def places(self) -> tuple[Ints, Ints]:
        """Where among ``kept`` the earlier and the later volume of each pair stand."""
        place = np.zeros(self.n_volumes, dtype=np.int64)
        place[self.kept] = np.arange(len(self.kept))
        rows, columns = np.triu_indices(self.n_volumes, 1)
        return place[rows[self.index]], place[columns[self.index]]

    @cached_property
    def in_order(self) -> "PairSet":
        """The same pairs, for columns that hold these alone, in their order."""
        return replace(self, index=np.arange(self.n_pairs))

    @cached_property
    def square(self) -> Ints:
        """Where each two volumes of ``kept`` stand in the run's condensed RDM, (m, m).

        Arbitrary on the diagonal.
        """
        earlier = np.minimum(self.kept[:, None], self.kept)
        later = np.maximum(self.kept[:, None], self.kept)
        return condensed_index(earlier, later, self.n_volumes)

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
    whole = FilmVolumes.whole(n_volumes)
    return _pairs(n_volumes, whole, defined, 0, circular=False)


def lagged_pairs(
    n_volumes: int,
    min_lag_volumes: int,
    film: FilmVolumes | None = None,
    defined: Bools | None = None,
) -> PairSet:
    """Pairs of the volumes that the film covers whose circular lag is at least ``min_lag_volumes``.

    The m volumes left are put end to end; of these, those pairs stay with L <= |a - b| <= m - L.
    Their volumes are at least as far apart in time, and the set of pairs stays the same when models
    are shifted along the circle.

    Parameters
    ----------
    n_volumes
        Volumes of the run.
    min_lag_volumes
        L, in volumes; see `lag_in_volumes`.
    film
        Film coverage of the volumes; None: all are covered.
    defined
        Shape (n_volumes,): volumes that every RDM of the fit defines; None for all.
    """
    known = FilmVolumes.whole(n_volumes) if film is None else film
    return _pairs(n_volumes, known, defined, min_lag_volumes, circular=True)


def lag_in_volumes(lag_s: float, repetition_time: float) -> int:
    """Return the smallest whole number of volumes that is no shorter than ``lag_s`` seconds."""
    return ceil(lag_s / repetition_time - 1e-6)


def _pairs(
    n_volumes: int, film: FilmVolumes, defined: Bools | None, min_lag: int, *, circular: bool
) -> PairSet:
    whole = np.ones(n_volumes, dtype=np.bool_) if defined is None else defined
    for name, given in (("defined", whole), ("film", film.used)):
        if given.shape != (n_volumes,):
            raise ValueError(f"{name} has shape {given.shape}, expected ({n_volumes},)")
    kept = np.flatnonzero(whole & film.used)
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
        count=count_volumes(film, whole),
    )


def condensed_index(rows: Ints, columns: Ints, n_volumes: int) -> Ints:
    """Say where pairs of volumes stand in a run's condensed RDM; ``rows`` < ``columns``."""
    index: Ints = rows * (2 * n_volumes - rows - 3) // 2 + columns - 1
    return index
