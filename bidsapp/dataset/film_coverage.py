"""How much of each volume's response the film covers, as the sidecars of model RDMs say it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from bidsapp.arrays import Bools, Floats
from bidsapp.dataset.textfiles import read_json, sidecar
from bidsapp.errors import InputError
from bidsapp.rsa.rdm import volume_defined

_DECIMALS = 4


@dataclass(frozen=True)
class FilmCoverage:
    """Film coverage of a run's volumes, for one model or several.

    Attributes
    ----------
    coverage
        Shape (n_volumes,): share of the response's absolute weight that falls on the film, or on
        the rows of a feature table; 0 to 1, to four decimals.
    undefined
        Shape (n_volumes,): volumes that at least one layer leaves undefined.
    """

    coverage: Floats
    undefined: Bools

    @classmethod
    def of(cls, coverage: Floats, rdms: Floats) -> Self:
        """Join a model's coverage, (n_volumes,), and what its RDMs, (k, n_pairs), leave undefined.

        Raises
        ------
        ValueError
            They are of different numbers of volumes.
        """
        defined = np.logical_and.reduce([volume_defined(rdm) for rdm in rdms])
        if coverage.shape != defined.shape:
            raise ValueError(f"coverage of {len(coverage)} volumes, RDMs of {len(defined)}")
        return cls(rounded(coverage), ~defined)

    def described(self) -> dict[str, object]:
        """Return the entries of a sidecar's ``Volumes``."""
        return {
            "Coverage": self.coverage.tolist(),
            "CoverageDescription": (
                "Share of the haemodynamic response's absolute weight that falls on the film, or "
                "on the rows of the feature table"
            ),
            "Undefined": np.flatnonzero(self.undefined).tolist(),
        }


def rounded(coverage: Floats) -> Floats:
    """Round shares as they are stored, so that a threshold gives the same before and after."""
    return coverage.round(_DECIMALS)


def of_all(models: Sequence[FilmCoverage]) -> FilmCoverage:
    """Give the least coverage of several models, and the volumes that any of them leaves undefined.

    Raises
    ------
    ValueError
        They are of different numbers of volumes.
    """
    return FilmCoverage(
        np.minimum.reduce([model.coverage for model in models]),
        np.logical_or.reduce([model.undefined for model in models]),
    )


def read_film_coverage(path: Path) -> FilmCoverage | None:
    """Read how much of each volume's response the film covers, from the sidecar of model RDMs.

    Parameters
    ----------
    path
        The RDM file, which is not opened itself.

    Returns
    -------
    FilmCoverage or None
        None where an earlier release made the file, and its sidecar does not say it.

    Raises
    ------
    InputError
        There is no sidecar, or what it says is not one share a volume.
    """
    volumes = read_json(sidecar(path)).get("Volumes", {})
    try:
        if not {"Coverage", "Undefined"} & volumes.keys():
            return None
        return _checked(volumes)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{sidecar(path)}: Coverage and Undefined of Volumes are not one share a volume and a "
            "list of volumes: run the stimulus level again, which mends them (no network is run)"
        ) from error


def _checked(volumes: Mapping[str, Any]) -> FilmCoverage:
    coverage = np.array(volumes["Coverage"], dtype=np.float64)
    undefined = np.isin(np.arange(volumes["Count"]), volumes["Undefined"])
    if coverage.shape != undefined.shape or not np.all((coverage >= 0) & (coverage <= 1)):
        raise ValueError("no share a volume")
    if undefined.sum() != len(volumes["Undefined"]):
        raise ValueError("no volumes of the run")
    return FilmCoverage(coverage, undefined)
