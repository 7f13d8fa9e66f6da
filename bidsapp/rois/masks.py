"""Regions from the user's own images, carried to the grid of a run.

A mask, or one label of a dseg, is carried by nearest neighbour: sizes are kept on average, thin
parts do not vanish, and neighbouring labels never overlap. A map with a threshold is carried
linearly and cut after that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import SimpleITK
from scipy.ndimage import binary_erosion

from bidsapp.analysis.spec import Hemisphere
from bidsapp.arrays import Bools, Floats
from bidsapp.errors import InputError
from bidsapp.rois.boxes import Box
from bidsapp.rois.images import open_volume, read_data
from bidsapp.rois.transforms import Shape, TemplateTransforms, carry_image, carry_points

_MARGIN_MM = 6.0  # transforms there and back do not meet to the millimetre


@dataclass(frozen=True)
class RegionImage:
    """A region on the grid of its file: the voxels whose value is at least `threshold`.

    Attributes
    ----------
    values
        (x, y, z) float32; 0 and 1 of a mask or label.
    affine
        (4, 4), voxels to RAS mm of the file's space.
    threshold
        Least value inside.
    interpolation
        How `values` are carried.
    """

    values: Floats
    affine: Floats
    threshold: float
    interpolation: Literal["linear", "nearest"]

    @property
    def inside(self) -> Bools:
        """Voxels of the region, (x, y, z)."""
        inside: Bools = self.values >= self.threshold
        return inside


def read_region(
    path: Path, label: int | None = None, threshold: float | None = None
) -> RegionImage:
    """Read a mask; or one label of a dseg; or a map, which is cut at a threshold.

    Raises
    ------
    InputError
        The file cannot be read, holds several volumes or values that are not finite, is a dseg
        with fractions, or a mask with several values.
    """
    image = open_volume(path)
    values = read_data(image, path)
    if not np.isfinite(values).all():
        raise InputError(f"{path} has values that are not finite: make it again")
    if threshold is not None:
        return RegionImage(values, image.affine, threshold, "linear")
    if label is not None:
        if (values != np.rint(values)).any():
            raise InputError(
                f"{path} has values that are not whole numbers, so it is no dseg with labels: take "
                "out the label, or give a threshold"
            )
        values = (values == label).astype(np.float32)
    elif np.unique(values[values != 0]).size > 1 or (values < 0).any():
        raise InputError(
            f"{path} has several values besides 0, so it is no mask: give a label if it is a dseg, "
            "or a threshold if it is a map"
        )
    return RegionImage((values != 0).astype(np.float32), image.affine, 0.5, "nearest")


def carry_region(
    region: RegionImage, transforms: TemplateTransforms, affine: Floats
) -> tuple[Box, Bools]:
    """Carry a region to the grid of a run, also where the run's image does not reach.

    Parameters
    ----------
    region
        In the space of its file.
    transforms
        From that space to the run's.
    affine
        (4, 4) of the run's grid.

    Returns
    -------
    Box, Bools
        Part of the run's grid that holds the whole region, and the region there.
    """
    inside = region.inside
    surface = np.argwhere(inside & ~binary_erosion(inside))
    points = surface @ region.affine[:3, :3].T + region.affine[:3, 3]
    box = Box.around(carry_points(transforms.to_template, points), affine, _MARGIN_MM)
    carried = carry_image(
        region.values,
        region.affine,
        transforms.to_native,
        box.shape,
        box.affine,
        region.interpolation,
    )
    return box, carried >= region.threshold


@dataclass(frozen=True)
class RegionPart:
    """A region, or its part in one hemisphere, on part of a run's grid; `side` None is not told."""

    side: Hemisphere | None
    box: Box
    mask: Bools

    @property
    def n_voxels(self) -> int:
        """Voxels, those that the run's image cuts off too."""
        return int(self.mask.sum())


def joined(parts: Sequence[RegionPart], shape: Shape) -> Bools:
    """Join parts of a region on the image of a run, (x, y, z) of `shape`."""
    together = np.zeros(shape, dtype=bool)
    for part in parts:
        together |= part.box.place(part.mask, shape)
    return together


def parted_at_midline(part: RegionPart, to_native: SimpleITK.Transform) -> tuple[RegionPart, ...]:
    """Part a region at a template's mid-sagittal plane (x = 0); the plane itself counts as right.

    Parameters
    ----------
    part
        The whole region.
    to_native
        `TemplateTransforms.to_native` of the template: it carries the region's points there.
    """
    left = part.mask.copy()
    left[part.mask] = carry_points(to_native, part.box.millimetres()[part.mask])[:, 0] < 0
    return RegionPart("L", part.box, left), RegionPart("R", part.box, part.mask & ~left)
