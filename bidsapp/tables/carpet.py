"""The table behind a carpet plot: rows are moments, columns are voxels before and after."""

import numpy as np
import pandas as pd

from bidsapp.arrays import Bools, Floats
from bidsapp.brain.carpet import Carpet

MAX_MOMENTS = 240  # a longer run is averaged: what a picture can show
STATES = {"before": "as measured", "after": "denoised"}
_DECIMALS = 2


def carpet_table(
    carpet: Carpet, onsets_s: Floats, displacement_mm: Floats | None, censored: Bools
) -> tuple[pd.DataFrame, dict[str, dict[str, str]]]:
    """Put a carpet into a table, and say what its columns mean.

    Parameters
    ----------
    carpet
        Voxels of one run.
    onsets_s
        (n_volumes,) time of each volume, s.
    displacement_mm
        (n_volumes,) framewise displacement, mm; None where fMRIPrep gives none.
    censored
        (n_volumes,).

    Returns
    -------
    table, columns
        A row is the mean of some consecutive volumes (the highest displacement of them).
    """
    step = -(-len(onsets_s) // MAX_MOMENTS)
    bins = np.arange(len(onsets_s)) // step
    rows = pd.DataFrame({"onset": onsets_s}).groupby(bins).mean()
    moved = np.full(len(onsets_s), np.nan) if displacement_mm is None else displacement_mm
    rows["framewise_displacement"] = pd.Series(moved).groupby(bins).max()
    rows["censored"] = pd.Series(censored).groupby(bins).any().astype(int)
    columns = {
        "onset": {"Description": "Time of the volumes, mean.", "Units": "s"},
        "framewise_displacement": {"Description": "Highest of the volumes.", "Units": "mm"},
        "censored": {"Description": "1 where any of the volumes is censored."},
    }
    parts = [rows]
    for state, said in STATES.items():
        values = pd.DataFrame(getattr(carpet, state)).groupby(bins).mean().round(_DECIMALS)
        values.columns = [f"{roi} {i} {state}" for i, roi in enumerate(carpet.regions)]
        parts.append(values)
        columns |= {
            name: {"Description": f"A voxel of {roi}, {said}.", "Units": "SD as measured"}
            for name, roi in zip(values.columns, carpet.regions, strict=True)
        }
    return pd.concat(parts, axis=1), columns
