"""What is said, and what is refused, where a run's events and its film disagree."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bidsapp.dataset.frames import FrameLog, frame_onsets
from bidsapp.errors import InputError
from bidsapp.vision.stretches import Stretch
from bidsapp.workflows.film_events import (
    check_onsets,
    compare_ends,
    odd_events,
    of_one_rate,
    read_logs,
)

N_FRAMES = 5000


def film(rate: Fraction | int = 25, n_frames: int = N_FRAMES) -> Stretch:
    return Stretch(Path("film.mkv"), 0, n_frames, Fraction(rate), Fraction(rate))


def log(
    n_frames: int = N_FRAMES, shown: float = 25, counted: float | None = 25, first: int = 0
) -> FrameLog:
    """Frames shown at one rate whose ``videotime`` counts another, if there is one."""
    index = pd.Index(np.arange(first, n_frames))
    onsets = pd.Series(0.05 + np.arange(first, n_frames) / shown, index)
    video_s = None if counted is None else pd.Series((1 + index) / counted, index).round(3)
    return FrameLog(onsets, video_s)


def rate_of(stretch: Stretch, *logs: FrameLog) -> list[str]:
    named = {f"{i + 1:02d}": each for i, each in enumerate(logs)}
    kept, said = of_one_rate("3", stretch, named)
    return said + check_onsets("3", stretch, kept, frame_onsets(kept))


def odd(*logs: FrameLog) -> list[str]:
    named = {f"{i + 1:02d}": each for i, each in enumerate(logs)}
    return odd_events("3", film(), named, frame_onsets(named))


def test_events_and_film_of_one_rate() -> None:
    assert rate_of(film(), log(), log(counted=None)) == []
    assert rate_of(film(Fraction(24000, 1001)), log(shown=23.976, counted=24000 / 1001)) == []


@pytest.mark.parametrize(
    ("rate", "apart"), [(24, "8.3"), (Fraction(24000, 1001), "8.5"), (30, "33.3"), (50, "100.0")]
)
def test_events_that_count_another_rate_are_refused(rate: Fraction, apart: str) -> None:
    sentence = (
        rf"film.mkv, run 3: the events of sub-02, sub-03 count 25 .*\(videotime\), but .* "
        rf"{float(rate):.5g}: .* part by {apart} s\. Set movie.frame_rate .* by_time .* by_number"
    )
    with pytest.raises(InputError, match=sentence):
        rate_of(film(rate), log(shown=float(rate), counted=None), log(), log())


def test_of_many_participants_one_of_another_rate_is_left_out() -> None:
    named = {"01": log(), "02": log(), "03": log(counted=24)}
    kept, said = of_one_rate("3", film(), named)
    assert list(kept) == ["01", "02"]
    assert said == [
        "run 3: sub-03 does not count for the timing of frames: its videotime counts 24 frames a "
        "second, not 25: over the run the two part by 8.3 s"
    ]


def test_events_that_cannot_be_read_spoil_no_one_elses(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.tsv", tmp_path / "bad.tsv"
    good.write_text("onset\tduration\tframeidx\n0.1\t0.04\t1\n")
    bad.write_text("onset\tduration\n0.1\t0.04\n")
    logs, said = read_logs("3", {"01": bad, "02": good}, 1)
    assert list(logs) == ["02"]
    assert len(said) == 1
    assert said[0].startswith(f"run 3: sub-01 does not count for the timing of frames: {bad} has")
    with pytest.raises(InputError, match=r"bad\.tsv has no column 'frameidx'"):
        read_logs("3", {"01": bad}, 1)


def test_24_is_not_23_976() -> None:
    with pytest.raises(InputError, match=r"count 24 .* taken at 23\.976: .* part by 0\.2 s"):
        rate_of(film(Fraction(24000, 1001)), log(shown=24, counted=24))


def test_without_videotime_onsets_tell_the_rate() -> None:
    with pytest.raises(InputError, match=r"sub-01, sub-02 count 25 .*\(onset\), but .* 24: "):
        rate_of(film(24), log(counted=None), log(counted=None))


def test_a_film_shown_too_slowly_is_where_it_was_shown() -> None:
    said = rate_of(film(), log(shown=24.9), log(shown=24.9))
    assert len(said) == 1
    assert said[0].startswith("run 3: frames were shown at 24.900 a second, the film has 25: ")
    assert "0.8 s" in said[0]


def test_nothing_odd_is_nothing_said() -> None:
    assert odd(log(), log(N_FRAMES - 1), log(counted=None)) == []


def test_odd_participants_are_named_with_figures() -> None:
    late = FrameLog(log().onsets + 0.5, None)
    stalled = FrameLog(log().onsets + 1.8 * (np.arange(N_FRAMES) == N_FRAMES - 1), None)
    jumping = log()
    assert jumping.video_s is not None
    jumping.video_s.iloc[:40] += 0.2
    assert odd(log(), log(), log(), late, stalled, jumping) == [
        "run 3: frames of sub-04 are 0.50 s off the others'",
        "run 3: the screen stood still: sub-05 1.80 s longer at frame 4999 of 5000",
        "run 3: videotime of sub-06 is more than a frame off in 40 of 5000 rows",
    ]


def test_events_that_lack_frames_are_said() -> None:
    late = FrameLog(log().onsets.iloc[3:], None)
    assert "first frame is number 3 of the film" in odd(late)[0]
    thin = FrameLog(log().onsets.iloc[::5], None)
    assert odd(thin) == ["run 3: the events lack 3996 of 4996 frames"]


def test_ends_are_compared_in_one_sentence() -> None:
    assert compare_ends({"1": (4999, film()), "2": (4998, film()), "3": (5000, film())}) == []
    said = compare_ends({"1": (4899, film()), "2": (4999, film()), "3": (5024, film())})
    assert [text.split(": ")[1] for text in said] == [
        "run 1 100 frames (4.0 s)",
        "run 3 25 frames (1.0 s)",
    ]
