"""What is real and read at run time: the dataset's tree, headers, events and annotations."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from bidsapp.arrays import Floats

MOVIE, LOCALIZER = "movie", "objectcategories"
MOVIE_RUNS = tuple(str(run) for run in range(1, 9))
LOCALIZER_RUNS = ("1", "2", "3", "4")
FRAME_RATE = 25
ANNOTATIONS = ("brmean", "brlr", "brud", "norm_diff")
# What lies beside the dataset's own files in the folder of real data.
_NOT_OF_THE_DATASET = {
    "TREE.txt",
    "MANIFEST_annexed.tsv",
    "RUN_HEADERS.tsv",
    "MOVIE_EVENTS_AUDIT.tsv",
    "MOVIE_EVENTS_SIZES.tsv",
}


@dataclass(frozen=True)
class RunHeader:
    """Shape (x, y, z), affine (4, 4) to RAS mm, number of volumes and TR in s of a real run."""

    shape: tuple[int, int, int]
    affine: Floats
    volumes: int
    repetition_time: float

    def shrunk(self, step: int, volumes: int) -> "RunHeader":
        """Return the same box with voxels ``step`` times as long, and fewer volumes."""
        affine = self.affine.copy()
        affine[:3, :3] *= step
        affine[:3, 3] += self.affine[:3, :3] @ np.full(3, (step - 1) / 2)
        x, y, z = (n // step for n in self.shape)
        return RunHeader((x, y, z), affine, volumes, self.repetition_time)


@dataclass(frozen=True)
class Source:
    """The folder of real data; nothing of it is kept in the repository."""

    shared: Path

    @property
    def dataset(self) -> Path:
        """Real metadata of the dataset."""
        return self.shared / "studyforrest"

    @property
    def fmriprep(self) -> Path:
        """A real output tree of fMRIPrep 23.2, of another dataset."""
        return self.shared / "fmriprep-trees" / "ds003752-fmriprep"

    @property
    def atlas(self) -> Path:
        """The atlas as downloaded."""
        return self.shared / "wang2015-volume"

    @cached_property
    def tree(self) -> tuple[str, ...]:
        """Every path of the 15 participants of the movie."""
        return tuple((self.dataset / "TREE.txt").read_text(encoding="utf-8").split())

    @cached_property
    def participants(self) -> tuple[str, ...]:
        """Labels without ``sub-``."""
        return tuple(sorted({path.split("/")[0].removeprefix("sub-") for path in self.tree}))

    @cached_property
    def annex_keys(self) -> Mapping[str, str]:
        """Path of an absent file to the name of its content."""
        table = pd.read_csv(self.dataset / "MANIFEST_annexed.tsv", sep="\t")
        return dict(zip(table["path"], table["key"], strict=True))

    @cached_property
    def headers(self) -> Mapping[str, RunHeader]:
        """Path of a BOLD image to what its header says."""
        table = pd.read_csv(self.dataset / "RUN_HEADERS.tsv", sep="\t", dtype={"sub": str})
        found = {}
        for row in table.itertuples():
            x, y, z, volumes = json.loads(row.shape)
            affine = np.array(json.loads(row.affine))
            path = row.path.replace("_bold.json", "_bold.nii.gz")
            found[path] = RunHeader((x, y, z), affine, volumes, row.RepetitionTime / 1000)
        return found

    def root_files(self) -> list[Path]:
        """Files at the dataset's root."""
        return [
            path
            for path in sorted(self.dataset.iterdir())
            if path.is_file() and path.name not in _NOT_OF_THE_DATASET
        ]

    @cached_property
    def audit(self) -> pd.DataFrame:
        """Figures of every real events file of the movie, by participant and run."""
        path = self.dataset / "MOVIE_EVENTS_AUDIT.tsv"
        table = pd.read_csv(path, sep="\t", dtype={"sub": str, "run": str})
        return table.set_index(["sub", "run"])

    def real_events(self, path: str) -> Path | None:
        """Return a real events file; None where only figures of it are known."""
        found = self.dataset / path
        return found if found.is_file() else None

    def annotations(self, run: str) -> pd.DataFrame:
        """Read the real annotation of a movie run: one row a frame, seconds of the run."""
        path = self.shared / "studyforrest-annotations" / f"conf_visual_run-{run}_events.tsv"
        columns = ["onset", "duration", *ANNOTATIONS]
        return pd.read_csv(path, sep="\t", usecols=columns)[columns]

    def film_starts_s(self) -> list[float]:
        """Where in the film each run begins."""
        table = pd.read_csv(self.shared / "studyforrest-stimulus" / "segment_timing.csv")
        return [float(value) for value in table["start_time"]]


def scan_stem(participant: str, task: str, run: str) -> str:
    """Path of a scan in the dataset, without suffix."""
    session = "movie" if task == MOVIE else "localizer"
    name = f"sub-{participant}_ses-{session}_task-{task}_run-{run}"
    return f"sub-{participant}/ses-{session}/func/{name}"
