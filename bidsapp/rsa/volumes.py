"""Which volumes of a run are compared, and why the others are not."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from bidsapp.arrays import Bools, Floats


@dataclass(frozen=True)
class FilmVolumes:
    """Film coverage of a run's volumes; the robust mode uses those that are covered.

    Attributes
    ----------
    covered
        Shape (n_volumes,): whether the film covers enough of the volume's response window.
    repeated
        Shape (n_volumes,): the next run shows this volume's film again.
    """

    covered: Bools
    repeated: Bools

    @property
    def used(self) -> Bools:
        """Shape (n_volumes,): volumes that the robust mode compares, if they are defined."""
        return self.covered & ~self.repeated

    @classmethod
    def whole(cls, n_volumes: int, n_repeated: int = 0) -> Self:
        """Cover every volume; the last ``n_repeated`` are shown again."""
        return cls(np.ones(n_volumes, dtype=np.bool_), _last(n_repeated, n_volumes))


@dataclass(frozen=True)
class VolumeCount:
    """How many volumes of a run are compared, and how many are not, each counted once.

    Attributes
    ----------
    used
        Volumes that are compared.
    repeated
        Left out since the next run shows their film again.
    uncovered
        Left out since the film covers too little of their response window.
    undefined
        Left out since a brain or model RDM has no value there: censored, or without a pattern.
    """

    used: int
    repeated: int = 0
    uncovered: int = 0
    undefined: int = 0

    def __add__(self, other: "VolumeCount") -> "VolumeCount":
        return VolumeCount(
            self.used + other.used,
            self.repeated + other.repeated,
            self.uncovered + other.uncovered,
            self.undefined + other.undefined,
        )


def film_volumes(coverage: Floats, min_coverage: float, n_repeated: int) -> FilmVolumes:
    """Tell which volumes the film covers, and which the next run shows again.

    Parameters
    ----------
    coverage
        Shape (n_volumes,): share of each volume's response, by absolute weight, that the film
        covers.
    min_coverage
        Least share, 0 to 1.
    n_repeated
        Volumes at the end of the run whose film the next run shows again.
    """
    enough: Bools = coverage >= min_coverage
    return FilmVolumes(enough, _last(n_repeated, len(coverage)))


def count_volumes(film: FilmVolumes, defined: Bools) -> VolumeCount:
    """Count a run's volumes by the first reason that keeps them out of the robust mode.

    Parameters
    ----------
    film
        Film coverage of the volumes.
    defined
        Shape (n_volumes,): volumes that every RDM of the fit defines.
    """
    return VolumeCount(
        used=int((film.used & defined).sum()),
        repeated=int(film.repeated.sum()),
        uncovered=int((~film.covered & ~film.repeated).sum()),
        undefined=int((film.used & ~defined).sum()),
    )


def _last(n: int, n_volumes: int) -> Bools:
    last: Bools = np.arange(n_volumes) >= n_volumes - n
    return last
