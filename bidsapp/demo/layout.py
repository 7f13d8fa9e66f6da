"""The files of a scan, a participant and a dataset, under the names of BIDS and fMRIPrep."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas as pd

from bidsapp.arrays import Floats, Ints
from bidsapp.demo.confounds import Confounds
from bidsapp.demo.size import (
    LOCALIZER_SESSION,
    LOCALIZER_TASK,
    MOVIE_SESSION,
    MOVIE_TASK,
    REPETITION_TIME,
    START_TIME,
    DemoSize,
)
from bidsapp.files import whole_file, write_text

TASKS = {LOCALIZER_TASK: LOCALIZER_SESSION, MOVIE_TASK: MOVIE_SESSION}
# NIfTI's codes of what a coordinate system is aligned with.
NATIVE_CODE, TEMPLATE_CODE = 1, 4
RAW_SHAPE = (
    4,
    4,
    3,
)  # raw images are stand-ins of a few voxels: the application reads none of them
README = """# A simulated dataset with known truth

Every image here is computed; no person was scanned. The film is made of photographs that ship with
scikit-image. Raw images (this folder) have the right headers but only a few voxels; the
preprocessed images beside it hold the simulated signal.
"""


def scan_stem(participant: str, task: str, run: str) -> Path:
    """Path of a scan below a dataset's root, without suffix."""
    session = TASKS[task]
    name = f"sub-{participant}_ses-{session}_task-{task}_run-{run}"
    return Path(f"sub-{participant}") / f"ses-{session}" / "func" / name


def beside(stem: Path, ending: str) -> Path:
    """Add an ending to a stem."""
    return stem.with_name(f"{stem.name}_{ending}")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def write_image(path: Path, data: Floats | Ints, affine: Floats, code: int, tr: float = 0) -> None:
    """Write a NIfTI image; ``tr`` in seconds is that of a series."""
    image = nibabel.Nifti1Image(data, affine)
    image.set_qform(affine, code)
    image.set_sform(affine, code)
    if tr:
        image.header.set_zooms((*image.header.get_zooms()[:3], tr))
        image.header.set_xyzt_units("mm", "sec")
    else:
        image.header.set_xyzt_units("mm")
    with whole_file(path) as temporary:
        image.to_filename(temporary)


def write_raw_dataset(bids: Path, size: DemoSize) -> None:
    """Write what stands at the root of the raw dataset."""
    description = {
        "Name": "moviersa demo", "BIDSVersion": "1.9.0", "DatasetType": "raw", "License": "CC0",
        "Authors": ["The moviersa developers"],
    }  # fmt: skip
    write_json(bids / "dataset_description.json", description)
    write_text(bids / "README.md", README)
    rows = "".join(f"sub-{label}\t{20 + index}\n" for index, label in enumerate(size.labels))
    write_text(bids / "participants.tsv", "participant_id\tage\n" + rows)
    write_json(bids / "participants.json", {"age": {"Description": "Age", "Units": "year"}})
    columns = {
        "frameidx": {"Description": "Number of the frame, from 1"},
        "videotime": {"Description": "Time of the frame in the film", "Units": "s"},
        "audiotime": {"Description": "Time of the sound in the film", "Units": "s"},
        "lasttrigger": {"Description": "Onset of the volume being taken", "Units": "s"},
    }
    write_json(bids / f"task-{MOVIE_TASK}_events.json", columns)
    for task in TASKS:
        # The repetition time stands here alone: readers must follow BIDS's inheritance.
        content = {"TaskName": task, "RepetitionTime": REPETITION_TIME}
        write_json(bids / f"task-{task}_bold.json", content)


def write_derivatives_dataset(fmriprep: Path) -> None:
    """Write what stands at the root of fMRIPrep's derivatives."""
    description = {
        "Name": "fMRIPrep - fMRI PREProcessing workflow", "BIDSVersion": "1.4.0",
        "DatasetType": "derivative", "License": "CC0",
        "GeneratedBy": [
            {"Name": "fMRIPrep", "Version": "24.1.1", "Description": "Simulated by moviersa-demo"}
        ],
        "HowToAcknowledge": "These files are simulated in fMRIPrep's form; it was not run.",
        "SourceDatasets": [{"URL": "../bids"}],
    }  # fmt: skip
    write_json(fmriprep / "dataset_description.json", description)


def write_raw_scan(bids: Path, stem: Path, volumes: int, events: pd.DataFrame) -> None:
    """Write a raw scan's stand-in image and its events."""
    rng = np.random.default_rng(volumes)
    data = rng.integers(900, 1100, (*RAW_SHAPE, volumes), dtype=np.int16)
    affine = np.diag([-3.0, 3.0, 3.0, 1.0])
    write_image(bids / beside(stem, "bold.nii.gz"), data, affine, NATIVE_CODE, REPETITION_TIME)
    write_text(
        bids / beside(stem, "events.tsv"),
        events.to_csv(sep="\t", index=False, float_format="%.3f"),
    )


def write_raw_anatomy(bids: Path, participant: str) -> None:
    """Write the raw anatomical image's stand-in."""
    session = LOCALIZER_SESSION
    name = f"sub-{participant}_ses-{session}_T1w.nii.gz"
    data = np.random.default_rng(0).integers(100, 900, (8, 8, 8), dtype=np.int16)
    path = bids / f"sub-{participant}" / f"ses-{session}" / "anat" / name
    write_image(path, data, np.diag([-2.0, 2.0, 2.0, 1.0]), NATIVE_CODE)


def write_anatomy(fmriprep: Path, participant: str, t1w: Ints, brain: Ints, affine: Floats) -> Path:
    """Write a participant's preprocessed anatomical image and brain mask; return their folder."""
    folder = fmriprep / f"sub-{participant}" / "anat"
    stem = folder / f"sub-{participant}"
    write_image(beside(stem, "desc-preproc_T1w.nii.gz"), t1w, affine, NATIVE_CODE)
    write_json(beside(stem, "desc-preproc_T1w.json"), {"SkullStripped": False})
    write_image(beside(stem, "desc-brain_mask.nii.gz"), brain, affine, NATIVE_CODE)
    write_json(beside(stem, "desc-brain_mask.json"), {"RawSources": [], "Type": "Brain"})
    return folder


def write_template_mask(
    folder: Path, participant: str, template: str, brain: Ints, affine: Floats
) -> None:
    """Write the brain mask of the anatomical image in a template."""
    stem = folder / f"sub-{participant}"
    path = beside(stem, f"space-{template}_desc-brain_mask.nii.gz")
    write_image(path, brain, affine, TEMPLATE_CODE)
    write_json(beside(stem, f"space-{template}_desc-brain_mask.json"), {"Type": "Brain"})


def write_preprocessed(stem: Path, space: str, data: Ints, brain: Ints, affine: Floats) -> None:
    """Write a preprocessed scan, (x, y, z, volumes), its mask and its mean in one space."""
    code = NATIVE_CODE if space == "T1w" else TEMPLATE_CODE
    bold = beside(stem, f"space-{space}_desc-preproc_bold.nii.gz")
    write_image(bold, data, affine, code, REPETITION_TIME)
    metadata = {
        "RepetitionTime": REPETITION_TIME, "StartTime": START_TIME, "SkullStripped": False,
        "SliceTimingCorrected": True, "TaskName": stem.name.split("_task-")[1].split("_")[0],
    }  # fmt: skip
    write_json(beside(stem, f"space-{space}_desc-preproc_bold.json"), metadata)
    write_image(beside(stem, f"space-{space}_desc-brain_mask.nii.gz"), brain, affine, code)
    write_json(beside(stem, f"space-{space}_desc-brain_mask.json"), {"Type": "Brain"})
    mean = data.mean(axis=3).astype(np.float32)
    write_image(beside(stem, f"space-{space}_boldref.nii.gz"), mean, affine, code)


def write_confounds(stem: Path, confounds: Confounds) -> None:
    """Write a scan's confounds and their metadata."""
    table = confounds.table.to_csv(sep="\t", index=False, na_rep="n/a", float_format="%.8g")
    write_text(beside(stem, "desc-confounds_timeseries.tsv"), table)
    write_json(beside(stem, "desc-confounds_timeseries.json"), confounds.metadata)
