"""All kinds of regions at once, in a template's space, on several grids, hemispheres separate."""

import json
import re
import shutil

import nibabel
import numpy as np
import pytest
from other_studies import (
    MNI,
    TWO,
    in_template_space,
    keep,
    masks_of,
    move_grid,
    search,
    without_back_of,
    write_shift,
)
from test_examples import read, validator_errors
from tiny_study import AFFINE, RUNS, TinyStudy, movie

from bidsapp.cli.run import main
from bidsapp.dataset.derivatives import read_rdms

SPACE = ("--output-space", MNI)
NAMES = (
    *("FFA_L", "FFA_R", "OFA_L", "OFA_R", "V1v_L", "V1v_R", "hV4_L", "hV4_R"),
    *("LOC_L", "LOC_R", "V1_L", "V1_R"),
)


def everything(study: TinyStudy) -> None:
    """Ask for regions of every kind; sizes of FFA's own; OFA is searched at the back."""
    regions = [
        {"name": "FFA", "contrast": "own", "search": search(8), "voxels": 6, "sphere_mm": 7},
        {"name": "OFA", "contrast": "face", "search": search(8, -14.0)},
    ]
    study.change_analysis(
        hemispheres="separate",
        movie=movie(runs=[{"run": run, "film": f"seg_{run}.*"} for run in RUNS[:3]]),
        localizer={
            "task": "objectcategories",
            "session": "localizer",
            "runs": ["1"],
            "conditions": ["face", "house"],
            "contrasts": {
                "face": {"plus": ["face"], "minus": ["house"]},
                "own": {"weights": {"face": 5, "house": -5}},
            },
        },
        functional={"voxels": 10, "regions": regions, "template": MNI},
        atlas={"regions": ["V1v", "hV4"]},
        masks={
            "dataset": "rois",
            "regions": [
                {"name": "LOC", "file": "sub-{participant}/anat/*_label-LOC_mask.nii.gz"},
                {
                    "name": "V1",
                    "file": "sub-{participant}/anat/*_desc-visual_dseg.nii.gz",
                    "space": "T1w",
                    "label": {"L": "left-V1", "R": 2},
                },
            ],
        },
        models=["pixels"],
        feature_tables=None,
        fits=["ols"],
    )


@pytest.fixture(scope="module")
def done(built_study, tmp_path_factory) -> TinyStudy:
    """All levels of a study in the template's space; sub-02's localizer lacks the back."""
    study = TinyStudy(tmp_path_factory.mktemp("template") / "study")
    shutil.copytree(built_study.root, study.root)
    everything(study)
    root = masks_of(study)
    in_template_space(study)
    without_back_of(study, "02", "objectcategories", -8)
    move_grid(study, ("3",), 1)
    for level in ("stimulus", "participant", "group"):
        with pytest.raises(SystemExit) as exit_:
            main(study.arguments(level, *SPACE, "-d", f"rois={root}"))
        assert exit_.value.code == 0
    return study


def regions_of(study: TinyStudy, label: str):
    path = study.out / f"sub-{label}/ses-movie/func"
    return read(path / f"sub-{label}_ses-movie_task-movie_desc-regions_stats.tsv").set_index("roi")


def test_coverage_in_the_table_of_quality_is_each_runs_own(done):
    (path,) = (done.out / "sub-01").rglob("*_desc-quality_stats.tsv")
    coverage = read(path).pivot_table(index="roi", columns="run", values="coverage")
    assert set(coverage.index) == set(NAMES) - {"hV4_L", "hV4_R"}  # which have no voxel
    assert (coverage[[1, 2]] == 1).all(axis=None)
    cut_off = coverage.index[coverage[3] < 1]
    assert {"V1v_L", "OFA_L"} <= set(cut_off)


def test_every_table_and_file_has_each_hemisphere(done):
    for label in TWO:
        assert tuple(regions_of(done, label).index) == NAMES
        folder = done.out / f"sub-{label}"
        for path in folder.rglob("*_desc-rois_relmat.h5"):
            assert read_rdms(path).names == NAMES
            assert f"_space-{MNI}_" in path.name
        for desc in ("similarity", "weights", "autocorrelation"):
            (path,) = folder.rglob(f"*_desc-{desc}_stats.tsv")
            assert set(read(path)["roi"]) == set(NAMES)
    for desc in ("similarity", "lag"):
        table = read(done.out / f"group/task-movie_desc-{desc}_stats.tsv")
        assert tuple(table["roi"].drop_duplicates()) == NAMES
    masks = {path.name for path in (done.out / "sub-01").rglob("*_mask.nii.gz")}
    stem = "sub-01_ses-localizer_task-objectcategories_run-1"
    assert masks == {
        *(f"{stem}_hemi-{s}_space-{MNI}_label-FFA_desc-top6_mask.nii.gz" for s in "LR"),
        *(f"{stem}_hemi-{s}_space-{MNI}_label-OFA_desc-top10_mask.nii.gz" for s in "LR"),
        *(f"sub-01_hemi-{s}_space-{MNI}_label-LOC_desc-given_mask.nii.gz" for s in "LR"),
        *(f"sub-01_hemi-{s}_space-{MNI}_label-V1_desc-given_mask.nii.gz" for s in "LR"),
    }
    described = (done.out / "descriptions.tsv").read_text()
    assert "desc-top6\t" in described
    assert "desc-top10\t" in described


def test_a_family_is_all_hemispheres_of_one_kind(done):
    table = read(done.out / "group/task-movie_desc-similarity_stats.tsv")
    table = table[table["mode"] == "replicate"].set_index("roi")
    for kind in (["FFA_L", "FFA_R", "OFA_L", "OFA_R"], ["LOC_L", "LOC_R", "V1_L", "V1_R"]):
        tests = table.loc[kind]
        made = tests["p"].notna().sum()
        bonferroni = np.minimum(tests["p"] * made, 1)
        np.testing.assert_allclose(tests["p_bonferroni"], bonferroni, rtol=1e-4)


def test_the_atlas_goes_through_native_space_and_says_so(done):
    path = done.out / f"sub-01/anat/sub-01_space-{MNI}_atlas-Wang2015_dseg.nii.gz"
    described = json.loads(path.with_name(path.name.replace(".nii.gz", ".json")).read_text())
    assert described["Route"] == ["MNI152NLin6Asym", "T1w", MNI]
    assert "SpatialReference" not in described
    names = read(path.with_name(path.name.replace(".nii.gz", ".tsv")))
    assert list(names["name"]) == ["V1v_L", "V1v_R", "hV4_L", "hV4_R"]
    labels = np.asarray(nibabel.load(path).dataobj)
    where = np.argwhere(labels > 0) @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    # The atlas has V1v at y < 0 and z < 0; native space lies 4 mm behind the output's.
    assert where[:, 1].max() == np.max(AFFINE[1, 3] + 4 * np.arange(4)) + 4
    left = np.argwhere(labels == 1) @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    assert left[:, 0].max() < 0 < where[:, 0].max()


def test_masks_of_native_space_are_carried_to_the_template(done):
    sums = {}
    for side in "LR":
        stem = f"sub-01/anat/sub-01_hemi-{side}_space-{MNI}"
        for label in ("V1", "LOC"):
            image = nibabel.load(done.out / f"{stem}_label-{label}_desc-given_mask.nii.gz")
            mask = np.asarray(image.dataobj) > 0
            where = np.argwhere(mask) @ AFFINE[:3, :3].T + AFFINE[:3, 3]
            assert (where[:, 0] < 0).all() if side == "L" else (where[:, 0] > 0).all()
            sums[label, side] = int(mask.sum())
            back = {"V1": -6, "LOC": 0}[label]
            assert where[:, 1].max() < back + 4 <= where[:, 1].max() + 4
    assert sums["V1", "L"] == sums["V1", "R"] > 0
    assert sums["LOC", "L"] == sums["LOC", "R"] > 0


def test_what_the_localizer_did_not_see_is_flagged(done):
    seen, cut = (regions_of(done, label) for label in TWO)
    assert (seen.loc[["FFA_L", "FFA_R"], "coverage"] == 1).all()
    assert not seen.loc["FFA_L", "flags"]
    for name in ("OFA_L", "OFA_R"):
        assert cut.loc[name, "coverage"] < 0.5 < seen.loc[name, "coverage"]
        assert re.search(
            r"the localizer measured \d+% of the search sphere, under 75%", cut.loc[name, "flags"]
        )
    group = read(done.out / "group/task-movie_desc-similarity_stats.tsv").set_index("roi")
    assert (group.loc["FFA_L", "n"] == 2).all()
    page = (done.out / "sub-02.html").read_text()
    assert "of the search sphere" in page


def test_a_run_that_cuts_regions_off_lowers_their_coverage(done):
    """Run 3 lacks the lowest plane along x, y and z."""
    table = regions_of(done, "01")
    row = table.loc["V1v_L"]
    assert row["coverage"] == row["fewest_voxels"] / row["n_voxels"] < 1
    assert "inside the brain mask of run 3, under 80%" in row["flags"]
    assert table.loc["LOC_R", "coverage"] > row["coverage"]


def test_a_participant_without_a_mask_has_empty_rows(done):
    loc = regions_of(done, "02").loc[["LOC_L", "LOC_R"]]
    assert (loc["n_voxels"] == 0).all()
    assert loc["flags"].str.startswith("no file of it").all()
    group = read(done.out / "group/task-movie_desc-similarity_stats.tsv").set_index("roi")
    assert (group.loc[["LOC_L", "LOC_R"], "n"] == 1).all()


def test_the_report_draws_every_kind(done):
    page = (done.out / "sub-01.html").read_text()
    for kind in ("functional", "atlas", "mask"):
        assert (done.out / f"sub-01/figures/sub-01_regions-{kind}.svg").is_file()
        assert f"The {kind} regions on the anatomical image" in page
    assert "Regions from masks" in page
    assert "LOC_L" in page
    assert "face +5" in page
    assert validator_errors(done.out) == []


# --- masks that cannot be used ---


def ask_for(study: TinyStudy, **region: object) -> tuple[str, ...]:
    """Ask for one mask alone; return the words of the command line that it takes."""
    root = masks_of(study)
    keep(study)
    region = {"name": "LOC", "file": "sub-{participant}/anat/*_label-LOC_mask.nii.gz", **region}
    study.change_analysis(
        localizer=None, functional=None, atlas=None, models=["pixels"], feature_tables=None,
        masks={"dataset": "rois", "regions": [region]},
    )  # fmt: skip
    return ("-d", f"rois={root}")


def save(study: TinyStudy, name: str, data: np.ndarray) -> None:
    for label in TWO:
        path = study.root / f"rois/sub-{label}/anat/sub-{label}_{name}"
        nibabel.save(nibabel.Nifti1Image(data, AFFINE), path)


SHAPE = (8, 8, 6)
DSEG = "sub-{participant}/anat/*_desc-visual_dseg.nii.gz"


@pytest.mark.parametrize(
    ("region", "name", "data", "says"),
    [
        (
            {},
            "space-T1w_label-LOC_mask.nii.gz",
            np.ones((*SHAPE, 2), np.uint8),
            "shape (8, 8, 6, 2)",
        ),
        ({}, "space-T1w_label-LOC_mask.nii.gz", np.full(SHAPE, np.nan), "not finite"),
        (
            {},
            "space-T1w_label-LOC_mask.nii.gz",
            np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE),
            "several values besides 0, so it is no mask",
        ),
        (
            {"file": DSEG, "label": 1},
            "desc-visual_dseg.nii.gz",
            np.full(SHAPE, 1.5, np.float32),
            "not whole numbers, so it is no dseg",
        ),
        ({"file": DSEG, "label": "V9"}, None, None, "no label 'V9', which region LOC asks for"),
        ({"file": DSEG, "label": 7}, None, None, "no label 7, which region LOC asks for"),
        (
            {"space": "MNI152NLin6Asym"},
            "space-T1w_label-LOC_mask.nii.gz",
            np.ones(SHAPE, np.uint8),
            "in the space T1w by its name, but the analysis says that region LOC is in MNI",
        ),
        (
            {"file": DSEG, "label": 1, "space": "fsaverage"},
            None,
            None,
            "is in the space fsaverage: no transforms between fsaverage and T1w",
        ),
        ({"file": "sub-{participant}/anat/*.nii.gz"}, None, None, "narrow the pattern"),
    ],
)
def test_a_mask_that_cannot_be_used(study, refused, region, name, data, says):
    words = ask_for(study, **region)
    if name is not None:
        save(study, name, data)
    refused(1, says, more=words)


def test_transforms_that_masks_alone_need_are_checked_too(study, moviersa, refused):
    words = ask_for(study, file="tpl-*_label-hMT_probseg.nii.gz", threshold=0.5)
    found = moviersa(*study.arguments("participant", *words, "--dry-run"))
    assert found.status == 0
    assert re.search(r"MNI152NLin6Asym: of [1-9]\d* points", found.out)
    there = "sub-01/anat/sub-01_from-T1w_to-MNI152NLin6Asym_mode-image_xfm.h5"
    write_shift(study.fmriprep / there, 12)
    only = ("--participant-label", "01")
    refused(1, "do not fit", "12.0 mm off", "not of one participant", more=(*words, *only))


def test_a_mask_for_everyone_says_its_space(study, moviersa, refused):
    words = ask_for(study, file="LOC_mask.nii.gz")
    path = study.root / "rois" / "LOC_mask.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.ones(SHAPE, np.uint8), AFFINE), path)
    refused(64, f"region LOC is {path} for everyone", "masks.regions.space", more=words)
    words = ask_for(study, file="LOC_mask.nii.gz", space="MNI152NLin6Asym")
    found = moviersa(*study.arguments("participant", *words, "--dry-run"))
    assert found.status == 0
    assert "MNI152NLin6Asym: of" in found.out


def test_masks_that_nobody_has_or_of_an_unknown_dataset(study, refused):
    words = ask_for(study, file="sub-{participant}/ses-{session}/*_label-none_mask.nii.gz")
    refused(1, "for any participant", "label-none", more=words)
    refused(64, "say where it is with -d rois=PATH")
    refused(1, "there is no folder /no/where", more=("-d", "rois=/no/where"))


def test_an_empty_mask_is_an_absent_region(study, moviersa):
    words = ask_for(study)
    save(study, "space-T1w_label-LOC_mask.nii.gz", np.zeros(SHAPE, np.uint8))
    outcome = moviersa(*study.arguments("participant", *words, "--dry-run"))
    assert outcome.status == 0
    assert outcome.out.count("_label-LOC_mask.nii.gz has no voxel of it") == 2
