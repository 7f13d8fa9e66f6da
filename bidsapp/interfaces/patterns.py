"""The steps from a movie run's BOLD to the RDM of every region, and what is said of them."""

from collections.abc import Mapping, Sequence
from functools import partial
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
    Denoised,
    RegionPatterns,
    Smoothing,
    autocorrelation,
    region_patterns,
    whole_lags,
)
from bidsapp.confounds import read_confounds
from bidsapp.dataset.derivatives import (
    ROBUST_RDMS,
    NoiseRemoved,
    OutputTree,
    read_json,
    sidecar,
    write_json,
    write_rdms,
    write_table,
)
from bidsapp.interfaces.film_volumes import robust_volumes
from bidsapp.interfaces.masks import load_masks, read_mask
from bidsapp.interfaces.staging import staged_tree
from bidsapp.rsa.expected_noise import noise_template, remove_noise_template
from bidsapp.rsa.pairs import lag_in_volumes, lagged_pairs
from bidsapp.rsa.rdm import DISTANCES, LEAST_VOXELS, volume_defined
from bidsapp.tables import notes
from bidsapp.tables.carpet import carpet_table
from bidsapp.tables.columns import describe
from bidsapp.tables.quality import Row, region_rows

_NOISE_REMOVED = (
    "Over the pairs of volumes that the robust mode compares, what AR(1) noise with the region's "
    "Lag1Autocorrelation is expected to have after the nuisance regression was regressed out, as "
    "far as it does not depend on the time between the volumes alone. Group noise_removed of the "
    "HDF5 file: basis, an orthonormal basis of the nuisance regressors (a row a volume, NaN where "
    "it took no part), and lag1_r of each region"
)


class _BrainRDMsInputSpec(BaseInterfaceInputSpec):
    bold = File(exists=True, mandatory=True)
    confounds = File(exists=True, mandatory=True)
    confounds_metadata = File(exists=True, mandatory=True)
    mask = File(exists=True, mandatory=True, desc="this run's brain mask")
    masks = traits.List(File(exists=True), mandatory=True, desc="region masks on this run's grid")
    repetition_time = traits.Float(mandatory=True, desc="s")
    start_time = traits.Float(mandatory=True, desc="s")
    denoise = traits.Dict(mandatory=True, desc="the analysis file's denoise part")
    film_volumes = traits.Dict(mandatory=True, desc="see bidsapp.interfaces.film_volumes")
    min_lag_s = traits.Float(mandatory=True, desc="least lag of robust's pairs")
    dissimilarity = traits.Str(mandatory=True, desc="of two volumes' patterns")
    lags_s = traits.List(traits.Float, mandatory=True, desc="lags of the autocorrelation")
    entities = traits.Dict(mandatory=True, desc="BIDS entities of the RDM file")


class _BrainRDMsOutputSpec(TraitedSpec):
    staged = Directory(exists=True)
    rdms = File(exists=True)
    robust_rdms = File(exists=True, desc="denoised on the volumes that the robust mode uses")
    autocorrelation = File(exists=True, desc="rows: roi run lag_s r")
    quality = File(exists=True, desc="rows of the regions' quality in this run")


class BrainRDMs(SimpleInterface):
    """Read a run's BOLD once, denoise the regions' voxels, write one RDM a region and mode."""

    input_spec = _BrainRDMsInputSpec
    output_spec = _BrainRDMsOutputSpec

    def _run_interface(self, runtime: Bunch) -> Bunch:
        inputs = self.inputs
        spec = Denoise.model_validate(inputs.denoise)
        brain, _ = read_mask(inputs.mask)
        design = nuisance_design(Path(inputs.confounds), Path(inputs.confounds_metadata), spec)
        n_volumes = len(design.matrix)
        in_robust = robust_volumes(inputs.film_volumes, n_volumes)
        used = design.with_residual(in_robust & ~design.censored)
        masks = load_masks(inputs.masks)
        patterns = denoised(inputs.bold, design, masks, brain, spec, used)
        tree = staged_tree(runtime.cwd)
        onsets = np.arange(n_volumes) * inputs.repetition_time + inputs.start_time
        quality = region_rows(patterns, inputs.entities["run"])
        dissimilarity: Dissimilarity = inputs.dissimilarity
        robust = rdms_of(patterns.robust, n_volumes, dissimilarity)
        basis = design.basis_everywhere(used)
        lag1_r = self._remove_noise(robust, patterns.robust, basis)
        write = partial(self._write_rdms, tree, list(masks), onsets)
        described = {
            "CensoredVolumes": np.flatnonzero(design.censored),
            "Confounds": _confounds(design),
        }
        rdms = write(
            rdms_of(patterns.replicate, n_volumes, dissimilarity),
            described | {"Regions": _described(quality)},
            None,
        )
        removed = NoiseRemoved(basis, np.array([lag1_r.get(name, np.nan) for name in masks]))
        robust_rdms = write(
            robust,
            described
            | {
                "VolumesLeftOut": np.flatnonzero(~in_robust),
                "VolumesFittedExactly": np.flatnonzero(in_robust & ~design.censored & ~used),
                "Regions": _described_in_robust(patterns.robust, lag1_r),
                "NoiseRemoved": _NOISE_REMOVED,
                "NonNegative": "Values may be negative, since expected noise was regressed out",
            },
            ROBUST_RDMS,
            removed,
        )
        self._write_carpet(tree, design, patterns, onsets)
        self._results |= {
            "staged": str(tree.root),
            "rdms": rdms,
            "robust_rdms": robust_rdms,
            "autocorrelation": _write(runtime, "autocorrelation", self._autocorrelation(patterns)),
            "quality": _write(runtime, "quality", pd.DataFrame(quality)),
        }
        return runtime

    def _remove_noise(self, rdms: Floats, patterns: Denoised, basis: Floats) -> dict[str, float]:
        """Regress out of robust's RDMs what denoised noise alone is expected to have, in place.

        ``basis`` is that of the regressors, NaN in volumes that took no part. Returns the
        autocorrelation that each region's noise was taken to have; regions without RDM are absent.
        """
        inputs = self.inputs
        min_lag = lag_in_volumes(inputs.min_lag_s, inputs.repetition_time)
        lag1_r = {}
        for rdm, (name, series) in zip(rdms, patterns.series.items(), strict=True):
            pairs = lagged_pairs(len(series), min_lag, defined=volume_defined(rdm))
            if not pairs.n_pairs:
                continue
            own_basis, _ = np.linalg.qr(basis[pairs.kept])
            (lag1_r[name],) = autocorrelation(series, [1])
            template = noise_template(pairs, own_basis, lag1_r[name], inputs.dissimilarity)
            remove_noise_template(rdm, pairs, template)
        return lag1_r

    def _write_rdms(
        self,
        tree: OutputTree,
        names: Sequence[str],
        onsets: Floats,
        rdms: Floats,
        described: Mapping[str, object],
        desc: str | None,
        noise_removed: NoiseRemoved | None = None,
    ) -> str:
        """Write the RDMs of one mode, and what is said of them; return their file."""
        inputs = self.inputs
        dissimilarity: Dissimilarity = inputs.dissimilarity
        stat = f"{dissimilarity}distance"
        path = tree.path("brain_rdms", **inputs.entities, stat=stat, desc=desc)
        descriptors = {"participant": inputs.entities["sub"], "run": inputs.entities["run"]}
        write_rdms(
            path,
            rdms,
            names,
            "region",
            onsets,
            descriptors,
            dissimilarity,
            noise_removed=noise_removed,
        )
        write_json(sidecar(path), {**read_json(sidecar(path)), **described})
        return str(path)

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
            for name, series in patterns.replicate.series.items()
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
    design: NuisanceDesign,
    masks: Mapping[str, Bools],
    brain: Bools,
    spec: Denoise,
    used: Bools | None = None,
) -> RegionPatterns:
    """Read a run's voxels within masks as the analysis wants them: smoothed, denoised, censored."""
    width = spec.smoothing_fwhm_mm
    smoothing = Smoothing(width, brain) if width else None
    return region_patterns(Path(bold), masks, design, spec.scale, smoothing, used)


def rdms_of(patterns: Denoised, n_volumes: int, dissimilarity: Dissimilarity) -> Floats:
    """RDM of each region, (n_regions, n_pairs); NaN for one with too few voxels."""
    rdms = np.full((len(patterns.series), n_volumes * (n_volumes - 1) // 2), np.nan, np.float32)
    for rdm, series in zip(rdms, patterns.series.values(), strict=True):
        if series.shape[1] >= LEAST_VOXELS:
            rdm[:] = DISTANCES[dissimilarity](series)
    return rdms


def _write(runtime: Bunch, name: str, rows: pd.DataFrame) -> str:
    """Write rows for the step that joins those of all runs."""
    path = Path(runtime.cwd) / f"{name}.tsv"
    rows.to_csv(path, sep="\t", index=False, na_rep="n/a")
    return str(path)


def _described_in_robust(patterns: Denoised, lag1_r: Mapping[str, float]) -> dict[str, Row]:
    return {
        name: {"Voxels": series.shape[1], "Lag1Autocorrelation": lag1_r.get(name)}
        for name, series in patterns.series.items()
    }


def _described(quality: Sequence[Row]) -> dict[str, Row]:
    """Name the rows of the quality table as sidecars do."""
    keys = {
        "n_voxels": "Voxels",
        "constant_voxels": "ConstantVoxelsDropped",
        "tsnr": "TSNR",
        "lag1_r": "Lag1Autocorrelation",
    }
    return {row["roi"]: {name: row[key] for key, name in keys.items()} for row in quality}
