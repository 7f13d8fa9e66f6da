"""The steps from a movie run's BOLD to the RDM of every region, and what is said of them."""

from collections.abc import Mapping, Sequence
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

from bidsapp.analysis.spec import Denoise, Dissimilarity
from bidsapp.arrays import Bools, Floats
from bidsapp.brain.denoise import NuisanceDesign, nuisance_design
from bidsapp.brain.patterns import (
    RegionPatterns,
    Smoothing,
    autocorrelation,
    region_patterns,
    whole_lags,
)
from bidsapp.confounds import read_confounds
from bidsapp.dataset.derivatives import (
    OutputTree,
    read_json,
    sidecar,
    write_json,
    write_rdms,
    write_table,
)
from bidsapp.interfaces.masks import load_masks, read_mask
from bidsapp.interfaces.staging import staged_tree
from bidsapp.rsa.rdm import DISTANCES, LEAST_VOXELS
from bidsapp.tables import notes
from bidsapp.tables.carpet import carpet_table
from bidsapp.tables.columns import describe
from bidsapp.tables.quality import Row, region_rows


class _BrainRDMsInputSpec(BaseInterfaceInputSpec):
    bold = File(exists=True, mandatory=True)
    confounds = File(exists=True, mandatory=True)
    confounds_metadata = File(exists=True, mandatory=True)
    mask = File(exists=True, mandatory=True, desc="this run's brain mask")
    masks = traits.List(File(exists=True), mandatory=True, desc="region masks on this run's grid")
    repetition_time = traits.Float(mandatory=True, desc="s")
    start_time = traits.Float(mandatory=True, desc="s")
    denoise = traits.Dict(mandatory=True, desc="the analysis file's denoise part")
    dissimilarity = traits.Str(mandatory=True, desc="of two volumes' patterns")
    lags_s = traits.List(traits.Float, mandatory=True, desc="lags of the autocorrelation")
    entities = traits.Dict(mandatory=True, desc="BIDS entities of the RDM file")


class _BrainRDMsOutputSpec(TraitedSpec):
    staged = Directory(exists=True)
    rdms = File(exists=True)
    autocorrelation = File(exists=True, desc="rows: roi run lag_s r")
    quality = File(exists=True, desc="rows of the regions' quality in this run")


class BrainRDMs(SimpleInterface):
    """Read a run's BOLD once, denoise the regions' voxels, write one RDM a region."""

    input_spec = _BrainRDMsInputSpec
    output_spec = _BrainRDMsOutputSpec

    def _run_interface(self, runtime: Bunch) -> Bunch:
        inputs = self.inputs
        spec = Denoise.model_validate(inputs.denoise)
        brain, _ = read_mask(inputs.mask)
        design, patterns = denoised(
            inputs.bold,
            inputs.confounds,
            inputs.confounds_metadata,
            load_masks(inputs.masks),
            brain,
            spec,
        )
        names = list(patterns.series)
        dissimilarity: Dissimilarity = inputs.dissimilarity
        n_volumes = len(design.matrix)
        n_pairs = n_volumes * (n_volumes - 1) // 2
        rdms = np.full((len(names), n_pairs), np.nan, np.float32)
        for row, name in enumerate(names):
            if patterns.series[name].shape[1] >= LEAST_VOXELS:
                rdms[row] = DISTANCES[dissimilarity](patterns.series[name])
        tree = staged_tree(runtime.cwd)
        path = tree.path("brain_rdms", **inputs.entities, stat=f"{dissimilarity}distance")
        onsets = np.arange(n_volumes) * inputs.repetition_time + inputs.start_time
        descriptors = {"participant": inputs.entities["sub"], "run": inputs.entities["run"]}
        write_rdms(path, rdms, names, "region", onsets, descriptors, dissimilarity)
        quality = region_rows(patterns, inputs.entities["run"])
        described = {
            "CensoredVolumes": np.flatnonzero(design.censored),
            "Confounds": _confounds(design),
            "Regions": _described(quality),
        }
        write_json(sidecar(path), {**read_json(sidecar(path)), **described})
        self._write_carpet(tree, design, patterns, onsets)
        self._results |= {
            "staged": str(tree.root),
            "rdms": str(path),
            "autocorrelation": _write(runtime, "autocorrelation", self._autocorrelation(patterns)),
            "quality": _write(runtime, "quality", pd.DataFrame(quality)),
        }
        return runtime

    def _write_carpet(
        self, tree: OutputTree, design: NuisanceDesign, patterns: RegionPatterns, onsets: Floats
    ) -> None:
        confounds = read_confounds(Path(self.inputs.confounds))
        moved = confounds.get("framewise_displacement")
        table, columns = carpet_table(
            patterns.carpet,
            onsets,
            None if moved is None else moved.to_numpy(float),
            design.censored,
        )
        entities = {key: its for key, its in self.inputs.entities.items() if key != "space"}
        path = tree.path("participant_stats", **entities, desc="carpet")
        write_table(path, table, columns)

    def _autocorrelation(self, patterns: RegionPatterns) -> pd.DataFrame:
        inputs = self.inputs
        lags = whole_lags(inputs.lags_s, inputs.repetition_time)
        rows = [
            {
                "roi": name,
                "run": inputs.entities["run"],
                "lag_s": lag * inputs.repetition_time,
                "r": r,
                "note": _why_no_r(series.shape[1], r),
            }
            for name, series in patterns.series.items()
            for lag, r in zip(lags, autocorrelation(series, lags), strict=True)
        ]
        return pd.DataFrame(rows, columns=list(describe("autocorrelation", "participant")))


def _confounds(design: NuisanceDesign) -> dict[str, dict[str, object]]:
    """Name the regressors but for the intercept; CompCor components with mask and variance."""
    described = {
        name: {
            "Mask": design.provenance[name]["mask"],
            "VarianceExplained": design.provenance[name]["variance_explained"],
        }
        for name in design.provenance
    }
    return {name: described.get(name, {}) for name in design.names if name != "intercept"}


def _why_no_r(n_voxels: int, r: float) -> str | None:
    if np.isfinite(r):
        return None
    return notes.LAG_TOO_LONG if n_voxels else notes.NO_VOXELS


def denoised(
    bold: str,
    confounds: str,
    metadata: str,
    masks: Mapping[str, Bools],
    brain: Bools,
    spec: Denoise,
) -> tuple[NuisanceDesign, RegionPatterns]:
    """Read a run's voxels within masks as the analysis wants them: smoothed, denoised, censored."""
    design = nuisance_design(Path(confounds), Path(metadata), spec)
    width = spec.smoothing_fwhm_mm
    smoothing = Smoothing(width, brain) if width else None
    return design, region_patterns(Path(bold), masks, design, spec.scale, smoothing)


def _write(runtime: Bunch, name: str, rows: pd.DataFrame) -> str:
    """Write rows for the step that joins those of all runs."""
    path = Path(runtime.cwd) / f"{name}.tsv"
    rows.to_csv(path, sep="\t", index=False, na_rep="n/a")
    return str(path)


def _described(quality: Sequence[Row]) -> dict[str, Row]:
    """Name the rows of the quality table as sidecars do."""
    keys = {
        "n_voxels": "Voxels",
        "constant_voxels": "ConstantVoxelsDropped",
        "tsnr": "TSNR",
        "lag1_r": "Lag1Autocorrelation",
    }
    return {row["roi"]: {name: row[key] for key, name in keys.items()} for row in quality}
