"""Denoised time series of each region's voxels, and how alike they are to themselves in time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bidsapp.arrays import Bools, Floats
from bidsapp.brain.carpet import Carpet, carpet
from bidsapp.brain.denoise import NuisanceDesign, residuals
from bidsapp.brain.voxels import read_smoothed_voxels, read_voxels
from bidsapp.errors import InputError


@dataclass(frozen=True)
class RegionPatterns:
    """What the voxels of each region do in one run.

    Attributes
    ----------
    series
        Region to float32 (n_volumes, n_voxels), denoised; a row is the pattern of a volume, NaN
        where the volume is censored.
    dropped
        Region to the number of voxels left out because they never change.
    voxels
        Region to the mask of the voxels in ``series``, which are in the order of ``data[mask]``.
    tsnr
        Region to the temporal signal-to-noise ratio: each voxel's mean over the SD of its denoised
        series, over volumes that are not censored, averaged over voxels; NaN for a region without
        voxels.
    carpet
        A few voxels of each region, before and after.
    """

    series: Mapping[str, Floats]
    dropped: Mapping[str, int]
    voxels: Mapping[str, Bools]
    tsnr: Mapping[str, float]
    carpet: Carpet


@dataclass(frozen=True)
class Smoothing:
    """A Gaussian kernel, full width at half maximum in mm, and the brain mask that it stays in."""

    fwhm_mm: float
    brain: Bools


def region_patterns(
    bold: Path,
    masks: Mapping[str, Bools],
    design: NuisanceDesign,
    scale: bool,
    smoothing: Smoothing | None = None,
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
        Whether each voxel's residuals are divided by their SD over volumes not censored.
    smoothing
        What the image is smoothed by before; None leaves it as it is.

    Raises
    ------
    InputError
        The image cannot be read to its end, has values that are not finite in a region, has
        another number of volumes than the confounds, or another grid than a mask.
    """
    names = list(masks)
    if not names:
        nothing = np.empty((len(design.matrix), 0))
        return RegionPatterns({}, {}, {}, {}, Carpet((), nothing, nothing))
    union = np.logical_or.reduce([masks[name] for name in names])
    measured, raw = _read(bold, union, smoothing)
    _check(raw, design, bold)
    left = ~design.censored
    # A voxel without signal has none of its own after smoothing either.
    changing = np.ptp(measured[left], axis=0) > 0
    clean = residuals(raw, design.matrix)
    clean[~left] = np.nan
    deviation = clean[left].std(axis=0, dtype=np.float64)
    mean = raw[left].mean(axis=0, dtype=np.float64)
    ratio = np.divide(mean, deviation, where=changing, out=np.zeros(len(changing)))
    shown = carpet({name: masks[name][union] & changing for name in names}, raw, clean, left)
    if scale:
        clean = (clean / np.where(changing, deviation, 1.0)).astype(np.float32)
    series: dict[str, Floats] = {}
    dropped: dict[str, int] = {}
    voxels: dict[str, Bools] = {}
    tsnr: dict[str, float] = {}
    for name in names:
        inside = masks[name][union]
        kept = inside & changing
        series[name] = clean[:, kept]
        dropped[name] = int(np.count_nonzero(inside & ~changing))
        voxels[name] = np.zeros_like(union)
        voxels[name][union] = kept
        tsnr[name] = float(ratio[kept].mean()) if kept.any() else float("nan")
    return RegionPatterns(series, dropped, voxels, tsnr, shown)


def _read(bold: Path, mask: Bools, smoothing: Smoothing | None) -> tuple[Floats, Floats]:
    """Return a mask's voxels as measured, and as they are analysed."""
    if smoothing is not None:
        return read_smoothed_voxels(bold, mask, smoothing.brain, smoothing.fwhm_mm)
    values = read_voxels(bold, mask)
    return values, values


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


def whole_lags(lags_s: Sequence[float], repetition_time: float) -> list[int]:
    """Return the whole numbers of volumes nearest to lags in seconds, at least 1, each once."""
    return list(dict.fromkeys(max(1, round(lag / repetition_time)) for lag in lags_s))


def autocorrelation(series: Floats, lags: Sequence[int]) -> Floats:
    """Return the temporal autocorrelation, averaged over voxels.

    Parameters
    ----------
    series
        (n_volumes, n_voxels); a row that is not finite is a censored volume.
    lags
        Volumes; see `whole_lags`.

    Returns
    -------
    Floats
        (n_lags,): the mean over voxels of the Pearson correlation of a voxel's series with itself
        that many volumes later, over pairs of volumes that are not censored; NaN where fewer than
        three such pairs are left, or no voxel.
    """
    values = np.asarray(series, np.float64)
    left = np.asarray(np.isfinite(values).all(axis=1))
    return np.array([_at_lag(values, left, lag) for lag in lags])


def _at_lag(values: Floats, left: Bools, lag: int) -> float:
    first = np.flatnonzero(left[: max(len(left) - lag, 0)] & left[lag:])
    if len(first) < 3 or values.shape[1] == 0:
        return float("nan")
    early, late = (part - part.mean(axis=0) for part in (values[first], values[first + lag]))
    scale = np.sqrt((early**2).sum(axis=0) * (late**2).sum(axis=0))
    defined = scale > 0
    if not defined.any():
        return float("nan")
    return float(((early * late).sum(axis=0)[defined] / scale[defined]).mean())
