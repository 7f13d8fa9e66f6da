from pathlib import Path

import pytest
from dataset_trees import write_json
from hypothesis import given
from hypothesis import strategies as st

from bidsapp.dataset.filenames import inherited_files, inherited_metadata, parse_name, same_value

LABELS = st.text("abcXYZ019+", min_size=1)
PAIRS = st.dictionaries(st.sampled_from(["sub", "ses", "task", "run", "desc"]), LABELS)


@given(PAIRS, st.sampled_from(["bold", "mask", "T1w"]), st.sampled_from([".json", ".nii.gz"]))
def test_a_name_is_its_parts(entities: dict[str, str], suffix: str, extension: str) -> None:
    text = "_".join([*(f"{key}-{value}" for key, value in entities.items()), suffix]) + extension
    name = parse_name(Path("folder") / text)
    assert name is not None
    assert (dict(name.entities), name.suffix, name.extension) == (entities, suffix, extension)
    assert name.matches(entities)


@pytest.mark.parametrize("name", ["README", "sub-01", "sub-01_.nii", ".hidden.json"])
def test_other_names(name: str) -> None:
    assert parse_name(Path(name)) is None


def test_values() -> None:
    assert same_value("01", "1")
    assert same_value(None, None)
    assert not same_value("1", None)
    assert not same_value("1", "10")
    assert not same_value("a1", "a01")


def test_inheritance_takes_only_what_applies(tmp_path: Path) -> None:
    folder = tmp_path / "sub-01" / "func"
    bold = folder / "sub-01_task-movie_run-1_bold.nii.gz"
    for path, content in {
        "bold.json": {"a": 0, "b": 0, "c": 0, "d": 0},
        "task-movie_bold.json": {"b": 1, "c": 1, "d": 1},
        "task-rest_bold.json": {"a": 9},
        "task-movie_events.json": {"a": 9},
        "sub-01/sub-01_bold.json": {"c": 2, "d": 2},
        "sub-01/sub-01_ses-x_bold.json": {"a": 9},
        "sub-01/func/sub-01_task-movie_run-01_bold.json": {"d": 3},
        "sub-01/func/sub-01_task-movie_run-2_bold.json": {"a": 9},
        "sub-01/anat/sub-01_bold.json": {"a": 9},
    }.items():
        write_json(tmp_path / path, content)
    assert inherited_metadata(bold, tmp_path) == {"a": 0, "b": 1, "c": 2, "d": 3}
    assert len(inherited_files(bold, tmp_path, ".json")) == 4
