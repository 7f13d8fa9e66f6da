"""The example analyses of docs/examples run as they are, from film to group."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
from other_studies import EXAMPLES, TWO, keep, masks_of, millimetres, two_sessions
from tiny_study import TinyStudy

from bidsapp.analysis.spec import read_analysis
from bidsapp.cli.run import main
from bidsapp.dataset.derivatives import OutputTree, read_rdms
from bidsapp.reports.outputs import Outputs


def run_levels(study: TinyStudy, *more: object, levels=("stimulus", "participant", "group")):
    """Run levels with plain reports; all must succeed."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("pages.participant_report", "group.group_report"):
            patch.setattr(f"bidsapp.workflows.{name}", lambda *_: None)
        for level in levels:
            with pytest.raises(SystemExit) as exit_:
                main(study.arguments(level, *more))
            assert exit_.value.code == 0


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", na_values=["n/a"], keep_default_na=False)


def validator_errors(folder: Path) -> list[str]:
    command = [Path(sys.executable).with_name("bids-validator-deno"), folder, "--format", "json"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    issues = json.loads(ran.stdout)["issues"]["issues"]
    return [f"{i['code']} {i['location']}" for i in issues if i["severity"] == "error"]


@pytest.fixture(scope="module")
def sessions(built_study, tmp_path_factory) -> TinyStudy:
    """The example of two sessions, done."""
    study = TinyStudy(tmp_path_factory.mktemp("sessions") / "study")
    shutil.copytree(built_study.root, study.root)
    two_sessions(study)
    run_levels(study)
    return study


def test_files_follow_the_session_of_their_run(sessions):
    for label in TWO:
        folder = sessions.out / f"sub-{label}"
        rdms = {
            path.relative_to(folder).parts[0]: path for path in folder.rglob("*_run-3_*_relmat.h5")
        }
        assert set(rdms) == {"ses-second"}
        assert f"sub-{label}_ses-second_task-film_run-3_" in rdms["ses-second"].name
        assert read_rdms(rdms["ses-second"]).names == ("V1v", "V1d", "hV4")
        np.testing.assert_allclose(np.diff(read_rdms(rdms["ses-second"]).onsets_s), 1.5)
        # What joins the sessions lies above them; a run's carpet is with its run.
        every = set(folder.rglob("*_stats.tsv"))
        carpets = {path for path in every if "_desc-carpet_" in path.name}
        assert {path.parts[-3] for path in carpets} == {"ses-first", "ses-second"}
        tables = {path.parent for path in every - carpets}
        assert tables == {folder / "func"}
    outputs = Outputs(OutputTree(sessions.out), read_analysis(sessions.analysis), "T1w")
    assert outputs.participants() == TWO
    assert set(outputs.rdm_files("01")) == set("1234")
    assert outputs.participant_path("01", "regions").is_file()
    assert validator_errors(sessions.out) == []


def test_lags_of_the_autocorrelation_are_those_taken(sessions):
    """Asked for are 2, 4, 6, 8, 10, 20 and 30 s; the TR is 1.5 s."""
    table = read(sessions.out / "sub-01/func/sub-01_task-film_desc-autocorrelation_stats.tsv")
    assert list(table["lag_s"].unique()) == [1.5, 4.5, 6.0, 7.5, 10.5, 19.5, 30.0]


def test_an_empty_region_has_its_rows_and_a_note(sessions):
    """The tiny atlas has nothing in hV4."""
    folder = sessions.out / "sub-01" / "func"
    regions = read(folder / "sub-01_task-film_desc-regions_stats.tsv").set_index("roi")
    assert set(regions.index) == {"V1v", "V1d", "hV4"}
    assert (regions.loc["hV4", "n_voxels"] == 0).all()
    assert regions.loc["hV4", "flags"].str.contains("no RDM").all()
    assert regions.loc["hV4", "coverage"].isna().all()
    assert (regions.loc["V1v", "coverage"] == 1).all()
    for desc, values in (("similarity", "r"), ("weights", "weight"), ("autocorrelation", "r")):
        table = read(folder / f"sub-01_task-film_desc-{desc}_stats.tsv").set_index("roi")
        assert len(table.loc["hV4"]) == len(table.loc["V1v"]) > 0
        assert table.loc["hV4", values].isna().all()
        assert table.loc["V1v", values].notna().any()
        assert table.loc["hV4", "note"].str.startswith("region ").all()
    for desc, value in (("similarity", "r_mean"), ("comparisons", "diff_z"), ("lag", "r_mean")):
        table = read(sessions.out / f"group/task-film_desc-{desc}_stats.tsv").set_index("roi")
        assert (table.loc["hV4", "n"] == 0).all()
        assert table.loc["hV4", value].isna().all()
        assert (table.loc["V1v", "n"] == 2).all()
        assert len(table.loc["hV4"]) == len(table.loc["V1v"])
        assert table.loc["hV4", "note"].str.contains("no participant has").all()


@pytest.fixture(scope="module")
def masked(built_study, tmp_path_factory) -> TinyStudy:
    """The example of own masks, done; sub-02 has no LOC and no left FFA."""
    study = TinyStudy(tmp_path_factory.mktemp("masked") / "study")
    shutil.copytree(built_study.root, study.root)
    keep(study)
    root = masks_of(study)
    shutil.copyfile(EXAMPLES / "own-masks.yaml", study.analysis)
    run_levels(study, "-d", f"rois={root}")
    return study


MASKS = {"LOC", "FFA", "V1", "hMT"}


def test_masks_are_regions_like_others(masked):
    x, y, z = millimetres()
    expected = {
        "LOC": (y < 0) & (z > 0),
        "FFA": y > 4,
        "V1": y < -6,
        "hMT": (abs(x) > 8) & (y > -4),
    }
    for name, where in expected.items():
        path = masked.out / f"sub-01/anat/sub-01_space-T1w_label-{name}_desc-given_mask.nii.gz"
        np.testing.assert_array_equal(np.asarray(nibabel.load(path).dataobj) > 0, where)
        described = json.loads(path.with_name(path.name.replace(".nii.gz", ".json")).read_text())
        assert described["Type"] == "ROI"
        assert described["SpatialReference"].startswith("bids:fmriprep:sub-01/anat/")
        assert all(uri.startswith("bids:rois:") for uri in described["Sources"])
    hmt = described["Files"][0]
    assert hmt["Source"] == "bids:rois:tpl-MNI152NLin6Asym_label-hMT_probseg.nii.gz"
    assert (hmt["Template"], hmt["Route"]) == ("MNI152NLin6Asym", ["MNI152NLin6Asym", "T1w"])
    assert (hmt["Threshold"], hmt["Interpolation"]) == (0.5, "linear")
    links = json.loads((masked.out / "dataset_description.json").read_text())["DatasetLinks"]
    assert links["rois"].endswith("/rois")
    assert validator_errors(masked.out) == []


def test_the_validator_sees_a_mask_without_its_reference(masked, tmp_path):
    shutil.copytree(masked.out, tmp_path / "moviersa")
    path = next((tmp_path / "moviersa").rglob("*_label-LOC_desc-given_mask.json"))
    content = json.loads(path.read_text())
    del content["SpatialReference"]
    path.write_text(json.dumps(content))
    (error,) = validator_errors(tmp_path / "moviersa")
    assert error.startswith("SIDECAR_KEY_REQUIRED")


def test_rows_of_masks_and_of_those_that_a_participant_lacks(masked):
    tables = {
        label: read(
            masked.out / f"sub-{label}/ses-movie/func/sub-{label}_ses-movie_task-movie"
            "_desc-regions_stats.tsv"
        ).set_index(["roi", "hemisphere"])
        for label in TWO
    }
    first, second = tables["01"], tables["02"]
    assert set(first.index.get_level_values("roi")) == MASKS
    assert (first["kind"] == "mask").all()
    assert first["flags"].isna().all() or (first["flags"] == "").all()
    assert (first["coverage"] == 1).all()
    assert first.loc[("V1", "L"), "n_voxels"] == first.loc[("V1", "R"), "n_voxels"] > 0
    loc = second.xs("LOC", level="roi").iloc[0]
    assert loc["n_voxels"] == 0
    assert "no file of it" in loc["flags"]
    assert "no file of the left hemisphere" in second.loc[("FFA", "L"), "flags"]
    assert second.loc[("FFA", "L"), "n_voxels"] == 0 < second.loc[("FFA", "R"), "n_voxels"]
    group = read(masked.out / "group/task-movie_desc-similarity_stats.tsv").set_index("roi")
    assert set(group.index) == MASKS
    assert (group.loc["LOC", "n"] == 1).all()
    assert (group.loc["V1", "n"] == 2).all()


def test_a_mask_that_is_missing_is_said(masked, moviersa):
    words = ["-d", f"rois={masked.root / 'rois'}", "--dry-run"]
    said = moviersa(*masked.arguments("participant", *words)).out
    assert "region LOC: no file in" in said
    assert "for sub-02" in said
    assert "region FFA_L: no file in" in said
