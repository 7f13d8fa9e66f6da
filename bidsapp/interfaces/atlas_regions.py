"""The step that carries the probabilistic atlas to a participant."""

from pathlib import Path

from nipype.interfaces.base import Bunch, Directory, SimpleInterface

from bidsapp.analysis.spec import AtlasRegions
from bidsapp.arrays import Floats
from bidsapp.dataset.atlas import open_atlas
from bidsapp.dataset.derivatives import write_segmentation
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
from bidsapp.rois.atlas import AtlasLabels, area_number, atlas_regions, carry_atlas, read_atlas
from bidsapp.rois.boxes import Box
from bidsapp.rois.transforms import carry_points
from bidsapp.tables.regions import whole_rows

_MARGIN_MM = 9.0  # of every third point of the atlas, and of transforms there and back


class _AtlasInputSpec(RegionsInputSpec):
    atlas_dir = Directory(exists=True, mandatory=True, desc="the atlas's own download")


class AtlasRegionMasks(SimpleInterface):
    """Carry the probabilistic atlas to every movie run's grid; write the first run's labels."""

    input_spec = _AtlasInputSpec
    output_spec = RegionsOutputSpec

    def _run_interface(self, runtime: Bunch) -> Bunch:
        spec = AtlasRegions.model_validate(self.inputs.spec)
        transforms = transforms_of(self.inputs, spec.template)
        names = open_atlas(Path(self.inputs.atlas_dir))
        atlas = read_atlas(names.files)
        wanted = [area_number(names.labels, area) for area in spec.regions]
        extent = carry_points(transforms.to_template, atlas.extent_mm(wanted))

        def carry(affine: Floats) -> tuple[Box, AtlasLabels]:
            """Label the part of a grid that holds the areas asked for, cut off or not."""
            box = Box.around(extent, affine, _MARGIN_MM)
            carried = carry_atlas(atlas, transforms.to_native, box.shape, box.affine)
            return box, atlas_regions(carried, names.labels, spec.regions, self.inputs.hemispheres)

        brains = [read_mask(path) for path in self.inputs.movie_masks]
        on_grids = once_a_grid([affine for _, affine in brains], carry)
        by_run = [
            {name: box.place(labels.mask(name), brain.shape) & brain for name in labels.regions}
            for (brain, _), (box, labels) in zip(brains, on_grids, strict=True)
        ]
        whole = [
            {name: sum(of_sides.values()) for name, of_sides in labels.n_voxels.items()}
            for _, labels in on_grids
        ]
        tree = staged_tree(runtime.cwd)
        (brain, affine), (box, labels) = brains[0], on_grids[0]
        metadata = {**self.inputs.metadata, **provenance(transforms, spec.template)}
        path = tree.path("atlas_dseg", **self.inputs.entities, atlas=spec.name)
        dseg = box.place(labels.dseg, brain.shape)
        write_segmentation(path, dseg, affine, labels.regions, metadata)
        counts = count_voxels(self.inputs.runs, by_run, whole)
        rows = whole_rows("atlas", labels.n_voxels, counts, spec.min_coverage)
        self._results |= results(tree, runtime.cwd, by_run, rows, counts.rows(spec.min_coverage))
        return runtime
