"""RDM files: one a run, with one RDM a region or a layer, in the field's own container."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from bidsapp.analysis.part import Dissimilarity
from bidsapp.arrays import Floats
from bidsapp.dataset.film_coverage import FilmCoverage, read_film_coverage, rounded
from bidsapp.dataset.rdm_file import Kind, NoiseRemoved, RDMFile, check_rdms
from bidsapp.dataset.textfiles import read_json, sidecar, write_json
from bidsapp.errors import InputError, reason
from bidsapp.files import whole_file
from bidsapp.rsa.rdm import UnitMoments

# Beside what rsatoolbox reads: its own descriptors of an RDM are not to be arrays.
_MOMENTS = "unit_moments"
_NOISE_REMOVED = "noise_removed"
_MOMENTS_DESCRIPTION = (
    f"Group {_MOMENTS} of the HDF5 file: mean and sd (the population's) over the n_units units of "
    "each volume's pattern, one row a layer; of a layer that was projected, mean 0 and sd norm / "
    "sqrt(n_units)"
)

_UNREADABLE = (OSError, LookupError, ValueError, TypeError, AttributeError, RuntimeError)  # h5py's

_MEASURES: dict[Dissimilarity, str] = {
    "correlation": "1 minus the Pearson correlation of the patterns of two volumes",
    "euclidean": "Euclidean distance between the patterns of two volumes",
    "cosine": "1 minus the cosine between the patterns of two volumes",
}


def write_rdms(
    path: Path,
    rdms: Floats,
    names: Sequence[str],
    kind: Kind,
    onsets_s: Floats,
    descriptors: Mapping[str, str],
    dissimilarity: Dissimilarity = "correlation",
    notes: Mapping[str, object] | None = None,
    moments: Sequence[UnitMoments] = (),
    noise_removed: NoiseRemoved | None = None,
) -> None:
    """Write RDMs as HDF5 that ``rsatoolbox.rdm.load_rdm`` opens, with a JSON sidecar.

    Parameters
    ----------
    path
        Name of the file, ``.h5``.
    rdms
        (k, n_pairs) upper triangles, row by row; stored as float32.
    names
        The k regions or layers.
    kind
        Descriptor that holds ``names``.
    onsets_s
        (n_volumes,) seconds after the run's start, StartTime included; n_pairs = n (n - 1) / 2.
    descriptors
        What holds for the whole file, such as participant, run or model; text only.
    dissimilarity
        What the values are.
    notes
        What else the sidecar is to say.
    moments
        Of the patterns of each of the k layers; none where they are not kept.
    noise_removed
        Of regions in the robust mode.

    Raises
    ------
    ValueError
        The numbers of RDMs, names, pairs, onsets and moments do not fit.
    """
    n = len(onsets_s)
    if rdms.shape != (len(names), n * (n - 1) // 2):
        raise ValueError(
            f"{path.name}: {rdms.shape} RDMs, {len(names)} names and {n} onsets do not fit"
        )
    if moments and [each.mean.shape for each in moments] != [(n,)] * len(names):
        raise ValueError(f"{path.name}: moments do not fit {len(names)} names and {n} onsets")
    container = _rsatoolbox().RDMs(
        np.asarray(rdms, np.float32),
        dissimilarity_measure=dissimilarity,
        descriptors=dict(descriptors),
        rdm_descriptors={kind: list(names)},
        pattern_descriptors={"onset_s": np.asarray(onsets_s, np.float64)},
    )
    sidecar(path).unlink(missing_ok=True)  # an old one must never describe a new file
    content = container.to_dict() | ({_MOMENTS: _stacked(moments)} if moments else {})
    if noise_removed is not None:
        content[_NOISE_REMOVED] = vars(noise_removed)
    with whole_file(path) as temporary:
        _hdf5().write_dict_hdf5(str(temporary), content)
    metadata = _metadata(kind, names, onsets_s, descriptors, dissimilarity)
    write_json(sidecar(path), {**metadata, **(notes or {})})


def write_stimulus_rdms(
    path: Path,
    layers: Mapping[str, tuple[Floats, UnitMoments]],
    onsets_s: Floats,
    descriptors: Mapping[str, str],
    dissimilarity: Dissimilarity,
    notes: Mapping[str, object],
    coverage: Floats,
) -> None:
    """Write the RDMs of a model for one run; see `write_rdms`.

    Parameters
    ----------
    layers
        Layer to its RDM, (n_pairs,), and the moments of its patterns.
    path, onsets_s, descriptors, dissimilarity, notes
        As for `write_rdms`.
    coverage
        (n_volumes,) share of each volume's response that falls on the film, 0 to 1.
    """
    rdms, moments = zip(*layers.values(), strict=True)
    stack = np.stack(rdms)
    notes = {
        **notes,
        "Volumes": _volumes(len(onsets_s), FilmCoverage.of(coverage, stack)),
        "UnitMoments": _MOMENTS_DESCRIPTION,
    }
    names = list(layers)
    write_rdms(path, stack, names, "layer", onsets_s, descriptors, dissimilarity, notes, moments)


def update_film_coverage(path: Path, coverage: Floats) -> bool:
    """Make sure that the sidecar of model RDMs says how much of the film its volumes know.

    The sidecar alone is written, and only where it says nothing or something else; RDMs and what
    they were made from stay as they are.

    Parameters
    ----------
    path
        A file of `write_stimulus_rdms`, of this release or an earlier one.
    coverage
        (n_volumes,) share of each volume's response that falls on the film, 0 to 1.

    Returns
    -------
    bool
        Whether the sidecar was written.

    Raises
    ------
    InputError
        The file is absent, or is no RDM file.
    """
    if _has_coverage(path, coverage):
        return False
    rdms = read_rdms(path)
    if len(rdms.onsets_s) != len(coverage):
        raise InputError(
            f"{path} has {len(rdms.onsets_s)} volumes, and the run has {len(coverage)}: delete it "
            "and run the stimulus level again"
        )
    film = FilmCoverage.of(coverage, rdms.rdms)
    content = read_json(sidecar(path))
    write_json(sidecar(path), {**content, "Volumes": _volumes(len(coverage), film)})
    return True


def _has_coverage(path: Path, coverage: Floats) -> bool:
    try:
        film = read_film_coverage(path)
    except InputError:
        return False
    return film is not None and np.array_equal(film.coverage, rounded(coverage))


def _rsatoolbox() -> Any:  # noqa: ANN401 (a module)
    """Import rsatoolbox only where it is used: that takes seconds."""
    return import_module("rsatoolbox.rdm")


def _hdf5() -> Any:  # noqa: ANN401 (a module)
    return import_module("rsatoolbox.io.hdf5")


def _metadata(
    kind: Kind,
    names: Sequence[str],
    onsets_s: Floats,
    descriptors: Mapping[str, str],
    dissimilarity: Dissimilarity,
) -> dict[str, object]:
    """Describe the file with the keys of BEP017 (relationship matrices) and its descriptors."""
    return {
        "Measure": f"{dissimilarity} distance",
        "MeasureDescription": _MEASURES[dissimilarity],
        "Weighted": True,
        "Directed": False,
        "ValidDiagonal": False,
        "NonNegative": "All values are zero or positive, but for rounding",
        "StorageFormat": (
            "HDF5 of rsatoolbox (rsatoolbox.rdm.load_rdm); dissimilarities: one row each, "
            "upper triangle row by row, NaN where a volume is undefined"
        ),
        "Rows": {"Descriptor": kind, "Names": list(names)},
        "Volumes": _volumes(len(onsets_s)),
        "Descriptors": dict(descriptors),
    }


def _volumes(n_volumes: int, film: FilmCoverage | None = None) -> dict[str, object]:
    """Describe the volumes; of models' RDMs also their film coverage."""
    described = {} if film is None else film.described()
    return {"Count": n_volumes, "Descriptor": "onset_s", "Units": "s", **described}


def read_rdms(path: Path) -> RDMFile:
    """Read a file of `write_rdms`: the one way in which RDMs come from disk.

    Raises
    ------
    InputError
        The file is absent, is no RDM file, or holds what `check_rdms` refuses.
    """
    if not path.is_file():
        raise InputError(f"{path} is missing: run the stage that makes it first")
    try:
        file, kind = _content(_hdf5().read_dict_hdf5(str(path)))
    except _UNREADABLE as error:
        raise InputError(
            f"{path} is no RDM file of this app ({reason(error)}): delete it and run the level "
            "that makes it again"
        ) from error
    check_rdms(path, file, kind)
    return file


def _content(content: Mapping[str, Any]) -> tuple[RDMFile, Kind]:
    """Take what is needed out of the dictionary that rsatoolbox makes of a file."""
    kinds: tuple[Kind, ...] = ("region", "layer")
    named = content["rdm_descriptors"]
    kind = next((kind for kind in kinds if kind in named), None)
    measured = next((name for name in _MEASURES if name == content["dissimilarity_measure"]), None)
    if kind is None or measured is None:
        raise ValueError("it names neither regions nor layers, or an unknown dissimilarity")
    file = RDMFile(
        rdms=np.asarray(content["dissimilarities"], np.float32),
        names=tuple(str(name) for name in named[kind]),
        onsets_s=np.asarray(content["pattern_descriptors"]["onset_s"], np.float64),
        descriptors={key: str(value) for key, value in content["descriptors"].items()},
        dissimilarity=measured,
        moments=_unstacked(content[_MOMENTS]) if _MOMENTS in content else None,
        noise_removed=_noise_removed(content),
    )
    return file, kind


def _noise_removed(content: Mapping[str, Any]) -> NoiseRemoved | None:
    if _NOISE_REMOVED not in content:
        return None
    basis, lag1_r = (content[_NOISE_REMOVED][name] for name in ("basis", "lag1_r"))
    return NoiseRemoved(np.asarray(basis, np.float64), np.asarray(lag1_r, np.float64))


def _stacked(moments: Sequence[UnitMoments]) -> dict[str, np.ndarray]:
    """Turn moments into arrays for HDF5: (k, n_volumes), and (k,) of ``n_units``."""
    return {
        "mean": np.stack([each.mean for each in moments]),
        "sd": np.stack([each.sd for each in moments]),
        "n_units": np.array([each.n_units for each in moments]),
    }


def _unstacked(arrays: Mapping[str, np.ndarray]) -> tuple[UnitMoments, ...]:
    """Invert `_stacked`."""
    layers = zip(arrays["mean"], arrays["sd"], arrays["n_units"], strict=True)
    return tuple(UnitMoments(mean, sd, int(n_units)) for mean, sd, n_units in layers)
