"""Regions on one grid of their template, where participants can be laid over each other."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import SimpleITK

from bidsapp.analysis.spec import Hemisphere, Hemispheres
from bidsapp.arrays import Bools, Floats
from bidsapp.rois.atlas import atlas_regions, carry_atlas, read_atlas
from bidsapp.rois.transforms import carry_image

SHAPE = (97, 115, 97)
AFFINE = np.array([[2.0, 0, 0, -96], [0, 2, 0, -132], [0, 0, 2, -78], [0, 0, 0, 1]])
"""A grid of 2 mm that holds every MNI template's brain."""


def mask_in_template(mask: Bools, affine: Floats, to_template: SimpleITK.Transform) -> Bools:
    """Carry a participant's mask to the template.

    Parameters
    ----------
    mask, affine
        Shape (x, y, z); (4, 4) voxels to RAS mm of the participant's space.
    to_template
        See `bidsapp.rois.transforms.TemplateTransforms`.

    Returns
    -------
    Bools
        Shape `SHAPE`, on the grid of `AFFINE`: voxels that are more in the mask than not, by
        linear interpolation.
    """
    carried: Bools = carry_image(mask.astype(np.float32), affine, to_template, SHAPE, AFFINE) > 0.5
    return carried


def atlas_in_template(
    files: Mapping[tuple[Hemisphere, int], Path],
    labels: Sequence[str],
    areas: Sequence[str],
    hemispheres: Hemispheres,
) -> dict[str, Bools]:
    """Give the atlas's areas in its own template, labelled as participants' are.

    Parameters
    ----------
    files
        See `bidsapp.rois.atlas.read_atlas`.
    labels, areas, hemispheres
        See `bidsapp.rois.atlas.atlas_regions`; ``areas`` are its ``keep``.

    Returns
    -------
    dict
        Region to its voxels, each of `SHAPE` on the grid of `AFFINE`.
    """
    nowhere = SimpleITK.Transform(3, SimpleITK.sitkIdentity)
    carried = carry_atlas(read_atlas(files), nowhere, SHAPE, AFFINE)
    found = atlas_regions(carried, labels, areas, hemispheres)
    return {name: found.mask(name) for name in found.regions}
