"""The steps that compare RDMs otherwise than by regression, of one participant and the group."""

from pathlib import Path

from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    Bunch,
    File,
    SimpleInterface,
    traits,
)

from bidsapp.analysis.spec import Analysis
from bidsapp.dataset.derivatives import read_table, write_table
from bidsapp.interfaces.staging import staged_tree
from bidsapp.interfaces.study import ParticipantInputSpec, Study, TablesOutputSpec
from bidsapp.tables.columns import describe
from bidsapp.tables.comparators import group_comparators, participant_comparators


class ParticipantComparators(SimpleInterface):
    """Compare a participant's RDMs with layers' and predictions by ranks, whitening, CKA."""

    input_spec = ParticipantInputSpec
    output_spec = TablesOutputSpec

    def _run_interface(self, runtime: Bunch) -> Bunch:
        study = Study(self.inputs)
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
    output_spec = TablesOutputSpec

    def _run_interface(self, runtime: Bunch) -> Bunch:
        analysis = Analysis.model_validate(self.inputs.analysis)
        tables = [read_table(Path(path)) for path in self.inputs.tables]
        table = group_comparators(tables, analysis.region_sets, self.inputs.seed)
        tree = staged_tree(runtime.cwd)
        path = tree.path("group_stats", task=analysis.movie.task, desc="comparators")
        write_table(path, table, describe("comparators"))
        self._results["staged"] = str(tree.root)
        return runtime
