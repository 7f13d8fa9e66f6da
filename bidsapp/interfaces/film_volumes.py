"""Film coverage of a run's volumes, as plain values that nipype can hash and send."""

from collections.abc import Mapping

import numpy as np

from bidsapp.arrays import Bools
from bidsapp.dataset.derivatives import FilmCoverage
from bidsapp.rsa.volumes import FilmVolumes, VolumeCount, count_volumes, film_volumes

PlainVolumes = Mapping[str, list[bool]]


def volumes_to_plain(film: FilmCoverage, min_coverage: float, n_repeated: int) -> PlainVolumes:
    """Turn the coverage of a run into plain values.

    Parameters
    ----------
    film
        Of all models.
    min_coverage, n_repeated
        As in `bidsapp.rsa.volumes.film_volumes`.
    """
    volumes = film_volumes(film.coverage, min_coverage, n_repeated)
    return {
        "covered": volumes.covered.tolist(),
        "repeated": volumes.repeated.tolist(),
        "defined": (~film.undefined).tolist(),
    }


def volumes_from_plain(plain: PlainVolumes) -> FilmVolumes:
    """Invert `volumes_to_plain`, but for what models leave undefined."""
    return FilmVolumes(np.array(plain["covered"]), np.array(plain["repeated"]))


def robust_volumes(plain: PlainVolumes, n_volumes: int) -> Bools:
    """Tell which volumes of a scan the robust mode uses, unless they are censored.

    Parameters
    ----------
    plain
        Of `volumes_to_plain`: of the run as models have it.
    n_volumes
        Of the scan, which may be shorter or longer.

    Returns
    -------
    Bools
        Shape (n_volumes,).
    """
    return _of_length(volumes_from_plain(plain).used & np.array(plain["defined"]), n_volumes)


def count_scan(plain: PlainVolumes, undefined: Bools) -> VolumeCount:
    """Count the volumes of a scan by what keeps them out of the robust mode.

    Parameters
    ----------
    plain
        As in `robust_volumes`.
    undefined
        Shape (n_volumes,): volumes without a residual, of the scan alone.
    """
    n_volumes = len(undefined)
    film = volumes_from_plain(plain)
    own = FilmVolumes(_of_length(film.covered, n_volumes), _of_length(film.repeated, n_volumes))
    return count_volumes(own, _of_length(np.array(plain["defined"]), n_volumes) & ~undefined)


def _of_length(volumes: Bools, n_volumes: int) -> Bools:
    """Cut to a scan's volumes, or add those that models do not have, as False."""
    own = np.zeros(n_volumes, dtype=np.bool_)
    both = min(n_volumes, len(volumes))
    own[:both] = volumes[:both]
    return own
