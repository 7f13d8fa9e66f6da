"""Whether a film and a scan are of one run."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from bidsapp.errors import InputError
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
