"""The plan of studyforrest's eight runs, from the real events of two participants.

The film itself cannot be here. Its segments' frames are counted by the per-frame annotations.
"""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from other_studies import bare_run

from bidsapp.analysis.spec import Analysis, default_analysis, read_analysis
from bidsapp.dataset.fmriprep import ParticipantInputs
from bidsapp.dataset.runs import PreprocessedRun
from bidsapp.errors import InputError
from bidsapp.vision.film import FilmFacts
from bidsapp.workflows.film import FilmPlan, plan_film

N_VOLUMES = (451, 441, 438, 488, 462, 439, 542, 338)
SHOWN_S = (902.04, 882.04, 876.04, 976.04, 924.04, 878.04, 1085.08, 673.44)
PEOPLE = ("01", "03")


@pytest.fixture(scope="module")
def real(shared_data: Path) -> Path:
    if not (shared_data / "studyforrest").is_dir():
        pytest.skip(f"no studyforrest metadata in {shared_data}")
    return shared_data


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    return read_analysis(default_analysis())


@pytest.fixture
def films(real: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, FilmFacts]:
    """Films by name, empty but for their facts, which a test may change."""
    films = {}
    for number in range(8):
        notes = real / "studyforrest-annotations" / f"conf_visual_run-{number + 1}_events.tsv"
        n_frames = len(notes.read_text().splitlines()) - 1
        name = f"fg_av_ger_seg{number}.mkv"
        (tmp_path / name).touch()
        films[name] = FilmFacts(n_frames, 0, Fraction(25), 1280, 720, 1.0, name)
    for module in ("bidsapp.vision.stretches", "bidsapp.vision.odd_films"):
        monkeypatch.setattr(f"{module}.film_facts", lambda path: films[path.name])
    return films


def people(real: Path) -> list[ParticipantInputs]:
    def scan(label: str, run: int) -> PreprocessedRun:
        stem = f"sub-{label}_ses-movie_task-movie_run-{run}"
        return bare_run(
            label,
            session="movie",
            run=str(run),
            events=real / f"studyforrest/sub-{label}/ses-movie/func/{stem}_events.tsv",
            n_volumes=N_VOLUMES[run - 1],
            repetition_time=2.00000061,
            start_time=1.0,
        )

    found = {label: tuple(scan(label, run) for run in range(1, 9)) for label in PEOPLE}
    return [ParticipantInputs(label, (), runs, runs, None, {}, ()) for label, runs in found.items()]


def test_the_real_film_and_events_fit_and_what_is_odd_is_said(real, analysis, films, tmp_path):
    plan = plan_film(analysis, people(real), tmp_path)
    assert plan.warnings == (
        "run 5: the screen stood still: sub-03 0.34 s longer at frame 1 of 23100",
        "run 8: the screen stood still: sub-01 1.81 s longer at frame 16835 of 16836",
        "the film goes on after the last frame of the events, which no one saw: run 1 105 frames "
        "(4.2 s), run 2 107 frames (4.3 s), run 3 107 frames (4.3 s), run 4 106 frames (4.2 s), "
        "run 5 107 frames (4.3 s), run 6 106 frames (4.2 s), run 7 81 frames (3.2 s), run 8 145 "
        "frames (5.8 s)",
    )
    assert [film.film.name for film in plan.runs] == list(films)
    for film, n_volumes in zip(plan.runs, N_VOLUMES, strict=True):
        assert len(film.volume_times) == n_volumes
        np.testing.assert_array_equal(film.frame_index, 5 * np.arange(len(film.frame_index)))
        assert abs(len(film.frame_index) - 10 * n_volumes) < 15
        # Onsets waver, and leave no gap; the first frame comes up to 0.13 s after the first volume.
        assert np.all(film.coverage()[film.volume_times > 20.2] > 0.99)


def test_frames_after_the_last_volume_are_not_taken(real, analysis, films, tmp_path):
    plan = plan_film(analysis, people(real), tmp_path)
    # Run 7's events name 1085.08 s of film in 1084 s of scanning.
    assert (plan.last_named["7"] + 1, N_VOLUMES[6] * 50) == (27127, 27100)
    for film in plan.runs:
        assert film.frame_times[-1] < film.volume_times[-1] < film.frame_times[-1] + 2.0
    # Run 8's film ends at 673.4 s; its last volume, taken at 675 s, still sees all of it.
    assert plan.runs[7].frame_times[-1] == pytest.approx(673.22, abs=0.05)


def test_without_the_odd_participant_no_frame_moves_far(real, analysis, films, tmp_path):
    both = plan_film(analysis, people(real), tmp_path)
    alone = plan_film(analysis, people(real)[:1], tmp_path)
    for one, other in zip(both.runs, alone.runs, strict=True):
        np.testing.assert_array_equal(one.frame_index, other.frame_index)
        moved = np.abs(one.frame_times - other.frame_times)
        assert np.quantile(moved, 0.99) < 0.03
        assert moved.max() < 0.17  # run 5, whose first frame stood still for sub-03


def of_rate(films: dict[str, FilmFacts], rate: Fraction) -> None:
    for name, facts in films.items():
        n_frames = round(facts.n_frames * rate / 25)
        films[name] = replace(facts, frame_rate=rate, n_frames=n_frames)


def changed(analysis: Analysis, **movie: object) -> Analysis:
    content = analysis.model_dump(mode="json")
    return Analysis.model_validate({**content, "movie": {**content["movie"], **movie}})


def test_a_24_hz_copy_is_refused_and_taken_by_time_if_asked(real, analysis, films, tmp_path):
    of_rate(films, Fraction(24))
    with pytest.raises(InputError, match=r"run 1: .*seg0\.mkv has 24 .* part by 36\.2 s.* by_time"):
        plan_film(analysis, people(real), tmp_path)
    with pytest.raises(InputError, match=r"sub-01, sub-03 count 25 .* at 24: .* by 37\.\d s"):
        plan_film(changed(analysis, frame_rate=None), people(real), tmp_path)
    plan = plan_film(changed(analysis, other_rate="by_time"), people(real), tmp_path)
    assert_frames_as_shown(plan)
    assert plan.runs[0].stretch.file_frame(22550) == 22550 * 24 // 25


def test_the_same_frames_at_23_976_hz_are_taken_by_number(real, analysis, films, tmp_path):
    """Blu-ray frames, which studyforrest showed at 25 a second."""
    for name, facts in films.items():
        films[name] = replace(facts, frame_rate=Fraction(24000, 1001))
    plan = plan_film(changed(analysis, other_rate="by_number"), people(real), tmp_path)
    assert_frames_as_shown(plan)
    assert plan.runs[0].stretch.file_frame(22550) == 22550


def assert_frames_as_shown(plan: FilmPlan) -> None:
    for film in plan.runs:
        assert film.stretch.shown_rate == 25
        np.testing.assert_allclose(film.frame_times, film.frame_index / 25, atol=0.2)


def test_one_whole_film_cut_by_the_analysis(real, analysis, films, tmp_path):
    """As docs/film.md has it: from a frame before the segment's start, for its last videotime."""
    n_frames = 177_138
    films["forrest.mkv"] = FilmFacts(n_frames, 0, Fraction(25), 1280, 720, 1.0, "whole")
    (tmp_path / "forrest.mkv").touch()
    table = (real / "studyforrest-stimulus" / "segment_timing.csv").read_text().splitlines()[1:]
    starts = [line.split(",") for line in table]
    runs = [
        {**run.model_dump(), "film": "forrest.*", "start_s": max(0, round(float(at) - 0.04, 2))}
        | {"duration_s": seconds}
        for run, seconds, (_, _, at) in zip(analysis.movie.runs, SHOWN_S, starts, strict=True)
    ]
    plan = plan_film(changed(analysis, runs=runs), people(real), tmp_path)
    assert [film.stretch.first for film in plan.runs[1:]] == [int(f) - 1 for _, f, _ in starts[1:]]
    segments = plan_film(analysis, people(real), tmp_path)
    for one, other in zip(plan.runs, segments.runs, strict=True):
        np.testing.assert_array_equal(one.frame_index, other.frame_index)
        np.testing.assert_array_equal(one.frame_times, other.frame_times)


def test_another_segment_is_refused(real, analysis, films, tmp_path):
    films["fg_av_ger_seg0.mkv"] = films["fg_av_ger_seg6.mkv"]  # 182 s longer
    with pytest.raises(InputError, match=r"seg0\.mkv, run 1: the film is too long: 27208 frames"):
        plan_film(analysis, people(real), tmp_path)


def test_pictures_that_are_odd_are_said(real, analysis, films, tmp_path):
    name = "fg_av_ger_seg2.mkv"
    films[name] = replace(films[name], width=720, height=576, pixel_aspect=64 / 45, n_missing=12)
    warnings = plan_film(analysis, people(real), tmp_path).warnings[3:]
    assert [text.replace(name, "") for text in warnings] == [
        " lacks 12 of 22008 frames; the ones before them are held",
        ": its pixels are not square (1.422 wide for 1 high), so that networks see a squeezed "
        "picture; rewrite it with square ones",
        ": a crop of 720 is more than its picture of 720 x 576 pixels; what lies beyond is black",
        "the films of the runs differ in size: 1280 x 720, 720 x 576",
    ]
