"""What the reports read back from the outputs; absent or odd files become clear sentences."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas as pd
import SimpleITK

from bidsapp.analysis.spec import Analysis
from bidsapp.arrays import Bools, without_idle_axes
from bidsapp.dataset.derivatives import OutputTree, desc_labels, read_table
from bidsapp.errors import InputError
from bidsapp.reports.slices import Volume
from bidsapp.rois.template import SHAPE, mask_in_template

TEXT = (
    "participant", "mode", "method", "fit", "roi", "model", "model_a", "model_b", "control",
    "target", "layer", "run",
    "name",
)  # fmt: skip
NUMBERS = (
    "index", "r", "r_mean", "r_sd", "lag_s", "min_lag_s", "n_voxels", "p_null",
    "p_null_fwe", "visible",
    "ceiling_paper", "ceiling_lower", "ceiling_upper", "n_volumes", "n_censored", "n_robust",
    "fd_mean", "fd_max", "fd_over_half_mm", "tsnr", "tsnr_median", "diff_z", "pc1", "pc2", "rank",
    "onset_a", "onset_b", "loading",
)  # fmt: skip


@dataclass(frozen=True)
class Outputs:
    """The outputs of one analysis in one space."""

    tree: OutputTree
    analysis: Analysis
    space: str

    def participants(self) -> tuple[str, ...]:
        """Return the participants with a similarity table, in order."""
        found = self.tree.participants()
        return tuple(name for name in found if self.participant_path(name, "similarity").exists())

    def participant_path(self, participant: str, desc: str) -> Path:
        """Return where a participant's table is, or is to be."""
        movie = self.analysis.movie
        session = movie.sessions[0] if len(movie.sessions) == 1 else None
        entities = {"task": movie.task, "desc": desc}
        return self.tree.find("participant_stats", participant, **entities) or self.tree.path(
            "participant_stats", sub=participant, ses=session, **entities
        )

    def anybodys(self, name: str) -> Path:
        """Return the pattern of every participant's files of a name, for what is drawn from all."""
        return self.tree.root / "sub-*" / "**" / name

    def group_path(self, desc: str) -> Path:
        """Return where a group table is."""
        return self.tree.path("group_stats", task=self.analysis.movie.task, desc=desc)

    def rdm_files(self, participant: str, desc: str | None = None) -> dict[str, Path]:
        """Return a participant's brain RDM files that exist, by run; of robust by its ``desc``."""
        movie = self.analysis.movie
        paths = {
            run.run: self.tree.find(
                "brain_rdms",
                participant,
                task=movie.task,
                run=run.run,
                space=self.space,
                stat=f"{self.analysis.dissimilarity.brain}distance",
                desc=desc,
            )
            for run in movie.runs
        }
        return {run: path for run, path in paths.items() if path is not None}

    def searchlight_maps(self, participant: str) -> dict[str, tuple[Path, Volume]]:
        """Read the searchlight maps that were written: file and values of r, by name."""
        names, movie = self.analysis.searchlight.names, self.analysis.movie
        labels = desc_labels((*self.analysis.models, *names))
        paths = {
            name: self.tree.find(
                "searchlight_map",
                participant,
                task=movie.task,
                space=self.space,
                desc=labels[name],
            )
            for name in names
        }
        return {name: (path, read_volume(path)) for name, path in paths.items() if path is not None}

    def run_tables(
        self, participant: str, task: str, runs: Sequence[str], desc: str
    ) -> dict[str, Path]:
        """Return those tables of single runs that exist, by run."""
        paths = {
            run: self.tree.find("participant_stats", participant, task=task, run=run, desc=desc)
            for run in runs
        }
        return {run: path for run, path in paths.items() if path is not None}

    def t_maps(self, participant: str) -> dict[str, tuple[Path, Volume]]:
        """Read the localizer's t maps that were written: file and values, by contrast."""
        localizer = self.analysis.localizer
        folder = self.tree.root / f"sub-{participant}"
        maps = {}
        for contrast in localizer.contrasts if localizer else ():
            # The name holds a run only where there is one.
            name = f"*_space-{self.space}_contrast-{contrast}_stat-t_statmap.nii.gz"
            path = next(iter(sorted(folder.rglob(name))), None)
            if path is not None:
                maps[contrast] = (path, read_volume(path))
        return maps

    def masks(self, participant: str, kind: str) -> dict[str, Volume]:
        """Read the functional regions' masks, or the given ones, that were written."""
        return self._masks(participant, kind, self.space)

    def _masks(self, participant: str, kind: str, space: str) -> dict[str, Volume]:
        folder = self.tree.root / f"sub-{participant}"
        masks = {}
        for region in self.analysis.regions.get(kind, ()):
            hemi = f"_hemi-{region.hemisphere}" if region.hemisphere else ""
            # One mask a region, whatever localizer runs its name holds.
            which = "given" if kind == "mask" else "top*"
            name = f"*{hemi}_space-{space}_label-{region.label}_desc-{which}_mask.nii.gz"
            path = next(iter(sorted(folder.rglob(name))), None)
            if path is not None:
                volume = read_volume(path)
                masks[region.name] = Volume(volume.data > 0, volume.affine)
        return masks

    def template_masks(self, participant: str) -> dict[str, Bools]:
        """Read the functional regions' masks in their template, on its common grid."""
        space = self.analysis.functional.template
        if space == self.space:
            masks = self.masks(participant, "functional")
            unmoved = SimpleITK.Transform(3, SimpleITK.sitkIdentity)
            return {
                name: mask_in_template(mask.data > 0, mask.affine, unmoved)
                for name, mask in masks.items()
            }
        masks = self._masks(participant, "functional", space)
        return {name: mask.data > 0 for name, mask in masks.items() if mask.data.shape == SHAPE}

    def atlas_masks(self, participant: str) -> dict[str, Volume]:
        """Read the atlas regions of the participant."""
        atlas = self.analysis.atlas.name
        image = self.tree.path("atlas_dseg", sub=participant, space=self.space, atlas=atlas)
        labels = self.tree.path("atlas_labels", sub=participant, space=self.space, atlas=atlas)
        if not image.exists():
            return {}
        volume = read_volume(image)
        table = read_columns(labels, ("index", "name"))
        return {
            str(name): Volume(volume.data == index, volume.affine)
            for index, name in zip(table["index"], table["name"], strict=True)
            if name in self.analysis.region_sets.get("atlas", ())
        }


def read_volume(path: Path) -> Volume:
    """Read a 3-D image.

    Raises
    ------
    InputError
        The image cannot be read.
    """
    try:
        image: Any = nibabel.load(path)
        data = without_idle_axes(np.asanyarray(image.dataobj))
    except (OSError, EOFError, ValueError, nibabel.filebasedimages.ImageFileError) as error:
        raise InputError(f"cannot read the image {path}: {error}") from error
    if data.ndim != 3:
        raise InputError(f"{path} has {data.ndim} dimensions instead of 3")
    return Volume(data.astype(np.float32), np.asarray(image.affine, dtype=np.float64))


def read_columns(path: Path, names: Sequence[str]) -> pd.DataFrame:
    """Read a table that must have some columns.

    Regions, models and runs are text in what is returned, and values are numbers.

    Raises
    ------
    InputError
        The file is absent or no table, a column is missing, or a value is no number (say, after
        editing by hand).
    """
    if not path.exists():
        raise InputError(f"{path} does not exist; run the level that writes it again")
    table = read_table(path)
    absent = [name for name in names if name not in table]
    if absent:
        raise InputError(
            f"{path} lacks the column {absent[0]!r} (it has {', '.join(map(str, table.columns))}); "
            "run the level that writes it again"
        )
    text = [name for name in TEXT if name in table]
    return table.astype(dict.fromkeys(text, str)).assign(
        **{name: _numbers(table[name], path) for name in NUMBERS if name in table}
    )


def read_numbers(path: Path, names: Sequence[str]) -> pd.DataFrame:
    """Read a table that holds numbers alone and must have some columns.

    Raises
    ------
    InputError
        As `read_columns` does.
    """
    table = read_columns(path, names)
    return table.apply(_numbers, path=path)


def _numbers(column: "pd.Series[Any]", path: Path) -> "pd.Series[Any]":
    try:
        return pd.to_numeric(column)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{path} has a value in the column {column.name!r} that is no number ({error}); "
            "run the level that writes it again"
        ) from error
