"""What each run showed and when: film frames and volumes on one clock."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bidsapp.arrays import Floats, Ints
from bidsapp.errors import InputError
from bidsapp.vision.catalogue import ModelEntry
from bidsapp.vision.hemodynamics import HRF_S, response_coverage
from bidsapp.vision.stretches import Stretch

# A film file may go on for so long after its run; studyforrest's do, in grey, for up to 4.3 s.
_RUNS_ON_S = 5.0
# In steps from one frame taken to the next: jitter stays below it, a lost frame does not.
_LONGEST_FRAME = 1.5


@dataclass(frozen=True)
class PlacedRun:
    """The stretch of film that one run showed, and when.

    Attributes
    ----------
    run
        Its name.
    stretch
        Where its frames are in which file.
    frame_index
        Frames whose features are taken, counted from 0 at the run's first, increasing; shape (n,).
    frame_times
        When each of them was shown, in seconds after the run's first volume; shape (n,).
    volume_times
        When each volume was taken, on the same clock, increasing; shape (n_volumes,).
    """

    run: str
    stretch: Stretch
    frame_index: Ints
    frame_times: Floats
    volume_times: Floats

    @property
    def film(self) -> Path:
        """The film file."""
        return self.stretch.path

    @property
    def first_frame_s(self) -> float:
        """When the run's first frame was shown, in seconds after its first volume."""
        return float(self.frame_times[0] - self.frame_index[0] / self.stretch.shown_rate)

    @property
    def step_s(self) -> float:
        """Seconds from one frame taken to the next: by the film's rate, or longer if it ran slower.

        Of a run of which one frame is taken, the time of that frame.
        """
        if len(self.frame_index) == 1:
            return float(1 / self.stretch.shown_rate)
        usual = int(np.bincount(np.diff(self.frame_index)).argmax())
        return max(
            float(usual / self.stretch.shown_rate), float(np.median(np.diff(self.frame_times)))
        )

    def coverage(self, hrf_s: float = HRF_S) -> Floats:
        """Share of each volume's response, by absolute weight, that falls on the film.

        A frame is on the screen until the next one that is taken, but for no longer than one and a
        half steps: after that, frames are lost. The last is there for one step.

        Parameters
        ----------
        hrf_s
            Length of the haemodynamic response in seconds.

        Returns
        -------
        Floats
            Shape (n_volumes,), from 0 to 1; see `response_coverage`.
        """
        step_s = self.step_s
        until_next = np.diff(self.frame_times, append=self.frame_times[-1] + step_s)
        shown_s = np.clip(until_next, 0.0, _LONGEST_FRAME * step_s)
        return response_coverage(self.frame_times, shown_s, self.volume_times, hrf_s)

    def described(self, model: str, made_from: str) -> dict[str, str]:
        """Describe a model's RDMs of this run; ``made_from`` is their fingerprint."""
        return {
            "model": model,
            "run": self.run,
            "film": self.film.name,
            "first_frame_s": f"{self.first_frame_s:.3f}",
            "made_from": made_from,
        }

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


def check_length(
    film: PlacedRun, repetition_time: float, hrf_s: float, measured: bool
) -> list[str]:
    """Make sure that a film and its run belong together, before anything is computed.

    A film may end up to one TR before the scan does, or go on after it for two TRs or 5 s,
    whichever is more. If measured, it may also end earlier, as long as every volume knows of it.

    Parameters
    ----------
    film
        The run, with all its volumes.
    repetition_time
        In seconds.
    hrf_s
        Length of the haemodynamic response: after that, a volume knows nothing of the film.
    measured
        Whether frame times are those of events, so that a film that ends early is no guess.

    Returns
    -------
    list of str
        What is odd and yet harms no volume that saw the film.

    Raises
    ------
    InputError
        The film lacks frames that the run's events name, is shorter or longer than the run, or
        leaves volumes without any film.
    """
    shown_s, rate = film.stretch.duration_s, float(film.stretch.shown_rate)
    available = film.stretch.n_frames
    n_volumes = len(film.volume_times)
    scanned_s = n_volumes * repetition_time
    where = f"{film.film}, run {film.run}"
    if not measured and shown_s < scanned_s - repetition_time - 1e-6:
        raise InputError(
            f"{where}: the film is too short: {round(scanned_s * rate)} frames needed "
            f"for {n_volumes} volumes of {repetition_time:g} s, {available} found; "
            "check that this film belongs to the run"
        )
    if film.frame_index[-1] >= available:
        raise InputError(
            f"{where}: {film.frame_index[-1] + 1} frames needed by the run's events, "
            f"{available} found; check that this film belongs to the run, and first_frame_index"
        )
    if shown_s > scanned_s + max(2 * repetition_time, _RUNS_ON_S) + 1e-6:
        raise InputError(
            f"{where}: the film is too long: {available} frames found, but "
            f"{n_volumes} volumes of {repetition_time:g} s show {round(scanned_s * rate)}; give "
            "the run its own file, or start_s and duration_s"
        )
    return volumes_without_film(film, repetition_time, hrf_s)


def check_windows(entries: Iterable[ModelEntry], film: PlacedRun) -> None:
    """Refuse a film that is shorter than a model's window.

    Raises
    ------
    InputError
        It has fewer frames.
    """
    for entry in entries:
        offsets = entry.input.offsets
        needed = offsets[-1] - offsets[0] + 1
        if film.stretch.n_frames < needed:
            raise InputError(
                f"{film.film}, run {film.run}: {film.stretch.n_frames} frames are fewer than one "
                f"window of {entry.name}, which takes {needed}"
            )


def volumes_without_film(film: PlacedRun, repetition_time: float, hrf_s: float) -> list[str]:
    """Name volumes long before the first frame, or long after the last; see `check_span`."""
    shown = Span(float(film.frame_times[0]), float(film.frame_times[-1]))
    return check_span(shown, str(film.film), film, repetition_time, hrf_s)


@dataclass(frozen=True)
class Span:
    """From when to when something is known of what a run showed, and how to say so.

    Attributes
    ----------
    first_s, last_s
        In seconds after the run's first volume.
    piece, begins, ends
        "the first PIECE, BEGINS at ... s", "the last PIECE, ENDS at ... s".
    """

    first_s: float
    last_s: float
    piece: str = "frame"
    begins: str = "shown"
    ends: str = "shown"


def check_span(
    span: Span, source: str, film: PlacedRun, repetition_time: float, hrf_s: float
) -> list[str]:
    """Name volumes long before a span, or long after it.

    Parameters
    ----------
    span
        What is known.
    source
        File that it is known from, for the message.
    film
        The run.
    repetition_time, hrf_s
        In seconds; see `check_length`.

    Raises
    ------
    InputError
        A volume comes so late that its response has nothing of the span.
    """
    volumes = film.volume_times
    before = int((volumes < span.first_s - repetition_time).sum())
    after = int((volumes > span.last_s + repetition_time).sum())
    unreached = int((volumes >= span.last_s + hrf_s).sum())
    end = f"the last {span.piece}, {span.ends} at {span.last_s:.1f} s"
    if unreached:
        raise InputError(
            f"{source}, run {film.run}: {unreached} of {len(volumes)} volumes come {hrf_s:g} s or "
            f"more after {end}: check that all files of the run are of one run"
        )
    said = []
    if before:
        start = f"the first {span.piece}, {span.begins} at {span.first_s:.1f} s"
        said.append(f"{before} volumes come over a TR before {start}")
    if after:
        said.append(f"{after} volumes come over a TR after {end}")
    return [f"run {film.run}: {text}" for text in said]
