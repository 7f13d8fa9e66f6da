"""When each frame of the film was seen, and when each volume was taken: once for a dataset."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bidsapp.analysis import spec
from bidsapp.analysis.spec import Analysis
from bidsapp.arrays import Floats
from bidsapp.dataset.fmriprep import ParticipantInputs, PreprocessedRun
from bidsapp.dataset.frames import FrameOnsets, frame_onsets
from bidsapp.dataset.runs import TR_TOLERANCE_S
from bidsapp.dataset.stimuli import find_film
from bidsapp.errors import InputError
from bidsapp.vision.framing import Framing
from bidsapp.vision.model_recipe import Recipe
from bidsapp.vision.odd_films import odd_films
from bidsapp.vision.runs import PlacedRun, check_length, nominal_frames
from bidsapp.vision.stretches import Stretch, cut
from bidsapp.workflows.film_events import (
    check_onsets,
    compare_ends,
    odd_events,
    of_one_rate,
    read_logs,
)

_START_TOLERANCE_S = 0.1


@dataclass(frozen=True)
class FilmPlan:
    """The film runs on the scanner's clock, and what is worth a warning about them.

    Attributes
    ----------
    runs
        In the order of the analysis.
    framing
        What of each frame networks see.
    last_named
        Run to the last frame that its events name, counted from 0; runs without events are absent.
    repetition_time
        In seconds.
    warnings
        Sentences that name run, participants and figures.
    """

    runs: tuple[PlacedRun, ...]
    framing: Framing
    last_named: Mapping[str, int]
    repetition_time: float
    warnings: tuple[str, ...]


def plan_film(
    analysis: Analysis, participants: Sequence[ParticipantInputs], stimuli: Path
) -> FilmPlan:
    """Place every run's frames and volumes on one clock; check that film and scan belong together.

    Frame onsets are medians over ``participants``: give all of the dataset, so that the plan does
    not depend on who is analysed.

    Raises
    ------
    InputError
        A film is absent, broken or does not fit its run or its events; TRs differ between
        participants.
    """
    movie = analysis.movie
    repetition_time = _common_repetition_time(participants)
    runs: list[PlacedRun] = []
    last_named: dict[str, int] = {}
    warnings: list[str] = []
    for film_run in movie.runs:
        scans = [run for person in participants for run in person.movie if run.run == film_run.run]
        if not scans:
            warnings.append(f"run {film_run.run}: no participant has it, so it is left out")
            continue
        film, last, said = _place(movie, film_run, scans, stimuli)
        measured = last is not None
        if last is not None:
            last_named[film.run] = last
        said += check_length(film, repetition_time, movie.hrf_s, measured)
        runs.append(film)
        warnings += said
    stretches = {film.run: film.stretch for film in runs}
    ends = {run: (last, stretches[run]) for run, last in last_named.items()}
    framing = framing_of(movie)
    warnings += [*compare_ends(ends), *odd_films(framing, runs)]
    return FilmPlan(tuple(runs), framing, last_named, repetition_time, tuple(warnings))


def framing_of(movie: spec.Movie) -> Framing:
    """Return what the analysis says about cutting and resizing frames."""
    bars = movie.letterbox
    return Framing((bars.top, bars.bottom, bars.left, bars.right), movie.crop, movie.resize)


def recipe_of(analysis: Analysis) -> Recipe:
    """Return how the analysis makes a model's RDMs from the film."""
    return Recipe(framing_of(analysis.movie), analysis.movie.hrf_s, analysis.extraction)


def volume_times(movie: spec.Movie, scan: PreprocessedRun, n_volumes: int) -> Floats:
    """Time of each volume in s after the run's start, (n_volumes,)."""
    tr = scan.repetition_time
    start = tr / 2 if movie.volume_time == "middle" else scan.start_time
    return np.arange(n_volumes) * tr + start


def _place(
    movie: spec.Movie, film_run: spec.FilmRun, scans: Sequence[PreprocessedRun], stimuli: Path
) -> tuple[PlacedRun, int | None, list[str]]:
    """Place one run; also return the last frame that its events name, and warnings."""
    run = film_run.run
    usual = _usual(scans)
    times = volume_times(movie, usual, usual.n_volumes)
    warnings = _unlike(movie, usual, scans)
    stretch = _cut(movie, film_run, stimuli)
    onsets, said = _measured(movie, run, stretch, scans)
    warnings += said
    if onsets is None:
        rate = float(stretch.shown_rate)
        index, frame_times = nominal_frames(stretch.n_frames, rate, movie.frame_step)
    else:
        sampled = onsets.index % movie.frame_step == 0
        index, frame_times = onsets.index[sampled], onsets.onset_s[sampled]
    # The last refresh may be logged for a frame that the file no longer has; nothing sees it.
    seen = frame_times < times[-1]
    if not seen.any():
        raise InputError(
            f"{stretch.path}, run {run}: no frame was shown before the last volume; check the "
            "onsets of the run's events, and first_frame_index"
        )
    film = PlacedRun(run, stretch, index[seen], frame_times[seen], times)
    return film, None if onsets is None else int(onsets.index[-1]), warnings


def _measured(
    movie: spec.Movie, run: str, stretch: Stretch, scans: Sequence[PreprocessedRun]
) -> tuple[FrameOnsets | None, list[str]]:
    """Return the frames' measured onsets, or None if they are nominal; and warnings."""
    if movie.frame_timing == "nominal":
        return None, []
    events = {scan.participant: scan.events for scan in scans if scan.events is not None}
    if not events:
        return None, [f"run {run}: no events, so frames are at the film's nominal rate"]
    logs, unread = read_logs(run, events, movie.first_frame_index)
    logs, other_rate = of_one_rate(run, stretch, logs)
    onsets = frame_onsets(logs)
    without = ", ".join(f"sub-{scan.participant}" for scan in scans if scan.events is None)
    absent = [f"run {run}: no events of {without}, so the others' are used"] if without else []
    wrong = check_onsets(run, stretch, logs, onsets)
    return onsets, [*absent, *unread, *other_rate, *wrong, *odd_events(run, stretch, logs, onsets)]


def _cut(movie: spec.Movie, film_run: spec.FilmRun, stimuli: Path) -> Stretch:
    path = find_film(stimuli, film_run.film)
    where = (film_run.start_s, film_run.duration_s)
    try:
        return cut(path, *where, movie.frame_rate, movie.other_rate)
    except InputError as error:
        raise InputError(f"run {film_run.run}: {error}") from error


def _usual(scans: Sequence[PreprocessedRun]) -> PreprocessedRun:
    """Pick a scan of the most common length, the longer of two; and of those' usual StartTime."""
    lengths = Counter(scan.n_volumes for scan in scans)
    length = max(lengths, key=lambda n: (lengths[n], n))
    whole = [scan for scan in scans if scan.n_volumes == length]
    starts = Counter(round(scan.start_time, 3) for scan in whole)
    return max(whole, key=lambda scan: starts[round(scan.start_time, 3)])


def _unlike(
    movie: spec.Movie, usual: PreprocessedRun, scans: Sequence[PreprocessedRun]
) -> list[str]:
    """Name the participants whose scan has another length or StartTime than the usual one."""
    warnings = [
        f"run {usual.run}: sub-{scan.participant} has {scan.n_volumes} of {usual.n_volumes} volumes"
        for scan in scans
        if scan.n_volumes != usual.n_volumes
    ]
    if movie.volume_time == "metadata":
        warnings += [
            f"run {usual.run}: sub-{scan.participant} has StartTime {scan.start_time:g} s, the "
            f"model RDMs are for {usual.start_time:g} s"
            for scan in scans
            if abs(scan.start_time - usual.start_time) > _START_TOLERANCE_S
        ]
    return warnings


def _common_repetition_time(participants: Sequence[ParticipantInputs]) -> float:
    runs = [run for person in participants for run in person.movie]
    first = runs[0]
    for run in runs:
        if abs(run.repetition_time - first.repetition_time) > TR_TOLERANCE_S:
            raise InputError(
                f"{run.bold} has a TR of {run.repetition_time:g} s, but {first.bold} one of "
                f"{first.repetition_time:g} s; one analysis needs one TR: mend the metadata, "
                "or take that participant out of both datasets"
            )
    return first.repetition_time
