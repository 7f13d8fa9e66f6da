"""The BOLD of one participant: what is planted, in noise."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from bidsapp.arrays import Bools, Floats, Ints
from bidsapp.demo import noise
from bidsapp.demo.anatomy import (
    ATLAS_REGIONS,
    FLUID,
    PLANTED_RADIUS_MM,
    SEARCH,
    WHITE_MATTER,
    Anatomy,
    Grid,
    atlas_areas,
    in_brain,
    planted_voxels,
    tissue,
)
from bidsapp.demo.confounds import Confounds, make_confounds
from bidsapp.demo.events import BLOCK_S
from bidsapp.demo.responses import NETWORK, PIXELS, TABLE, block_response, frame_weights
from bidsapp.demo.size import LOCALIZER_VOLUMES, REPETITION_TIME, START_TIME

# The model that each region's movie responses are made from; none: noise alone.
PLANTED: dict[str, str | None] = {
    "FFA": NETWORK, "EBA": TABLE, "PPA": NETWORK, "RSC": TABLE,
    "V1v": PIXELS, "V1d": PIXELS, "V2v": NETWORK, "hV4": None,
}  # fmt: skip
CONDITIONS = ("body", "face", "house", "object", "scene", "scramble")
PREFERRED = {"face": ("face",), "body": ("body",), "scene": ("scene", "house")}
# Standard deviations in thousandths of the mean signal.
SIGNAL = {PIXELS: 5.0, NETWORK: 5.5, TABLE: 5.5}
BLOCK_PEAK, BLOCK_OTHERS, BLOCK_SPREAD_MM = 40.0, 7.0, 3.5
NOISE_BLUR_VOXELS = 0.4
BASELINE = 1000.0


@dataclass(frozen=True)
class Levels:
    """Standard deviations of what is not response, in thousandths of the mean signal."""

    own: float  # of each voxel
    drift: float
    shared: float  # motion and white matter's time courses, in grey matter
    shared_in_tissue: float  # the same in white matter and fluid


MOVIE = Levels(own=10.0, drift=6.0, shared=4.0, shared_in_tissue=14.0)
# Low, above all what varies smoothly in space: a peak of t must be told to a voxel.
LOCALIZER = Levels(own=5.0, drift=0.5, shared=0.3, shared_in_tissue=14.0)


@dataclass(frozen=True)
class Place:
    """A scan's grid with what lies where; voxel arrays are flat, in C order."""

    grid: Grid
    brain: Bools
    tissues: Mapping[str, Bools]  # "CSF" and "WM"
    planted: Mapping[str, Ints]
    baseline: Floats


@dataclass(frozen=True)
class Scan:
    """One simulated run: (volumes, voxels) in the grid's C order, zero outside the brain."""

    series: Ints
    confounds: Confounds


def make_place(rng: np.random.Generator, anatomy: Anatomy, grid: Grid) -> Place:
    """Lay the anatomy over one of the participant's grids."""
    points = grid.points()
    template_points = anatomy.warp.to_template(points)
    brain = in_brain(template_points)
    planted = planted_voxels(anatomy, grid)
    peaks = np.stack([peak for sides in anatomy.peaks.values() for peak in sides.values()])
    nearest = np.linalg.norm(points[:, None] - peaks, axis=2).min(axis=1)
    free = brain & (nearest > PLANTED_RADIUS_MM + 3) & (atlas_areas(template_points) == 0)
    fluid = tissue(template_points, FLUID)
    tissues = {"CSF": fluid & free, "WM": tissue(template_points, WHITE_MATTER) & ~fluid & free}
    texture = 1 + 0.05 * noise.smooth_fields(rng, grid.shape, 1)[:, 0]
    level = np.where(fluid, 1.3, np.where(tissues["WM"], 0.9, 1.0))
    return Place(grid, brain, tissues, planted, BASELINE * texture * level * brain)


def movie_scan(
    rng: np.random.Generator, place: Place, signals: Mapping[str, Floats], volumes: int
) -> Scan:
    """Simulate one movie run; ``signals`` maps a region to (volumes, its voxels), SD about 1."""
    nuisance = noise.draw_nuisance(rng, volumes)
    series = _background(rng, place, nuisance, volumes, MOVIE)
    for region, signal in signals.items():
        model = PLANTED[region]
        if model is not None:
            series[:, place.planted[region]] += SIGNAL[model] * signal
    return _finish(series, place, nuisance)


def movie_signals(
    rng: np.random.Generator,
    place: Place,
    runs: list[tuple[Mapping[str, Floats], Floats]],
    volumes: list[int],
) -> list[dict[str, Floats]]:
    """Responses of every region's voxels in runs that share a grid.

    Each voxel weighs the features of its region's model at random; the runs are centred and scaled
    together, so that they keep what differs between them.

    Parameters
    ----------
    runs
        Per run the (n, k) features of each model at every fifth frame, and all frames' onsets in s.
    volumes
        Volumes of each run.
    """
    found: list[dict[str, Floats]] = [{} for _ in runs]
    weights = [
        frame_weights(onsets, np.arange(count) * REPETITION_TIME + START_TIME)
        for (_, onsets), count in zip(runs, volumes, strict=True)
    ]
    for region, model in PLANTED.items():
        if model is None:
            continue
        drives = [w @ features[model] for w, (features, _) in zip(weights, runs, strict=True)]
        loads = rng.standard_normal((drives[0].shape[1], len(place.planted[region])))
        responses = np.concatenate(drives) @ loads
        responses -= responses.mean(axis=0)
        responses /= np.sqrt((responses**2).mean())
        for into, part in zip(found, np.split(responses, np.cumsum(volumes)[:-1]), strict=True):
            into[region] = part
    return found


def localizer_scan(
    rng: np.random.Generator, place: Place, anatomy: Anatomy, events: pd.DataFrame
) -> Scan:
    """Simulate the localizer: bumps of response around the peaks of each region."""
    volumes = LOCALIZER_VOLUMES
    nuisance = noise.draw_nuisance(rng, volumes)
    series = _background(rng, place, nuisance, volumes, LOCALIZER)
    times = np.arange(volumes) * REPETITION_TIME + START_TIME
    courses = np.zeros((len(CONDITIONS), volumes))
    for course, name in zip(courses, CONDITIONS, strict=True):
        onsets = events.loc[events["trial_type"] == name, "onset"].to_numpy(dtype=float)
        course[:] = block_response(onsets, BLOCK_S, times)
    points = place.grid.points()
    for region, (contrast, _, _) in SEARCH.items():
        liked = [name in PREFERRED[contrast] for name in CONDITIONS]
        course = np.where(liked, BLOCK_PEAK, BLOCK_OTHERS) @ courses
        for peak in anatomy.peaks[region].values():
            squared = ((points - peak) ** 2).sum(axis=1)
            bump = np.exp(-squared / (2 * BLOCK_SPREAD_MM**2))
            near = np.flatnonzero(bump > 0.01)
            series[:, near] += np.outer(course, bump[near])
    visual = np.concatenate([place.planted[name] for name in ATLAS_REGIONS])
    series[:, visual] += BLOCK_OTHERS * courses.sum(axis=0)[:, None]
    series[0] += 150.0  # not yet in a steady state
    return _finish(series, place, nuisance, unsteady=1)


def _background(
    rng: np.random.Generator,
    place: Place,
    nuisance: noise.Nuisance,
    volumes: int,
    levels: Levels,
) -> Floats:
    """Noise, drift and shared time courses, (volumes, voxels)."""
    shape = place.grid.shape
    own = noise.autocorrelated(rng, shape, volumes, blur_voxels=NOISE_BLUR_VOXELS)
    drifts = noise.slow_waves(volumes, cutoff_s=200.0) * np.sqrt(volumes)
    shared = nuisance.shared.shape[1]
    fields = noise.smooth_fields(rng, shape, drifts.shape[1] + shared)
    tissues = place.tissues["CSF"] | place.tissues["WM"]
    fields[:, :shared] *= np.where(tissues, levels.shared_in_tissue, levels.shared)[:, None]
    fields[:, shared:] *= levels.drift
    courses = np.column_stack([nuisance.shared, drifts]).astype(np.float32)
    background: Floats = levels.own * own.reshape(-1, volumes).T + courses @ fields.T
    return background


def _finish(series: Floats, place: Place, nuisance: noise.Nuisance, unsteady: int = 0) -> Scan:
    """Add the mean image, cut to the brain, round as stored, and compute the confounds."""
    whole = np.rint((series + place.baseline) * place.brain).astype(np.int16)
    brain = whole[:, place.brain].astype(np.float32)
    masks = {name: mask[place.brain] for name, mask in place.tissues.items()}
    return Scan(whole, make_confounds(brain, nuisance.motion, masks, unsteady=unsteady))


def resampler(grid: Grid, native_points: Floats) -> csr_array:
    """Sparse matrix (points, voxels) that interpolates a grid's images linearly at points."""
    voxels = (native_points - grid.affine[:3, 3]) @ np.linalg.inv(grid.affine[:3, :3]).T
    low = np.floor(voxels).astype(int)
    part = voxels - low
    rows, columns, weights = [], [], []
    for corner in np.ndindex(2, 2, 2):
        at = low + corner
        inside = np.all((at >= 0) & (at < grid.shape), axis=1)
        share = np.prod(np.where(corner, part, 1 - part), axis=1)[inside]
        rows.append(np.flatnonzero(inside))
        columns.append(np.ravel_multi_index(tuple(at[inside].T), grid.shape))
        weights.append(share)
    shape = (len(native_points), int(np.prod(grid.shape)))
    indices = (np.concatenate(rows), np.concatenate(columns))
    return csr_array((np.concatenate(weights).astype(np.float32), indices), shape=shape)
