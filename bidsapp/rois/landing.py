"""Whether a participant's transforms fit the participant: how a template lands on the brain.

Three measures, each blind to something. A point carried there and back comes back to its place,
unless the two files belong to different brains; two files that are exchanged pass. The brain mask
of the anatomical image, carried to the template, covers the mask that is there already, unless the
files are exchanged or another participant's; it needs both masks. The points of regions land in the
mask of the BOLD unless things are badly wrong; a partial field of view looks alike, and is told
apart by counting only what lies in view.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bidsapp.analysis.spec import FunctionalRegions, Hemisphere
from bidsapp.arrays import Bools, Floats
from bidsapp.rois.images import open_volume, read_data
from bidsapp.rois.masks import RegionImage
from bidsapp.rois.transforms import TemplateTransforms, carry_image, carry_points

# Measured on the eight made-up participants of tests/rois/test_landing.py. Right transforms come
# back within 0.01 mm and overlap by .991 and more. Files of two participants come back 7 mm off and
# more. Exchanged ones overlap by .84 to .93; another participant's by .87 to .983, 51 of 56 by less
# than .97. Exchanged files land two thirds of the points and more in the mask: that share alone
# would not do.
WORST_ROUND_TRIP_MM = 2.0
LEAST_OVERLAP, GOOD_OVERLAP = 0.97, 0.985
LEAST_IN_BRAIN, GOOD_IN_BRAIN = 0.5, 0.85
GOOD_IN_VIEW = 0.95

_POINTS_AN_AREA = 40
_MASK_STEP_MM = 3.0


@dataclass(frozen=True)
class Landing:
    """How points and masks fare between a template and the space of the output.

    Attributes
    ----------
    template
        The template.
    n_points
        How many points were carried.
    in_view
        Share of them that land in the field of view of the BOLD.
    in_brain
        Share of those in view that land in its brain mask; NaN where none is in view.
    round_trip_mm
        How far from their place points come back, median.
    overlap
        Dice overlap of the anatomical brain masks in the template; None where there are not two.
    """

    template: str
    n_points: int
    in_view: float
    in_brain: float
    round_trip_mm: float
    overlap: float | None

    def __str__(self) -> str:
        """Say all of it in a line."""
        masks = "" if self.overlap is None else f", brain masks overlap by {self.overlap:.2f}"
        return (
            f"{self.template}: of {self.n_points} points of regions {self.in_view:.0%} in view, "
            f"of these {self.in_brain:.0%} in the brain mask; {self.round_trip_mm:.1f} mm off "
            f"there and back{masks}"
        )

    def faults(self) -> Iterator[str]:
        """Say what cannot be with the right transforms."""
        if self.round_trip_mm > WORST_ROUND_TRIP_MM:
            yield (
                f"points carried there and back come back {self.round_trip_mm:.1f} mm off, so that "
                "the two transforms are not of one participant and template"
            )
        if self.overlap is not None and self.overlap < LEAST_OVERLAP:
            yield (
                f"carried to {self.template}, the brain mask overlaps with the one that is there "
                f"by {self.overlap:.2f} only, so that the transforms are exchanged or another "
                "participant's"
            )
        if self.in_view == 0:
            yield f"no region of {self.template} lands in the field of view"
        elif self.in_brain < LEAST_IN_BRAIN:
            yield f"only {self.in_brain:.0%} of the regions' points land in the brain mask"

    def flags(self) -> Iterator[str]:
        """Say what is odd, but can be."""
        if self.in_view < GOOD_IN_VIEW:
            yield f"{1 - self.in_view:.0%} of the regions' points lie outside of the field of view"
        if self.in_brain < GOOD_IN_BRAIN:
            yield f"{1 - self.in_brain:.0%} of the regions' points in view miss the brain mask"
        if self.overlap is not None and self.overlap < GOOD_OVERLAP:
            yield f"brain masks overlap by {self.overlap:.2f} in {self.template}"


def land(
    template: str,
    points_mm: Floats,
    transforms: TemplateTransforms,
    brain_mask: Path,
    anatomy: tuple[Path, Path] | None = None,
) -> Landing:
    """Carry a template's points to a participant and back.

    Parameters
    ----------
    template
        Its name.
    points_mm
        (n, 3) points of the template in RAS mm, n > 0.
    transforms
        Between the template and the space of the output.
    brain_mask
        Mask of the BOLD.
    anatomy
        Masks of the anatomical image in the space of the output and in the template, if both exist.

    Raises
    ------
    InputError
        A mask cannot be read.
    """
    image = open_volume(brain_mask)
    mask: Bools = read_data(image, brain_mask) > 0
    native = carry_points(transforms.to_template, points_mm)
    back = carry_points(transforms.to_native, native)
    inverse = np.linalg.inv(image.affine)
    voxels = np.rint(native @ inverse[:3, :3].T + inverse[:3, 3]).astype(int)
    in_view = ((voxels >= 0) & (voxels < mask.shape)).all(axis=1)
    in_brain = mask[tuple(voxels[in_view].T)]
    return Landing(
        template=template,
        n_points=len(points_mm),
        in_view=float(in_view.mean()),
        in_brain=float(in_brain.mean()) if in_brain.size else float("nan"),
        round_trip_mm=float(np.median(np.linalg.norm(back - points_mm, axis=1))),
        overlap=None if anatomy is None else mask_overlap(*anatomy, transforms),
    )


def mask_overlap(own: Path, in_template: Path, transforms: TemplateTransforms) -> float:
    """Return the Dice overlap of a brain mask carried to a template with the one that is there.

    Dice (1945): twice the common voxels over the sum of both counts, here on every third or so
    voxel of the template's grid, and only where the carried image has its field of view.
    """
    image, target = open_volume(own), open_volume(in_template)
    steps = np.maximum(1, np.rint(_MASK_STEP_MM / np.array(target.header.get_zooms()[:3])))
    slices = tuple(slice(None, None, int(step)) for step in steps)
    theirs: Bools = read_data(target, in_template)[slices] > 0
    x, y, z = theirs.shape
    carried = carry_image(
        (read_data(image, own) > 0).astype(np.float32),
        image.affine,
        transforms.to_template,
        (x, y, z),
        target.affine @ np.diag([*steps, 1.0]),
        "nearest",
        outside=-1,
    )
    ours, seen = carried > 0, carried >= 0
    total = int(ours.sum() + theirs[seen].sum())
    return 2 * int((ours & theirs).sum()) / total if total else 0.0


def search_points(spec: FunctionalRegions) -> Floats:
    """Return centres of the search spheres and six points halfway to each surface, (n, 3) mm."""
    offsets = np.vstack([np.zeros(3), np.eye(3), -np.eye(3)]) / 2
    spheres = [sphere for region in spec.regions for sphere in region.search.values()]
    points = [np.array(s.centre_mm) + s.radius_mm * offsets for s in spheres]
    return np.vstack(points) if points else np.empty((0, 3))


def atlas_points(files: Mapping[tuple[Hemisphere, int], Path], areas: Sequence[int]) -> Floats:
    """Return some points in the core of each area of an atlas, (n, 3) in RAS mm.

    Parameters
    ----------
    files
        (hemisphere, area number from 1) to its volume, in percent.
    areas
        Numbers of the areas.

    Raises
    ------
    InputError
        A volume cannot be read.
    """
    points: list[Floats] = [np.empty((0, 3))]
    for (_, area), path in files.items():
        if area in areas:
            image = open_volume(path)
            percent = read_data(image, path, as_stored=True)
            core = (percent > 0) & (percent >= min(50, percent.max() / 2))
            points.append(_some_points(core, image.affine))
    return np.vstack(points)


def points_by_space(parts: Iterable[tuple[str, Floats]]) -> dict[str, Floats]:
    """Join parts, each a space and its (n, 3) points: space to all points in it."""
    found: dict[str, list[Floats]] = {}
    for space, points in parts:
        found.setdefault(space, []).append(points)
    return {space: np.vstack(points) for space, points in found.items()}


def region_points(region: RegionImage) -> Floats:
    """Return some points of a region, (n, 3) in RAS mm of its file; none of an empty one."""
    return _some_points(region.inside, region.affine)


def _some_points(inside: Bools, affine: Floats) -> Floats:
    voxels = np.argwhere(inside)
    voxels = voxels[:: max(1, len(voxels) // _POINTS_AN_AREA)]
    points: Floats = voxels @ affine[:3, :3].T + affine[:3, 3]
    return points
