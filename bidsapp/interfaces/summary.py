"""The step that writes what is known of a participant's regions, whatever the models say."""

from collections.abc import Hashable

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

from bidsapp.dataset.derivatives import write_table
from bidsapp.interfaces.staging import staged_tree
from bidsapp.tables.columns import describe


class _SummaryInputSpec(BaseInterfaceInputSpec):
    regions = traits.List(File(exists=True), mandatory=True, desc="rows of the regions table")
    autocorrelation = traits.List(File(exists=True), mandatory=True, desc="rows, one file a run")
    entities = traits.Dict(mandatory=True, desc="BIDS entities of the tables")


class _SummaryOutputSpec(TraitedSpec):
    staged = Directory(exists=True)


class RegionSummary(SimpleInterface):
    """Join the rows of all steps into the participant's regions and autocorrelation tables."""

    input_spec = _SummaryInputSpec
    output_spec = _SummaryOutputSpec

    def _run_interface(self, runtime: Bunch) -> Bunch:
        tree = staged_tree(runtime.cwd)
        for desc, pieces in (
            ("regions", self.inputs.regions),
            ("autocorrelation", self.inputs.autocorrelation),
        ):
            rows = [row for piece in pieces for row in _rows(piece)]
            columns = describe(desc, "participant")
            path = tree.path("participant_stats", **self.inputs.entities, desc=desc)
            write_table(path, pd.DataFrame(rows, columns=list(columns)), columns)
        self._results["staged"] = str(tree.root)
        return runtime


def _rows(path: str) -> list[dict[Hashable, object]]:
    table = pd.read_csv(
        path, sep="\t", na_values=["n/a"], keep_default_na=False, dtype={"run": str}
    )
    return table.to_dict("records")
