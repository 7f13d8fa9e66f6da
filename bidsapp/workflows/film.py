"""When each frame of the film was seen, and when each volume was taken: once for a dataset."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bidsapp.analysis import spec
from bidsapp.analysis.spec import Analysis
from bidsapp.arrays import Floats
from bidsapp.dataset.fmriprep import ParticipantInputs, PreprocessedRun
from bidsapp.dataset.runs import TR_TOLERANCE_S
from bidsapp.dataset.stimuli import find_film, frame_onsets
from bidsapp.errors import InputError
from bidsapp.vision.film import film_facts
from bidsapp.vision.runs import PlacedRun, check_length, nominal_frames

_START_TOLERANCE_S = 0.1


@dataclass(frozen=True)
class FilmPlan:
    """The film runs on the scanner's clock, and what is worth a warning about them."""

    runs: tuple[PlacedRun, ...]
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
        A film is absent, broken or does not fit its run; TRs differ between participants.
    """
    repetition_time = _common_repetition_time(participants)
    runs: list[PlacedRun] = []
    warnings: list[str] = []
    for film_run in analysis.movie.runs:
        scans = [run for person in participants for run in person.movie if run.run == film_run.run]
        if not scans:
            warnings.append(f"run {film_run.run}: no participant has it, so it is left out")
            continue
        film, said = _place(analysis.movie, film_run, scans, stimuli)
        check_length(film, repetition_time)
        runs.append(film)
        warnings += said
    return FilmPlan(tuple(runs), repetition_time, tuple(warnings))


def volume_times(movie: spec.Movie, scan: PreprocessedRun, n_volumes: int) -> Floats:
    """Time of each volume in s after the run's start, (n_volumes,)."""
    tr = scan.repetition_time
    start = tr / 2 if movie.volume_time == "middle" else scan.start_time
    return np.arange(n_volumes) * tr + start


def _place(
    movie: spec.Movie, film_run: spec.FilmRun, scans: Sequence[PreprocessedRun], stimuli: Path
) -> tuple[PlacedRun, list[str]]:
    path = find_film(stimuli, film_run.film)
    usual = _usual(scans)
    times = volume_times(movie, usual, usual.n_volumes)
    events = {scan.participant: scan.events for scan in scans if scan.events is not None}
    warnings = _unlike(movie, usual, scans)
    if movie.frame_timing == "events" and not events:
        warnings.append(f"run {film_run.run}: no events, so frames are at the film's nominal rate")
    if movie.frame_timing == "events" and events:
        onsets = frame_onsets(events, movie.first_frame_index)
        sampled = onsets.index % movie.frame_step == 0
        index, frame_times = onsets.index[sampled], onsets.onset_s[sampled]
        warnings += [
            f"run {film_run.run}: frames of sub-{label} are {seconds:.2f} s off the others'"
            for label, seconds in onsets.deviating.items()
        ]
    else:
        facts = film_facts(path)
        duration = film_run.duration_s or facts.n_frames / facts.frame_rate - film_run.start_s
        n_frames = round(duration * facts.frame_rate)
        index, frame_times = nominal_frames(n_frames, facts.frame_rate, movie.frame_step)
    # The last refresh may be logged for a frame that the file no longer has; nothing sees it.
    seen = frame_times < times[-1]
    if not seen.any():
        raise InputError(
            f"{path}, run {film_run.run}: no frame was shown before the last volume; check the "
            "onsets of the run's events, and first_frame_index"
        )
    stretch = (film_run.start_s, film_run.duration_s)
    film = PlacedRun(film_run.run, path, *stretch, index[seen], frame_times[seen], times)
    return film, warnings


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
