"""The steps that compare RDMs otherwise than by regression, of one participant and the group."""

from pathlib import Path

import pandas as pd
from nipype.interfaces.base import Bunch, File, SimpleInterface, traits

from bidsapp.dataset.derivatives import read_table, write_table
from bidsapp.errors import InputError
from bidsapp.interfaces.staging import staged_tree
from bidsapp.interfaces.study import (
    ParticipantInputSpec,
    Study,
    StudyInputSpec,
    TablesOutputSpec,
)
from bidsapp.tables.columns import describe
from bidsapp.tables.comparator_ceilings import comparator_ceilings
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


class _GroupComparatorsInputSpec(StudyInputSpec):
    participants = traits.List(traits.Str, mandatory=True, desc="who is compared")
    tables = traits.List(File(exists=True), mandatory=True, desc="theirs, in the same order")
    seed = traits.Int(mandatory=True, desc="of sign flips")


class GroupComparators(SimpleInterface):
    """Average the participants' comparators and test them; find their ceilings; write the table."""

    input_spec = _GroupComparatorsInputSpec
    output_spec = TablesOutputSpec

    def _run_interface(self, runtime: Bunch) -> Bunch:
        study = Study(self.inputs)
        tables = [_read(Path(path)) for path in self.inputs.tables]
        ceilings = comparator_ceilings(study.runs(self.inputs.participants), study.analysis)
        region_sets = study.analysis.region_sets
        table = group_comparators(tables, ceilings, region_sets, self.inputs.seed)
        tree = staged_tree(runtime.cwd)
        path = tree.path("group_stats", task=study.analysis.movie.task, desc="comparators")
        write_table(path, table, describe("comparators"))
        self._results["staged"] = str(tree.root)
        return runtime


def _read(path: Path) -> pd.DataFrame:
    """Read a participant's comparators, which the group needs whole.

    Raises
    ------
    InputError
        The file is absent or no table, lacks a column, or has text where numbers are needed.
    """
    table = read_table(path)
    lacking = [name for name in describe("comparators", "participant") if name not in table]
    if lacking or not pd.api.types.is_numeric_dtype(table["r"]):
        wrong = f"lacks the column {lacking[0]!r}" if lacking else "has an r that is no number"
        raise InputError(f"{path} {wrong}: run the participant level again")
    return table
