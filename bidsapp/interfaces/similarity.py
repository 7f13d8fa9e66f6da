"""The steps that compare RDMs: of one participant, and of the group."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
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

from bidsapp.analysis.spec import Analysis, Mode
from bidsapp.arrays import Floats
from bidsapp.dataset.derivatives import RDMFile, read_rdms, read_table, write_table
from bidsapp.errors import InputError
from bidsapp.interfaces.film_volumes import PlainVolumes, volumes_from_plain
from bidsapp.interfaces.staging import staged_tree
from bidsapp.rsa.modes import mode_pairs
from bidsapp.rsa.rdm import n_volumes_of, to_square
from bidsapp.rsa.study import RunRDMs, StudyProducts, study_products
from bidsapp.rsa.visible import visibility
from bidsapp.tables.columns import describe
from bidsapp.tables.comparators import group_comparators, participant_comparators
from bidsapp.tables.components import component_tables
from bidsapp.tables.group import group_tables, mean_visible
from bidsapp.tables.null import KEYS, null_table
from bidsapp.tables.participant import participant_tables

CLOCK_TOLERANCE_S = 0.1  # of volumes; responses to a film are seconds wide


class _StudyInputSpec(BaseInterfaceInputSpec):
    analysis = traits.Dict(mandatory=True, desc="the analysis")
    model_rdms = traits.Dict(mandatory=True, desc="run: list of files, in the order of the models")
    brain_rdms = traits.Dict(mandatory=True, desc="run: participant: file, of replicate")
    robust_rdms = traits.Dict(mandatory=True, desc="run: participant: file, of robust")
    film_volumes = traits.Dict(mandatory=True, desc="run: see bidsapp.interfaces.film_volumes")
    repetition_time = traits.Float(mandatory=True, desc="s")


class _TablesOutputSpec(TraitedSpec):
    staged = Directory(exists=True)


class _ParticipantInputSpec(_StudyInputSpec):
    entities = traits.Dict(mandatory=True, desc="BIDS entities of the tables")


class _SimilarityInputSpec(_ParticipantInputSpec):
    nuisance = traits.Dict(mandatory=True, desc="run: file, see BrainRDMs; none: no visibility")


class ParticipantSimilarity(SimpleInterface):
    """Predict a participant's RDMs from every model's, run by run left out; write the tables."""

    input_spec = _SimilarityInputSpec
    output_spec = _TablesOutputSpec

    def _run_interface(self, runtime: Bunch) -> Bunch:
        study = _Study(self.inputs)
        visible: dict[str, Floats] = {}
        nuisance = self.inputs.nuisance if "robust" in study.analysis.modes else {}

        def runs() -> Iterator[RunRDMs]:  # each is read once, and looked at twice
            for run, models in study.runs_and_models():
                if run.run in nuisance:
                    visible[run.run] = study.visible(run, models, Path(nuisance[run.run]))
                yield run

        products = study.products(runs(), lag_curve_s=())
        tables = participant_tables(
            products, study.layers, study.analysis.region_names, study.analysis, visible
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
    tables = traits.List(File(exists=True), mandatory=True, desc="similarity of the participants")
    seed = traits.Int(mandatory=True, desc="of the bootstrap")


class GroupStatistics(SimpleInterface):
    """Compare all participants' RDMs with every model's and with each other; write the tables."""

    input_spec = _GroupInputSpec
    output_spec = _TablesOutputSpec

    def _run_interface(self, runtime: Bunch) -> Bunch:
        study = _Study(self.inputs)
        analysis = study.analysis
        tables = group_tables(
            study.products(study.runs(), analysis.statistics.lag_curve_s),
            study.layers,
            analysis.region_names,
            analysis.region_sets,
            analysis,
            pd.concat([_read_null(path) for path in self.inputs.nulls], ignore_index=True),
            mean_visible([read_table(Path(path)) for path in self.inputs.tables]),
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
        self._brain_files: Mapping[Mode, Mapping[str, Mapping[str, str]]] = {
            "replicate": inputs.brain_rdms,
            "robust": inputs.robust_rdms,
        }
        self._film_volumes: Mapping[str, PlainVolumes] = inputs.film_volumes
        self._repetition_time: float = inputs.repetition_time
        everyone = {label for files in inputs.brain_rdms.values() for label in files}
        self.participants = tuple(sorted(everyone))
        first = next(iter(self._model_files.values()))
        files = {
            model: read_rdms(Path(path))
            for model, path in zip(self.analysis.models, first, strict=True)
        }
        self.layers = {model: file.names for model, file in files.items()}
        self.dissimilarities = {model: file.dissimilarity for model, file in files.items()}

    def products(self, runs: Iterable[RunRDMs], lag_curve_s: Sequence[float]) -> StudyProducts:
        """Reduce runs to the engine's products, one run in memory at a time."""
        analysis = self.analysis
        return study_products(
            runs,
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
        for run, _ in self.runs_and_models(participants):
            yield run

    def runs_and_models(
        self, participants: Sequence[str] | None = None
    ) -> Iterator[tuple[RunRDMs, Sequence[RDMFile]]]:
        """Read runs as `runs` does, each with the models' files."""
        people = self.participants if participants is None else participants
        for film_run in self.analysis.movie.runs:
            run = film_run.run
            if not self._brain_files["replicate"].get(run):
                continue
            files, clock = self._models(run)
            models = np.concatenate([file.rdms for file in files])
            rdms = RunRDMs(
                run=run,
                models=models,
                targets=self._targets("replicate", run, people, models, clock),
                repetition_time=self._repetition_time,
                film=volumes_from_plain(self._film_volumes[run]),
                robust_targets=self._targets("robust", run, people, models, clock),
            )
            yield rdms, files

    def visible(self, run: RunRDMs, models: Sequence[RDMFile], nuisance: Path) -> Floats:
        """Tell how visible each layer is in a run of the one participant, (p,).

        Parameters
        ----------
        run, models
            The run, and its models' files.
        nuisance
            File of the basis of what was regressed out for robust, see `BrainRDMs`.
        """
        (defined,) = run.defined()["robust"]
        pairs = mode_pairs(run, "robust", self.analysis.robust.min_lag_s, defined)
        basis, _ = np.linalg.qr(np.load(nuisance)[pairs.kept])
        return visibility(
            run.models,
            [file.dissimilarity for file in models for _ in file.names],
            [of for file in models for of in file.moments or [None] * len(file.names)],
            pairs,
            basis,
        )

    def _models(self, run: str) -> tuple[list[RDMFile], tuple[Path, Floats]]:
        """Read a run's model RDMs, all on one clock: that of the first file."""
        paths = [Path(path) for path in self._model_files[run]]
        files = [read_rdms(path) for path in paths]
        clock = paths[0], files[0].onsets_s
        for path, file in zip(paths[1:], files[1:], strict=True):
            check_clock(path, file.onsets_s, *clock)
        return files, clock

    def _targets(
        self,
        mode: Mode,
        run: str,
        people: Sequence[str],
        models: Floats,
        clock: tuple[Path, Floats],
    ) -> Floats:
        """Read participants' RDMs of one run and mode, (R, S, n_pairs); NaN where one lacks it."""
        files = self._brain_files[mode][run]
        n_pairs = models.shape[1]
        shape = (len(self.analysis.region_names), len(people), n_pairs)
        targets = np.full(shape, np.nan, np.float32)
        for column, label in enumerate(people):
            if label in files:
                path = Path(files[label])
                file = read_rdms(path)
                check_clock(path, file.onsets_s, *clock)
                targets[:, column] = self._regions(file, n_volumes_of(n_pairs))
        return targets

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
