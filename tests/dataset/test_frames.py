"""Onsets of frames, above all from the real events of two participants of studyforrest."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from dataset_trees import write_lines

from bidsapp.dataset.frames import (
    FrameLog,
    Stall,
    frame_onsets,
    implied_rate,
    read_frame_log,
    stalls,
)
from bidsapp.errors import InputError

N_VOLUMES = {"1": 451, "2": 441, "3": 438, "4": 488, "5": 462, "6": 439, "7": 542, "8": 338}
REFRESH_S = 1 / 60


def events(path: Path, onsets: dict[int, float], trigger: float | None = None) -> Path:
    extra = "" if trigger is None else "\tlasttrigger"
    rows = [
        f"{onset}\t0.04\t{frame}" + ("" if trigger is None else f"\t{trigger + i}")
        for i, (frame, onset) in enumerate(onsets.items())
    ]
    return write_lines(path, f"onset\tduration\tframeidx{extra}", *rows)


def log(onsets: dict[int, float]) -> FrameLog:
    return FrameLog(pd.Series(onsets, dtype=float), None)


@pytest.fixture(scope="module")
def real_path(shared_data: Path):
    root = shared_data / "studyforrest"
    if not root.is_dir():
        pytest.skip(f"no studyforrest metadata at {root}")

    def path(who: str, run: str) -> Path:
        stem = f"sub-{who}_ses-movie_task-movie_run-{run}"
        return root / f"sub-{who}/ses-movie/func/{stem}_events.tsv"

    return path


@pytest.fixture(scope="module")
def real(real_path) -> dict[str, dict[str, FrameLog]]:
    """Return run to participant to log."""
    return {
        run: {who: read_frame_log(real_path(who, run), 1) for who in ("01", "03")}
        for run in N_VOLUMES
    }


def test_median_over_participants(tmp_path: Path) -> None:
    files = {
        "01": events(tmp_path / "1.tsv", {1: 0.1, 2: 0.2, 3: 0.3, 4: 0.4}),
        "02": events(tmp_path / "2.tsv", {1: 0.12, 2: 0.22, 3: 0.32}),
        # Its clock began 5 s before the first volume.
        "03": events(tmp_path / "3.tsv", {1: 5.14, 2: 5.24, 3: 5.34}, trigger=5.0),
        "04": events(tmp_path / "4.tsv", {1: 0.9, 2: 1.0, 3: 1.1}),
        "05": events(tmp_path / "5.tsv", {1: 0.1, 2: 0.2, 3: 0.3}),
    }
    onsets = frame_onsets({who: read_frame_log(path, 1) for who, path in files.items()})
    np.testing.assert_array_equal(onsets.index, [0, 1, 2])  # frame 4 is known to one of five
    np.testing.assert_allclose(onsets.onset_s, [0.12, 0.22, 0.32])
    assert set(onsets.deviating) == {"04"}
    assert onsets.deviating["04"] == pytest.approx(0.78)


def test_who_is_late_for_a_part_of_the_run_is_found() -> None:
    even = {i: i / 25 for i in range(1000)}
    late = {i: i / 25 + (0.5 if i >= 900 else 0.0) for i in range(1000)}
    brief = {i: i / 25 + (2.0 if i >= 995 else 0.0) for i in range(1000)}
    logs = {"01": log(even), "02": log(even), "03": log(even), "04": log(late), "05": log(brief)}
    assert frame_onsets(logs).deviating == {"04": pytest.approx(0.5)}


def test_repeated_frame_counts_once_and_order_does_not_matter(tmp_path: Path) -> None:
    rows = ["2\t1\t1", "0\t1\t0", "1\t1\t0"]
    path = write_lines(tmp_path / "e.tsv", "onset\tduration\tframeidx", *rows)
    onsets = frame_onsets({"01": read_frame_log(path, 0)})
    np.testing.assert_array_equal(onsets.index, [0, 1])
    np.testing.assert_array_equal(onsets.onset_s, [0, 2])


def test_broken_events(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "e.tsv", "onset\tduration", "0\t1")
    with pytest.raises(InputError, match="no column 'frameidx'"):
        read_frame_log(path, 1)
    with pytest.raises(InputError, match=r"at least 1 .* in line 2 \(0\)"):
        read_frame_log(events(path, {0: 0.0}), 1)
    for frame in ("2.5", "n/a", "inf", "two"):
        write_lines(path, "onset\tduration\tframeidx", "0\t1\t1", f"1\t1\t{frame}")
        with pytest.raises(InputError, match=r"e.tsv: frameidx is no whole number .* in line 3"):
            read_frame_log(path, 1)
    with pytest.raises(InputError, match="names no frame"):
        read_frame_log(events(path, {}), 1)


def test_the_rate_that_times_imply() -> None:
    index = np.arange(0, 22550)
    rate, apart = implied_rate(index, index / 24, 25.0)
    assert rate == pytest.approx(24)
    assert apart == pytest.approx(22549 * (1 / 24 - 1 / 25))
    stalled = index / 25 + np.where(index == index[-1], 2.0, 0.0)
    assert implied_rate(index, stalled, 25.0) == (pytest.approx(25), pytest.approx(0, abs=1e-6))
    paused = index / 25 + np.where(index > 9000, 7.0, 0.0)
    assert implied_rate(index, paused, 25.0) == (pytest.approx(25), pytest.approx(0, abs=1e-6))
    assert implied_rate(index[:1], index[:1] / 1, 25.0) == (25.0, 0.0)
    assert implied_rate(np.array([0, 1]), np.array([0.0, 0.05]), 25.0)[0] == pytest.approx(20)


def test_real_frames_are_all_there_in_order(real) -> None:
    for run, logs in real.items():
        onsets = frame_onsets(logs)
        assert onsets.index[0] == 0
        np.testing.assert_array_equal(np.diff(onsets.index), 1)
        assert abs(onsets.index[-1] + 1 - N_VOLUMES[run] * 50) < 100
        assert (np.diff(onsets.onset_s[:-1]) > 0).all()
        assert onsets.deviating == {}


def test_real_onsets_waver_and_do_not_drift(real) -> None:
    """Screen refreshes are 17 to 67 ms apart, up to 0.2 s late, and keep to 25 a second."""
    for logs in real.values():
        onsets = frame_onsets(logs)
        late = onsets.onset_s - onsets.index / 25
        assert late[:-1].min() > 0
        assert late[:-1].max() < 0.24
        low, high = np.quantile(late, [0.01, 0.99])
        assert 0.005 < low < high < 0.04
        rate, apart = implied_rate(onsets.index, onsets.onset_s, 25.0)
        assert rate == pytest.approx(25, abs=0.001)
        assert apart < 0.03
        for each in logs.values():
            assert implied_rate(each.video_s.index.to_numpy(), each.video_s.to_numpy(), 25.0) == (
                pytest.approx(25), pytest.approx(0, abs=1e-6)
            )  # fmt: skip


def test_real_stalls_are_found_and_no_others(real) -> None:
    found = {
        (run, who): stalls(each, 25.0)
        for run, logs in real.items()
        for who, each in logs.items()
        if stalls(each, 25.0)
    }
    assert found == {
        ("5", "03"): [Stall(0, pytest.approx(0.335))],
        ("8", "01"): [Stall(16834, pytest.approx(1.809))],
    }


def test_one_row_fewer_loses_no_frame(real) -> None:
    shorter = {run for run, logs in real.items() if len(logs["03"].onsets) < len(logs["01"].onsets)}
    assert len(shorter) == 8
    for logs in real.values():
        assert len(frame_onsets(logs).index) == len(logs["01"].onsets)
        # Of three, only one knows the last frame.
        assert len(frame_onsets({**logs, "04": logs["03"]}).index) == len(logs["03"].onsets)


def test_false_durations_are_not_read(real_path, tmp_path: Path) -> None:
    """The last frame of sub-01's run 2 is said to last 110 s."""
    path = real_path("01", "2")
    table = pd.read_csv(path, sep="\t")
    assert table["duration"].iloc[-1] > 110
    table.assign(duration=0.04).to_csv(tmp_path / "e.tsv", sep="\t", index=False)
    one, other = read_frame_log(path, 1), read_frame_log(tmp_path / "e.tsv", 1)
    pd.testing.assert_series_equal(one.onsets, other.onsets)


def test_of_two_participants_the_odd_one_moves_few_frames(real) -> None:
    for run, logs in real.items():
        both, alone = frame_onsets(logs), frame_onsets({"01": logs["01"]})
        moved = np.abs(both.onset_s - alone.onset_s)
        assert np.quantile(moved, 0.99) < 0.03
        assert moved.max() < (0.17 if run == "5" else 0.11)


def test_of_many_participants_the_odd_one_moves_no_frame_by_a_refresh(real) -> None:
    """Others saw each frame of sub-01's on the same or the next refresh; sub-03 is the odd one."""
    rng = np.random.default_rng(0)
    for run in ("5", "8"):
        seen = real[run]["01"].onsets
        others = {
            f"{i}": FrameLog(seen + REFRESH_S * rng.integers(0, 2, len(seen)), None)
            for i in range(12)
        }
        with_it, without = frame_onsets({**others, "03": real[run]["03"]}), frame_onsets(others)
        np.testing.assert_array_equal(with_it.index, without.index)
        assert np.abs(with_it.onset_s - without.onset_s).max() < REFRESH_S
