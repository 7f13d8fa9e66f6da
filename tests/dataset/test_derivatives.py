import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from dataset_trees import AFFINE, SHAPE, Tree, small_analysis

from bidsapp.analysis.spec import Analysis, default_analysis, read_analysis
from bidsapp.dataset.derivatives import (
    OutputTree,
    SourceDataset,
    bids_uri,
    desc_labels,
    read_json,
    sidecar,
    write_image,
    write_rdms,
    write_segmentation,
    write_table,
)
from bidsapp.dataset.description import check_output, check_same_analysis
from bidsapp.errors import UsageError

MOVIE = {"sub": "01", "ses": "movie", "task": "movie", "run": "1"}
LOCALIZER = {
    "sub": "01",
    "ses": "localizer",
    "task": "objectcategories",
    "run": "1",
    "space": "T1w",
}


@pytest.mark.parametrize(
    ("kind", "entities", "expected"),
    [
        (
            "stimulus_rdms",
            {"task": "movie", "run": "1", "desc": "resnet18imagenet"},
            "stimuli/task-movie_run-1_stat-correlationdistance_desc-resnet18imagenet_relmat.h5",
        ),
        (
            "atlas_dseg",
            {"sub": "01", "space": "T1w", "atlas": "Wang2015"},
            "sub-01/anat/sub-01_space-T1w_atlas-Wang2015_dseg.nii.gz",
        ),
        (
            "atlas_labels",
            {"sub": "01", "space": "T1w", "atlas": "Wang2015"},
            "sub-01/anat/sub-01_space-T1w_atlas-Wang2015_dseg.tsv",
        ),
        (
            "statmap",
            {**LOCALIZER, "contrast": "face", "stat": "t"},
            "sub-01/ses-localizer/func/sub-01_ses-localizer_task-objectcategories_run-1_space-T1w_"
            "contrast-face_stat-t_statmap.nii.gz",
        ),
        (
            "region_mask",
            {**LOCALIZER, "label": "FFA"},
            "sub-01/ses-localizer/func/sub-01_ses-localizer_task-objectcategories_run-1_space-T1w_"
            "label-FFA_desc-top80_mask.nii.gz",
        ),
        (
            "brain_rdms",
            {**MOVIE, "space": "T1w"},
            "sub-01/ses-movie/func/sub-01_ses-movie_task-movie_run-1_space-T1w_"
            "stat-correlationdistance_desc-rois_relmat.h5",
        ),
        (
            "participant_stats",
            {"sub": "01", "ses": None, "task": "movie", "desc": "weights"},
            "sub-01/func/sub-01_task-movie_desc-weights_stats.tsv",
        ),
        ("group_stats", {"task": "movie", "desc": "lag"}, "group/task-movie_desc-lag_stats.tsv"),
        ("participant_report", {"sub": "01"}, "sub-01.html"),
        ("group_report", {}, "group.html"),
        ("figure", {"sub": "01", "name": "desc-rdms"}, "sub-01/figures/sub-01_desc-rdms.svg"),
        ("group_figure", {"name": "bars"}, "group/figures/bars.svg"),
        (
            "log",
            {"name": "moviersa.toml", "time": "20240101T0000"},
            "logs/20240101T0000/moviersa.toml",
        ),
        ("log", {"name": "CITATION.md"}, "logs/CITATION.md"),
    ],
)
def test_names(kind: str, entities: dict[str, str | None], expected: str) -> None:
    assert OutputTree(Path("out")).path(kind, **entities) == Path("out") / expected


@pytest.mark.parametrize(
    ("kind", "entities", "message"),
    [
        ("nonsense", {}, "unknown kind"),
        ("group_report", {"sub": "01"}, "no entity 'sub'"),
        ("participant_report", {}, "'sub' is needed"),
        ("participant_report", {"sub": "../01"}, "no valid value"),
        ("log", {"name": "../x"}, "no valid value"),
        ("brain_rdms", {**MOVIE, "space": "T1w", "run": "1_2"}, "no valid value"),
    ],
)
def test_wrong_names(kind: str, entities: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        OutputTree(Path("out")).path(kind, **entities)


def test_labels_of_names() -> None:
    assert desc_labels(["resnet18-imagenet", "pixels"]) == {
        "resnet18-imagenet": "resnet18imagenet",
        "pixels": "pixels",
    }
    with pytest.raises(UsageError, match="'a-b' and 'ab' would both be written as desc-ab"):
        desc_labels(["a-b", "ab"])
    with pytest.raises(UsageError, match="no letter or digit"):
        desc_labels(["--"])


def results(tree: Tree, analysis: Analysis) -> OutputTree:
    """Write one file of every kind."""
    out = OutputTree(tree.root / "out")
    out.initialise(
        analysis, "T1w", [SourceDataset("raw", tree.bids), SourceDataset("fmriprep", tree.fmriprep)]
    )
    t1w = tree.fmriprep / "sub-01" / "anat" / "sub-01_desc-preproc_T1w.nii.gz"
    space = {"SpatialReference": bids_uri("fmriprep", tree.fmriprep, t1w)}
    roi = {**space, "Type": "ROI", "Sources": [bids_uri("fmriprep", tree.fmriprep, t1w)]}
    ones = np.ones(SHAPE)
    write_image(out.path("region_mask", **LOCALIZER, label="FFA"), ones > 0, AFFINE, roi)
    write_image(out.path("statmap", **LOCALIZER, contrast="face", stat="t"), ones, AFFINE, space)
    names = ["V1v", "V1d"]
    dseg = out.path("atlas_dseg", sub="01", space="T1w", atlas="Wang2015")
    write_segmentation(dseg, np.ones(SHAPE, np.int64), AFFINE, names, space)
    onsets = 2.0 * np.arange(4)
    write_rdms(
        out.path("brain_rdms", **MOVIE, space="T1w"), np.ones((2, 6)), names, "region", onsets, {}
    )
    write_rdms(
        out.path("stimulus_rdms", task="movie", run="1", desc="pixels"),
        np.ones((1, 6)), ["all"], "layer", onsets, {},
    )  # fmt: skip
    table = pd.DataFrame({"roi": ["V1v"], "r": [np.nan]})
    columns = {"roi": {"Description": "Region"}, "r": {"Description": "Pearson's r"}}
    write_table(
        out.path("participant_stats", sub="01", ses="movie", task="movie", desc="similarity"),
        table,
        columns,
    )
    write_table(out.path("group_stats", task="movie", desc="similarity"), table, columns)
    for path in (
        out.path("participant_report", sub="01"),
        out.path("group_report"),
        out.path("figure", sub="01", name="rdms"),
        out.path("group_figure", name="bars"),
        out.path("log", name="moviersa.toml", time="20240101T0000"),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    return out


def validate(folder: Path) -> list[str]:
    """Return the codes of the errors that the BIDS validator finds."""
    command = [
        str(Path(sys.executable).parent / "bids-validator-deno"),
        "--format",
        "json",
        str(folder),
    ]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    issues = json.loads(answer.stdout)["issues"]["issues"]
    return [issue["code"] for issue in issues if issue["severity"] == "error"]


def test_the_validator_finds_no_error_and_finds_a_planted_one(
    tree: Tree, analysis: Analysis
) -> None:
    out = results(tree, analysis)
    assert validate(out.root) == []
    mask = sidecar(out.path("region_mask", **LOCALIZER, label="FFA"))
    content = read_json(mask)
    del content["SpatialReference"]
    mask.write_text(json.dumps(content))
    assert validate(out.root) == ["SIDECAR_KEY_REQUIRED"]


def test_the_folder_describes_itself(
    tree: Tree, analysis: Analysis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOVIERSA_CONTAINER", "moviersa:0.1.0")
    (tree.bids / "dataset_description.json").write_text(
        '{"Name": "x", "License": "PDDL", "DatasetDOI": "d"}'
    )
    out = results(tree, analysis)
    description = read_json(out.root / "dataset_description.json")
    assert description["DatasetType"] == "derivative"
    assert description["GeneratedBy"][0]["Name"] == "moviersa"
    assert description["GeneratedBy"][0]["Container"] == {"Type": "docker", "Tag": "moviersa:0.1.0"}
    assert description["License"] == "PDDL"
    assert description["DatasetLinks"]["fmriprep"] == tree.fmriprep.as_uri()
    assert description["SourceDatasets"][0] == {"URL": tree.bids.as_uri(), "DOI": "d"}
    assert (out.root / ".bidsignore").read_text().split() == [
        "*_relmat.*", "*_stats.*", "*_statmap.*", "group", "sub-*/figures", "*.html",
    ]  # fmt: skip
    rows = [line.split("\t") for line in (out.root / "descriptions.tsv").read_text().splitlines()]
    models = {row[0]: row[2] for row in rows[1:] if row[2] != "n/a"}
    assert models == {"desc-pixels": "pixels", "desc-resnet18imagenet": "resnet18-imagenet"}
    assert all(re.fullmatch(r"desc-[0-9a-zA-Z+]+", row[0]) for row in rows[1:])
    assert read_json(out.root / "atlas-Wang2015_description.json")["License"]
    citation = yaml.safe_load((out.root / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert "moviersa" in (out.root / "README.md").read_text()
    assert out.participants() == ("01",)


def test_keys_that_an_earlier_release_recorded_do_not_matter(
    tree: Tree, analysis: Analysis
) -> None:
    out = OutputTree(tree.root / "out")
    out.initialise(analysis, "T1w", [])
    record = out.root / "logs" / "analysis.yaml"
    content = yaml.safe_load(record.read_text())
    content["analysis"]["statistics"]["bootstrap_draws"] = 1000
    record.write_text(yaml.safe_dump(content))
    check_same_analysis(out.root, analysis, "T1w")


def test_one_analysis_and_one_space_a_folder(tree: Tree, analysis: Analysis) -> None:
    out = OutputTree(tree.root / "out")
    check_same_analysis(out.root, analysis, "T1w")
    out.initialise(analysis, "T1w", [])
    out.initialise(analysis, "T1w", [])  # again is no harm
    other = small_analysis(fits=["ols"], denoise={"scale": True})
    with pytest.raises(UsageError, match=r"differs in denoise.scale, fits: give another") as error:
        out.initialise(other, "T1w", [])
    assert error.value.exit_status == 64
    with pytest.raises(UsageError, match="differs in output space"):
        check_same_analysis(out.root, analysis, "MNI152NLin6Asym")
    (out.root / "logs" / "analysis.yaml").write_text("analysis: {}\n")
    with pytest.raises(UsageError, match="not readable by this version"):
        check_same_analysis(out.root, analysis, "T1w")


def test_the_papers_analysis_survives_its_record(tmp_path: Path) -> None:
    analysis = read_analysis(default_analysis())
    OutputTree(tmp_path).initialise(analysis, "T1w", [])
    check_same_analysis(tmp_path, analysis, "T1w")
    record = yaml.safe_load((tmp_path / "logs" / "analysis.yaml").read_text())
    assert Analysis.model_validate(record["analysis"]) == analysis


def test_output_never_lies_in_the_input(tree: Tree) -> None:
    check_output(tree.root / "out" / "deep", tree.bids)
    check_output(tree.bids / "derivatives" / "moviersa", tree.bids)
    for inside in (
        tree.bids,
        tree.bids / "out",
        tree.bids / "derivatives",
        tree.bids / "sub-01" / "x",
    ):
        with pytest.raises(UsageError, match="lies in the raw data"):
            check_output(inside, tree.bids)
    link = tree.root / "link"
    link.symlink_to(tree.bids)
    with pytest.raises(UsageError, match="lies in the raw data"):
        check_output(link / "out", tree.bids)
    with pytest.raises(UsageError, match="lies in the input"):
        check_output(tree.fmriprep / "out", tree.bids, [tree.fmriprep])


def test_output_that_cannot_be_written(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree.root / "file").write_text("")
    with pytest.raises(UsageError, match="file is a file"):
        check_output(tree.root / "file" / "out", tree.bids)
    # Root may write anywhere, so that taking permissions away would prove nothing.
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(UsageError, match="no permission"):
        check_output(tree.root / "out", tree.bids)


@pytest.mark.parametrize("foreign", ["dataset_description.json", "sub-01/anat/mine.txt"])
def test_the_folder_of_another_dataset_is_refused(tmp_path, foreign):
    file = tmp_path / foreign
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text('{"GeneratedBy": [{"Name": "fMRIPrep"}]}')
    with pytest.raises(UsageError, match="did not make"):
        check_same_analysis(tmp_path, read_analysis(default_analysis()), "T1w")
    assert file.is_file()
