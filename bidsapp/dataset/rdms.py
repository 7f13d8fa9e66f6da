"""RDM files: one a run, with one RDM a region or a layer, in the field's own container."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bidsapp.analysis.part import Dissimilarity
from bidsapp.arrays import Floats
from bidsapp.dataset.textfiles import sidecar, write_json
from bidsapp.errors import InputError
from bidsapp.files import whole_file

Kind = Literal["region", "layer"]

_MEASURES: dict[Dissimilarity, str] = {
    "correlation": "1 minus the Pearson correlation of the patterns of two volumes",
    "euclidean": "Euclidean distance between the patterns of two volumes",
    "cosine": "1 minus the cosine between the patterns of two volumes",
}


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
    """

    rdms: Floats
    names: tuple[str, ...]
    onsets_s: Floats
    descriptors: Mapping[str, str]
    dissimilarity: Dissimilarity = "correlation"


def write_rdms(
    path: Path,
    rdms: Floats,
    names: Sequence[str],
    kind: Kind,
    onsets_s: Floats,
    descriptors: Mapping[str, str],
    dissimilarity: Dissimilarity = "correlation",
    notes: Mapping[str, object] | None = None,
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

    Raises
    ------
    ValueError
        The numbers of RDMs, names, pairs and onsets do not fit.
    """
    n = len(onsets_s)
    if rdms.shape != (len(names), n * (n - 1) // 2):
        raise ValueError(
            f"{path.name}: {rdms.shape} RDMs, {len(names)} names and {n} onsets do not fit"
        )
    container = _rsatoolbox().RDMs(
        np.asarray(rdms, np.float32),
        dissimilarity_measure=dissimilarity,
        descriptors=dict(descriptors),
        rdm_descriptors={kind: list(names)},
        pattern_descriptors={"onset_s": np.asarray(onsets_s, np.float64)},
    )
    sidecar(path).unlink(missing_ok=True)  # an old one must never describe a new file
    with whole_file(path) as temporary:
        container.save(str(temporary), file_type="hdf5")
    metadata = _metadata(kind, names, onsets_s, descriptors, dissimilarity)
    write_json(sidecar(path), {**metadata, **(notes or {})})


def write_stimulus_rdms(
    path: Path,
    layers: Mapping[str, Floats],
    onsets_s: Floats,
    descriptors: Mapping[str, str],
    dissimilarity: Dissimilarity,
    notes: Mapping[str, object],
) -> None:
    """Write the RDMs of a model for one run; see `write_rdms`.

    Parameters
    ----------
    layers
        Layer to (n_pairs,).
    path, onsets_s, descriptors, dissimilarity, notes
        As for `write_rdms`.
    """
    stack = np.stack(list(layers.values()))
    write_rdms(path, stack, list(layers), "layer", onsets_s, descriptors, dissimilarity, notes)


def _rsatoolbox() -> Any:  # noqa: ANN401 (a module)
    """Import rsatoolbox only where it is used: that takes seconds."""
    return import_module("rsatoolbox.rdm")


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
        "Volumes": {"Count": len(onsets_s), "Descriptor": "onset_s", "Units": "s"},
        "Descriptors": dict(descriptors),
    }


def read_rdms(path: Path) -> RDMFile:
    """Read a file of `write_rdms`.

    Raises
    ------
    InputError
        The file is absent, or is no RDM file.
    """
    if not path.is_file():
        raise InputError(f"{path} is missing: run the stage that makes it first")
    try:
        container = _rsatoolbox().load_rdm(str(path), file_type="hdf5")
        kind = next(kind for kind in ("region", "layer") if kind in container.rdm_descriptors)
        onsets_s = np.asarray(container.pattern_descriptors["onset_s"], np.float64)
        measured = next(name for name in _MEASURES if name == container.dissimilarity_measure)
    except (OSError, KeyError, ValueError, StopIteration) as error:
        raise InputError(f"{path} is no RDM file of this app: delete it and run again") from error
    return RDMFile(
        rdms=np.asarray(container.dissimilarities, np.float32),
        names=tuple(str(name) for name in container.rdm_descriptors[kind]),
        onsets_s=onsets_s,
        descriptors={key: str(value) for key, value in container.descriptors.items()},
        dissimilarity=measured,
    )
