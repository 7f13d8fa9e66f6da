"""The step that tests a region's scores against those of models shifted in time."""

from pathlib import Path

import pandas as pd
from nipype.interfaces.base import (
    Bunch,
    File,
    SimpleInterface,
    TraitedSpec,
    traits,
)

from bidsapp.interfaces.study import Study, StudyInputSpec
from bidsapp.tables.null import KEYS, null_table


class _NullInputSpec(StudyInputSpec):
    region = traits.Str(mandatory=True, desc="region to test")
    seed = traits.Int(mandatory=True, desc="of the shifts")


class _NullOutputSpec(TraitedSpec):
    table = File(exists=True, desc="p_null and p_null_max of every mode, fit and model")


class ShiftNull(SimpleInterface):
    """Test one region's group scores against those of models shifted in time."""

    input_spec = _NullInputSpec
    output_spec = _NullOutputSpec

    def _run_interface(self, runtime: Bunch) -> Bunch:
        study = Study(self.inputs)
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


def read_null(path: str) -> pd.DataFrame:
    """Read a table of `ShiftNull`."""
    # Names may be digits: a Brodmann area, say.
    text = dict.fromkeys(KEYS, str)
    return pd.read_csv(path, sep="\t", na_values=["n/a"], keep_default_na=False, dtype=text)
