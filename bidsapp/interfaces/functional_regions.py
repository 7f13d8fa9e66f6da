"""The step that cuts category-selective regions from the localizer's maps."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from nibabel import Nifti1Image
from nipype.interfaces.base import Bunch, File, SimpleInterface, traits

from bidsapp.analysis.spec import FunctionalRegions
from bidsapp.arrays import Bools, Floats
from bidsapp.dataset.derivatives import STANDARD_SPACES, write_image
from bidsapp.interfaces.masks import read_mask
from bidsapp.interfaces.regions import (
    RegionsInputSpec,
    RegionsOutputSpec,
    provenance,
    results,
    transforms_of,
)
from bidsapp.interfaces.staging import staged_tree
from bidsapp.rois.functional import FoundRegion, carry_regions, find_regions, native_priors
from bidsapp.rois.images import count_inside, same_grid
from bidsapp.rois.template import AFFINE, mask_in_template
from bidsapp.rois.transforms import carry_points
from bidsapp.tables.regions import RunCounts, functional_rows


class _FunctionalInputSpec(RegionsInputSpec):
    t_maps = traits.Dict(mandatory=True, desc="contrast: file")
    z_maps = traits.Dict(mandatory=True, desc="contrast: file")
    mask = File(exists=True, mandatory=True, desc="brain mask of the localizer")


class FunctionalRegionMasks(SimpleInterface):
    """Find category-selective regions on the localizer's grid and on every movie run's."""

    input_spec = _FunctionalInputSpec
    output_spec = RegionsOutputSpec

    def _run_interface(self, runtime: Bunch) -> Bunch:
        given = FunctionalRegions.model_validate(self.inputs.spec)
        spec = given.parted(self.inputs.hemispheres)
        transforms = transforms_of(self.inputs, spec.template)
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
        metadata = {**self.inputs.metadata, **provenance(transforms, spec.template)}
        names = given.named(self.inputs.hemispheres)
        for region, name in zip(found, names, strict=True):
            path = tree.path(
                "region_mask",
                **self.inputs.entities,
                hemi=name.hemisphere,
                label=name.label,
                desc=f"top{region.wanted}",
            )
            described = {**metadata, "SphereRadius": spec.sphere_of(region.name)}
            self._write(path, region, affine, described)
            if spec.template != self.inputs.space and spec.template in STANDARD_SPACES:
                there = {"space": spec.template, "hemi": name.hemisphere, "label": name.label}
                there |= {"desc": f"top{region.wanted}"}
                _write_in_template(
                    tree.path("region_mask", **(self.inputs.entities | there)),
                    mask_in_template(region.mask, affine, transforms.to_template),
                    metadata,
                )
        movie = [read_mask(path) for path in self.inputs.movie_masks]
        by_run = [{region.name: region.mask for region in on_grid(*grid)} for grid in movie]
        fewest = {
            region.name: min(int(masks[region.name].sum()) for masks in by_run) for region in found
        }
        rows = functional_rows(found, fewest, partial(carry_points, transforms.to_native))
        # A run that cuts a region off has other voxels of its sphere instead: as many, but weaker.
        inside = [
            {its.name: count_inside(its.mask, affine, *grid) for its in found} for grid in movie
        ]
        whole = {region.name: int(region.mask.sum()) for region in found}
        counts = RunCounts(self.inputs.runs, inside, [whole] * len(movie))
        coverage = counts.rows(spec.min_coverage)
        self._results |= results(tree, runtime.cwd, by_run, rows, coverage)
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
            "SearchCoverage": dict(region.coverage),
            "Flags": list(region.flags),
        }
        write_image(path, region.mask, affine, described)


def _write_in_template(path: Path, mask: Bools, metadata: Mapping[str, Any]) -> None:
    """Write a mask for the group's figure; results are made from the participant's own."""
    described = {key: its for key, its in metadata.items() if key != "SpatialReference"}
    write_image(path, mask, AFFINE, {**described, "Type": "ROI"})


def _read_maps(paths: Mapping[str, str]) -> dict[str, Floats]:
    """Read maps; zero is what the model writes where it measured nothing, and becomes NaN."""
    maps = {name: Nifti1Image.from_filename(path).get_fdata() for name, path in paths.items()}
    return {name: np.where(values == 0, np.nan, values) for name, values in maps.items()}
