"""What each run showed and when: film frames and volumes on one clock."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bidsapp.arrays import Floats, Ints
from bidsapp.errors import InputError
from bidsapp.vision.film import film_facts


@dataclass(frozen=True)
class PlacedRun:
    """The stretch of film that one run showed, and when.

    Attributes
    ----------
    run, film
        Name of the run and its film file.
    start_s, duration_s
        Where in the file the run begins, and how long it shows; None: to the end of the file.
    frame_index
        Frames whose features are taken, counted from 0 at the run's first, increasing; shape (n,).
    frame_times
        When each of them was shown, in seconds after the run's first volume; shape (n,).
    volume_times
        When each volume was taken, on the same clock, increasing; shape (n_volumes,).
    """

    run: str
    film: Path
    start_s: float
    duration_s: float | None
    frame_index: Ints
    frame_times: Floats
    volume_times: Floats

    def __post_init__(self) -> None:
        if len(self.frame_index) == 0 or len(self.frame_index) != len(self.frame_times):
            raise ValueError("frame_index and frame_times must be of one length, at least 1")
        if self.frame_index[0] < 0 or np.any(np.diff(self.frame_index) <= 0):
            raise ValueError("frame_index must increase from 0 or more")
        if np.any(np.diff(self.volume_times) <= 0):
            raise ValueError("volume_times must increase")


def nominal_frames(n_frames: int, frame_rate: float, step: int) -> tuple[Ints, Floats]:
    """Every ``step``-th frame and when it is shown if the film starts with the first volume.

    Parameters
    ----------
    n_frames
        Frames of the run.
    frame_rate
        Frames a second.
    step
        5 turns 25 Hz into 5 Hz.

    Returns
    -------
    tuple of Ints and Floats
        Index and time in seconds, each of shape (ceil(n_frames / step),).
    """
    index = np.arange(0, n_frames, step)
    return index, index / frame_rate


def check_length(film: PlacedRun, repetition_time: float) -> None:
    """Make sure that a film and its run belong together, before anything is computed.

    A film may end up to one TR before the scan does, or run on for up to two TRs after it; both are
    found in studyforrest. More, and some volumes show nothing, or the file belongs to another run.

    Parameters
    ----------
    film
        The run, with all its volumes.
    repetition_time
        In seconds.

    Raises
    ------
    InputError
        The film cannot be decoded, ends before the stretch that the run shows, lacks frames that
        the run's events name, or is shorter or longer than the run.
    """
    facts = film_facts(film.film)
    rest_s = facts.n_frames / facts.frame_rate - film.start_s
    shown_s = rest_s if film.duration_s is None else film.duration_s
    scanned_s = len(film.volume_times) * repetition_time
    where = f"{film.film}, run {film.run}"
    if shown_s - rest_s > 1.5 / facts.frame_rate:
        needed = round((film.start_s + shown_s) * facts.frame_rate)
        raise InputError(
            f"{where}: the film ends before the run does: {needed} frames needed, {facts.n_frames} "
            "found; check start_s and duration_s, or give the whole film"
        )
    available = round(shown_s * facts.frame_rate)
    if shown_s < scanned_s - repetition_time - 1e-6:
        raise InputError(
            f"{where}: the film is too short: {round(scanned_s * facts.frame_rate)} frames needed "
            f"for {len(film.volume_times)} volumes of {repetition_time:g} s, {available} found; "
            "check that this film belongs to the run"
        )
    if film.frame_index[-1] >= available:
        raise InputError(
            f"{where}: {film.frame_index[-1] + 1} frames needed by the run's events, "
            f"{available} found; check that this film belongs to the run, and first_frame_index"
        )
    if shown_s > scanned_s + 2 * repetition_time + 1e-6:
        raise InputError(
            f"{where}: the film is too long: {available} frames found, but "
            f"{len(film.volume_times)} volumes of {repetition_time:g} s show "
            f"{round(scanned_s * facts.frame_rate)}; give "
            "the run its own file, or start_s and duration_s"
        )
