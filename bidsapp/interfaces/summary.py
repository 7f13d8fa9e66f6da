"""The steps that write what is known of regions and runs, whatever the models say."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    Bunch,
    Directory,
    File,
    SimpleInterface,
    TraitedSpec,
    traits,
)

from bidsapp.analysis.spec import Denoise
from bidsapp.brain.denoise import NuisanceDesign, nuisance_design, why_unusable
from bidsapp.confounds import read_confounds
from bidsapp.dataset.derivatives import read_table, write_table
from bidsapp.interfaces.film_volumes import PlainVolumes, count_scan, robust_volumes
from bidsapp.interfaces.staging import staged_tree
from bidsapp.rsa.volumes import VolumeCount
from bidsapp.tables.columns import describe
from bidsapp.tables.quality import (
    Row,
    group_quality_table,
    quality_table,
    run_row,
    runs_table,
)


class _SummaryInputSpec(BaseInterfaceInputSpec):
    regions = traits.List(File(exists=True), mandatory=True, desc="rows of the regions table")
    autocorrelation = traits.List(File(exists=True), mandatory=True, desc="rows, one file a run")
    quality = traits.List(File(exists=True), mandatory=True, desc="rows, one file a run")
    runs = traits.List(
        traits.Dict,
        mandatory=True,
        desc="run, confounds, metadata, film_volumes; runs left out too",
    )
    denoise = traits.Dict(mandatory=True, desc="the analysis file's denoise part")
    coverage = traits.List(File(exists=True), mandatory=True, desc="rows of regions in runs")
    entities = traits.Dict(mandatory=True, desc="BIDS entities of the tables")


class _TablesOutputSpec(TraitedSpec):
    staged = Directory(exists=True)


class RegionSummary(SimpleInterface):
    """Join the rows of all steps into the participant's tables of regions, runs and quality."""

    input_spec = _SummaryInputSpec
    output_spec = _TablesOutputSpec

    def _run_interface(self, runtime: Bunch) -> Bunch:
        spec = Denoise.model_validate(self.inputs.denoise)
        quality = _rows(self.inputs.quality)
        runs = runs_table([_run_row(run, spec, quality) for run in self.inputs.runs])
        tables = {
            "regions": _table("regions", self.inputs.regions),
            "autocorrelation": _table("autocorrelation", self.inputs.autocorrelation),
            "runs": runs,
            "quality": quality_table(quality, runs, _rows(self.inputs.coverage)),
        }
        tree = staged_tree(runtime.cwd)
        for desc, table in tables.items():
            path = tree.path("participant_stats", **self.inputs.entities, desc=desc)
            write_table(path, table, describe(desc, "participant"))
        self._results["staged"] = str(tree.root)
        return runtime


class _GroupQualityInputSpec(BaseInterfaceInputSpec):
    tables = traits.Dict(mandatory=True, desc="participant: files of runs and quality, or none")
    task = traits.Str(mandatory=True, desc="the movie task")


class GroupQuality(SimpleInterface):
    """Join the participants' tables of runs and quality into the group's."""

    input_spec = _GroupQualityInputSpec
    output_spec = _TablesOutputSpec

    def _run_interface(self, runtime: Bunch) -> Bunch:
        known = {
            label: (read_table(Path(files[0])), read_table(Path(files[1]))) if files else None
            for label, files in self.inputs.tables.items()
        }
        tree = staged_tree(runtime.cwd)
        path = tree.path("group_stats", task=self.inputs.task, desc="quality")
        write_table(path, group_quality_table(known), describe("quality"))
        self._results["staged"] = str(tree.root)
        return runtime


def _run_row(run: Mapping[str, Any], spec: Denoise, quality: Sequence[Row]) -> Row:
    confounds = Path(run["confounds"])
    design = nuisance_design(confounds, Path(run["metadata"]), spec)
    regions = [row for row in quality if row["run"] == run["run"]]
    why = why_unusable(design, spec)
    in_robust = None if why else _count(run["film_volumes"], design)
    return run_row(run["run"], read_confounds(confounds), design, why, regions, in_robust)


def _count(film_volumes: PlainVolumes, design: NuisanceDesign) -> VolumeCount:
    """Count the volumes of a run that robust compares: none if too few for the regressors."""
    used = robust_volumes(film_volumes, len(design.matrix)) & ~design.censored
    enough = design.degrees_of_freedom_in(used) > 0
    defined = design.with_residual(used) if enough else np.zeros_like(used)
    return count_scan(film_volumes, ~defined)


def _table(desc: str, pieces: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame(_rows(pieces), columns=list(describe(desc, "participant")))


def _rows(pieces: Sequence[str]) -> list[Row]:
    """Read rows from files; regions and runs are text whatever they look like."""
    tables = [
        pd.read_csv(
            piece, sep="\t", na_values=["n/a"], keep_default_na=False,
            dtype={"roi": str, "run": str},
        )
        for piece in pieces
    ]  # fmt: skip
    return [
        {str(name): value for name, value in row.items()}
        for table in tables
        for row in table.to_dict("records")
    ]
