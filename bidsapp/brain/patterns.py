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
class Denoised:
    """Denoised voxels of each region in one run.

    Attributes
    ----------
    series
        Region to float32 (n_volumes, n_voxels); a row is the pattern of a volume, NaN where the
        volume took no part.
    voxels
        Region to the mask of the voxels in ``series``, which are in the order of ``data[mask]``:
        those that change.
    """

    series: Mapping[str, Floats]
    voxels: Mapping[str, Bools]


@dataclass(frozen=True)
class RegionPatterns:
    """What the voxels of each region do in one run.

    Attributes
    ----------
    replicate
        Denoised on all volumes that are not censored.
    robust
        Denoised on those of them that the robust mode uses; all NaN where these are too few for
        the regressors.
    dropped
        Region to the number of voxels left out of ``replicate`` because they never change.
    tsnr
        Region to the temporal signal-to-noise ratio: each voxel's mean over the SD of its denoised
        series, over volumes that are not censored, averaged over voxels; NaN for a region without
        voxels.
    carpet
        A few voxels of each region, before and after.
    """

    replicate: Denoised
    robust: Denoised
    dropped: Mapping[str, int]
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
    used: Bools | None = None,
) -> RegionPatterns:
    """Read the voxels of all regions and regress the nuisance out of each, for each mode.

    Volumes left out after the regression would leave in the others what the regressors took from
    them, so each mode fits the regressors on its own volumes.

    Parameters
    ----------
    bold
        4-D image; it is read once, and only the regions' voxels are kept.
    masks
        Region to a mask on the image's grid; regions may overlap or be empty.
    design
        The run's nuisance regressors.
    scale
        Whether each voxel's residuals are divided by their SD over the volumes that took part.
    smoothing
        What the image is smoothed by before; None leaves it as it is.
    used
        Shape (n_volumes,): volumes that the robust mode uses; None: all.

    Raises
    ------
    InputError
        The image cannot be read to its end, has values that are not finite in a region, has
        another number of volumes than the confounds, or another grid than a mask.
    """
    names = list(masks)
    if not names:
        nothing = np.empty((len(design.matrix), 0))
        empty = Denoised({}, {})
        return RegionPatterns(empty, empty, {}, {}, Carpet((), nothing, nothing))
    union = np.logical_or.reduce([masks[name] for name in names])
    measured, raw = _read(bold, union, smoothing)
    _check(raw, design, bold)
    left = ~design.censored
    # A voxel without signal has none of its own after smoothing either.
    changing = _changing(measured, left)
    clean = _regressed(raw, design, left)
    ratio = _signal_to_noise(raw, clean, left, changing)
    inside = {name: masks[name][union] for name in names}
    shown = carpet({name: inside[name] & changing for name in names}, raw, clean, left)
    replicate = _by_region(_scaled(clean, left) if scale else clean, inside, changing, union)
    robust = replicate
    if used is not None:
        in_robust = left & used
        clean = _regressed(raw, design, in_robust)
        changing_there = _changing(measured, in_robust)
        robust = _by_region(
            _scaled(clean, in_robust) if scale else clean, inside, changing_there, union
        )
    return RegionPatterns(
        replicate=replicate,
        robust=robust,
        dropped={name: int((inside[name] & ~changing).sum()) for name in names},
        tsnr={name: _mean(ratio[inside[name] & changing]) for name in names},
        carpet=shown,
    )


def _signal_to_noise(raw: Floats, clean: Floats, volumes: Bools, changing: Bools) -> Floats:
    """Give each voxel's mean over the SD of its denoised series; 0 for one that never changes."""
    ratio = np.zeros(len(changing))
    if volumes.any():
        deviation = clean[volumes].std(axis=0, dtype=np.float64)
        mean = raw[volumes].mean(axis=0, dtype=np.float64)
        np.divide(mean, deviation, where=changing, out=ratio)
    return ratio


def _changing(measured: Floats, volumes: Bools) -> Bools:
    if not volumes.any():
        return np.zeros(measured.shape[1], dtype=np.bool_)
    changing: Bools = np.ptp(measured[volumes], axis=0) > 0
    return changing


def _regressed(raw: Floats, design: NuisanceDesign, volumes: Bools) -> Floats:
    """Regress the nuisance out of some volumes; the rest is NaN, and all if they are too few."""
    if design.degrees_of_freedom_in(volumes) < 1:
        return np.full(raw.shape, np.nan, np.float32)
    if np.array_equal(volumes, ~design.censored):  # the others have regressors of their own
        clean = residuals(raw, design.matrix)
        clean[~volumes] = np.nan
        return clean
    clean = np.full(raw.shape, np.nan, np.float32)
    clean[volumes] = residuals(raw[volumes], design.matrix[volumes])
    return clean


def _scaled(clean: Floats, volumes: Bools) -> Floats:
    """Divide each voxel by its SD over some volumes."""
    if not volumes.any():
        return clean
    deviation = clean[volumes].std(axis=0, dtype=np.float64)
    scaled: Floats = (clean / np.where(deviation > 0, deviation, 1.0)).astype(np.float32)
    return scaled


def _by_region(
    clean: Floats, inside: Mapping[str, Bools], changing: Bools, union: Bools
) -> Denoised:
    """Give each region its own voxels of all regions' (n_volumes, n_voxels)."""
    series: dict[str, Floats] = {}
    voxels: dict[str, Bools] = {}
    for name, own in inside.items():
        kept = own & changing
        series[name] = clean[:, kept]
        voxels[name] = np.zeros_like(union)
        voxels[name][union] = kept
    return Denoised(series, voxels)


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else float("nan")


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
