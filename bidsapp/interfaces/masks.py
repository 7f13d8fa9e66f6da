"""Region masks on one run's grid, as they pass from step to step: a compressed NumPy archive."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from nibabel import Nifti1Image

from bidsapp.arrays import Bools, Floats, without_idle_axes
from bidsapp.files import whole_file


def save_masks(path: Path, masks: Mapping[str, Bools]) -> Path:
    """Write masks by region name; returns ``path``."""
    with whole_file(path) as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **masks)
    return path


def read_mask(path: str) -> tuple[Bools, Floats]:
    """Read an image of a mask, and its 4 x 4 affine, voxels to RAS mm."""
    image = Nifti1Image.from_filename(path)
    return without_idle_axes(np.asarray(image.dataobj)) > 0, image.affine


def load_masks(paths: Sequence[str]) -> dict[str, Bools]:
    """Read the masks of one run from one archive or more, in their order."""
    masks: dict[str, Bools] = {}
    for path in paths:
        with np.load(path) as archive:
            masks |= {name: archive[name] for name in archive.files}
    return masks
