"""A tiny raw dataset and its fMRIPrep derivatives, as files."""

import json
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np

from bidsapp.analysis.spec import Analysis

SHAPE = (8, 8, 6)
VOLUMES = 20
AFFINE = np.diag([3.0, 3.0, 3.3, 1.0])


def write_nifti(
    path: Path, shape: tuple[int, ...], tr: float = 2.0, affine: np.ndarray = AFFINE
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = np.random.default_rng(len(shape)).normal(100, 5, shape).astype(np.float32)
    image = nibabel.Nifti1Image(data, affine)
    image.header.set_xyzt_units("mm", "sec")
    if len(shape) == 4:
        image.header.set_zooms((*image.header.get_zooms()[:3], tr))
    nibabel.save(image, path)
    return path


def write_json(path: Path, content: dict) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def write_lines(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


@dataclass
class Tree:
    """Raw and preprocessed data; every part of the names can be varied."""

    root: Path
    run_label: str = "{}"
    movie_runs: tuple[str, ...] = ("1", "2", "3", "4")
    spaces: tuple[str, ...] = ("T1w",)
    anat: str = "anat"

    @property
    def bids(self) -> Path:
        return self.root / "bids"

    @property
    def fmriprep(self) -> Path:
        return self.root / "fmriprep"

    def stem(self, participant: str, session: str, task: str, run: str) -> str:
        who, label = f"sub-{participant}_ses-{session}", self.run_label.format(run)
        return f"sub-{participant}/ses-{session}/func/{who}_task-{task}_run-{label}"

    def build(self, *participants: str) -> "Tree":
        write_json(self.bids / "dataset_description.json", {"Name": "tiny", "BIDSVersion": "1.8.0"})
        write_json(
            self.fmriprep / "dataset_description.json",
            {"Name": "f", "BIDSVersion": "1.8.0", "GeneratedBy": [{"Name": "fMRIPrep"}]},
        )
        for task in ("movie", "objectcategories"):
            write_json(
                self.bids / f"task-{task}_bold.json", {"RepetitionTime": 2.0, "TaskName": task}
            )
        for participant in participants:
            self.add(participant)
        return self

    def add(self, participant: str) -> None:
        for run in self.movie_runs:
            self._add_run(
                participant, "movie", "movie", run, "onset\tduration\tframeidx", "0.1\t0.04\t1"
            )
        self._add_run(
            participant,
            "localizer",
            "objectcategories",
            "1",
            "onset\tduration\ttrial_type",
            "12\t16\tface",
        )
        self._add_anatomy(participant)

    def _add_run(self, participant: str, session: str, task: str, run: str, *events: str) -> None:
        stem = self.stem(participant, session, task, run)
        write_nifti(self.bids / f"{stem}_bold.nii.gz", (*SHAPE, VOLUMES))
        # A copy of the DICOM header, with the TR in milliseconds, that must not be taken for BIDS.
        write_json(
            self.bids / f"{stem}_bold.json", {"global": {"const": {"RepetitionTime": 2000.0006}}}
        )
        write_lines(self.bids / f"{stem}_events.tsv", *events)
        # Look-alikes that lie beside the BOLD in real datasets.
        (self.bids / f"{stem}_defacemask.nii.gz").write_bytes(b"")
        (self.bids / f"{stem}_recording-eyegaze_physio.tsv.gz").write_bytes(b"")
        for space in self.spaces:
            write_nifti(
                self.fmriprep / f"{stem}_{_space(space)}_desc-preproc_bold.nii.gz",
                (*SHAPE, VOLUMES),
            )
            write_json(
                self.fmriprep / f"{stem}_{_space(space)}_desc-preproc_bold.json",
                {"RepetitionTime": 2.0, "StartTime": 0.975},
            )
            write_nifti(self.fmriprep / f"{stem}_{_space(space)}_desc-brain_mask.nii.gz", SHAPE)
        write_lines(
            self.fmriprep / f"{stem}_desc-confounds_timeseries.tsv", "trans_x", *["0"] * VOLUMES
        )
        write_json(self.fmriprep / f"{stem}_desc-confounds_timeseries.json", {})

    def _add_anatomy(self, participant: str) -> None:
        folder = self.fmriprep / f"sub-{participant}" / self.anat
        prefix = "_".join(part for part in (f"sub-{participant}", *self.anat.split("/")[:-1]))
        write_nifti(folder / f"{prefix}_desc-preproc_T1w.nii.gz", SHAPE)
        for template in ("MNI152NLin6Asym", "MNI152NLin2009cAsym"):
            for ends in (f"from-{template}_to-T1w", f"from-T1w_to-{template}"):
                (folder / f"{prefix}_{ends}_mode-image_xfm.h5").write_bytes(b"h5")
        for space in self.spaces:
            if space != "T1w":
                write_nifti(folder / f"{prefix}_{_space(space)}_desc-preproc_T1w.nii.gz", SHAPE)


def _space(space: str) -> str:
    """Spell a space with its optional resolution: ``MNI152NLin6Asym:2``."""
    name, _, resolution = space.partition(":")
    return f"space-{name}" + (f"_res-{resolution}" if resolution else "")


def small_analysis(**changes: object) -> Analysis:
    content: dict = {
        "name": "tiny",
        "movie": {
            "task": "movie",
            "session": "movie",
            "runs": [{"run": str(i), "film": f"*seg{i}*"} for i in (1, 2, 3, 4)],
        },
        "localizer": {
            "task": "objectcategories",
            "session": "localizer",
            "runs": ["1"],
            "conditions": ["face", "house"],
            "contrasts": {"face": {"plus": ["face"], "minus": ["house"]}},
        },
        "functional": {
            "regions": [
                {
                    "name": "FFA",
                    "contrast": "face",
                    "search": {"L": {"centre_mm": [0, 0, 0], "radius_mm": 9}},
                }
            ]
        },
        "atlas": {"regions": ["V1v", "V1d"]},
        "models": ["pixels", "resnet18-imagenet"],
    }
    return Analysis.model_validate(content | changes)
