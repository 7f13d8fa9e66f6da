"""The localizer's general linear model: block events to t, z, effect and variance maps."""

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from nilearn.glm.first_level import FirstLevelModel, make_first_level_design_matrix

from bidsapp.analysis.spec import Contrast, Localizer
from bidsapp.arrays import Bools, Floats
from bidsapp.confounds import finite_columns, read_confounds
from bidsapp.errors import InputError
from bidsapp.rois.images import open_image, open_volume, read_data, same_grid

logger = logging.getLogger(__name__)

_EVENT_COLUMNS = ["onset", "duration", "trial_type"]
_OUTLIERS = "non_steady_state_outlier"


@dataclass(frozen=True)
class LocalizerRun:
    """One localizer run: its BOLD series, brain mask and design (n_volumes, n_regressors)."""

    bold: Path
    mask: Path
    design: pd.DataFrame


@dataclass(frozen=True)
class ContrastMaps:
    """Maps of one contrast, zero outside the mask; effect in percent of the voxel's mean signal."""

    t: nib.Nifti1Image
    z: nib.Nifti1Image
    effect: nib.Nifti1Image
    variance: nib.Nifti1Image


def motion_confounds(confounds_tsv: Path, spec: Localizer) -> pd.DataFrame:
    """Read the confounds that the localizer's model takes.

    These are ``spec.confounds`` and one indicator per non-steady-state volume. Columns without
    variation are left out.

    Returns
    -------
    pandas.DataFrame
        (n_volumes, k), in the units of the file (mm, rad).

    Raises
    ------
    InputError
        The file cannot be read, lacks a column, or a value is not finite; see `finite_columns` for
        what may lack in the first row.
    """
    table = read_confounds(confounds_tsv)
    outliers = [str(name) for name in table.columns if str(name).startswith(_OUTLIERS)]
    names = list(dict.fromkeys([*spec.confounds, *outliers]))
    values = finite_columns(table, names, confounds_tsv, "localizer.confounds")
    chosen = pd.DataFrame(values, columns=names)
    varying = chosen.columns[np.ptp(chosen.to_numpy(), axis=0) > 0]
    dropped = [name for name in chosen.columns if name not in varying]
    if dropped:
        logger.info(
            "%s: columns without variation are left out: %s", confounds_tsv, ", ".join(dropped)
        )
    return chosen[list(varying)]


def design_matrix(
    events: pd.DataFrame,
    confounds: pd.DataFrame | None,
    n_volumes: int,
    repetition_time: float,
    start_time: float,
    spec: Localizer,
    source: Path | str = "the localizer's events",
) -> pd.DataFrame:
    """Make the design of one localizer run with nilearn.

    Parameters
    ----------
    events
        Columns onset, duration (s) and trial_type.
    confounds
        (n_volumes, k) columns added as they are, see `motion_confounds`.
    n_volumes, repetition_time, start_time
        Volume i was taken at ``i * repetition_time + start_time`` s.
    spec
        Conditions, response and high-pass filter (discrete cosines).
    source
        File of the events, named in errors.

    Returns
    -------
    pandas.DataFrame
        (n_volumes, n_regressors), one column per condition, its derivative, confound and drift.

    Raises
    ------
    InputError
        A condition is absent or has no event within the run, a trial type is unknown, an event
        stands twice or ends before it begins, or the confounds do not have one row per volume.
    """
    _check_events(events, spec, source)
    _check_times(events, n_volumes * repetition_time, spec, source)
    if confounds is not None and len(confounds) != n_volumes:
        raise InputError(
            f"the confounds of the localizer have {len(confounds)} rows for {n_volumes} volumes "
            f"(events: {source}); both must come from one run of fMRIPrep"
        )
    with _expected_nilearn_warnings():
        design: pd.DataFrame = make_first_level_design_matrix(
            np.arange(n_volumes) * repetition_time + start_time,
            events[_EVENT_COLUMNS].reset_index(drop=True),
            hrf_model=spec.hrf_model,
            drift_model="cosine",
            high_pass=1 / spec.high_pass_s,
            add_regs=confounds,
        )
    if design.shape[1] >= n_volumes:
        raise InputError(
            f"{n_volumes} volumes are too few for {design.shape[1]} regressors (events: {source}); "
            "name fewer localizer.confounds or a longer run"
        )
    return design


def fit_localizer(runs: Sequence[LocalizerRun], spec: Localizer) -> dict[str, ContrastMaps]:
    """Fit the localizer's runs and compute every contrast, by fixed effects over runs.

    The model is nilearn's ``FirstLevelModel``: smoothing, signal in percent of each voxel's mean,
    AR(1) prewhitening. Voxels that are constant in a run are left out of the mask; this changes no
    other voxel.

    Returns
    -------
    dict
        Contrast name to its maps.

    Raises
    ------
    InputError
        A file is broken or not finite, the runs' grids differ, a mask does not fit, or the number
        of volumes is not the design's.
    """
    images = [_read_bold(run) for run in runs]
    mask = _common_mask(runs, images)
    model = FirstLevelModel(
        mask_img=mask,
        smoothing_fwhm=spec.smoothing_fwhm_mm or None,
        noise_model=spec.noise_model,
    )
    with _expected_nilearn_warnings():
        model.fit(images, design_matrices=[run.design for run in runs])
        return {
            name: _contrast_maps(model, runs, contrast) for name, contrast in spec.contrasts.items()
        }


def contrast_vector(contrast: Contrast, columns: Sequence[str]) -> Floats:
    """Give the weight of each column of a design; zero for all but conditions."""
    weights: Mapping[str, float] = contrast.condition_weights
    return np.array([weights.get(column, 0.0) for column in columns])


def _contrast_maps(
    model: FirstLevelModel, runs: Sequence[LocalizerRun], contrast: Contrast
) -> ContrastMaps:
    vectors = [contrast_vector(contrast, list(run.design.columns)) for run in runs]
    maps = model.compute_contrast(vectors, stat_type="t", output_type="all")
    return ContrastMaps(maps["stat"], maps["z_score"], maps["effect_size"], maps["effect_variance"])


def _check_events(events: pd.DataFrame, spec: Localizer, source: Path | str) -> None:
    lacking = [name for name in _EVENT_COLUMNS if name not in events.columns]
    if lacking:
        raise InputError(f"{source} has no column {', '.join(lacking)}; BIDS events need it")
    unnamed = np.flatnonzero(events["trial_type"].isna())
    if unnamed.size:
        raise InputError(
            f"{source} has an event without a trial type in line {unnamed[0] + 2}: name its "
            "condition, or remove the line"
        )
    seen = [str(name) for name in events["trial_type"].unique()]
    unknown = sorted(set(seen) - set(spec.conditions))
    if unknown:
        raise InputError(_unknown_type(unknown[0], seen, spec, source))
    absent = [name for name in spec.conditions if name not in seen]
    if absent:
        raise InputError(
            f"{source} has no event of the condition {absent[0]!r} (its trial types: "
            f"{', '.join(sorted(seen))}): correct the file, or take the condition out of "
            "localizer.conditions"
        )
    if events.duplicated(_EVENT_COLUMNS).any():
        raise InputError(f"{source} has the same event twice; remove one of the rows")


def _check_times(events: pd.DataFrame, run_s: float, spec: Localizer, source: Path | str) -> None:
    """Refuse times that no design can be made of; single events may lie outside of the run."""
    negative = np.flatnonzero(events["duration"] < 0)
    if negative.size:
        raise InputError(
            f"{source} has the negative duration {events['duration'].iloc[negative[0]]:g} s in "
            f"line {negative[0] + 2}: mend the file (0 is an event without duration)"
        )
    within = (events["onset"] < run_s) & (events["onset"] + events["duration"] >= 0)
    for name in spec.conditions:
        its = events["trial_type"] == name
        if not (its & within).any():
            onsets = events.loc[its, "onset"]
            raise InputError(
                f"{source} has no event of the condition {name!r} within the run's {run_s:g} s "
                f"(its onsets: {onsets.min():g} to {onsets.max():g}): give onsets in seconds after "
                "the first volume, or take the condition out of localizer.conditions"
            )


def _unknown_type(name: str, seen: Sequence[str], spec: Localizer, source: Path | str) -> str:
    """Say what a trial type may be meant to be."""
    plain = {condition.strip().lower(): condition for condition in spec.conditions}
    meant = plain.get(name.strip().lower())
    if meant is not None:
        return (
            f"{source} has the trial type {name!r}, which the analysis writes {meant!r}: write it "
            "alike in the file or in localizer.conditions"
        )
    return (
        f"{source} has the trial type {name!r}, which localizer.conditions does not list (its "
        f"trial types: {', '.join(sorted(seen))}; conditions: {', '.join(spec.conditions)}): mend "
        "the file, or list it among the conditions"
    )


def _read_bold(run: LocalizerRun) -> nib.Nifti1Image:
    """Read a series into memory once, checked."""
    image = open_image(run.bold)
    if len(image.shape) != 4 or image.shape[3] != len(run.design):
        raise InputError(
            f"{run.bold} has shape {image.shape}, but its design has {len(run.design)} volumes; "
            "BOLD and confounds must come from one run of fMRIPrep"
        )
    data = read_data(image, run.bold)
    if not np.isfinite(data.sum(dtype=np.float64)):
        voxels = int((~np.isfinite(data)).any(axis=3).sum())
        raise InputError(
            f"{run.bold} has values that are not finite in {voxels} voxels; run fMRIPrep again"
        )
    return nib.Nifti1Image(data, image.affine)


def _common_mask(
    runs: Sequence[LocalizerRun], images: Sequence[nib.Nifti1Image]
) -> nib.Nifti1Image:
    """Intersect the runs' brain masks, less voxels that never change in a run."""
    first = images[0]
    common: Bools = np.ones(first.shape[:3], dtype=bool)
    for run, image in zip(runs, images, strict=True):
        if not same_grid(image.shape[:3], image.affine, first.shape[:3], first.affine):
            raise InputError(
                f"{run.bold} lies on another grid than {runs[0].bold}; "
                "localizer runs that are fitted together need one grid"
            )
        mask = open_volume(run.mask)
        if not same_grid(mask.shape, mask.affine, image.shape[:3], image.affine):
            raise InputError(f"the mask {run.mask} does not lie on the grid of {run.bold}")
        common &= read_data(mask, run.mask) > 0
        common &= np.ptp(image.get_fdata(dtype=np.float32), axis=3) > 0
    if not common.any():
        raise InputError(f"{runs[0].mask} leaves no voxel with signal in {runs[0].bold}")
    return nib.Nifti1Image(common.astype(np.uint8), first.affine)


@contextmanager
def _expected_nilearn_warnings() -> Iterator[None]:
    """Silence nilearn where it warns of what is meant or harmless."""
    with warnings.catch_warnings():
        # Events without duration are modelled as impulses.
        warnings.filterwarnings(
            "ignore", "The following conditions contain events with null duration"
        )
        # nilearn hands the runs to its own masker although it was given a mask.
        warnings.filterwarnings("ignore", ".*Generation of a mask has been requested")
        # Smoothing can bring a voxel's mean to zero; such a voxel is scaled by one.
        warnings.filterwarnings("ignore", "Mean values of 0 observed")
        yield
