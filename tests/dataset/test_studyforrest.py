"""The real studyforrest dataset: names, metadata, events and headers, with images of few voxels.

fMRIPrep's part is made here by its naming rules. What is odd in the real data must be survived, and
what a participant lacks must not cost the others.
"""

import json
import shutil
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from dataset_trees import SHAPE, write_json, write_lines, write_nifti

from bidsapp.analysis.spec import read_analysis
from bidsapp.dataset.derivatives import OutputTree, SourceDataset
from bidsapp.dataset.description import check_same_analysis
from bidsapp.dataset.fmriprep import ParticipantInputs, find_participant
from bidsapp.dataset.raw import RawDataset, open_raw, read_events
from bidsapp.errors import InputError
from bidsapp.rois.localizer import design_matrix

ANALYSIS = read_analysis(Path(str(files("bidsapp.analysis").joinpath("studyforrest.yaml"))))
# Of the first six participants, the runs of the movie that are preprocessed here.
EVERY = tuple(range(1, 9))
MOVIE_RUNS = {"01": EVERY, "02": EVERY, "03": (1, 5, 8), "04": (), "05": (2, 7), "06": EVERY}
VOLUMES = 12


@pytest.fixture(scope="module")
def root(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = shared_data / "studyforrest"
    if not source.is_dir():
        pytest.skip(f"no studyforrest metadata at {source}")
    folder = tmp_path_factory.mktemp("studyforrest")
    _copy_raw(source, folder / "bids")
    headers = pd.read_csv(source / "RUN_HEADERS.tsv", sep="\t", dtype={"sub": str, "run": str})
    headers = headers.set_index(["sub", "task", "run"])["affine"]
    write_json(
        folder / "fmriprep" / "dataset_description.json",
        {"GeneratedBy": [{"Name": "fMRIPrep", "Version": "24.1.1"}]},
    )
    for participant, runs in MOVIE_RUNS.items():
        names = [("movie", "movie", str(run)) for run in runs]
        if participant != "06":
            names.append(("localizer", "objectcategories", "1"))
        for session, task, run in names:
            affine = np.array(json.loads(headers[participant, task, run]))
            _preprocess(folder / "fmriprep", participant, session, task, run, affine)
        anatomy = folder / "fmriprep" / f"sub-{participant}" / "anat"
        anatomy.mkdir(parents=True, exist_ok=True)
        write_nifti(anatomy / f"sub-{participant}_desc-preproc_T1w.nii.gz", SHAPE)
        for ends in ("from-MNI152NLin6Asym_to-T1w", "from-T1w_to-MNI152NLin6Asym"):
            (anatomy / f"sub-{participant}_{ends}_mode-image_xfm.h5").touch()
    return folder


def _copy_raw(source: Path, bids: Path) -> None:
    """Copy the metadata as they are; images and recordings are empty files of their true names."""
    for line in (source / "TREE.txt").read_text().splitlines():
        if line.startswith(tuple(f"sub-{participant}/" for participant in MOVIE_RUNS)):
            path = bids / line
            path.parent.mkdir(parents=True, exist_ok=True)
            real = source / line
            if real.is_file():
                shutil.copy(real, path)
            else:
                path.touch()
                if path.suffix == ".json":  # as the dumps that are there
                    write_json(path, {"global": {"const": {"RepetitionTime": 2000.00061035156}}})
    for path in source.glob("*.*"):
        if path.suffix in (".json", ".tsv") and not path.name.isupper():
            shutil.copy(path, bids)


def _preprocess(
    fmriprep: Path, participant: str, session: str, task: str, run: str, affine: np.ndarray
) -> None:
    stem = (
        fmriprep / f"sub-{participant}/ses-{session}/func"
        f"/sub-{participant}_ses-{session}_task-{task}_run-{run}"
    )

    def beside(ending: str) -> Path:
        return stem.with_name(f"{stem.name}_{ending}")

    shape = (*SHAPE, VOLUMES)
    write_nifti(beside("space-T1w_desc-preproc_bold.nii.gz"), shape, 2.0, affine)
    write_nifti(beside("space-T1w_desc-brain_mask.nii.gz"), SHAPE, affine=affine)
    timing = {"RepetitionTime": 2.00000061, "StartTime": 0.975}
    write_json(beside("space-T1w_desc-preproc_bold.json"), timing)
    write_lines(beside("desc-confounds_timeseries.tsv"), "trans_x", *["0"] * VOLUMES)
    write_json(beside("desc-confounds_timeseries.json"), {})


@pytest.fixture(scope="module")
def raw(root: Path) -> RawDataset:
    return open_raw(root / "bids")


def find(root: Path, raw: RawDataset, participant: str) -> ParticipantInputs:
    return find_participant(root / "fmriprep", raw, participant, ANALYSIS, "T1w")


def test_participants_are_the_folders(root, raw):
    """The table lists more, a phantom, a column twice and an umlaut; no folder is in it twice."""
    table = (root / "bids" / "participants.tsv").read_text(encoding="utf-8").splitlines()
    header = table[0].split("\t")
    assert len(set(header)) < len(header)
    assert not table[0].isascii()
    assert "phantom" in {line.split("\t")[0] for line in table}
    assert raw.participants == tuple(MOVIE_RUNS)
    (root / "bids" / "sub-unlisted").mkdir()
    try:
        assert open_raw(root / "bids").participants == (*MOVIE_RUNS, "unlisted")
    finally:
        (root / "bids" / "sub-unlisted").rmdir()


@pytest.mark.parametrize("participant", ["01", "02"])
def test_all_runs_are_found_and_nothing_else(root, raw, participant):
    """Whatever lies beside: masks of faces, recordings, retinotopy, another localizer."""
    beside = {path.name for path in (root / "bids" / f"sub-{participant}").rglob("*")}
    assert any("_defacemask.nii.gz" in name for name in beside)
    assert any("recording-eyegaze" in name for name in beside)
    assert any("task-movielocalizer" in name for name in beside)
    assert any("task-retmapcon_run-2" in name for name in beside) == (participant == "02")
    found = find(root, raw, participant)
    assert [run.run for run in found.movie] == list("12345678")
    assert [(run.task, run.run) for run in found.localizer] == [("objectcategories", "1")]
    assert {run.repetition_time for run in found.movie} == {2.00000061}
    assert found.localizer[0].events is not None
    assert found.missing == ()


def test_the_two_halves_of_the_movie_lie_on_two_grids(root, raw):
    runs = find(root, raw, "01").movie
    for run in runs:
        same = np.allclose(run.affine, runs[0].affine, atol=1e-3)
        assert same == (int(run.run) <= 4)


def test_some_runs_are_enough_and_few_are_not(root, raw):
    found = find(root, raw, "03")
    assert [run.run for run in found.movie] == ["1", "5", "8"]
    assert "session movie, task movie, runs 2, 3, 4, 6, 7, space T1w" in found.missing[-1]
    with pytest.raises(InputError, match=r"sub-05 has 2 complete movie runs, and at least 3"):
        find(root, raw, "05")


def test_sessions_that_are_absent(root, raw):
    with pytest.raises(InputError) as error:
        find(root, raw, "04")
    assert "sub-04 has 0 complete movie runs" in str(error.value)
    assert "there is nothing of this task, but of objectcategories" in str(error.value)
    with pytest.raises(InputError) as error:
        find(root, raw, "06")
    assert "no preprocessed BOLD of sub-06, session localizer" in str(error.value)
    assert "name no functional region in the analysis" in str(error.value)
    no_localizer = ANALYSIS.model_copy(
        update={"functional": ANALYSIS.functional.model_copy(update={"regions": ()})}
    )
    alone = find_participant(root / "fmriprep", raw, "06", no_localizer, "T1w")
    assert len(alone.movie) == 8


def test_the_header_against_the_metadata(root, raw):
    """The error names the image, and both values with where they stand."""
    path = root / "bids" / "task-movie_bold.json"
    kept = path.read_text()
    write_json(path, json.loads(kept) | {"RepetitionTime": 2.5})
    try:
        with pytest.raises(InputError) as error:
            find(root, raw, "01")
    finally:
        path.write_text(kept)
    assert "sub-01_ses-movie_task-movie_run-1_space-T1w_desc-preproc_bold.nii.gz differ" in str(
        error.value
    )
    assert "2 s in the header, 2.5 s in the raw metadata; mend the wrong one" in str(error.value)


def events(root: Path) -> Iterator[Path]:
    return (root / "bids").rglob("*_task-objectcategories_run-*_events.tsv")


def test_events_a_little_off_their_grid_are_taken_as_they_are(root, caplog):
    assert ANALYSIS.localizer is not None
    jitter = []
    for path in events(root):
        table = read_events(path)
        jitter.append(np.abs(table["onset"] - (12 + 24 * np.arange(len(table)))).max())
        matrix = design_matrix(table, None, 156, 2.0, 1.0, ANALYSIS.localizer, path)
        assert set(ANALYSIS.localizer.conditions) <= set(matrix.columns)
    assert len(jitter) == 4 * len(MOVIE_RUNS)
    assert 0.005 < max(jitter) < 0.05
    assert caplog.text == ""


def test_a_dataset_of_an_old_version_without_a_licence_is_a_source(root, tmp_path):
    described = json.loads((root / "bids" / "dataset_description.json").read_text())
    assert (described["BIDSVersion"], described["License"]) == ("1.1.0", "")
    source = SourceDataset("raw", root / "bids")
    OutputTree(tmp_path / "out").initialise(ANALYSIS, "T1w", [source])
    ours = json.loads((tmp_path / "out" / "dataset_description.json").read_text())
    assert ours["SourceDatasets"][0]["DOI"] == described["DatasetDOI"]
    assert "License" not in ours
    check_same_analysis(tmp_path / "out", ANALYSIS, "T1w")
