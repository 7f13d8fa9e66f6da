"""Outputs of fMRIPrep in a template alone, and transforms that are not the participant's."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from other_studies import write_shift
from tiny_study import AFFINE, SHAPE, TinyStudy, read_image, write_image

pytestmark = pytest.mark.usefixtures("plain_reports")

MNI = "MNI152NLin2009cAsym"
INPUT = 1


@pytest.fixture
def in_template(study: TinyStudy) -> TinyStudy:
    """The study as fMRIPrep leaves it when T1w is not among its output spaces."""
    for path in study.fmriprep.rglob("*_space-T1w_*"):
        path.rename(path.with_name(path.name.replace("_space-T1w_", f"_space-{MNI}_res-2_")))
    return study


def test_a_template_alone(in_template, moviersa):
    """The atlas's template is another: it is reached through the participant's anatomy."""
    words = ["--output-space", f"{MNI}:res-2", "--participant-label", "01"]
    outcome = moviersa(*in_template.arguments("participant", *words))
    assert outcome.status == 0
    assert f"no preprocessed T1w image of sub-01 in space {MNI}" in outcome.err
    assert len(outcome.err.splitlines()) == 1
    folder = in_template.out / "sub-01"
    assert len(list(folder.rglob(f"*_space-{MNI}_stat-correlationdistance_desc-rois_*.h5"))) == 4
    labels = read_image(folder / "anat" / f"sub-01_space-{MNI}_atlas-Wang2015_dseg.nii.gz")
    x, y, z = (np.argwhere(labels == 1) @ AFFINE[:3, :3].T + AFFINE[:3, 3]).T
    assert len(x) == 8 * 4 * 3
    assert (y < 0).all()
    assert (z < 0).all()
    # One OUTPUT_DIR holds one space in one resolution.
    other = moviersa(*in_template.arguments("participant", "--output-space", MNI))
    assert other.status == 64
    assert "differs in output space" in other.err


def test_what_to_type_is_said(in_template, refused):
    refused(INPUT, f"its BOLD is there in {MNI}:res-2: give --output-space {MNI}:res-2")


def test_grayordinates_alone(study, refused):
    for path in study.fmriprep.rglob("*_space-T1w_*"):
        path.unlink()
    for label in ("01", "02", "03"):
        folder = study.fmriprep / f"sub-{label}" / "ses-movie" / "func"
        stem = f"sub-{label}_ses-movie_task-movie_run-1"
        (folder / f"{stem}_space-fsLR_den-91k_bold.dtseries.nii").touch()
    refused(INPUT, "as CIFTI only", "run fMRIPrep again with T1w among its --output-spaces")


# --- transforms ---


def transforms(study: TinyStudy, label: str) -> tuple[Path, Path]:
    """Return the files to and from the atlas's template."""
    folder = study.fmriprep / f"sub-{label}" / "anat"
    ends = ("from-T1w_to-MNI152NLin6Asym", "from-MNI152NLin6Asym_to-T1w")
    there, back = (folder / f"sub-{label}_{end}_mode-image_xfm.h5" for end in ends)
    return there, back


def give_masks(study: TinyStudy, label: str) -> None:
    """Write brain masks of the anatomy: a block, which lies 8 mm apart in space and template."""
    folder = study.fmriprep / f"sub-{label}" / "anat"
    for space, first in (("", 1), ("space-MNI152NLin6Asym_", 3)):
        mask = np.zeros(SHAPE, np.uint8)
        mask[first : first + 4, 1:7, 1:5] = 1
        write_image(folder / f"sub-{label}_{space}desc-brain_mask.nii.gz", mask)


def test_files_of_two_participants(study, refused):
    there, back = transforms(study, "01")
    write_shift(there, 12)
    more = ["--participant-label", "01"]
    refused(
        INPUT, "the transforms between MNI152NLin6Asym and T1w do not fit", "12.0 mm off",
        "not of one participant", there, back, "run fMRIPrep again", more=more,
    )  # fmt: skip


def test_files_that_are_exchanged(study, moviersa, refused):
    """Points come back all the same; the brain masks tell."""
    give_masks(study, "01")
    there, back = transforms(study, "01")
    more = ["--participant-label", "01"]
    # ITK's x runs to the left: a template point lies 8 mm further right than the native one.
    write_shift(there, 8)
    write_shift(back, -8)
    right = moviersa(*study.arguments("participant", "--dry-run", *more))
    assert right.status == 0
    assert "brain masks overlap by 1.00" in right.out
    shutil.move(there, study.root / "kept")
    shutil.move(back, there)
    shutil.move(study.root / "kept", back)
    refused(INPUT, "overlaps with the one that is there by 0.", "exchanged", there, more=more)


def test_one_participants_transforms_are_not_the_others_trouble(study, moviersa):
    there, _ = transforms(study, "02")
    write_shift(there, 12)
    outcome = moviersa(*study.arguments("participant", "--dry-run"))
    assert outcome.status == INPUT
    assert "sub-02: cannot be analysed: the transforms between" in outcome.out
    assert "  sub-03\n    movie: run 1" in outcome.out


def test_a_transform_of_an_unknown_kind(study, refused):
    there, _ = transforms(study, "01")
    there.unlink()
    text = "#Insight Transform File V1.0\n#Transform 0\nTransform: BendingTransform_double_3_3\n"
    there.with_suffix(".txt").write_text(text + "Parameters: 1 2 3\nFixedParameters:\n")
    more = ["--participant-label", "01"]
    refused(INPUT, f"cannot read {there.with_suffix('.txt')} as an ITK transform", more=more)
