"""The step that scores models in a sphere round every voxel, and writes maps of r."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    Bunch,
    Directory,
    File,
    SimpleInterface,
    TraitedSpec,
    isdefined,
    traits,
)
from threadpoolctl import threadpool_limits

from bidsapp.analysis.spec import Analysis
from bidsapp.arrays import Bools, Floats, Ints
from bidsapp.brain.denoise import nuisance_design
from bidsapp.brain.patterns import autocorrelation
from bidsapp.dataset.derivatives import desc_labels, read_rdms, write_image
from bidsapp.interfaces.film_volumes import robust_volumes, volumes_from_plain
from bidsapp.interfaces.masks import load_masks, read_mask
from bidsapp.interfaces.patterns import denoised
from bidsapp.interfaces.staging import staged_tree
from bidsapp.interfaces.study import check_clock, read_models
from bidsapp.rsa.rdm import n_volumes_of
from bidsapp.rsa.searchlight import Sphering, VoxelRun, searchlight
from bidsapp.tables.scores import layer_columns

_BRAIN = "brain"
_SAMPLED = 2000  # voxels that tell the autocorrelation


class _SearchlightInputSpec(BaseInterfaceInputSpec):
    analysis = traits.Dict(mandatory=True, desc="the analysis")
    model_rdms = traits.Dict(mandatory=True, desc="run: list of files, of the mapped models")
    bold = traits.Dict(mandatory=True, desc="run: file")
    mask = traits.Dict(mandatory=True, desc="run: brain mask")
    confounds = traits.Dict(mandatory=True, desc="run: file")
    confounds_metadata = traits.Dict(mandatory=True, desc="run: file")
    film_volumes = traits.Dict(mandatory=True, desc="run: see bidsapp.interfaces.film_volumes")
    start_time = traits.Dict(mandatory=True, desc="run: s")
    repetition_time = traits.Float(mandatory=True, desc="s")
    region_masks = traits.List(File(exists=True), desc="on the first run's grid; none: all voxels")
    entities = traits.Dict(mandatory=True, desc="BIDS entities of the maps")
    metadata = traits.Dict(mandatory=True, desc="SpatialReference and Sources")
    n_threads = traits.Int(1, usedefault=True, nohash=True)


class _SearchlightOutputSpec(TraitedSpec):
    staged = Directory(exists=True)


class SearchlightMaps(SimpleInterface):
    """Read all voxels of all runs, denoise them, and map how well each model predicts spheres."""

    input_spec = _SearchlightInputSpec
    output_spec = _SearchlightOutputSpec

    def _run_interface(self, runtime: Bunch) -> Bunch:
        inputs = self.inputs
        analysis = Analysis.model_validate(inputs.analysis)
        spec = analysis.searchlight
        names = [film.run for film in analysis.movie.runs if film.run in inputs.bold]
        columns = _layers(analysis, inputs.model_rdms[names[0]])
        how = Sphering(
            radius_mm=spec.radius_mm,
            dissimilarity=analysis.dissimilarity.brain,
            mode=spec.mode,
            fit=spec.fit,
            penalties=analysis.robust.penalties,
            min_lag_s=analysis.robust.min_lag_s,
        )
        brain, affine = read_mask(inputs.mask[names[0]])
        where = centres(self._centres_mask(brain), spec.stride)
        with threadpool_limits(1):  # threads work on spheres instead
            r = searchlight(
                [self._run(analysis, name) for name in names],
                _to_mm(where, affine),
                columns,
                how,
                inputs.n_threads,
            )
        tree = staged_tree(runtime.cwd)
        labels = desc_labels((*analysis.models, *spec.names))
        for name, values in zip(columns, r, strict=True):
            path = tree.path("searchlight_map", **inputs.entities, stat="r", desc=labels[name])
            image, image_affine = _as_image(values, where, brain.shape, affine, spec.stride)
            said = _described(analysis, name, values)
            write_image(path, image, image_affine, {**inputs.metadata, **said})
        self._results["staged"] = str(tree.root)
        return runtime

    def _centres_mask(self, brain: Bools) -> Bools:
        """Voxels of the first run round which there are spheres."""
        if not isdefined(self.inputs.region_masks):
            return brain
        masks = load_masks(self.inputs.region_masks)
        union: Bools = np.logical_or.reduce(list(masks.values())) & brain
        return union

    def _run(self, analysis: Analysis, name: str) -> VoxelRun:
        """Read one run's voxels and the RDMs of the models that are mapped."""
        inputs = self.inputs
        brain, affine = read_mask(inputs.mask[name])
        confounds, metadata = inputs.confounds[name], inputs.confounds_metadata[name]
        design = nuisance_design(Path(confounds), Path(metadata), analysis.denoise)
        volumes = inputs.film_volumes[name]
        if analysis.searchlight.mode == "robust":
            in_robust = robust_volumes(volumes, len(design.matrix)) & ~design.censored
            design = design.leaving_out(~design.with_residual(in_robust))
        patterns = denoised(
            inputs.bold[name], design, {_BRAIN: brain}, brain, analysis.denoise
        ).replicate
        series = patterns.series[_BRAIN]
        some = series[:, :: max(1, series.shape[1] // _SAMPLED)]
        paths = [Path(path) for path in inputs.model_rdms[name]]
        files = read_models(paths, len(volumes["covered"]))
        models = np.concatenate([file.rdms for file in files])
        n_volumes = n_volumes_of(models.shape[1])
        onsets = np.arange(len(design.matrix)) * inputs.repetition_time + inputs.start_time[name]
        check_clock(Path(inputs.bold[name]), onsets, paths[0], files[0].onsets_s)
        return VoxelRun(
            run=name,
            series=_of_length(series.T, n_volumes),
            positions_mm=_to_mm(np.argwhere(patterns.voxels[_BRAIN]), affine),
            models=models,
            repetition_time=inputs.repetition_time,
            film=volumes_from_plain(volumes),
            basis=_of_length(design.basis_everywhere(~design.censored).T, n_volumes).T,
            lag1_r=float(autocorrelation(some, [1])[0]),
        )


def centres(mask: Bools, stride: int) -> Ints:
    """Return every ``stride``-th voxel of a grid, along each axis, that is in a mask: (n, 3)."""
    return np.argwhere(mask[::stride, ::stride, ::stride]) * stride


def _layers(analysis: Analysis, model_files: Sequence[str]) -> dict[str, slice]:
    """Say which RDMs each map's prediction is made of, by the map's name."""
    layers = {
        model: read_rdms(Path(path)).names
        for model, path in zip(analysis.mapped_models, model_files, strict=True)
    }
    columns = layer_columns(layers)
    each = {
        f"{model} {layer}": slice(i, i + 1)
        for model, names in layers.items()
        for i, layer in enumerate(names, columns[model].start)
    }
    return {name: (columns | each)[name] for name in analysis.searchlight.names}


def _to_mm(voxels: Ints, affine: Floats) -> Floats:
    moved: Floats = voxels @ affine[:3, :3].T + affine[:3, 3]
    return moved


def _of_length(series: Floats, n_volumes: int) -> Floats:
    """Cut (n_voxels, n) series to the models' volumes, or fill them up with undefined ones."""
    whole = np.full((len(series), n_volumes), np.nan, np.float32)
    both = min(n_volumes, series.shape[1])
    whole[:, :both] = series[:, :both]
    return whole


def _as_image(
    values: Floats, where: Ints, shape: Sequence[int], affine: Floats, stride: int
) -> tuple[Floats, Floats]:
    """Put values at their voxels, on a grid of every ``stride``-th voxel; NaN elsewhere."""
    image = np.full([-(-n // stride) for n in shape], np.nan, np.float32)
    image[tuple((where // stride).T)] = values
    return image, affine @ np.diag([stride, stride, stride, 1])


def _described(analysis: Analysis, name: str, values: Floats) -> Mapping[str, Any]:
    model, _, layer = name.partition(" ")
    spec = analysis.searchlight
    return {
        "Description": (
            "Mean over runs left out of Pearson's r of the predicted and the measured RDM of the "
            "voxels in a sphere round each voxel; NaN where there is no sphere"
        ),
        "Model": model,
        "Layers": layer or "all",
        "Mode": spec.mode,
        "Fit": spec.fit,
        "Radius": spec.radius_mm,
        "RadiusUnits": "mm",
        "Stride": spec.stride,
        "Spheres": int(np.isfinite(values).sum()),
    }
