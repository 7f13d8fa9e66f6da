"""The steps that find regions and carry them to the grid of every movie run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from nibabel import Nifti1Image
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

from bidsapp.analysis.spec import AtlasRegions, FunctionalRegions
from bidsapp.arrays import Bools, Floats
from bidsapp.dataset.atlas import open_atlas
from bidsapp.dataset.derivatives import write_image, write_segmentation
from bidsapp.interfaces.masks import read_mask, save_masks
from bidsapp.interfaces.staging import staged_tree
from bidsapp.rois.atlas import AtlasLabels, atlas_regions, carry_atlas
from bidsapp.rois.functional import FoundRegion, carry_regions, find_regions, native_priors
from bidsapp.rois.images import same_grid
from bidsapp.rois.transforms import TemplateTransforms, template_transforms
from bidsapp.tables.regions import atlas_rows, fewest_voxels, functional_rows, region_table


class _RegionsInputSpec(BaseInterfaceInputSpec):
    spec = traits.Dict(mandatory=True, desc="the analysis file's functional or atlas part")
    transforms = traits.Dict(mandatory=True, desc="'from->to': ITK file")
    space = traits.Str(mandatory=True, desc="space of the BOLD")
    template_transform = File(exists=True, desc="atlas's template to MNI152NLin2009cAsym")
    allow_template_mismatch = traits.Bool(False, usedefault=True)
    movie_masks = traits.List(
        File(exists=True), mandatory=True, desc="brain mask of each movie run"
    )
    entities = traits.Dict(mandatory=True, desc="BIDS entities of what is written")
    metadata = traits.Dict(mandatory=True, desc="SpatialReference and Sources")


class _RegionsOutputSpec(TraitedSpec):
    staged = Directory(exists=True)
    masks = traits.List(File(exists=True), desc="masks on the grid of each movie run")
    table = File(exists=True, desc="one row a region and hemisphere")


class _FunctionalInputSpec(_RegionsInputSpec):
    t_maps = traits.Dict(mandatory=True, desc="contrast: file")
    z_maps = traits.Dict(mandatory=True, desc="contrast: file")
    mask = File(exists=True, mandatory=True, desc="brain mask of the localizer")


class FunctionalRegionMasks(SimpleInterface):
    """Find category-selective regions on the localizer's grid and on every movie run's."""

    input_spec = _FunctionalInputSpec
    output_spec = _RegionsOutputSpec

    def _run_interface(self, runtime: Bunch) -> Bunch:
        spec = FunctionalRegions.model_validate(self.inputs.spec)
        transforms = _transforms(self.inputs, spec.template)
        t_maps, z_maps = _read_maps(self.inputs.t_maps), _read_maps(self.inputs.z_maps)
        brain, affine = read_mask(self.inputs.mask)
        priors = native_priors(spec, transforms.to_template)
        found = find_regions(t_maps, z_maps, brain, affine, priors, spec)

        def on_grid(mask: Bools, grid_affine: Floats) -> list[FoundRegion]:
            one_grid = same_grid(brain.shape, affine, mask.shape, grid_affine)
            if one_grid and np.array_equal(mask, brain):
                return found
            return carry_regions(found, t_maps, affine, mask, grid_affine, priors, spec)

        tree = staged_tree(runtime.cwd)
        metadata = {**self.inputs.metadata, **_provenance(transforms, spec.template)}
        for region in found:
            self._write(
                tree.path(
                    "region_mask",
                    **self.inputs.entities,
                    label=region.name,
                    desc=f"top{spec.voxels}",
                ),
                region,
                affine,
                metadata,
            )
        by_run = [
            {region.name: region.mask for region in on_grid(*read_mask(path))}
            for path in self.inputs.movie_masks
        ]
        rows = functional_rows(found, spec, fewest_voxels(by_run))
        self._results |= {
            "staged": str(tree.root),
            "masks": _save(by_run, runtime.cwd),
            "table": _write_rows(runtime.cwd, region_table(rows)),
        }
        return runtime

    @staticmethod
    def _write(
        path: Path, region: FoundRegion, affine: Floats, metadata: Mapping[str, Any]
    ) -> None:
        peaks = [
            {
                "Hemisphere": peak.hemisphere,
                "SearchCentre": peak.centre_mm,
                "Peak": peak.mm,
                "Units": "mm",
                "T": peak.t,
                "Z": peak.z,
            }
            for peak in region.peaks
        ]
        described = {
            **metadata,
            "Type": "ROI",
            "Voxels": dict(region.n_voxels),
            "Peaks": peaks,
            "Flags": list(region.flags),
        }
        write_image(path, region.mask, affine, described)


class _AtlasInputSpec(_RegionsInputSpec):
    atlas_dir = Directory(exists=True, mandatory=True, desc="the atlas's own download")


class AtlasRegionMasks(SimpleInterface):
    """Carry the probabilistic atlas to every movie run's grid; write the first run's labels."""

    input_spec = _AtlasInputSpec
    output_spec = _RegionsOutputSpec

    def _run_interface(self, runtime: Bunch) -> Bunch:
        spec = AtlasRegions.model_validate(self.inputs.spec)
        transforms = _transforms(self.inputs, spec.template)
        atlas = open_atlas(Path(self.inputs.atlas_dir))
        grids: list[tuple[Bools, Floats, AtlasLabels]] = []
        by_run = []
        for path in self.inputs.movie_masks:
            brain, affine = read_mask(path)
            labels = next(
                (
                    known
                    for mask, other, known in grids
                    if same_grid(mask.shape, other, brain.shape, affine)
                ),
                None,
            )
            if labels is None:
                carried = carry_atlas(atlas.files, transforms.to_native, brain.shape, affine)
                labels = atlas_regions(carried, atlas.labels, spec.regions)
                grids.append((brain, affine, labels))
            by_run.append({name: labels.mask(name) & brain for name in labels.regions})
        tree = staged_tree(runtime.cwd)
        brain, affine, labels = grids[0]
        metadata = {**self.inputs.metadata, **_provenance(transforms, spec.template)}
        path = tree.path("atlas_dseg", **self.inputs.entities, atlas=spec.name)
        write_segmentation(path, labels.dseg, affine, labels.regions, metadata)
        rows = atlas_rows(labels, brain, fewest_voxels(by_run))
        self._results |= {
            "staged": str(tree.root),
            "masks": _save(by_run, runtime.cwd),
            "table": _write_rows(runtime.cwd, region_table(rows)),
        }
        return runtime


def _transforms(inputs: Bunch, template: str) -> TemplateTransforms:
    bridge = inputs.template_transform
    return template_transforms(
        {name: Path(path) for name, path in inputs.transforms.items()},
        template,
        inputs.space,
        Path(bridge) if isdefined(bridge) else None,
        inputs.allow_template_mismatch,
    )


def _provenance(transforms: TemplateTransforms, template: str) -> dict[str, Any]:
    return {
        "Template": template,
        "TemplateMatched": transforms.exact,
        "Transforms": [path.name for path in transforms.files],
    }


def _save(by_run: Sequence[Mapping[str, Bools]], cwd: str) -> list[str]:
    return [str(save_masks(Path(cwd) / f"run_{i}.npz", masks)) for i, masks in enumerate(by_run)]


def _read_maps(paths: Mapping[str, str]) -> dict[str, Floats]:
    """Read maps; zero is what the model writes where it measured nothing, and becomes NaN."""
    maps = {name: Nifti1Image.from_filename(path).get_fdata() for name, path in paths.items()}
    return {name: np.where(values == 0, np.nan, values) for name, values in maps.items()}


def _write_rows(cwd: str, table: pd.DataFrame) -> str:
    path = Path(cwd) / "regions.tsv"
    table.to_csv(path, sep="\t", index=False, na_rep="n/a")
    return str(path)
