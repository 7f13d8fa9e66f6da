"""What is planted: responses to the localizer's blocks, and to the real annotations of the film."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from bench.standin.anatomy import Person, Place
from bench.standin.bold import Planted
from bench.standin.source import ANNOTATIONS, FRAME_RATE
from bidsapp.analysis.spec import Analysis
from bidsapp.arrays import Floats
from bidsapp.demo.responses import HRF_S, block_response, haemodynamic_response

START_TIME = 0.971  # s: the middle slice of 35 in 2 s, as fMRIPrep rounds it
BLOCK_S = 16.0
BLOCK_PEAK, BLOCK_OTHERS, BLOCK_SPREAD_MM = 45.0, 5.0, 4.0
MOVIE_SD = 7.0


def volume_times(place: Place) -> Floats:
    """Seconds after the first volume's onset at which volumes were taken, (volumes,)."""
    return np.arange(place.header.volumes) * place.header.repetition_time + START_TIME


def localizer_responses(
    analysis: Analysis, person: Person, place: Place, events: pd.DataFrame
) -> list[Planted]:
    """Bumps of response round each region's peaks, higher for what its contrast prefers."""
    localizer = analysis.localizer
    assert localizer is not None  # noqa: S101  # the default analysis has one
    times = volume_times(place)
    blocks = np.column_stack(
        [
            block_response(events.loc[events["trial_type"] == name, "onset"], BLOCK_S, times)
            for name in localizer.conditions
        ]
    )
    found = []
    for region in analysis.functional.regions:
        liked = localizer.contrasts[region.contrast].plus
        heights = [BLOCK_PEAK if name in liked else BLOCK_OTHERS for name in localizer.conditions]
        course = (blocks @ heights)[:, None].astype(np.float32)
        for peak in person.peaks[region.name].values():
            squared = ((place.points - peak) ** 2).sum(axis=1)
            near = np.flatnonzero((squared < (4 * BLOCK_SPREAD_MM) ** 2) & place.brain)
            bump = np.exp(-squared[near] / (2 * BLOCK_SPREAD_MM**2)).astype(np.float32)
            found.append(Planted(near, course, bump[None]))
    return found


def movie_courses(
    annotations: Mapping[str, pd.DataFrame], times: Mapping[str, Floats]
) -> dict[str, Floats]:
    """Give the expected response to each annotated feature at each volume, (volumes, 4), by run.

    Features are z-scored over the film; together the responses have unit variance.
    """
    film = np.concatenate([table[list(ANNOTATIONS)].to_numpy() for table in annotations.values()])
    mean, spread = film.mean(axis=0), film.std(axis=0)
    response = haemodynamic_response(np.arange(0, HRF_S, 1 / FRAME_RATE)) / FRAME_RATE
    found = {}
    for run, table in annotations.items():
        scores = (table[list(ANNOTATIONS)].to_numpy() - mean) / spread
        grid = np.arange(len(scores)) / FRAME_RATE
        columns = [np.convolve(column, response)[: len(scores)] for column in scores.T]
        found[run] = np.column_stack([np.interp(times[run], grid, c) for c in columns])
    scale = np.sqrt(np.mean(np.concatenate(list(found.values())) ** 2))
    return {run: (courses / scale).astype(np.float32) for run, courses in found.items()}


def movie_responses(place: Place, courses: Floats, rng: np.random.Generator) -> list[Planted]:
    """Let every driven voxel weigh the features at random."""
    voxels = np.flatnonzero(place.driven)
    loads = rng.standard_normal((courses.shape[1], len(voxels)), dtype=np.float32)
    return [Planted(voxels, courses, MOVIE_SD / np.sqrt(courses.shape[1]) * loads)]
