"""What a network sees changes a model's fingerprint, and nothing else does."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from tiny_study import TinyStudy, movie, write_film

from bidsapp.analysis.spec import read_analysis
from bidsapp.cli.parser import parse
from bidsapp.vision.film import film_facts
from bidsapp.vision.runs import PlacedRun
from bidsapp.vision.stretches import cut
from bidsapp.workflows.fingerprints import fingerprint

SECONDS = 80


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    write_film(folder / "seg_1.mkv", np.random.default_rng(0), SECONDS)
    shutil.copy(folder / "seg_1.mkv", folder / "renamed.mkv")
    write_film(folder / "other.mkv", np.random.default_rng(1), SECONDS)
    return folder


def placed(films: Path, name: str = "seg_1.mkv", n_frames: int = 100, **how: Any) -> PlacedRun:
    index = np.arange(0, n_frames, 5)
    return PlacedRun("1", cut(films / name, **how), index, index / 5, np.arange(10) * 2.0 + 1)


def made_from(study: TinyStudy, film: PlacedRun, model: str = "pixels", **changes: Any) -> str:
    study.change_analysis(movie=movie(**changes))
    return fingerprint(
        parse(study.arguments("stimulus")), read_analysis(study.analysis), film, model
    )


def test_what_is_seen_is_in_the_fingerprint(study, films):
    film = placed(films)
    as_is = made_from(study, film)
    others = [
        made_from(study, placed(films, "other.mkv")),
        made_from(study, placed(films, start_s=0.2)),
        made_from(study, placed(films, n_frames=90)),
        made_from(study, placed(films, shown_rate=4, other_rate="by_time")),
        made_from(study, replace(film, frame_times=film.frame_times + 0.01)),
        made_from(study, replace(film, volume_times=film.volume_times + 0.01)),
        made_from(study, film, letterbox={"top": 1}),
        made_from(study, film, crop=12),
        made_from(study, film, crop=20),
        made_from(study, film, crop=20, letterbox={"bottom": 1}),
        made_from(study, film, resize=8),
        made_from(study, film, hrf_s=24),
    ]
    assert len({as_is, *others}) == 1 + len(others)


def test_what_is_not_seen_is_not(study, films):
    film = placed(films)
    as_is = made_from(study, film)
    assert made_from(study, placed(films, "renamed.mkv")) == as_is
    assert made_from(study, placed(films, start_s=0.01)) == as_is  # the nearest frame is the first
    assert made_from(study, placed(films, duration_s=60.0)) == as_is  # beyond the last frame taken
    assert made_from(study, placed(films, shown_rate=4, other_rate="by_number")) == as_is
    assert made_from(study, film, crop=16) == as_is  # the largest square, which it is anyway
    assert made_from(study, film, letterbox={"left": 4, "right": 4}) == as_is  # cut off by the crop
    assert made_from(study, film, resize=16) == as_is  # the model's own size
    assert made_from(study, film, frame_rate=5) == as_is
    assert made_from(study, film, runs=[{**run, "start_s": 1} for run in movie()["runs"]]) == as_is


def test_windows_that_reach_beyond_the_end_hold_its_last_frame(study, films):
    near_end = placed(films, n_frames=96, duration_s=19.2)
    whole = placed(films, n_frames=96)
    assert made_from(study, near_end) == made_from(study, whole)  # windows of one frame
    assert made_from(study, near_end, "motionenergy") != made_from(study, whole, "motionenergy")


def test_a_film_of_many_runs_is_read_once(films, monkeypatch):
    path = shutil.copy(films / "seg_1.mkv", films / "whole.mkv")
    opened = []
    as_it_is = av.open

    def counting(name: str, *more: Any) -> Any:
        opened.append(name)
        return as_it_is(name, *more)

    monkeypatch.setattr(av, "open", counting)
    for run in range(8):
        assert cut(Path(path), start_s=run * 10, duration_s=10).first == run * 50
        film_facts(Path(path))
    assert len(opened) == 1
