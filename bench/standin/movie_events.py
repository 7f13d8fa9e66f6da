"""When each frame was shown to participants of whose real events only figures are known."""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from bench.standin.source import MOVIE, Source, scan_stem

_STALL_S = 1.0  # a gap between frames longer than this is a stall at the last frame
_SMOOTH = {"8": "03"}  # whose run to begin with; sub-01's run 8 stalls itself
_COLUMNS = ["onset", "duration", "frameidx", "videotime", "audiotime", "lasttrigger"]


def derived_events(source: Source, participant: str, run: str) -> pd.DataFrame:
    """Make up a participant's events of a movie run, one row a frame.

    Another participant's real events are bent to what is known of the real ones: number of rows,
    first and last onset, a stall at the last frame, and the last row's false duration.
    """
    known = source.audit.loc[(participant, run)]
    table = _of_length(_model(source.dataset, run), int(known["nrows"]))
    onset = table["onset"].to_numpy(dtype=float)
    stalls = known["onset_gap_max"] > _STALL_S
    at_start = known["first_onset"] - onset[0]
    at_end = 0.0 if stalls else known["last_onset"] - onset[-1]
    onset = onset + np.linspace(at_start, at_end, len(onset))
    onset[-1] = known["last_onset"]
    table["onset"] = onset.round(3)
    last = known["last_offset"] - known["last_onset"]
    table["duration"] = np.append(np.diff(table["onset"]), last).round(3)
    return table[_COLUMNS]


@cache
def _model(dataset: Path, run: str) -> pd.DataFrame:
    path = dataset / (scan_stem(_SMOOTH.get(run, "01"), MOVIE, run) + "_events.tsv")
    return pd.read_csv(path, sep="\t")


def _of_length(table: pd.DataFrame, rows: int) -> pd.DataFrame:
    """Cut the table, or give it one row more in the rhythm of the last."""
    if rows <= len(table):
        return table.head(rows).copy()
    more = table.iloc[[-1]] + [0.04, 0.0, 1, 0.04, 0.04, 0.0]
    longer = pd.concat([table, more], ignore_index=True)
    return longer.astype({"frameidx": int})
