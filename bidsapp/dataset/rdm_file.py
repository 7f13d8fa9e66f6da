"""What an RDM file holds, and what can be wrong with it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from scipy.spatial.distance import squareform

from bidsapp.analysis.part import Dissimilarity
from bidsapp.arrays import Bools, Floats
from bidsapp.errors import InputError
from bidsapp.rsa.rdm import UnitMoments, n_volumes_of

Kind = Literal["region", "layer"]

_FINITE = float(np.finfo(np.float32).max)
_ROUNDING = 1e-5
_LARGEST: Mapping[Dissimilarity, float] = {
    "correlation": 2.0 + _ROUNDING,
    "cosine": 2.0 + _ROUNDING,
    "euclidean": _FINITE,
}


@dataclass(frozen=True)
class NoiseRemoved:
    """What was taken out of a participant's regions in one run, for their RDMs of the robust mode.

    Attributes
    ----------
    basis
        Shape (n_volumes, rank): orthonormal basis of the nuisance regressors; NaN in the rows of
        volumes that took no part.
    lag1_r
        Shape (k,): autocorrelation at a lag of one volume that each region's noise was taken to
        have, for the RDM that was regressed out; NaN for a region without one.
    """

    basis: Floats
    lag1_r: Floats


@dataclass(frozen=True)
class RDMFile:
    """What an RDM file holds.

    Attributes
    ----------
    rdms
        float32, (k, n_pairs): upper triangles, row by row; NaN where a volume is undefined.
    names
        The k regions or layers.
    onsets_s
        (n_volumes,) time of each volume after the run's start, StartTime included, in seconds.
    descriptors
        What holds for all of them: participant, run, model, ...
    dissimilarity
        What the values are.
    moments
        Of each layer's patterns; None for regions, and for files of earlier releases.
    noise_removed
        Of regions in the robust mode; None for others.
    """

    rdms: Floats
    names: tuple[str, ...]
    onsets_s: Floats
    descriptors: Mapping[str, str]
    dissimilarity: Dissimilarity = "correlation"
    moments: tuple[UnitMoments, ...] | None = None
    noise_removed: NoiseRemoved | None = None


def check_rdms(path: Path, file: RDMFile, kind: Kind) -> None:
    """Refuse what no level of this app writes.

    Parameters
    ----------
    path, file, kind
        The file, what it holds, and what its RDMs are of.

    Raises
    ------
    InputError
        The numbers of RDMs, names, pairs and volumes do not fit; a name is there twice; the
        volumes are not one after the other; a value is infinite, or is missing though both volumes
        have values in other pairs; or a layer's value is no distance. (A region's may be negative:
        in robust, expected noise is regressed out of it.)
    """
    fault = next(_faults(file, kind), None)
    if fault is not None:
        participant = file.descriptors.get("participant")
        whose = f"for sub-{participant} " if participant and kind == "region" else ""
        level = "participant" if kind == "region" else "stimulus"
        raise InputError(
            f"{path}{_source(file.descriptors)}: {fault}: delete the file and run the {level} "
            f"level {whose}again"
        )


def _source(descriptors: Mapping[str, str]) -> str:
    """Name the participant or model, and the run."""
    known = [f"{key} {descriptors[key]}" for key in ("participant", "model", "run")
             if key in descriptors]  # fmt: skip
    return f" ({', '.join(known)})" if known else ""


def _faults(file: RDMFile, kind: Kind) -> Iterator[str]:
    """Say what is wrong, the shapes first: each check relies on those before it."""
    if file.rdms.ndim != 2 or file.onsets_s.ndim != 1:
        yield f"its RDMs have the shape {file.rdms.shape}, where rows of pairs are needed"
    k, n_pairs = file.rdms.shape
    n = len(file.onsets_s)
    if k != len(file.names):
        yield f"it has {k} RDMs and the names of {len(file.names)} {kind}s"
    twice = [name for name in file.names if file.names.count(name) > 1]
    if twice:
        yield f"the {kind} {twice[0]} is there twice"
    if n < 2 or n_pairs != n * (n - 1) // 2:
        yield f"its RDMs have {n_pairs} pairs, which do not fit {n} volumes"
    if not (np.isfinite(file.onsets_s).all() and (np.diff(file.onsets_s) > 0).all()):
        yield "its volumes do not follow each other in time (onset_s)"
    if file.moments is not None and [
        shape for each in file.moments for shape in (each.mean.shape, each.sd.shape)
    ] != [(n,)] * (2 * k):
        yield f"its unit_moments do not fit {k} {kind}s and {n} volumes"
    removed = file.noise_removed
    if removed is not None and (removed.lag1_r.shape, len(removed.basis)) != ((k,), n):
        yield f"its noise_removed does not fit {k} {kind}s and {n} volumes"
    yield from _wrong_values(file, kind)


def _wrong_values(file: RDMFile, kind: Kind) -> Iterator[str]:
    """Name the first value that cannot be; two passes over the RDMs where all is well."""
    if not file.rdms.size:
        return
    lowest, highest = file.rdms.min(), file.rdms.max()
    gaps = bool(np.isnan(lowest))
    if gaps:
        lowest, highest = (extreme.reduce(file.rdms, axis=None) for extreme in (np.fmin, np.fmax))
    least, largest = -_FINITE, _FINITE
    if kind == "layer":
        least, largest = -_ROUNDING, _LARGEST[file.dissimilarity]
    if lowest < least or highest > largest:
        for name, rdm in zip(file.names, file.rdms, strict=True):
            wrong = (rdm < least) | (rdm > largest)
            if wrong.any():
                yield f"{_first(wrong, rdm, kind, name)}, which is no {file.dissimilarity} distance"
    if gaps:
        yield from _missing(file, kind)


def _missing(file: RDMFile, kind: Kind) -> Iterator[str]:
    """Name the first value that is missing though both volumes have others."""
    before: Bools | None = None
    for name, rdm in zip(file.names, file.rdms, strict=True):
        missing = np.isnan(rdm)
        if before is not None and np.array_equal(missing, before):
            continue  # most regions have the same volumes
        before = missing
        there = squareform(~missing)
        defined = there.any(axis=1)
        n = np.count_nonzero(defined)
        if len(rdm) - np.count_nonzero(missing) < n * (n - 1) // 2:
            wrong = squareform(~there & defined[:, None] & defined, checks=False)
            yield f"{_first(wrong, rdm, kind, name)}, though both have values in other pairs"


def _first(wrong: Bools, rdm: Floats, kind: Kind, name: str) -> str:
    """Name the first pair of volumes that has a wrong value, and the value."""
    place = int(wrong.argmax())
    earlier, later = (side[place] for side in np.triu_indices(n_volumes_of(len(rdm)), 1))
    return (
        f"the RDM of the {kind} {name} has {rdm[place]:g} for volumes {earlier} and {later} "
        "(the first of a run is 0)"
    )
