"""The film's files, and when each of its frames was shown."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bidsapp.arrays import Floats, Ints
from bidsapp.dataset.raw import read_events
from bidsapp.errors import InputError

DEVIATION_S = 0.2


@dataclass(frozen=True)
class FrameOnsets:
    """When each frame of a run was shown.

    Attributes
    ----------
    index
        (n,) frames of the run, counted from 0, ascending.
    onset_s
        (n,) seconds after the run's first volume: the median over participants.
    deviating
        Participants whose onsets differ from it by more than 0.2 s, and by how many seconds (median
        over frames).
    """

    index: Ints
    onset_s: Floats
    deviating: Mapping[str, float]


def find_film(stimuli: Path, pattern: str) -> Path:
    """Find the one film file of a run.

    Parameters
    ----------
    stimuli
        Folder of the films; folders below it are looked through too.
    pattern
        A glob, from the analysis.

    Raises
    ------
    InputError
        The folder is absent, or the pattern fits no file or several.
    """
    if not stimuli.is_dir():
        raise InputError(f"there is no folder of films {stimuli}: give it with --stimuli")
    found = sorted(path for path in stimuli.rglob(pattern) if _is_plain_file(path))
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(str(path.relative_to(stimuli)) for path in found)
        raise InputError(f"several files in {stimuli} fit {pattern!r}: {names}; narrow the pattern")
    present = sorted(path.name for path in stimuli.rglob("*") if _is_plain_file(path))
    raise InputError(
        f"no film in {stimuli} fits {pattern!r}; it holds {', '.join(present[:10]) or 'no file'}"
    )


def _is_plain_file(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".")


def frame_onsets(events: Mapping[str, Path], first_frame_index: int) -> FrameOnsets:
    """Combine the frame onsets that each participant's events file of one run states.

    Parameters
    ----------
    events
        Participant to events file, with the columns ``onset`` and ``frameidx``. Where there is a
        column ``lasttrigger``, its first value is the time of the first volume; else that is 0.
    first_frame_index
        What ``frameidx`` calls the run's first frame.

    Returns
    -------
    FrameOnsets
        Frames known to fewer than half of the participants are left out.

    Raises
    ------
    InputError
        There is no file, a column is missing, or a frame comes before the first.
    """
    if not events:
        raise InputError("no events files of the movie: set movie.frame_timing to nominal")
    columns = {name: _onsets(path, first_frame_index) for name, path in events.items()}
    table = pd.DataFrame(columns).sort_index()
    table = table[table.notna().sum(axis=1) >= len(columns) / 2]
    median = table.median(axis=1)
    deviation = table.sub(median, axis=0).abs().median()
    return FrameOnsets(
        index=table.index.to_numpy(np.int64),
        onset_s=median.to_numpy(np.float64),
        deviating={str(k): float(v) for k, v in deviation.items() if v > DEVIATION_S},
    )


def _onsets(path: Path, first_frame_index: int) -> "pd.Series[float]":
    """Return the onsets in one file by frame, counted from 0; of a repeated frame the first."""
    table = read_events(path)
    if "frameidx" not in table:
        raise InputError(
            f"{path} has no column 'frameidx': add it, or set movie.frame_timing to nominal"
        )
    frames = pd.to_numeric(table["frameidx"], errors="coerce") - first_frame_index
    if frames.isna().any() or (frames < 0).any():
        raise InputError(
            f"{path}: a frameidx is no number of at least {first_frame_index} "
            "(movie.first_frame_index): mend the file or the key"
        )
    onsets = table["onset"] - _first_volume(table)
    onsets.index = pd.Index(frames.to_numpy(np.int64))
    return onsets[~onsets.index.duplicated()]


def _first_volume(table: pd.DataFrame) -> float:
    if "lasttrigger" not in table:
        return 0.0
    triggers = pd.to_numeric(table["lasttrigger"], errors="coerce").dropna()
    return float(triggers.iloc[0]) if len(triggers) else 0.0
