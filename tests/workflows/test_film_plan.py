"""Frames and volumes on one clock, and what is said of participants who differ."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from other_studies import bare_run
from tiny_study import TR, VOLUMES, movie, write_film, write_lines

from bidsapp.analysis.spec import Movie
from bidsapp.dataset.runs import PreprocessedRun
from bidsapp.errors import InputError
from bidsapp.workflows.film import _place

MOVIE = Movie.model_validate(movie())
FILM_RATE = 5


@pytest.fixture(scope="module")
def stimuli(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    write_film(folder / "seg_1.mkv", np.random.default_rng(0))
    return folder


def place(stimuli: Path, *scans: PreprocessedRun, timing: str = "nominal"):
    movie = MOVIE.model_copy(update={"frame_timing": timing})
    film, _, warnings = _place(movie, MOVIE.runs[0], scans, stimuli)
    return film, warnings


def test_one_long_scan_harms_no_one(stimuli):
    film, warnings = place(
        stimuli, bare_run("01"), bare_run("02", n_volumes=VOLUMES + 9), bare_run("03")
    )
    assert len(film.volume_times) == VOLUMES
    assert warnings == [f"run 1: sub-02 has {VOLUMES + 9} of {VOLUMES} volumes"]


def test_of_two_lengths_as_common_the_larger_is_used(stimuli):
    film, warnings = place(stimuli, bare_run("01", n_volumes=30), bare_run("02"))
    assert len(film.volume_times) == VOLUMES
    assert warnings == [f"run 1: sub-01 has 30 of {VOLUMES} volumes"]


def test_another_start_time_is_said_by_name(stimuli):
    scans = [bare_run("01", start_time=0.2), bare_run("02"), bare_run("03", start_time=1.05)]
    film, warnings = place(stimuli, *scans, bare_run("04"))
    assert film.volume_times[0] == TR / 2
    assert warnings == ["run 1: sub-01 has StartTime 0.2 s, the model RDMs are for 1 s"]


def events_file(path: Path, n_frames: int, late_s: float = 0.0) -> Path:
    rows = [f"{late_s + i / FILM_RATE:g}\t0.2\t{i + 1}" for i in range(n_frames)]
    write_lines(path, "onset\tduration\tframeidx", *rows)
    return path


def test_a_frame_after_the_last_volume_is_not_looked_for(stimuli, tmp_path):
    held = int(VOLUMES * TR * FILM_RATE)  # the film's frames
    events = events_file(tmp_path / "events.tsv", held + 1)
    film, warnings = place(stimuli, bare_run("01", events=events), timing="events")
    last = film.volume_times[-1]
    assert warnings == []
    assert film.frame_times[-1] < last <= film.frame_times[-1] + 1 / FILM_RATE + 1e-9
    assert film.frame_index[-1] < held


def test_who_has_no_events_is_said(stimuli, tmp_path):
    events = events_file(tmp_path / "events.tsv", 400)
    _, warnings = place(
        stimuli, bare_run("01", events=events), bare_run("02"), bare_run("03"), timing="events"
    )
    assert warnings == ["run 1: no events of sub-02, sub-03, so the others' are used"]


def test_frames_that_all_come_too_late_are_refused(stimuli, tmp_path):
    events = events_file(tmp_path / "events.tsv", 10, late_s=VOLUMES * TR)
    with pytest.raises(InputError, match=r"seg_1\.mkv, run 1: no frame .* onsets"):
        place(stimuli, bare_run("01", events=events), timing="events")


def test_a_run_that_no_one_has_is_named(study, moviersa, caplog):
    for path in study.fmriprep.rglob("*task-movie_run-4_*"):
        path.unlink()
    with caplog.at_level(logging.WARNING):
        told = moviersa(*study.arguments("stimulus", "--dry-run"))
    assert told.status == 0
    assert "run 4: no participant has it, so it is left out" in told.out


def test_what_is_odd_about_events_reaches_the_dry_run_and_the_log(study, moviersa):
    rows = [f"{i / FILM_RATE + (2 if i > 300 else 0):g}\t0.2\t{i + 1}" for i in range(400)]
    write_lines(study.events("02", "movie", "3"), "onset\tduration\tframeidx", *rows)
    write_lines(study.events("03", "movie", "3"), "onset\tduration", "0\t1")
    study.change_analysis(models=["pixels"])
    said = [
        "run 3: frames of sub-01 are 1.00 s off the others'",
        "run 3: frames of sub-02 are 1.00 s off the others'",
        "run 3: the screen stood still: sub-02 2.00 s longer at frame 301 of 400",
    ]
    told = moviersa(*study.arguments("stimulus", "--dry-run"))
    assert all(f"  warning: {sentence}\n" in told.out for sentence in said)
    assert "run 3: sub-03 does not count for the timing of frames: " in told.out
    told = moviersa(*study.arguments("stimulus"))
    assert told.status == 0
    assert all(sentence in told.err for sentence in said)
    noted = json.loads(next((study.out / "stimuli").glob("*_relmat.json")).read_text())["Warnings"]
    assert set(said) <= set(noted)
