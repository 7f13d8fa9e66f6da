"""The voxels of regions, read from a BOLD file in one pass, as they are or smoothed."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.affines import voxel_sizes
from nibabel.filebasedimages import ImageFileError
from scipy.ndimage import gaussian_filter

from bidsapp.arrays import Bools, Floats, Ints
from bidsapp.errors import InputError

_FWHM_PER_SIGMA = np.sqrt(8 * np.log(2))
_TRUNCATE = 4.0  # SDs at which SciPy, and so nilearn, ends the kernel


def read_voxels(bold: Path, mask: Bools) -> Floats:
    """Read the voxels of a mask, volume by volume, so that the whole image is never in memory.

    Parameters
    ----------
    bold
        4-D NIfTI image, compressed or not.
    mask
        Boolean, on the image's grid.

    Returns
    -------
    Floats
        float32, (n_volumes, n_voxels); voxels in the order of ``data[mask]``.

    Raises
    ------
    InputError
        The image is no 4-D NIfTI, ends early, is damaged, or has another grid.
    """
    image = _open(bold, mask)
    voxels = _flat(mask)
    values = np.empty((image.shape[3], voxels.size), np.float32)
    for row, volume in zip(values, _volumes(bold, image.dataobj, voxels), strict=True):
        row[:] = volume
    return values


def read_smoothed_voxels(
    bold: Path, mask: Bools, brain: Bools, fwhm_mm: float
) -> tuple[Floats, Floats]:
    """Read the voxels of a mask in one pass, as they are and smoothed within the brain.

    A smoothed voxel is the mean of the brain's voxels round it, weighted by a Gaussian: the image,
    zero outside of the brain, and the brain mask are both filtered by SciPy as nilearn does it, and
    divided. So nothing leaks in from outside, and the edge is not darkened. Weights do not change
    with time: smoothing before or after the nuisance regression gives the same.

    Parameters
    ----------
    bold, mask
        As for `read_voxels`.
    brain
        Brain mask on the same grid; the voxels of ``mask`` count as brain too.
    fwhm_mm
        Full width at half maximum of the kernel, mm.

    Returns
    -------
    tuple of Floats
        As they are and smoothed; each float32, (n_volumes, n_voxels).

    Raises
    ------
    InputError
        As for `read_voxels`.
    """
    image = _open(bold, mask)
    sigma = fwhm_mm / (_FWHM_PER_SIGMA * voxel_sizes(image.affine))
    box = _box(mask, np.ceil(_TRUNCATE * sigma).astype(int))
    near = np.zeros_like(mask)
    near[box] = (brain | mask)[box]
    inside, wanted, chosen = near[box], mask[box], mask[near]
    weight = gaussian_filter(inside.astype(np.float64), sigma, truncate=_TRUNCATE)[wanted]
    raw = np.empty((image.shape[3], weight.size), np.float32)
    smooth = np.empty_like(raw)
    part = np.zeros(inside.shape)
    for i, volume in enumerate(_volumes(bold, image.dataobj, _flat(near))):
        part[inside] = volume
        raw[i] = volume[chosen]
        smooth[i] = gaussian_filter(part, sigma, truncate=_TRUNCATE)[wanted] / weight
    return raw, smooth


def _open(bold: Path, mask: Bools) -> Any:  # noqa: ANN401 (nibabel has no type for it)
    try:
        image: Any = nibabel.load(bold)
    except (ImageFileError, OSError, EOFError, zlib.error, ValueError) as error:
        raise InputError(f"{bold} is no readable NIfTI image: copy or make it again") from error
    if len(image.shape) != 4:
        raise InputError(f"{bold} has {len(image.shape)} dimensions; a BOLD image has 4")
    if image.shape[:3] != mask.shape:
        raise InputError(f"{bold} is {image.shape[:3]} voxels but the mask is {mask.shape}")
    return image


def _box(mask: Bools, margin: Ints) -> tuple[slice, ...]:
    """Return the smallest box round a mask with a margin of so many voxels along x, y, z."""
    lowest = [places.min(initial=n) for places, n in zip(np.nonzero(mask), mask.shape, strict=True)]
    highest = [places.max(initial=0) for places in np.nonzero(mask)]
    return tuple(
        slice(max(low - more, 0), high + more + 1)
        for low, high, more in zip(lowest, highest, margin, strict=True)
    )


def _flat(mask: Bools) -> Ints:
    """Return where the voxels of ``data[mask]`` stand in a file: NIfTI stores x fastest."""
    voxels: Ints = np.ravel_multi_index(np.nonzero(mask), mask.shape, order="F")
    return voxels


def _volumes(bold: Path, proxy: Any, voxels: Ints) -> Iterator[Floats]:  # noqa: ANN401
    """Yield some voxels of one volume after the other, scaled, float64, (n_voxels,)."""
    volume_bytes = int(np.prod(proxy.shape[:3])) * proxy.dtype.itemsize
    compressed = bold.suffix == ".gz"
    with _whole(bold), gzip.open(bold) if compressed else bold.open("rb") as stream:
        stream.seek(proxy.offset)
        for _ in range(proxy.shape[3]):
            content = stream.read(volume_bytes)
            if len(content) < volume_bytes:
                raise EOFError
            chosen = np.frombuffer(content, proxy.dtype)[voxels]
            yield chosen.astype(np.float64) * proxy.slope + proxy.inter
        stream.read()  # the end of a gzip file holds its checksum


@contextmanager
def _whole(bold: Path) -> Iterator[None]:
    """Say in one sentence that a file ends early or is damaged."""
    try:
        yield
    except (EOFError, OSError, zlib.error) as error:
        raise InputError(f"{bold} is truncated or damaged: copy or make it again") from error
