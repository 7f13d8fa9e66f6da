"""Whether a film and a scan are of one run."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidsapp.analysis.processing import Robust
from bidsapp.arrays import Bools, Floats
from bidsapp.errors import InputError
from bidsapp.vision.hemodynamics import response_coverage
from bidsapp.vision.runs import PlacedRun, check_length
from bidsapp.vision.stretches import Stretch

TR, HRF_S = 2.0, 20.0
N_VOLUMES = 451


def run(film_s: float, first_s: float = 0.0, last_s: float = 2 * N_VOLUMES) -> PlacedRun:
    """Return a run of 451 volumes whose events show frames from one time to another."""
    stretch = Stretch(Path("a.mkv"), 0, round(film_s * 25), Fraction(25), Fraction(25))
    volumes = TR * np.arange(N_VOLUMES) + 1
    times = np.arange(first_s, last_s, 0.2)
    times = times[times < volumes[-1]]
    return PlacedRun("1", stretch, 5 * np.arange(len(times)), times, volumes)


@pytest.mark.parametrize("film_s", [902.04, 906.24, 907.0, 901.0])
def test_a_file_that_goes_on_for_as_long_as_studyforrests_is_fine(film_s: float) -> None:
    for measured in (True, False):
        assert check_length(run(film_s), TR, HRF_S, measured) == []


@pytest.mark.parametrize("film_s", [907.1, 1088.32])
def test_a_longer_file_is_refused(film_s: float) -> None:
    with pytest.raises(InputError, match=r"too long: .* 451 volumes of 2 s show 22550"):
        check_length(run(film_s), TR, HRF_S, measured=True)


def test_a_scan_that_goes_on_is_said_where_events_prove_it() -> None:
    short = run(890.0, last_s=890.0)
    assert check_length(short, TR, HRF_S, measured=True) == [
        "run 1: 5 volumes come over a TR after the last frame, shown at 889.8 s"
    ]
    with pytest.raises(InputError, match=r"too short: 22550 frames needed .* 22250 found"):
        check_length(short, TR, HRF_S, measured=False)


def test_volumes_that_know_nothing_of_the_film_are_refused() -> None:
    with pytest.raises(
        InputError, match=r"3 of 451 volumes come 20 s or more after .* shown at 875\.8 s"
    ):
        check_length(run(876.0, last_s=876.0), TR, HRF_S, measured=True)


def test_a_film_that_begins_late_is_said() -> None:
    assert check_length(run(906.0, first_s=1.5), TR, HRF_S, measured=True) == []
    assert check_length(run(906.0, first_s=9.0), TR, HRF_S, measured=True) == [
        "run 1: 3 volumes come over a TR before the first frame, shown at 9.0 s"
    ]


def test_frames_that_the_file_lacks_are_refused() -> None:
    with pytest.raises(InputError, match=r"22506 frames .* run's events, 22500 found"):
        check_length(run(900.0, last_s=900.3), TR, HRF_S, measured=True)


def test_the_first_frame_is_dated_from_the_first_one_taken() -> None:
    whole = run(900.0, first_s=1.5)
    cut_off = replace(whole, frame_index=whole.frame_index[3:], frame_times=whole.frame_times[3:])
    assert whole.first_frame_s == pytest.approx(1.5)
    assert cut_off.first_frame_s == pytest.approx(1.5)


# --- how much of each volume's response the film covers ---


def keep(film: PlacedRun, kept: Bools) -> PlacedRun:
    """Lose the other frames."""
    return replace(film, frame_index=film.frame_index[kept], frame_times=film.frame_times[kept])


def one_stretch(film: PlacedRun, first_s: float, last_s: float) -> Floats:
    return response_coverage(np.array([first_s]), np.array([last_s - first_s]), film.volume_times)


def test_a_whole_film_covers_every_volume_but_the_first_ones() -> None:
    film = run(902.0)
    covered = film.coverage()
    assert np.all(covered[film.volume_times < 19] < 0.98)
    np.testing.assert_allclose(covered[film.volume_times > 20], 1.0, atol=1e-9)
    np.testing.assert_allclose(covered, one_stretch(film, 0.0, 902.0), atol=1e-9)
    assert film.coverage(hrf_s=12.0)[6] == 1 > covered[6]


def test_what_was_shown_before_the_scan_counts() -> None:
    film = run(902.0, first_s=-12.0)
    np.testing.assert_allclose(film.coverage(), one_stretch(film, -12.0, 902.0), atol=1e-9)
    assert film.coverage()[4] == 1


def test_the_last_frame_is_there_for_one_step() -> None:
    film = run(890.0, last_s=890.0)
    np.testing.assert_allclose(film.coverage(), one_stretch(film, 0.0, 890.0), atol=1e-9)


@given(
    rate=st.sampled_from([24.0, 25.0, 30.0]),
    step=st.integers(1, 8),
    refresh=st.sampled_from([60.0, 75.0, 120.0]),
    slower=st.floats(0.9, 2.0),
)
def test_frames_that_wait_for_the_screen_leave_no_gap(
    rate: float, step: int, refresh: float, slower: float
) -> None:
    """Each is shown at a refresh of the screen; the film may run slower than its rate."""
    index = np.arange(0, 2000, step)
    times = np.ceil(index / rate * slower * refresh) / refresh
    stretch = Stretch(Path("a.mkv"), 0, 2000, Fraction(rate), Fraction(rate))
    volumes = np.arange(20.0, times[-1], 2.0)
    assert PlacedRun("1", stretch, index, times, volumes).coverage() == pytest.approx(1, abs=2e-3)


def test_one_frame_is_there_for_its_own_time() -> None:
    film = run(902.0)
    alone = keep(film, np.arange(len(film.frame_index)) == 100)
    np.testing.assert_allclose(alone.coverage(), one_stretch(film, 20.0, 20.04), atol=1e-9)


def cost(tr: float, gap_s: float, min_coverage: float) -> int:
    """Most volumes that a gap of film in the middle of a run costs, wherever it falls."""
    whole = replace(run(902.0), volume_times=np.arange(tr / 2, 902.0, tr))
    n_uncovered = [
        int((keep(whole, ~lost).coverage() < min_coverage).sum())
        for first_s in np.arange(400.0, 400.0 + tr, 0.2)
        for lost in [
            (whole.frame_times >= first_s - 0.1) & (whole.frame_times < first_s + gap_s - 0.1)
        ]
    ]
    return max(n_uncovered) - int((whole.coverage() < min_coverage).sum())


@pytest.mark.parametrize(
    ("tr", "of_a_frame", "of_a_second", "of_five"), [(1, 0, 9, 21), (2, 0, 5, 11), (3, 0, 3, 7)]
)
def test_what_a_gap_costs_at_most(
    tr: float, of_a_frame: int, of_a_second: int, of_five: int
) -> None:
    """A lost frame costs nothing, and a second without frames less than ten volumes."""
    least = Robust().min_coverage
    assert cost(tr, 0.2, least) <= of_a_frame
    assert cost(tr, 1.0, least) <= of_a_second
    assert 1 <= cost(tr, 5.0, least) <= of_five
