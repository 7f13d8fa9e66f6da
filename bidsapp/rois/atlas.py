"""A probabilistic atlas in native space: areas of maximum probability, then those asked for.

The rule is that of Wang et al. 2015 (doi 10.1093/cercor/bhu277), per hemisphere: a voxel is outside
where being in no area is at least as probable as being in any; otherwise it belongs to the most
probable area, ties to the area that is more probable among the voxel's 26 neighbours. (The volumes
are rounded to whole percents, and the published maximum probability map gives nine in ten of the
ties that this makes to the area of lower number: ``ties="lowest"``. Interpolation leaves few ties.)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Literal

import nibabel as nib
import numpy as np
import SimpleITK

from bidsapp.analysis.regions import named
from bidsapp.analysis.spec import Hemisphere, Hemispheres, Region
from bidsapp.arrays import Bools, Floats, Ints
from bidsapp.errors import InputError, UsageError
from bidsapp.rois.images import open_volume, read_data, same_grid
from bidsapp.rois.transforms import Shape, carry_image

Ties = Literal["neighbours", "lowest"]

_ROUNDING = 1e-5  # probabilities closer than this are equal: resampling is done in float32


@dataclass(frozen=True)
class TemplateAtlas:
    """The atlas as published, per hemisphere cropped to where any area is possible.

    Attributes
    ----------
    probabilities
        Hemisphere to (x, y, z, n_areas) probabilities from 0 to 1, float32.
    affines
        Hemisphere to (4, 4), voxels to RAS mm of the template.
    """

    probabilities: Mapping[Hemisphere, Floats]
    affines: Mapping[Hemisphere, Floats]

    def extent_mm(self, areas: Sequence[int]) -> Floats:
        """Return where some areas (numbers from 0) are possible: every third voxel, (n, 3) mm."""
        points = []
        for side, volumes in self.probabilities.items():
            possible = volumes[::3, ::3, ::3, list(areas)].max(axis=-1)
            affine = self.affines[side]
            points.append(3 * np.argwhere(possible > 0) @ affine[:3, :3].T + affine[:3, 3])
        return np.concatenate(points)


@dataclass(frozen=True)
class AtlasLabels:
    """Areas of the atlas on a native grid.

    Attributes
    ----------
    regions
        The areas asked for, ``V1v``, or where hemispheres are separate ``V1v_L`` and ``V1v_R``;
        region i has the label i + 1.
    dseg
        (x, y, z) int16 labels, 0 outside.
    n_voxels
        Region to hemisphere to its count of voxels.
    empty
        Regions without a voxel.
    """

    regions: tuple[str, ...]
    dseg: Ints
    n_voxels: Mapping[str, Mapping[Hemisphere, int]]
    empty: tuple[str, ...]

    def mask(self, region: str) -> Bools:
        """Return the voxels of one region."""
        mask: Bools = self.dseg == self.regions.index(region) + 1
        return mask


def read_atlas(files: Mapping[tuple[Hemisphere, int], Path]) -> TemplateAtlas:
    """Read the atlas's probability volumes.

    Parameters
    ----------
    files
        (hemisphere, area number from 1) to its volume, in percent.

    Raises
    ------
    InputError
        A volume cannot be read, lies on another grid than the others of its hemisphere, or is not
        in percent.
    """
    read = {
        side: _read_cropped(
            [files[side, area] for area in sorted(area for of, area in files if of == side)]
        )
        for side in dict.fromkeys(side for side, _ in files)
    }
    return TemplateAtlas(
        {side: volumes for side, (volumes, _) in read.items()},
        {side: affine for side, (_, affine) in read.items()},
    )


def carry_atlas(
    atlas: TemplateAtlas, transform: SimpleITK.Transform, shape: Shape, affine: Floats
) -> dict[Hemisphere, Floats]:
    """Carry the atlas's probabilities to a native grid, linearly, all areas together.

    Parameters
    ----------
    atlas
        See `read_atlas`.
    transform
        Resamples template images onto native grids, see `TemplateTransforms.to_native`.
    shape, affine
        The native grid.

    Returns
    -------
    dict
        Hemisphere to (n_areas, x, y, z) probabilities from 0 to 1, float32.
    """
    return {
        side: np.ascontiguousarray(
            np.moveaxis(carry_image(volumes, atlas.affines[side], transform, shape, affine), -1, 0)
        )
        for side, volumes in atlas.probabilities.items()
    }


def atlas_regions(
    probabilities: Mapping[Hemisphere, Floats],
    labels: Sequence[str],
    keep: Sequence[str],
    hemispheres: Hemispheres = "joined",
    ties: Ties = "neighbours",
) -> AtlasLabels:
    """Label each voxel by maximum probability, then keep the areas asked for.

    Parameters
    ----------
    probabilities
        Hemisphere to (n_areas, x, y, z) probabilities from 0 to 1.
    labels
        Names of all n_areas areas, in their order.
    keep
        Names of the areas wanted, in the order of their new labels 1, 2, ...
    hemispheres
        ``separate``: an area's left and right are two regions.
    ties
        See `maximum_probability`.

    Returns
    -------
    AtlasLabels
        A voxel that both hemispheres claim has the label of the higher probability.

    Raises
    ------
    UsageError
        `keep` names an area that the atlas has not.
    """
    number, side = _join_hemispheres(probabilities, ties)
    sides = tuple(probabilities)
    dseg = np.zeros(number.shape, dtype=np.int16)
    counts: dict[str, dict[Hemisphere, int]] = {}
    for area in keep:
        claimed = number == area_number(labels, area) + 1
        for part in named(area, sides, hemispheres):
            of = {h: claimed & (side == sides.index(h)) for h in _sides(part, sides)}
            counts[part.name] = {h: int(voxels.sum()) for h, voxels in of.items()}
            for voxels in of.values():
                dseg[voxels] = len(counts)
    empty = tuple(name for name, of_sides in counts.items() if not sum(of_sides.values()))
    return AtlasLabels(tuple(counts), dseg, counts, empty)


def _sides(region: Region, sides: Sequence[Hemisphere]) -> tuple[Hemisphere, ...]:
    """Return the hemispheres that a region is made of."""
    return tuple(sides) if region.hemisphere is None else (region.hemisphere,)


def area_number(labels: Sequence[str], area: str) -> int:
    """Return an area's place in the atlas, from 0.

    Raises
    ------
    UsageError
        The atlas has no such area.
    """
    if area not in labels:
        raise UsageError(f"atlas.regions: no area {area!r}; the atlas has {', '.join(labels)}")
    return list(labels).index(area)


def maximum_probability(probabilities: Floats, ties: Ties = "neighbours") -> Ints:
    """Label the voxels of one hemisphere by area number from 1, or 0 for outside.

    Parameters
    ----------
    probabilities
        (n_areas, x, y, z), from 0 to 1; their sum over areas may pass 1 by rounding.
    ties
        Equally probable areas: the one of higher mean probability among the 26 neighbours (if that
        is equal too, the lower number), or the lower number at once.
    """
    total = probabilities.sum(axis=0, dtype=np.float64)
    leading = probabilities >= probabilities.max(axis=0) - _ROUNDING
    number: Ints = leading.argmax(axis=0) + 1
    number[1 - total >= total - _ROUNDING] = 0
    tied = np.argwhere((leading.sum(axis=0) > 1) & (number > 0))
    if ties == "neighbours" and tied.size:
        x, y, z = tied.T
        around = np.where(leading[:, x, y, z], _neighbour_sum(probabilities, tied), -np.inf)
        number[x, y, z] = (around >= around.max(axis=0) - _ROUNDING).argmax(axis=0) + 1
    return number


def _join_hemispheres(probabilities: Mapping[Hemisphere, Floats], ties: Ties) -> tuple[Ints, Ints]:
    """Give each voxel the more probable of the hemispheres' labels, and that hemisphere."""
    numbers = np.stack([maximum_probability(p, ties) for p in probabilities.values()])
    highest = np.stack([p.max(axis=0) for p in probabilities.values()])
    side = np.where(numbers > 0, highest, -1).argmax(axis=0)
    return np.take_along_axis(numbers, side[np.newaxis], axis=0)[0], side


def _neighbour_sum(probabilities: Floats, voxels: Ints) -> Floats:
    """Sum each area's probabilities over the 26 neighbours; beyond the grid they are zero."""
    padded = np.pad(probabilities, ((0, 0), (1, 1), (1, 1), (1, 1)))
    total = np.zeros((len(probabilities), len(voxels)))
    for offset in product((0, 1, 2), repeat=3):
        if offset != (1, 1, 1):
            x, y, z = (voxels + offset).T
            total += padded[:, x, y, z]
    return total


def _read_cropped(paths: Sequence[Path]) -> tuple[Floats, Floats]:
    """Read volumes as probabilities, (x, y, z, n_areas), cropped to where any is above zero."""
    first = open_volume(paths[0])
    boxes = [_Box.around(_read_percent(path, first)) for path in paths]
    low = np.min([box.low for box in boxes], axis=0)
    high = np.max([box.high for box in boxes], axis=0)
    volumes = np.zeros((*np.maximum(high - low, 0), len(paths)), dtype=np.float32)
    for area, box in enumerate(boxes):
        if box.data.size:
            (x, y, z), (x_end, y_end, z_end) = box.low - low, box.high - low
            volumes[x:x_end, y:y_end, z:z_end, area] = box.data
    if not volumes.size or volumes.max() <= 1:
        raise InputError(
            f"{paths[0]} and the volumes beside it must hold percentages, but none is above 1; "
            "use the atlas's probability volumes as published"
        )
    affine = first.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ low
    return volumes / 100, affine


@dataclass(frozen=True)
class _Box:
    """The part of a volume where it is above zero, with a border of one voxel."""

    low: Ints
    high: Ints
    data: Floats

    @classmethod
    def around(cls, data: Floats) -> "_Box":
        positive = data > 0
        if not positive.any():  # an area that the atlas found in nobody
            return cls(np.array(data.shape), np.zeros(3, dtype=int), data[:0, :0, :0])
        filled = [np.flatnonzero(positive.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
        low = np.maximum([axis[0] - 1 for axis in filled], 0)
        high = np.minimum([axis[-1] + 2 for axis in filled], data.shape)
        part = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        return cls(low, high, data[part].astype(np.float32))


def _read_percent(path: Path, reference: nib.Nifti1Image) -> Floats:
    image = open_volume(path)
    data = read_data(image, path, as_stored=True)
    if not same_grid(image.shape, image.affine, reference.shape, reference.affine):
        raise InputError(f"{path} lies on another grid than the atlas's other volumes")
    if not (data.min() >= 0 and data.max() <= 100):
        raise InputError(
            f"{path} must hold percentages from 0 to 100, but has values from {data.min():g} "
            f"to {data.max():g}; use the atlas's probability volumes as published"
        )
    return data
