"""Denoised time series of each region's voxels, from one pass through a BOLD file."""

import gzip
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError

from bidsapp.arrays import Bools, Floats, Ints
from bidsapp.brain.denoise import NuisanceDesign, residuals
from bidsapp.errors import InputError


@dataclass(frozen=True)
class RegionPatterns:
    """What the voxels of each region do in one run.

    Attributes
    ----------
    series
        Region to float32 (n_volumes, n_voxels), denoised; a row is the pattern of a volume.
    dropped
        Region to the number of voxels left out because they never change.
    tsnr
        Region to the temporal signal-to-noise ratio: each voxel's mean over the SD of its denoised
        series, averaged over voxels; NaN for a region without voxels.
    """

    series: Mapping[str, Floats]
    dropped: Mapping[str, int]
    tsnr: Mapping[str, float]


def region_patterns(
    bold: Path, masks: Mapping[str, Bools], design: NuisanceDesign, scale: bool
) -> RegionPatterns:
    """Read the voxels of all regions and regress the nuisance out of each.

    Parameters
    ----------
    bold
        4-D image; it is read once, and only the regions' voxels are kept.
    masks
        Region to a mask on the image's grid; regions may overlap or be empty.
    design
        The run's nuisance regressors.
    scale
        Whether each voxel's residuals are divided by their SD.

    Raises
    ------
    InputError
        The image cannot be read to its end, has values that are not finite in a region, has
        another number of volumes than the confounds, or another grid than a mask.
    """
    names = list(masks)
    if not names:
        return RegionPatterns({}, {}, {})
    union = np.logical_or.reduce([masks[name] for name in names])
    raw = read_voxels(bold, union)
    _check(raw, design, bold)
    changing = np.ptp(raw, axis=0) > 0
    clean = residuals(raw, design.matrix)
    deviation = clean.std(axis=0, dtype=np.float64)
    ratio = np.divide(
        raw.mean(axis=0, dtype=np.float64), deviation, where=changing, out=np.zeros(len(changing))
    )
    if scale:
        clean = (clean / np.where(changing, deviation, 1.0)).astype(np.float32)
    series: dict[str, Floats] = {}
    dropped: dict[str, int] = {}
    tsnr: dict[str, float] = {}
    for name in names:
        inside = masks[name][union]
        kept = inside & changing
        series[name] = clean[:, kept]
        dropped[name] = int(np.count_nonzero(inside & ~changing))
        tsnr[name] = float(ratio[kept].mean()) if kept.any() else float("nan")
    return RegionPatterns(series, dropped, tsnr)


def _check(raw: Floats, design: NuisanceDesign, bold: Path) -> None:
    if len(raw) != len(design.matrix):
        raise InputError(
            f"{bold} has {len(raw)} volumes but its confounds have {len(design.matrix)} rows"
        )
    broken = int(np.count_nonzero(~np.isfinite(raw).all(axis=0)))
    if broken:
        raise InputError(
            f"{bold} has values that are not finite in {broken} voxels of the regions: "
            "run fMRIPrep again"
        )


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
    try:
        image: Any = nibabel.load(bold)
    except (ImageFileError, OSError, EOFError, zlib.error, ValueError) as error:
        raise InputError(f"{bold} is no readable NIfTI image: copy or make it again") from error
    if len(image.shape) != 4:
        raise InputError(f"{bold} has {len(image.shape)} dimensions; a BOLD image has 4")
    if image.shape[:3] != mask.shape:
        raise InputError(f"{bold} is {image.shape[:3]} voxels but the mask is {mask.shape}")
    # NIfTI stores x fastest; the voxels come in NumPy's order all the same.
    voxels: Ints = np.ravel_multi_index(np.nonzero(mask), mask.shape, order="F")
    values = np.empty((image.shape[3], voxels.size), np.float32)
    try:
        _read_volumes(bold, image.dataobj, voxels, values)
    except (EOFError, OSError, zlib.error) as error:
        raise InputError(f"{bold} is truncated or damaged: copy or make it again") from error
    return values


def _read_volumes(bold: Path, proxy: Any, voxels: Ints, values: Floats) -> None:  # noqa: ANN401
    """Fill ``values`` (n_volumes, n_voxels); a file that ends early raises EOFError."""
    volume_bytes = int(np.prod(proxy.shape[:3])) * proxy.dtype.itemsize
    compressed = bold.suffix == ".gz"
    with gzip.open(bold) if compressed else bold.open("rb") as stream:
        stream.seek(proxy.offset)
        for row in values:
            content = stream.read(volume_bytes)
            if len(content) < volume_bytes:
                raise EOFError
            chosen = np.frombuffer(content, proxy.dtype)[voxels]
            row[:] = chosen.astype(np.float64) * proxy.slope + proxy.inter
        stream.read()  # the end of a gzip file holds its checksum


def autocorrelation(series: Floats, repetition_time: float, lags_s: Sequence[float]) -> Floats:
    """Return the temporal autocorrelation, averaged over voxels.

    Parameters
    ----------
    series
        (n_volumes, n_voxels).
    repetition_time
        Seconds.
    lags_s
        Lags in seconds; each is taken at the nearest whole number of volumes.

    Returns
    -------
    Floats
        (n_lags,): the mean over voxels of the Pearson correlation of a voxel's series with itself
        that many volumes later; NaN where fewer than three pairs of volumes are left, or no voxel.
    """
    values = np.asarray(series, np.float64)
    return np.array([_at_lag(values, round(lag / repetition_time)) for lag in lags_s])


def _at_lag(values: Floats, lag: int) -> float:
    n = len(values) - lag
    if n < 3 or values.shape[1] == 0:
        return float("nan")
    early, late = (part - part.mean(axis=0) for part in (values[:n], values[lag:]))
    scale = np.sqrt((early**2).sum(axis=0) * (late**2).sum(axis=0))
    defined = scale > 0
    if not defined.any():
        return float("nan")
    return float(((early * late).sum(axis=0)[defined] / scale[defined]).mean())
