"""From template to participant: an affine and smooth waves, and the same as ITK files.

All points are RAS mm; ITK's files hold LPS.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import numpy as np
import SimpleITK
from scipy.spatial.transform import Rotation

from bidsapp.arrays import Floats
from bidsapp.files import whole_file

TEMPLATES = ("MNI152NLin6Asym", "MNI152NLin2009cAsym")
PIVOT_MM = np.array([0.0, -60.0, 0.0])
LPS = np.array([-1.0, -1.0, 1.0])
# The second template, as a map of points of the first: about 4 mm apart over the visual brain.
SECOND_SCALE = np.array([1.02, 1.025, 0.99])
SECOND_SHIFT_MM = np.array([0.5, -1.0, 2.8])
_PART = 1 << 18  # points displaced at a time
_HDF5 = Lock()  # the library behind ITK's files is not safe to use from two threads


@dataclass(frozen=True)
class FieldBox:
    """Where in the template displacements are stored: first point and spacing in mm, and shape."""

    origin_mm: tuple[float, float, float] = (-110.0, -150.0, -85.0)
    shape: tuple[int, int, int] = (45, 37, 33)
    step_mm: float = 5.0

    def points(self) -> Floats:
        """Points (n, 3) in RAS, in the order of (z, y, x) over LPS."""
        x, y, z = (
            self.origin_mm[axis] + self.step_mm * np.arange(self.shape[axis]) for axis in range(3)
        )
        z_grid, y_grid, x_grid = np.meshgrid(z, y[::-1], x[::-1], indexing="ij")
        return np.column_stack([x_grid.ravel(), y_grid.ravel(), z_grid.ravel()])


DEMO_BOX = FieldBox()


@dataclass(frozen=True)
class Warp:
    """A participant's anatomy as a map from points of MNI152NLin6Asym to native points.

    ``to_native(x) = matrix @ (x + waves(x)) + offset``; the waves are a few sines, some mm high.
    """

    matrix: Floats  # (3, 3)
    offset: Floats  # (3,) mm
    heights: Floats  # (k, 3) mm
    frequencies: Floats  # (k, 3) radians per mm
    phases: Floats  # (k,)

    def waves(self, points: Floats) -> Floats:
        """Displacement of template points, (n, 3) mm."""
        moved: Floats = np.sin(points @ self.frequencies.T + self.phases) @ self.heights
        return moved

    def to_native(self, points: Floats) -> Floats:
        """Carry (n, 3) points of MNI152NLin6Asym to native space."""
        carried: Floats = (points + self.waves(points)) @ self.matrix.T + self.offset
        return carried

    def to_template(self, points: Floats) -> Floats:
        """Carry (n, 3) native points to MNI152NLin6Asym: the inverse of `to_native`."""
        return self.unwave((points - self.offset) @ np.linalg.inv(self.matrix).T)

    def unwave(self, points: Floats) -> Floats:
        """Find x with x + waves(x) = points, by fixed-point iteration."""
        found = points
        for _ in range(15):
            found = points - self.waves(found)
        return found


def draw_warp(rng: np.random.Generator) -> Warp:
    """Draw a warp that moves the visual brain by about a centimetre, differently on each side."""
    signs = rng.choice([-1.0, 1.0], 3)
    rotation = Rotation.from_euler("xyz", signs * rng.uniform(3, 6, 3), degrees=True).as_matrix()
    matrix = rotation * rng.uniform(0.96, 1.04, 3)
    shift = rng.choice([-1.0, 1.0], 3) * rng.uniform(4, 6, 3)
    directions = rng.standard_normal((3, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    heights = rng.standard_normal((3, 3))
    heights *= 1.8 / np.linalg.norm(heights, axis=1, keepdims=True)
    return Warp(
        matrix=matrix,
        offset=PIVOT_MM + shift - matrix @ PIVOT_MM,
        heights=heights,
        frequencies=directions * (2 * np.pi / rng.uniform(90, 140, (3, 1))),
        phases=rng.uniform(0, 2 * np.pi, 3),
    )


def in_first_template(template: str, points: Floats) -> Floats:
    """Carry (n, 3) points of a template to the first of `TEMPLATES`."""
    if template == TEMPLATES[0]:
        return points
    carried: Floats = (points - SECOND_SHIFT_MM) / SECOND_SCALE
    return carried


def write_transforms(folder: Path, prefix: str, warp: Warp, box: FieldBox = DEMO_BOX) -> None:
    """Write the four composite transforms that fMRIPrep leaves beside an anatomical image.

    ITK maps points opposite to images: ``from-T1w_to-TEMPLATE`` makes an image in the template, and
    so carries template points to native ones.
    """
    points = box.points()
    affine = _affine(warp.matrix, warp.offset)
    waves = _field(_in_parts(warp.waves, points), box)
    unwaves = _field(_in_parts(lambda part: warp.unwave(part) - part, points), box)
    second = _affine(np.diag(SECOND_SCALE), SECOND_SHIFT_MM)
    # In a composite the last transform is applied first.
    for template, before, after in (
        (TEMPLATES[0], [], []),
        (TEMPLATES[1], [second.GetInverse()], [second]),
    ):
        to_native = SimpleITK.CompositeTransform([affine, waves, *before])
        to_template = SimpleITK.CompositeTransform([*after, unwaves, affine.GetInverse()])
        _write(folder / f"{prefix}_from-T1w_to-{template}_mode-image_xfm.h5", to_native)
        _write(folder / f"{prefix}_from-{template}_to-T1w_mode-image_xfm.h5", to_template)


def _in_parts(displacement: Callable[[Floats], Floats], points: Floats) -> Floats:
    """Displace many points without many copies of them in memory."""
    found = np.empty_like(points)
    for start in range(0, len(points), _PART):
        part = slice(start, start + _PART)
        found[part] = displacement(points[part])
    return found


def _affine(matrix: Floats, offset: Floats) -> SimpleITK.AffineTransform:
    transform = SimpleITK.AffineTransform(3)
    transform.SetMatrix((LPS[:, None] * matrix * LPS).ravel().tolist())
    transform.SetTranslation((LPS * offset).tolist())
    return transform


def _field(displacements: Floats, box: FieldBox) -> SimpleITK.DisplacementFieldTransform:
    image = SimpleITK.GetImageFromArray(
        (displacements * LPS).reshape(*box.shape[::-1], 3), isVector=True
    )
    image.SetSpacing([box.step_mm] * 3)
    last = np.asarray(box.origin_mm) + box.step_mm * (np.asarray(box.shape) - 1)
    image.SetOrigin([-last[0], -last[1], box.origin_mm[2]])
    return SimpleITK.DisplacementFieldTransform(SimpleITK.Cast(image, SimpleITK.sitkVectorFloat64))


def _write(path: Path, transform: SimpleITK.CompositeTransform) -> None:
    with _HDF5, whole_file(path) as temporary:
        SimpleITK.WriteTransform(transform, str(temporary))
