from pathlib import Path

import numpy as np
import pytest
from dataset_trees import write_lines

from bidsapp.dataset.stimuli import find_film, frame_onsets
from bidsapp.errors import InputError


def test_one_film(tmp_path: Path) -> None:
    for name in ("fg_seg0.mp4", "below/fg_seg1.mp4", "fg_seg10.mp4", ".fg_seg0.mp4"):
        write_lines(tmp_path / name, "film")
    assert find_film(tmp_path, "*seg0.*") == tmp_path / "fg_seg0.mp4"
    assert find_film(tmp_path, "*seg1.*") == tmp_path / "below" / "fg_seg1.mp4"
    with pytest.raises(InputError, match=r"several files.*fg_seg0.mp4, fg_seg10.mp4"):
        find_film(tmp_path, "*seg*0.*")
    with pytest.raises(InputError, match=r"no film.*fits '\*seg7\*'; it holds fg_seg0.mp4"):
        find_film(tmp_path, "*seg7*")
    with pytest.raises(InputError, match="--stimuli"):
        find_film(tmp_path / "nowhere", "*")


def events(path: Path, onsets: dict[int, float], trigger: float | None = None) -> Path:
    extra = "" if trigger is None else "\tlasttrigger"
    rows = [
        f"{onset}\t0.04\t{frame}" + ("" if trigger is None else f"\t{trigger + i}")
        for i, (frame, onset) in enumerate(onsets.items())
    ]
    return write_lines(path, f"onset\tduration\tframeidx{extra}", *rows)


def test_median_over_participants(tmp_path: Path) -> None:
    files = {
        "01": events(tmp_path / "1.tsv", {1: 0.1, 2: 0.2, 3: 0.3, 4: 0.4}),
        "02": events(tmp_path / "2.tsv", {1: 0.12, 2: 0.22, 3: 0.32}),
        # Its clock began 5 s before the first volume.
        "03": events(tmp_path / "3.tsv", {1: 5.14, 2: 5.24, 3: 5.34}, trigger=5.0),
        "04": events(tmp_path / "4.tsv", {1: 0.9, 2: 1.0, 3: 1.1}),
        "05": events(tmp_path / "5.tsv", {1: 0.1, 2: 0.2, 3: 0.3}),
    }
    onsets = frame_onsets(files, first_frame_index=1)
    np.testing.assert_array_equal(onsets.index, [0, 1, 2])  # frame 4 is known to one of five
    np.testing.assert_allclose(onsets.onset_s, [0.12, 0.22, 0.32])
    assert set(onsets.deviating) == {"04"}
    assert onsets.deviating["04"] == pytest.approx(0.78)


def test_repeated_frame_counts_once(tmp_path: Path) -> None:
    path = write_lines(
        tmp_path / "e.tsv", "onset\tduration\tframeidx", "0\t1\t0", "1\t1\t0", "2\t1\t1"
    )
    onsets = frame_onsets({"01": path}, first_frame_index=0)
    np.testing.assert_array_equal(onsets.onset_s, [0, 2])


def test_broken_events(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no events files"):
        frame_onsets({}, 1)
    path = write_lines(tmp_path / "e.tsv", "onset\tduration", "0\t1")
    with pytest.raises(InputError, match="no column 'frameidx'"):
        frame_onsets({"01": path}, 1)
    with pytest.raises(InputError, match="at least 1"):
        frame_onsets({"01": events(path, {0: 0.0})}, 1)


def test_real_events(shared_data: Path) -> None:
    """Two participants of studyforrest, 8 runs: drift up to 0.2 s about 25 frames a second."""
    root = shared_data / "studyforrest"
    if not root.is_dir():
        pytest.skip(f"no studyforrest metadata at {root}")
    for run, n_volumes in zip("12345678", (451, 441, 438, 488, 462, 439, 542, 338), strict=True):
        files = {
            who: root
            / f"sub-{who}/ses-movie/func/sub-{who}_ses-movie_task-movie_run-{run}_events.tsv"
            for who in ("01", "03")
        }
        onsets = frame_onsets(files, first_frame_index=1)
        assert onsets.index[0] == 0
        np.testing.assert_array_equal(np.diff(onsets.index), 1)
        assert abs(onsets.index[-1] + 1 - n_volumes * 50) < 100
        assert (np.diff(onsets.onset_s[:-1]) > 0).all()
        # The last frame of some runs stalls; all others keep to the film's clock.
        drift = onsets.onset_s - 0.04 * onsets.index
        assert np.abs(drift[:-1]).max() < 0.6
        assert onsets.deviating == {}
