"""Images that the app writes, each with its JSON sidecar."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
import pandas as pd

from bidsapp.arrays import Floats, Ints
from bidsapp.dataset.textfiles import sidecar, write_json, write_tsv
from bidsapp.files import whole_file

# The volumetric spaces that BIDS knows; images in another one need a SpatialReference
# (BIDS specification 1.11.1, appendix "Coordinate systems").
STANDARD_SPACES = frozenset(
    (
        *("ICBM452AirSpace", "ICBM452Warp5Space", "IXI549Space", "MNIColin27", "MNI152Lin"),
        *("MNI152NLin2009aSym", "MNI152NLin2009bSym", "MNI152NLin2009cSym"),
        *("MNI152NLin2009aAsym", "MNI152NLin2009bAsym", "MNI152NLin2009cAsym"),
        *("MNI152NLin6Sym", "MNI152NLin6Asym", "MNI305", "NIHPD"),
        *("OASIS30AntsOASISAnts", "OASIS30Atropos", "Talairach", "UNCInfant"),
    )
)


def write_image(
    path: Path, data: npt.NDArray[Any], affine: Floats, metadata: Mapping[str, Any]
) -> None:
    """Write a NIfTI image with its JSON sidecar.

    Parameters
    ----------
    path
        Name of the image, ``.nii.gz``.
    data
        Voxels; booleans are stored as uint8, integers as int16, floats as float32.
    affine
        4 x 4, voxels to RAS mm.
    metadata
        The sidecar; an image in no standard space, such as ``space-T1w``, needs
        ``SpatialReference`` (BIDS requires it).

    Raises
    ------
    ValueError
        ``SpatialReference`` is missing.
    """
    _check_reference(path, metadata)
    image = nibabel.Nifti1Image(data.astype(_stored_type(data.dtype)), affine)
    image.header.set_xyzt_units("mm", "sec")
    with whole_file(path) as temporary:
        nibabel.save(image, temporary)
    write_json(sidecar(path), metadata)


def write_segmentation(
    path: Path, data: Ints, affine: Floats, names: Sequence[str], metadata: Mapping[str, Any]
) -> None:
    """Write a ``dseg`` image, its TSV of indices 1, 2, ... and names, and the one JSON for both."""
    table = pd.DataFrame({"index": np.arange(1, len(names) + 1), "name": list(names)})
    columns = {
        "index": {"Description": "Value of the region's voxels in the image", "Format": "integer"},
        "name": {"Description": "Name of the region"},
    }
    write_tsv(path.with_name(path.name.split(".")[0] + ".tsv"), table, columns)
    write_image(path, data, affine, {**metadata, **columns})


def _stored_type(kind: np.dtype[Any]) -> type[np.generic]:
    if kind == np.bool_:
        return np.uint8
    return np.int16 if np.issubdtype(kind, np.integer) else np.float32


def _check_reference(path: Path, metadata: Mapping[str, Any]) -> None:
    space = re.search("_space-([^_]+)_", path.name)
    if space and space[1] not in STANDARD_SPACES and "SpatialReference" not in metadata:
        raise ValueError(
            f"{path.name}: BIDS requires SpatialReference in the metadata of {space[1]} space"
        )
