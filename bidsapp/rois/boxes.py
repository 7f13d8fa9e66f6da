"""Blocks of a grid's voxels that may reach beyond the image, so that what it lacks is counted."""

from dataclasses import dataclass
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt

from bidsapp.arrays import Bools, Floats
from bidsapp.rois.transforms import Shape

Kind = TypeVar("Kind", bound="np.generic[Any]")


@dataclass(frozen=True)
class Box:
    """Voxels of a grid from `low` on; negative indices, and those past its end, lie outside.

    Attributes
    ----------
    low
        Index of the first voxel along x, y and z.
    shape
        Number of voxels along x, y and z.
    affine
        (4, 4) voxel indices of the box to RAS mm.
    """

    low: tuple[int, int, int]
    shape: Shape
    affine: Floats

    @classmethod
    def around(cls, points_mm: Floats, affine: Floats, margin_mm: float = 0.0) -> Self:
        """Make the smallest box of the grid of `affine` that holds points, (n, 3) RAS mm.

        Without a point it is the grid's first voxel.
        """
        if not len(points_mm):
            return cls((0, 0, 0), (1, 1, 1), np.asarray(affine, dtype=np.float64))
        inverse = np.linalg.inv(affine)
        indices = np.asarray(points_mm) @ inverse[:3, :3].T + inverse[:3, 3]
        margin = np.ceil(margin_mm / np.linalg.norm(affine[:3, :3], axis=0))
        low = np.floor(indices.min(axis=0) - margin).astype(int)
        high = np.ceil(indices.max(axis=0) + margin).astype(int) + 1
        moved = np.array(affine, dtype=np.float64)
        moved[:3, 3] += moved[:3, :3] @ low
        x, y, z = (int(n) for n in low)
        a, b, c = (int(n) for n in high - low)
        return cls((x, y, z), (a, b, c), moved)

    def millimetres(self) -> Floats:
        """Return where the voxels are, (x, y, z, 3) RAS mm."""
        indices = np.moveaxis(np.indices(self.shape), 0, -1)
        mm: Floats = indices @ self.affine[:3, :3].T + self.affine[:3, 3]
        return mm

    def place(self, values: npt.NDArray[Kind], shape: Shape) -> npt.NDArray[Kind]:
        """Put the box's values on the grid, (x, y, z) of `shape`; the rest of it is zero."""
        placed = np.zeros(shape, dtype=values.dtype)
        ours, theirs = self._overlap(shape)
        placed[theirs] = values[ours]
        return placed

    def cut(self, values: Bools) -> Bools:
        """Take the box's voxels out of a mask on the grid; outside of the grid they are False."""
        taken = np.zeros(self.shape, dtype=bool)
        ours, theirs = self._overlap(values.shape)
        taken[ours] = values[theirs]
        return taken

    def _overlap(self, shape: tuple[int, ...]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
        starts = np.maximum(self.low, 0)
        ends = np.maximum(np.minimum(np.add(self.low, self.shape), shape), starts)
        ours = tuple(
            slice(int(a), int(b)) for a, b in zip(starts - self.low, ends - self.low, strict=True)
        )
        theirs = tuple(slice(int(a), int(b)) for a, b in zip(starts, ends, strict=True))
        return ours, theirs
