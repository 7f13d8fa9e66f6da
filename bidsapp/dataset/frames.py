"""When each frame of a run was shown, by its participants' events files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bidsapp.arrays import Floats, Ints
from bidsapp.dataset.raw import read_events
from bidsapp.errors import InputError

DEVIATION_S = 0.2
STALL_S = 0.3  # longer than any gap of studyforrest's but the stalls of its last frames


@dataclass(frozen=True)
class FrameLog:
    """What one participant's events file of a run says of its frames.

    Attributes
    ----------
    onsets
        Onset in seconds after the first volume, by frame counted from 0, ascending; of a repeated
        frame the first.
    video_s
        The film's own time of each frame in seconds, alike; None: the file does not say.
    """

    onsets: "pd.Series[float]"
    video_s: "pd.Series[float] | None"


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
        Participants of whose frames more than one in twenty differ from it by more than 0.2 s, and
        by how many seconds (95th percentile over frames).
    """

    index: Ints
    onset_s: Floats
    deviating: Mapping[str, float]


@dataclass(frozen=True)
class Stall:
    """A frame that stood on the screen for ``seconds`` longer than it should."""

    frame: int
    seconds: float


def read_frame_log(path: Path, first_frame_index: int) -> FrameLog:
    """Read one events file of the movie.

    Durations are not read: in studyforrest those of the last frames are false, by up to 110 s.

    Parameters
    ----------
    path
        With the columns ``onset`` and ``frameidx``. Where there is a column ``lasttrigger``, its
        first value is the time of the first volume; else that is 0.
    first_frame_index
        What ``frameidx`` calls the run's first frame.

    Raises
    ------
    InputError
        A column is missing, there is no row, or a frame is no whole number or before the first.
    """
    table = read_events(path)
    if "frameidx" not in table:
        raise InputError(
            f"{path} has no column 'frameidx': add it, or set movie.frame_timing to nominal"
        )
    frames = pd.to_numeric(table["frameidx"], errors="coerce") - first_frame_index
    wrong = np.flatnonzero(~((frames >= 0) & (frames % 1 == 0)))  # NaN is neither
    if wrong.size:
        raise InputError(
            f"{path}: frameidx is no whole number of at least {first_frame_index} "
            f"(movie.first_frame_index) in line {wrong[0] + 2} "
            f"({table['frameidx'].iloc[wrong[0]]}): mend one or the other"
        )
    if frames.empty:
        raise InputError(f"{path} names no frame: mend it, or set movie.frame_timing to nominal")
    index = pd.Index(frames.to_numpy(np.int64))
    onsets = table["onset"] - _first_volume(table)
    video_s = None
    if "videotime" in table:
        video_s = _by_frame(pd.to_numeric(table["videotime"], errors="coerce"), index).dropna()
    return FrameLog(_by_frame(onsets, index), None if video_s is None or video_s.empty else video_s)


def frame_onsets(logs: Mapping[str, FrameLog]) -> FrameOnsets:
    """Combine the participants' onsets of one run.

    Frames known to fewer than half of the participants are left out.
    """
    columns = {name: log.onsets for name, log in logs.items()}
    table = pd.DataFrame(columns).sort_index()
    table = table[table.notna().sum(axis=1) >= len(columns) / 2]
    median = table.median(axis=1)
    deviation = table.sub(median, axis=0).abs().quantile(0.95)
    return FrameOnsets(
        index=table.index.to_numpy(np.int64),
        onset_s=median.to_numpy(np.float64),
        deviating={str(k): float(v) for k, v in deviation.items() if v > DEVIATION_S},
    )


def stalls(log: FrameLog, rate: float) -> list[Stall]:
    """Find frames whose successor came more than 0.3 s late, at ``rate`` frames a second."""
    index = log.onsets.index.to_numpy(np.int64)
    late = np.diff(log.onsets.to_numpy(np.float64)) - np.diff(index) / rate
    return [Stall(int(index[i]), float(late[i])) for i in np.flatnonzero(late > STALL_S)]


def implied_rate(index: Ints, times: Floats, rate: float) -> tuple[float, float]:
    """Compare frames (n,) and their times in seconds, (n,), with a rate in frames a second.

    The time of a frame is the median over all stretches of a quarter of the run, so that a screen
    that stood still now and then does not count as a slower film.

    Returns
    -------
    tuple of float and float
        The rate that they imply, and by how many seconds they part from ``rate`` over the run.
    """
    if len(index) < 2:
        return rate, 0.0
    quarter = max(1, len(index) // 4)
    frames, seconds = index[quarter:] - index[:-quarter], times[quarter:] - times[:-quarter]
    frame_s = float(np.median(seconds / frames))
    apart = abs(frame_s - 1 / rate) * int(index[-1] - index[0])
    return 1 / frame_s if frame_s > 0 else np.inf, apart


def _by_frame(values: "pd.Series[float]", index: "pd.Index[int]") -> "pd.Series[float]":
    values = values.set_axis(index)
    return values[~values.index.duplicated()].sort_index()


def _first_volume(table: pd.DataFrame) -> float:
    if "lasttrigger" not in table:
        return 0.0
    triggers = pd.to_numeric(table["lasttrigger"], errors="coerce").dropna()
    return float(triggers.iloc[0]) if len(triggers) else 0.0
