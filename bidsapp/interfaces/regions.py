"""What the steps that find regions have in common: inputs, outputs, grids of the movie runs."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    Bunch,
    Directory,
    File,
    TraitedSpec,
    isdefined,
    traits,
)

from bidsapp.arrays import Bools, Floats
from bidsapp.dataset.derivatives import OutputTree
from bidsapp.interfaces.masks import save_masks
from bidsapp.rois.transforms import TemplateTransforms, template_transforms
from bidsapp.tables.regions import Row, RunCounts, coverage_table, region_table

Carried = TypeVar("Carried")


class RegionsInputSpec(BaseInterfaceInputSpec):
    """What every such step needs."""

    spec = traits.Dict(mandatory=True, desc="the analysis file's functional, atlas or masks part")
    hemispheres = traits.Enum("joined", "separate", mandatory=True)
    transforms = traits.Dict(mandatory=True, desc="'from->to': ITK file")
    space = traits.Str(mandatory=True, desc="space of the BOLD")
    template_transform = File(exists=True, desc="atlas's template to MNI152NLin2009cAsym")
    allow_template_mismatch = traits.Bool(False, usedefault=True)
    runs = traits.List(traits.Str, mandatory=True, desc="movie runs")
    movie_masks = traits.List(
        File(exists=True), mandatory=True, desc="brain mask of each movie run"
    )
    entities = traits.Dict(mandatory=True, desc="BIDS entities of what is written")
    metadata = traits.Dict(mandatory=True, desc="SpatialReference and Sources")


class RegionsOutputSpec(TraitedSpec):
    """What every such step gives."""

    staged = Directory(exists=True)
    masks = traits.List(File(exists=True), desc="masks on the grid of each movie run")
    table = File(exists=True, desc="one row a region and hemisphere")
    coverage = File(exists=True, desc="rows: roi run coverage min_coverage")


def transforms_of(inputs: Bunch, template: str) -> TemplateTransforms:
    """Find the way between a template (or another space) and the space of the output."""
    bridge = inputs.template_transform
    return template_transforms(
        {name: Path(path) for name, path in inputs.transforms.items()},
        template,
        inputs.space,
        Path(bridge) if isdefined(bridge) else None,
        inputs.allow_template_mismatch,
    )


def provenance(transforms: TemplateTransforms, template: str) -> dict[str, Any]:
    """Say in a sidecar where a region comes from and which way it went."""
    return {
        "Template": template,
        "TemplateMatched": transforms.exact,
        "Transforms": [path.name for path in transforms.files],
        "Route": list(transforms.route),
    }


def once_a_grid(affines: Sequence[Floats], carry: Callable[[Floats], Carried]) -> list[Carried]:
    """Carry something to each run's grid; runs whose grids have one affine share it."""
    done: list[tuple[Floats, Carried]] = []
    carried = []
    for affine in affines:
        known = [its for other, its in done if np.allclose(other, affine, rtol=0, atol=1e-3)]
        if not known:
            known = [carry(affine)]
            done.append((affine, known[0]))
        carried.append(known[0])
    return carried


def count_voxels(
    runs: Sequence[str], inside: Sequence[Mapping[str, Bools]], whole: Sequence[Mapping[str, int]]
) -> RunCounts:
    """Count what of each region lies inside the brain of each run."""
    counts = [{name: int(mask.sum()) for name, mask in masks.items()} for masks in inside]
    return RunCounts(runs, counts, whole)


def results(
    tree: OutputTree,
    cwd: str,
    by_run: Sequence[Mapping[str, Bools]],
    rows: Sequence[Row],
    coverage: Sequence[Row],
) -> dict[str, Any]:
    """Save what goes on to the next steps; return the outputs of the step."""
    masks = [save_masks(Path(cwd) / f"run_{i}.npz", masks) for i, masks in enumerate(by_run)]
    table, shares = Path(cwd) / "regions.tsv", Path(cwd) / "coverage.tsv"
    region_table(rows).to_csv(table, sep="\t", index=False, na_rep="n/a")
    coverage_table(coverage).to_csv(shares, sep="\t", index=False)
    return {
        "staged": str(tree.root),
        "masks": [str(path) for path in masks],
        "table": str(table),
        "coverage": str(shares),
    }
