import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from dataset_trees import Tree, write_json, write_lines

from bidsapp.dataset.raw import (
    find_events,
    open_raw,
    raw_images,
    read_events,
    repetition_time,
)
from bidsapp.errors import InputError, UsageError


def test_participants_are_found_or_chosen(tree: Tree) -> None:
    assert open_raw(tree.bids).participants == ("01", "02")
    assert open_raw(tree.bids, ["02"]).participants == ("02",)


def test_no_folder_and_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no folder .*nowhere"):
        open_raw(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"not a BIDS dataset.*dataset_description.json"):
        open_raw(tmp_path)
    write_json(tmp_path / "dataset_description.json", {"Name": "x", "BIDSVersion": "1.8.0"})
    with pytest.raises(InputError, match="has no participant"):
        open_raw(tmp_path)
    (tmp_path / "dataset_description.json").write_text("{")
    with pytest.raises(InputError, match="not valid JSON"):
        open_raw(tmp_path)


def test_unknown_participant(tree: Tree) -> None:
    with pytest.raises(UsageError, match="no participant 07; it has 01, 02"):
        open_raw(tree.bids, ["01", "07"])


def test_only_functional_files_of_the_asked_are_indexed(tree: Tree) -> None:
    for folder in ("derivatives/fmriprep/sub-01/func", "sub-01/ses-movie/anat", "stimuli"):
        write_lines(tree.bids / folder / "sub-01_task-movie_run-1_bold.nii.gz", "x")
    paths = open_raw(tree.bids, ["01"]).layout.get(return_type="filename")
    inside = {str(Path(path).relative_to(tree.bids)) for path in paths}
    assert inside
    assert not [path for path in inside if "sub-02" in path]
    assert not [path for path in inside if "anat" in path or "derivatives" in path]
    assert "task-movie_bold.json" in inside


def entities(
    participant: str, session: str, task: str, run: str | None, **more: str
) -> dict[str, str]:
    """Entities of a preprocessed image, as fMRIPrep names it."""
    own = {"sub": participant, "ses": session, "task": task, "run": run}
    return {key: value for key, value in own.items() if value is not None} | {
        "space": "T1w", "desc": "preproc", **more,
    }  # fmt: skip


def test_look_alikes_are_no_bold(tree: Tree) -> None:
    raw = open_raw(tree.bids, ["01"])
    stem = tree.stem("01", "movie", "movie", "2")
    bold = tree.bids / f"{stem}_bold.nii.gz"
    assert raw_images(raw, entities("01", "movie", "movie", "2")) == [bold]
    assert raw_images(raw, entities("01", "movie", "movie", "02", res="2")) == [bold]
    assert raw_images(raw, entities("01", "localizer", "movie", "2")) == []
    bold.unlink()
    assert raw_images(open_raw(tree.bids, ["01"]), entities("01", "movie", "movie", "2")) == []


def test_the_raw_image_is_the_one_that_was_preprocessed(tree: Tree) -> None:
    path = tree.bids / f"{tree.stem('01', 'movie', 'movie', '1')}_bold.nii.gz"
    for direction in ("AP", "PA"):
        shutil.copy(path, path.with_name(path.name.replace("_run-1", f"_dir-{direction}_run-1")))
    path.unlink()
    raw = open_raw(tree.bids, ["01"])
    found = raw_images(raw, entities("01", "movie", "movie", "1", dir="PA"))
    assert [image.name for image in found] == [path.name.replace("_run-1", "_dir-PA_run-1")]
    assert raw_images(raw, entities("01", "movie", "movie", "1")) == []


def test_echoes_and_phase_are_one_preprocessed_image(tree: Tree) -> None:
    path = tree.bids / f"{tree.stem('01', 'movie', 'movie', '1')}_bold.nii.gz"
    for kind in ("echo-1_part-mag", "echo-1_part-phase", "echo-2_part-mag"):
        shutil.copy(path, path.with_name(path.name.replace("_bold", f"_{kind}_bold")))
    path.unlink()
    raw = open_raw(tree.bids, ["01"])
    assert len(raw_images(raw, entities("01", "movie", "movie", "1"))) == 3


def test_run_1_may_go_without_saying(tree: Tree) -> None:
    path = tree.bids / f"{tree.stem('01', 'movie', 'movie', '1')}_bold.nii.gz"
    plain = path.rename(path.with_name(path.name.replace("_run-1", "")))
    raw = open_raw(tree.bids, ["01"])
    assert raw_images(raw, entities("01", "movie", "movie", None)) == [plain]


def test_database_is_kept_per_selection(tree: Tree) -> None:
    database = tree.root / "database"
    assert open_raw(tree.bids, ["01"], database).participants == ("01",)
    stem = tree.stem("02", "movie", "movie", "2")
    second = open_raw(tree.bids, ["02"], database)
    bold = tree.bids / f"{stem}_bold.nii.gz"
    assert raw_images(second, entities("02", "movie", "movie", "2")) == [bold]
    # A file of which its folder does not tell is not in the database: proof that it is read.
    before = bold.parent.stat()
    late = write_lines(tree.bids / f"{stem.replace('run-2', 'run-9')}_bold.nii.gz", "x")
    os.utime(bold.parent, ns=(before.st_atime_ns, before.st_mtime_ns))
    again = open_raw(tree.bids, ["02"], database)
    assert raw_images(again, entities("02", "movie", "movie", "2"))
    assert not raw_images(again, entities("02", "movie", "movie", "9"))
    os.utime(bold.parent)
    anew = open_raw(tree.bids, ["02"], database)
    assert raw_images(anew, entities("02", "movie", "movie", "9")) == [late]


def test_files_added_and_removed_are_seen_beside_a_database(tree: Tree) -> None:
    database, run = tree.root / "database", entities("02", "movie", "movie", "2")
    own = find_events(open_raw(tree.bids, ["02"], database), run)
    assert own is not None
    content = own.read_text()
    own.unlink()
    assert find_events(open_raw(tree.bids, ["02"], database), run) is None
    common = write_lines(tree.bids / "task-movie_events.tsv", content)
    assert find_events(open_raw(tree.bids, ["02"], database), run) == common
    own.write_text(content)
    assert find_events(open_raw(tree.bids, ["02"], database), run) == own


def test_events_of_a_run_or_of_the_whole_task(tree: Tree) -> None:
    own = tree.bids / f"{tree.stem('01', 'localizer', 'objectcategories', '1')}_events.tsv"
    common = write_lines(tree.bids / "task-objectcategories_events.tsv", "onset\tduration", "0\t1")
    run = entities("01", "localizer", "objectcategories", "1")
    assert find_events(open_raw(tree.bids, ["01"]), run) == own
    own.unlink()
    raw = open_raw(tree.bids, ["01"])
    assert find_events(raw, run) == common
    assert find_events(raw, entities("01", "movie", "movie", "9")) is None


def test_events_of_another_direction_do_not_apply(tree: Tree) -> None:
    own = tree.bids / f"{tree.stem('01', 'movie', 'movie', '1')}_events.tsv"
    for direction in ("AP", "PA"):
        shutil.copy(own, own.with_name(own.name.replace("_run-1", f"_dir-{direction}_run-1")))
    own.unlink()
    raw = open_raw(tree.bids, ["01"])
    found = find_events(raw, entities("01", "movie", "movie", "1", dir="AP"))
    assert found is not None
    assert "_dir-AP_" in found.name
    assert find_events(raw, entities("01", "movie", "movie", "1")) is None


def test_repetition_time_is_inherited_key_by_key(tree: Tree) -> None:
    raw = open_raw(tree.bids, ["01"])
    bold = tree.bids / f"{tree.stem('01', 'movie', 'movie', '1')}_bold.nii.gz"
    assert repetition_time(raw, bold) == 2.0  # not the 2000.0006 nested in the run's own file
    own = bold.with_name(bold.name.replace(".nii.gz", ".json"))
    write_json(own, {"EchoTime": 0.03})
    assert repetition_time(raw, bold) == 2.0
    write_json(own, {"RepetitionTime": 1.5})
    assert repetition_time(raw, bold) == 1.5
    write_json(own, {"RepetitionTime": "2 s"})
    with pytest.raises(InputError, match="RepetitionTime as '2 s'"):
        repetition_time(raw, bold)
    own.unlink()
    (tree.bids / "task-movie_bold.json").unlink()
    assert repetition_time(raw, bold) is None


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["onset\ttrial_type", "1\tface"], "no column 'duration'"),
        (["onset\tduration", "1\t2", "x\t2"], "onset is no number in line 3"),
        (["onset\tduration", "1\tn/a"], "duration is no number in line 2"),
        (["onset\tduration", "12,5\t16"], r"line 2 \(12,5\): write a decimal point, not a comma"),
        (["onset,duration,trial_type", "12,16,face"], "has commas between its columns"),
        (["onset;duration;trial_type", "12,5;16;face"], "has semicolons between its columns"),
        (["onset duration trial_type", "12 16 face"], "has blanks between its columns"),
        (["onset   duration", "12\t16"], "has blanks between its columns"),
    ],
)
def test_broken_events(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_events(write_lines(tmp_path / "events.tsv", *lines))


def test_real_metadata(shared_data: Path) -> None:
    """The TR of studyforrest stands in the root alone; each run's own file is a DICOM dump."""
    root = shared_data / "studyforrest"
    if not root.is_dir():
        pytest.skip(f"no studyforrest metadata at {root}")
    raw = open_raw(root, ["01"])
    for session, task in (("movie", "movie"), ("localizer", "objectcategories")):
        folder = root / "sub-01" / f"ses-{session}" / "func"
        bold = folder / f"sub-01_ses-{session}_task-{task}_run-1_bold.nii.gz"
        dump = json.loads(bold.with_name(bold.name.replace(".nii.gz", ".json")).read_text())
        assert dump["global"]["const"]["RepetitionTime"] > 1000
        assert repetition_time(raw, bold) == pytest.approx(2.00000061)
    events = find_events(raw, entities("01", "localizer", "objectcategories", "1"))
    assert events is not None
    table = read_events(events)
    assert len(table) == 12
    assert sorted(set(table["trial_type"])) == [
        "body", "face", "house", "object", "scene", "scramble",
    ]  # fmt: skip
    np.testing.assert_allclose(table["onset"], 12 + 24 * np.arange(12), atol=0.05)
    assert find_events(raw, entities("01", "movie", "movie", "8")) is not None
    assert len(open_raw(root).participants) == 15
