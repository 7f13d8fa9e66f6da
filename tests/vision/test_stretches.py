from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vision_films import numbered, write_film

from bidsapp.errors import InputError
from bidsapp.vision.stretches import Stretch, cut, exact_rate, same_rate

NTSC = Fraction(24000, 1001)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return ten seconds at 24 frames a second."""
    return write_film(tmp_path_factory.mktemp("film") / "a.mkv", numbered(240), rate=24)


def test_rates_are_what_their_decimals_stand_for() -> None:
    assert exact_rate(23.976) == exact_rate(23.98) == NTSC
    assert exact_rate(29.97) == Fraction(30000, 1001)
    assert (exact_rate(25.0), exact_rate(12.5)) == (25, Fraction(25, 2))
    assert same_rate(23.98, NTSC)
    assert not same_rate(24, NTSC)


@given(frame=st.integers(0, 10**6), rate=st.sampled_from([24, 25, 30, 50, NTSC]))
def test_a_start_in_decimals_is_the_frame_that_it_was_made_from(frame: int, rate: Fraction) -> None:
    start_s = round(float(frame / Fraction(rate)), 3)  # as tables of segments have it
    assert round(start_s * Fraction(rate)) == frame


def test_the_real_segments_begin_at_the_frames_of_their_table(shared_data: Path) -> None:
    table = (shared_data / "studyforrest-stimulus" / "segment_timing.csv").read_text()
    rows = [line.split(",") for line in table.splitlines()[1:]]
    assert len(rows) == 8
    for _, frame, seconds in rows:
        assert round(float(seconds) * Fraction(25)) == int(frame)


def test_another_rate_is_refused_with_figures(film: Path) -> None:
    with pytest.raises(InputError, match=r"24 frames a second, but .* 25: .* part by 0\.4 s.*by_t"):
        cut(film, shown_rate=25)
    assert cut(film, shown_rate=24.0).shown_rate == 24


def test_frames_of_another_rate_by_time(film: Path) -> None:
    stretch = cut(film, 1.0, 4.0, 25, "by_time")
    assert (stretch.first, stretch.n_frames, stretch.duration_s) == (24, 100, 4.0)
    for shown in range(100):  # shown at shown / 25 s: the file's frame on the screen then
        assert stretch.file_frame(shown) == 24 + shown * 24 // 25
    assert cut(film, shown_rate=25, other_rate="by_time").n_frames == 250


def test_frames_of_another_rate_by_number(film: Path) -> None:
    stretch = cut(film, 1.0, 4.0, 25, "by_number")  # seconds of the shown film
    assert (stretch.first, stretch.n_frames) == (25, 100)
    assert [stretch.file_frame(i) for i in (0, 1, 99)] == [25, 26, 124]
    assert cut(film, shown_rate=25, other_rate="by_number").n_frames == 240
    assert cut(film, shown_rate=25, other_rate="by_number").duration_s == 9.6


@pytest.mark.parametrize(("start_s", "duration_s"), [(10.0, None), (9.0, 1.1), (30.0, 1.0)])
def test_a_stretch_beyond_the_end_is_refused(
    film: Path, start_s: float, duration_s: float | None
) -> None:
    with pytest.raises(InputError, match=r"ends before the run does: \d+ frames needed, 240 found"):
        cut(film, start_s, duration_s)


def test_one_frame_too_few_is_forgiven(film: Path) -> None:
    assert cut(film, 9.0, 25 / 24).n_frames == 24


@given(
    file_rate=st.sampled_from([24, 25, 30, 50, NTSC]),
    shown_rate=st.sampled_from([24, 25, 30, 50, NTSC]),
    first=st.integers(0, 10**5),
    shown=st.integers(0, 10**5),
)
def test_by_time_a_frame_is_the_one_on_the_screen(
    file_rate: Fraction, shown_rate: Fraction, first: int, shown: int
) -> None:
    rates = (Fraction(file_rate), Fraction(shown_rate))
    stretch = Stretch(Path("a"), first, shown + 1, *rates, by_time=True)
    at = shown / rates[1]
    found = stretch.file_frame(shown) - first
    assert found / rates[0] <= at < (found + 1) / rates[0]
