"""When things were shown: blocks of the localizer, frames of the film on a real screen."""

import numpy as np
import pandas as pd

from bidsapp.arrays import Floats
from bidsapp.demo.film import FRAME_RATE
from bidsapp.demo.size import REPETITION_TIME

REFRESH_HZ = 60
BLOCK_S, BLOCK_GRID_S, FIRST_BLOCK_S = 16.0, 24.0, 12.0


def localizer_events(rng: np.random.Generator, conditions: tuple[str, ...]) -> pd.DataFrame:
    """Draw the localizer's blocks: each condition once in each half, onsets a few ms off a grid."""
    order = np.concatenate([rng.permutation(conditions) for _ in range(2)])
    grid = FIRST_BLOCK_S + BLOCK_GRID_S * np.arange(len(order))
    onsets = np.round(grid + rng.uniform(-0.012, 0.012, len(order)), 3)
    return pd.DataFrame({"onset": onsets, "duration": BLOCK_S, "trial_type": order})


def movie_events(rng: np.random.Generator, n_frames: int) -> pd.DataFrame:
    """Draw the frames' onsets: on screen refreshes, after a short delay, drifting slowly.

    Returns
    -------
    DataFrame
        One row a frame: ``onset`` and ``duration`` in seconds from the first volume, ``frameidx``
        from 1, ``videotime``, ``audiotime`` and ``lasttrigger`` in seconds.
    """
    index = np.arange(n_frames)
    drift = rng.uniform(0.05, 0.08) * (index / n_frames) ** 2
    planned = rng.uniform(0.05, 0.10) + index / FRAME_RATE + drift
    shown: Floats = np.ceil(planned * REFRESH_HZ) / REFRESH_HZ + rng.uniform(0, 0.002, n_frames)
    onset = np.round(shown, 3)
    return pd.DataFrame(
        {
            "onset": onset,
            "duration": np.diff(onset, append=onset[-1] + 1 / FRAME_RATE),
            "frameidx": index + 1,
            "videotime": (index + 1) / FRAME_RATE,
            "audiotime": index / FRAME_RATE,
            "lasttrigger": np.floor(onset / REPETITION_TIME) * REPETITION_TIME,
        }
    )
