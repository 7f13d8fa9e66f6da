"""The step that carries the user's own masks to a participant's movie runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nipype.interfaces.base import Bunch, SimpleInterface, traits

from bidsapp.analysis.spec import Hemisphere, MaskRegion, MaskRegions, Region
from bidsapp.arrays import Bools, Floats
from bidsapp.dataset.derivatives import OutputTree, write_image
from bidsapp.interfaces.masks import read_mask
from bidsapp.interfaces.regions import (
    RegionsInputSpec,
    RegionsOutputSpec,
    count_voxels,
    once_a_grid,
    provenance,
    results,
    transforms_of,
)
from bidsapp.interfaces.staging import staged_tree
from bidsapp.rois.masks import (
    RegionImage,
    RegionPart,
    carry_region,
    joined,
    parted_at_midline,
    read_region,
)
from bidsapp.rois.transforms import FMRIPREP_TEMPLATE, TemplateTransforms
from bidsapp.tables.regions import SIDES, whole_rows


class _MaskInputSpec(RegionsInputSpec):
    files = traits.Dict(
        mandatory=True,
        desc="region: side (L, R or both): path, space, label and source (BIDS URI) of its file",
    )


@dataclass(frozen=True)
class _Given:
    """One file of a region, and the way from its space to that of the output."""

    side: Hemisphere | None
    image: RegionImage
    described: dict[str, Any]
    transforms: TemplateTransforms


class MaskRegionMasks(SimpleInterface):
    """Carry regions from files to every movie run's grid; write the first run's masks."""

    input_spec = _MaskInputSpec
    output_spec = RegionsOutputSpec

    def _run_interface(self, runtime: Bunch) -> Bunch:
        spec = MaskRegions.model_validate(self.inputs.spec)
        brains = [read_mask(path) for path in self.inputs.movie_masks]
        tree = staged_tree(runtime.cwd)
        by_run: list[dict[str, Bools]] = [{} for _ in brains]
        whole: list[dict[str, int]] = [{} for _ in brains]
        n_voxels, flags = {}, {}
        for region in spec.regions:
            given = self._given(region)
            on_grids = once_a_grid([affine for _, affine in brains], self._carry(given))
            for part in region.named(self.inputs.hemispheres):
                name = part.name
                own = [_of(part, its) for its in on_grids]
                for i, (brain, _) in enumerate(brains):
                    by_run[i][name] = joined(own[i], brain.shape) & brain
                    whole[i][name] = sum(its.n_voxels for its in own[i])
                n_voxels[name] = dict.fromkeys(_sides(region, part), 0) | {
                    its.side: its.n_voxels for its in own[0]
                }
                flags[name] = _flags(region, part, given)
                if own[0]:
                    brain, affine = brains[0]
                    described = {"Voxels": whole[0][name], "Flags": flags[name]}
                    self._write(tree, part, joined(own[0], brain.shape), affine, given, described)
        counts = count_voxels(self.inputs.runs, by_run, whole)
        rows = whole_rows("mask", n_voxels, counts, spec.min_coverage, flags)
        self._results |= results(tree, runtime.cwd, by_run, rows, counts.rows(spec.min_coverage))
        return runtime

    def _given(self, region: MaskRegion) -> list[_Given]:
        """Read the region's files that this participant has."""
        return [
            _Given(
                None if side == "both" else side,
                read_region(Path(file["path"]), file["label"], region.threshold),
                file,
                transforms_of(self.inputs, file["space"]),
            )
            for side, file in self.inputs.files[region.name].items()
        ]

    def _carry(self, given: Sequence[_Given]) -> Callable[[Floats], list[RegionPart]]:
        def carry(affine: Floats) -> list[RegionPart]:
            parts = [
                RegionPart(its.side, *carry_region(its.image, its.transforms, affine))
                for its in given
            ]
            if self.inputs.hemispheres == "joined" or all(part.side for part in parts):
                return parts
            midline = transforms_of(self.inputs, FMRIPREP_TEMPLATE).to_native
            return [half for part in parts for half in parted_at_midline(part, midline)]

        return carry

    def _write(
        self,
        tree: OutputTree,
        part: Region,
        mask: Bools,
        affine: Floats,
        given: Sequence[_Given],
        described: dict[str, Any],
    ) -> None:
        used = [its for its in given if part.hemisphere in (None, its.side) or its.side is None]
        path = tree.path(
            "given_mask", **self.inputs.entities, hemi=part.hemisphere, label=part.label
        )
        metadata = {
            **self.inputs.metadata,
            "Sources": [its.described["source"] for its in used],
            "Type": "ROI",
            **described,
            "Files": [
                {
                    "Source": its.described["source"],
                    "Label": its.described["label"],
                    "Threshold": its.image.threshold,
                    "Interpolation": its.image.interpolation,
                    **provenance(its.transforms, its.described["space"]),
                }
                for its in used
            ],
        }
        write_image(path, mask, affine, metadata)


def _sides(region: MaskRegion, part: Region) -> tuple[Hemisphere | None, ...]:
    """Return the hemispheres that a region is to have a row for; None is both at once."""
    if part.hemisphere is not None:
        return (part.hemisphere,)
    return region.sides or (None,)


def _of(part: Region, parts: Sequence[RegionPart]) -> list[RegionPart]:
    return [its for its in parts if part.hemisphere in (None, its.side)]


def _flags(region: MaskRegion, part: Region, given: Sequence[_Given]) -> list[str]:
    """Say which of a region's files the participant lacks."""
    if not region.sides:
        return [] if given else ["no file of it"]
    there = {its.side for its in given}
    return [
        f"no file of the {SIDES[side]} hemisphere"
        for side in _sides(region, part)
        if side is not None and side not in there
    ]
