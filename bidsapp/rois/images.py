"""Reading NIfTI images, with a clear sentence for a broken file, and comparing their grids."""

import zlib
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError

from bidsapp.arrays import Bools, Floats, without_idle_axes
from bidsapp.errors import InputError
from bidsapp.files import read_whole

_SAME_GRID_MM = 1e-3


def same_grid(
    shape: Sequence[int], affine: Floats, other_shape: Sequence[int], other_affine: Floats
) -> bool:
    """Tell whether two grids have one shape and, within a micrometre, one affine."""
    return tuple(shape) == tuple(other_shape) and np.allclose(
        affine, other_affine, rtol=0, atol=_SAME_GRID_MM
    )


def count_inside(mask: Bools, affine: Floats, other: Bools, other_affine: Floats) -> int:
    """Count a mask's voxels whose middle lies in a mask on another grid of the same space."""
    across = np.linalg.inv(other_affine) @ affine
    index = np.rint(np.argwhere(mask) @ across[:3, :3].T + across[:3, 3]).astype(np.intp)
    index = index[((index >= 0) & (index < other.shape)).all(axis=1)]
    return int(np.count_nonzero(other[tuple(index.T)]))


def open_image(path: Path) -> nib.Nifti1Image:
    """Open a NIfTI image; its data are read later, see `read_data`.

    Raises
    ------
    InputError
        The file is absent or no NIfTI image.
    """
    try:
        return nib.Nifti1Image.from_filename(path)
    except FileNotFoundError as error:
        raise InputError(f"no image at {path}; copy it there") from error
    except (OSError, EOFError, ValueError, ImageFileError) as error:
        raise InputError(f"{path} is no NIfTI image ({error}); copy it anew") from error


def open_volume(path: Path) -> nib.Nifti1Image:
    """Open an image of one volume, as one of three dimensions.

    Raises
    ------
    InputError
        The file is absent, no NIfTI image, or holds several volumes.
    """
    image = open_image(path)
    if len(image.shape) == 3:
        return image
    data = read_data(image, path, as_stored=True)
    if data.ndim != 3:
        raise InputError(
            f"{path} has shape {image.shape}, and an image of one volume is needed: split it into "
            "one file a volume"
        )
    return nib.Nifti1Image(data, image.affine, image.header)


def read_data(image: nib.Nifti1Image, path: Path, *, as_stored: bool = False) -> Floats:
    """Read an image's data as float32 or (faster for integers) as they are stored.

    They have any shape, but no axes of one behind the third.

    Raises
    ------
    InputError
        The file is cut off or broken; gzip's checksum tells of a single bit.
    """
    try:
        image = type(image).from_bytes(read_whole(path))
        if as_stored:
            return without_idle_axes(np.asanyarray(image.dataobj))
        return without_idle_axes(image.get_fdata(dtype=np.float32, caching="unchanged"))
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise InputError(f"{path} is cut off or broken ({error}); copy it anew") from error
