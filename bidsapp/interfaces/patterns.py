"""The steps from a movie run's BOLD to the RDM of every region, and what is said of them."""

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

from bidsapp.analysis.spec import Denoise
from bidsapp.brain.denoise import nuisance_design
from bidsapp.brain.patterns import RegionPatterns, autocorrelation, region_patterns
from bidsapp.dataset.derivatives import read_json, sidecar, write_json, write_rdms
from bidsapp.interfaces.masks import load_masks
from bidsapp.interfaces.staging import staged_tree
from bidsapp.rsa.rdm import correlation_distance
from bidsapp.tables.regions import LEAST_VOXELS


class _BrainRDMsInputSpec(BaseInterfaceInputSpec):
    bold = File(exists=True, mandatory=True)
    confounds = File(exists=True, mandatory=True)
    confounds_metadata = File(exists=True, mandatory=True)
    masks = traits.List(File(exists=True), mandatory=True, desc="region masks on this run's grid")
    repetition_time = traits.Float(mandatory=True, desc="s")
    start_time = traits.Float(mandatory=True, desc="s")
    denoise = traits.Dict(mandatory=True, desc="the analysis file's denoise part")
    lags_s = traits.List(traits.Float, mandatory=True, desc="lags of the autocorrelation")
    entities = traits.Dict(mandatory=True, desc="BIDS entities of the RDM file")


class _BrainRDMsOutputSpec(TraitedSpec):
    staged = Directory(exists=True)
    rdms = File(exists=True)
    autocorrelation = File(exists=True, desc="rows: roi run lag_s r")


class BrainRDMs(SimpleInterface):
    """Read a run's BOLD once, denoise the regions' voxels, write one RDM a region."""

    input_spec = _BrainRDMsInputSpec
    output_spec = _BrainRDMsOutputSpec

    def _run_interface(self, runtime: Bunch) -> Bunch:
        inputs = self.inputs
        spec = Denoise.model_validate(inputs.denoise)
        design = nuisance_design(Path(inputs.confounds), Path(inputs.confounds_metadata), spec)
        patterns = region_patterns(Path(inputs.bold), load_masks(inputs.masks), design, spec.scale)
        names = list(patterns.series)
        n_volumes = len(design.matrix)
        n_pairs = n_volumes * (n_volumes - 1) // 2
        rdms = np.full((len(names), n_pairs), np.nan, np.float32)
        for row, name in enumerate(names):
            if patterns.series[name].shape[1] >= LEAST_VOXELS:
                rdms[row] = correlation_distance(patterns.series[name])
        tree = staged_tree(runtime.cwd)
        path = tree.path("brain_rdms", **inputs.entities)
        onsets = np.arange(n_volumes) * inputs.repetition_time + inputs.start_time
        descriptors = {"participant": inputs.entities["sub"], "run": inputs.entities["run"]}
        write_rdms(path, rdms, names, "region", onsets, descriptors)
        write_json(sidecar(path), {**read_json(sidecar(path)), "Regions": _described(patterns)})
        rows = Path(runtime.cwd) / "autocorrelation.tsv"
        self._autocorrelation(patterns).to_csv(rows, sep="\t", index=False, na_rep="n/a")
        self._results |= {
            "staged": str(tree.root),
            "rdms": str(path),
            "autocorrelation": str(rows),
        }
        return runtime

    def _autocorrelation(self, patterns: RegionPatterns) -> pd.DataFrame:
        inputs = self.inputs
        rows = [
            {"roi": name, "run": inputs.entities["run"], "lag_s": lag, "r": r}
            for name, series in patterns.series.items()
            for lag, r in zip(
                inputs.lags_s,
                autocorrelation(series, inputs.repetition_time, inputs.lags_s),
                strict=True,
            )
        ]
        return pd.DataFrame(rows, columns=["roi", "run", "lag_s", "r"])


def _described(patterns: RegionPatterns) -> dict[str, dict[str, float]]:
    """Say of each region how many voxels its RDM rests on, and how good they are."""
    return {
        name: {
            "Voxels": series.shape[1],
            "ConstantVoxelsDropped": patterns.dropped[name],
            "TSNR": patterns.tsnr[name],
        }
        for name, series in patterns.series.items()
    }
