"""The steps that compare RDMs by regression: of one participant, and of the group."""

from collections.abc import Iterator
from pathlib import Path

from nipype.interfaces.base import (
    Bunch,
    File,
    SimpleInterface,
    traits,
)

from bidsapp.arrays import Floats
from bidsapp.dataset.derivatives import read_table, write_table
from bidsapp.interfaces.controlled import read_scores
from bidsapp.interfaces.shift_null import read_nulls
from bidsapp.interfaces.staging import staged_tree
from bidsapp.interfaces.study import ParticipantInputSpec, Study, StudyInputSpec, TablesOutputSpec
from bidsapp.rsa.study import RunRDMs
from bidsapp.tables.columns import describe
from bidsapp.tables.components import component_tables
from bidsapp.tables.group import group_tables, mean_visible
from bidsapp.tables.participant import participant_tables
from bidsapp.tables.scores import asks_controlled
from bidsapp.tables.unique import joined_scores


class ParticipantSimilarity(SimpleInterface):
    """Predict a participant's RDMs from every model's, run by run left out; write the tables."""

    input_spec = ParticipantInputSpec
    output_spec = TablesOutputSpec

    def _run_interface(self, runtime: Bunch) -> Bunch:
        study = Study(self.inputs)
        (label,) = study.participants
        visible: dict[str, Floats] = {}

        def runs() -> Iterator[RunRDMs]:  # each is read once, and looked at twice
            for run, models in study.runs_and_models():
                if "robust" in study.analysis.modes:
                    visible[run.run] = study.visible(run, models, label)
                yield run

        products = study.products(runs(), lag_curve_s=())
        tables = participant_tables(
            products,
            study.layers,
            study.analysis.region_names,
            study.analysis,
            visible,
            study.controlled(label).unique if asks_controlled(study.analysis) else None,
        )
        tree = staged_tree(runtime.cwd)
        for desc, table in tables.items():
            path = tree.path("participant_stats", **self.inputs.entities, desc=desc)
            write_table(path, table, describe(desc, "participant"))
        self._results["staged"] = str(tree.root)
        return runtime


class _GroupInputSpec(StudyInputSpec):
    nulls = traits.List(File(exists=True), mandatory=True, desc="scores of ShiftNull, one a region")
    controlled = traits.List(
        File(exists=True), desc="scores of ControlledNull, one a participant; none: not wanted"
    )
    tables = traits.List(File(exists=True), mandatory=True, desc="similarity of the participants")
    seed = traits.Int(mandatory=True, desc="of random sign flips")


class GroupStatistics(SimpleInterface):
    """Compare all participants' RDMs with every model's and with each other; write the tables."""

    input_spec = _GroupInputSpec
    output_spec = TablesOutputSpec

    def _run_interface(self, runtime: Bunch) -> Bunch:
        study = Study(self.inputs)
        analysis = study.analysis
        tables = group_tables(
            study.products(study.runs(), analysis.statistics.lag_curve_s),
            study.layers,
            analysis.region_names,
            analysis.region_sets,
            analysis,
            [null for path in self.inputs.nulls for null in read_nulls(Path(path))],
            joined_scores([read_scores(Path(path)) for path in self.inputs.controlled or ()]),
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
