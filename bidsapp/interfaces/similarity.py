"""The steps that compare RDMs: of one participant, and of the group."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

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

from bidsapp.analysis.spec import Analysis
from bidsapp.arrays import Floats
from bidsapp.dataset.derivatives import RDMFile, read_rdms, read_table, write_table
from bidsapp.errors import InputError
from bidsapp.interfaces.staging import staged_tree
from bidsapp.rsa.pairs import lag_in_volumes
from bidsapp.rsa.rdm import n_volumes_of, to_square
from bidsapp.rsa.study import RunRDMs, StudyProducts, study_products
from bidsapp.tables.columns import describe
from bidsapp.tables.comparators import group_comparators, participant_comparators
from bidsapp.tables.components import component_tables
from bidsapp.tables.group import group_tables
from bidsapp.tables.null import KEYS, null_table
from bidsapp.tables.participant import participant_tables

CLOCK_TOLERANCE_S = 0.1  # of volumes; responses to a film are seconds wide


class _StudyInputSpec(BaseInterfaceInputSpec):
    analysis = traits.Dict(mandatory=True, desc="the analysis")
    model_rdms = traits.Dict(mandatory=True, desc="run: list of files, in the order of the models")
    brain_rdms = traits.Dict(mandatory=True, desc="run: participant: file")
    repetition_time = traits.Float(mandatory=True, desc="s")


class _TablesOutputSpec(TraitedSpec):
    staged = Directory(exists=True)


class _ParticipantInputSpec(_StudyInputSpec):
    entities = traits.Dict(mandatory=True, desc="BIDS entities of the tables")


class ParticipantSimilarity(SimpleInterface):
    """Predict a participant's RDMs from every model's, run by run left out; write the tables."""

    input_spec = _ParticipantInputSpec
    output_spec = _TablesOutputSpec

    def _run_interface(self, runtime: Bunch) -> Bunch:
        study = _Study(self.inputs)
        tables = participant_tables(
            study.products(lag_curve_s=()),
            study.layers,
            study.analysis.region_names,
            study.analysis,
        )
        tree = staged_tree(runtime.cwd)
        for desc, table in tables.items():
            path = tree.path("participant_stats", **self.inputs.entities, desc=desc)
            write_table(path, table, describe(desc, "participant"))
        self._results["staged"] = str(tree.root)
        return runtime


class ParticipantComparators(SimpleInterface):
    """Compare a participant's RDMs with layers' and predictions by ranks, whitening, CKA."""

    input_spec = _ParticipantInputSpec
    output_spec = _TablesOutputSpec

    def _run_interface(self, runtime: Bunch) -> Bunch:
        study = _Study(self.inputs)
        table = participant_comparators(
            study.runs, study.layers, study.dissimilarities, study.analysis
        )
        tree = staged_tree(runtime.cwd)
        path = tree.path("participant_stats", **self.inputs.entities, desc="comparators")
        write_table(path, table, describe("comparators", "participant"))
        self._results["staged"] = str(tree.root)
        return runtime


class _GroupComparatorsInputSpec(BaseInterfaceInputSpec):
    analysis = traits.Dict(mandatory=True, desc="the analysis")
    tables = traits.List(File(exists=True), mandatory=True, desc="of the participants")
    seed = traits.Int(mandatory=True, desc="of sign flips")


class GroupComparators(SimpleInterface):
    """Average the participants' comparators and test them; write the table."""

    input_spec = _GroupComparatorsInputSpec
    output_spec = _TablesOutputSpec

    def _run_interface(self, runtime: Bunch) -> Bunch:
        analysis = Analysis.model_validate(self.inputs.analysis)
        tables = [read_table(Path(path)) for path in self.inputs.tables]
        table = group_comparators(tables, analysis.region_sets, self.inputs.seed)
        tree = staged_tree(runtime.cwd)
        path = tree.path("group_stats", task=analysis.movie.task, desc="comparators")
        write_table(path, table, describe("comparators"))
        self._results["staged"] = str(tree.root)
        return runtime


class _NullInputSpec(_StudyInputSpec):
    region = traits.Str(mandatory=True, desc="region to test")
    seed = traits.Int(mandatory=True, desc="of the shifts")


class _NullOutputSpec(TraitedSpec):
    table = File(exists=True, desc="p_null and p_null_max of every mode, fit and model")


class ShiftNull(SimpleInterface):
    """Test one region's group scores against those of models shifted in time."""

    input_spec = _NullInputSpec
    output_spec = _NullOutputSpec

    def _run_interface(self, runtime: Bunch) -> Bunch:
        study = _Study(self.inputs)
        table = null_table(
            study.runs(),
            study.layers,
            study.analysis.region_names,
            self.inputs.region,
            study.analysis,
            self.inputs.seed,
            study.participants,
        )
        path = Path(runtime.cwd) / "null.tsv"
        table.to_csv(path, sep="\t", index=False, na_rep="n/a")
        self._results["table"] = str(path)
        return runtime


class _GroupInputSpec(_StudyInputSpec):
    nulls = traits.List(File(exists=True), mandatory=True, desc="tables of ShiftNull, one a region")
    seed = traits.Int(mandatory=True, desc="of the bootstrap")


class GroupStatistics(SimpleInterface):
    """Compare all participants' RDMs with every model's and with each other; write the tables."""

    input_spec = _GroupInputSpec
    output_spec = _TablesOutputSpec

    def _run_interface(self, runtime: Bunch) -> Bunch:
        study = _Study(self.inputs)
        analysis = study.analysis
        tables = group_tables(
            study.products(analysis.statistics.lag_curve_s),
            study.layers,
            analysis.region_names,
            analysis.region_sets,
            analysis,
            pd.concat([_read_null(path) for path in self.inputs.nulls], ignore_index=True),
            self.inputs.seed,
        )
        tree = staged_tree(runtime.cwd)
        for desc, table in tables.items():
            path = tree.path("group_stats", task=analysis.movie.task, desc=desc)
            write_table(path, table, describe(desc))
        found = component_tables(study.model_runs, study.layers, study.onsets_s(), analysis)
        for desc, table, columns in (
            ("components", found.components, found.columns),
            ("framepairs", found.frame_pairs, describe("framepairs")),
        ):
            path = tree.path("group_stats", task=analysis.movie.task, desc=desc)
            write_table(path, table, columns)
        self._results["staged"] = str(tree.root)
        return runtime


def _read_null(path: str) -> pd.DataFrame:
    # Names may be digits: a Brodmann area, say.
    text = dict.fromkeys(KEYS, str)
    return pd.read_csv(path, sep="\t", na_values=["n/a"], keep_default_na=False, dtype=text)


class _Study:
    """RDM files as the engine wants them: one run's arrays at a time."""

    def __init__(self, inputs: Bunch) -> None:
        self.analysis = Analysis.model_validate(inputs.analysis)
        self._model_files: Mapping[str, Sequence[str]] = inputs.model_rdms
        self._brain_files: Mapping[str, Mapping[str, str]] = inputs.brain_rdms
        self._repetition_time: float = inputs.repetition_time
        everyone = {label for files in self._brain_files.values() for label in files}
        self.participants = tuple(sorted(everyone))
        first = next(iter(self._model_files.values()))
        files = {
            model: read_rdms(Path(path))
            for model, path in zip(self.analysis.models, first, strict=True)
        }
        self.layers = {model: file.names for model, file in files.items()}
        self.dissimilarities = {model: file.dissimilarity for model, file in files.items()}

    def products(self, lag_curve_s: Sequence[float]) -> StudyProducts:
        """Reduce all runs to the engine's products, one run in memory at a time."""
        analysis = self.analysis
        return study_products(
            self.runs(),
            analysis.robust.min_lag_s,
            lag_curve_s,
            analysis.replicate.lag_regressors_s,
        )

    def onsets_s(self) -> dict[str, Floats]:
        """Give the times of each run's volumes, by the first model's clock."""
        return {run: read_rdms(Path(files[0])).onsets_s for run, files in self._model_files.items()}

    def model_runs(self) -> Iterator[RunRDMs]:
        """Read the models' RDMs alone, one run in memory at a time."""
        return self.runs(())

    def runs(self, participants: Sequence[str] | None = None) -> Iterator[RunRDMs]:
        """Read the RDMs of models and participants (all, if not told), one run at a time."""
        people = self.participants if participants is None else participants
        for film_run in self.analysis.movie.runs:
            files = self._brain_files.get(film_run.run)
            if not files:
                continue
            paths = [Path(path) for path in self._model_files[film_run.run]]
            model_files = {path: read_rdms(path) for path in paths}
            clock = model_files[paths[0]].onsets_s
            for path in paths[1:]:
                check_clock(path, model_files[path].onsets_s, paths[0], clock)
            models = np.concatenate([file.rdms for file in model_files.values()])
            n_volumes = n_volumes_of(models.shape[1])
            targets = np.full(
                (len(self.analysis.region_names), len(people), models.shape[1]),
                np.nan,
                np.float32,
            )
            for column, label in enumerate(people):
                if label in files:
                    path = Path(files[label])
                    file = read_rdms(path)
                    check_clock(path, file.onsets_s, paths[0], clock)
                    targets[:, column] = self._regions(file, n_volumes)
            shared_s = film_run.shared_with_next_s if self.analysis.robust.trim_shared_film else 0.0
            yield RunRDMs(
                run=film_run.run,
                models=models,
                targets=targets,
                repetition_time=self._repetition_time,
                trim_end=lag_in_volumes(shared_s, self._repetition_time),
            )

    def _regions(self, file: RDMFile, n_volumes: int) -> Floats:
        """Read one participant's RDMs of one run, (n_regions, n_pairs); absent regions are NaN."""
        by_name = dict(zip(file.names, file.rdms, strict=True))
        n_pairs = n_volumes * (n_volumes - 1) // 2
        rows = [
            fit_length(by_name[name], n_volumes) if name in by_name else np.full(n_pairs, np.nan)
            for name in self.analysis.region_names
        ]
        return np.asarray(rows, np.float32)


def check_clock(path: Path, onsets_s: Floats, model: Path, model_onsets_s: Floats) -> None:
    """Make sure that RDMs are of volumes taken when the model's were, as far as both go.

    Raises
    ------
    InputError
        Some volume was taken at another time, by more than 0.1 s.
    """
    both = min(len(onsets_s), len(model_onsets_s))
    apart = float(np.abs(onsets_s[:both] - model_onsets_s[:both]).max(initial=0.0))
    if apart > CLOCK_TOLERANCE_S:
        raise InputError(
            f"{path} and {model} have volumes up to {apart:.2f} s apart: StartTime or the TR of "
            "this run differs from what the model RDMs were made for (slice timing corrected for "
            "some participants only?); run fMRIPrep for all in the same way, or set "
            "movie.volume_time to middle, and analyse into another OUTPUT_DIR"
        )


def fit_length(rdm: Floats, n_volumes: int) -> Floats:
    """Cut a condensed RDM to its first volumes, or fill it up with undefined ones (NaN)."""
    have = n_volumes_of(len(rdm))
    if have == n_volumes:
        return rdm
    both = min(have, n_volumes)
    square = np.full((n_volumes, n_volumes), np.nan, rdm.dtype)
    square[:both, :both] = to_square(rdm)[:both, :both]
    return square[np.triu_indices(n_volumes, 1)]
