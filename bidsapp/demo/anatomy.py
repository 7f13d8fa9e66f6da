"""Where things are: grids, the brain's outline, the small atlas, and each participant's peaks."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import nibabel
import numpy as np
from scipy.ndimage import map_coordinates

from bidsapp.arrays import Bools, Floats, Ints
from bidsapp.demo.warps import Warp, draw_warp
from bidsapp.files import whole_file

SIDES = {"L": -1.0, "R": 1.0}
VOXEL_MM = 3.0
# In MNI152NLin6Asym, mm: the slab of brain that the images cover.
SLAB_LOW, SLAB_HIGH = np.array([-72.0, -112.0, -42.0]), np.array([72.0, -20.0, 33.0])
BRAIN_CENTRE, BRAIN_AXES = np.array([0.0, -18.0, 4.0]), np.array([78.0, 92.0, 70.0])
PLANTED_RADIUS_MM = 8.0
PEAK_OFFSET_MM = (3.0, 6.5)
APART_MM = 17.0

# Search centres, with the radius of the search, as in the analysis of the real dataset.
SEARCH: dict[str, tuple[str, dict[str, tuple[float, float, float]], float]] = {
    "FFA": ("face", {"L": (-40, -52, -20), "R": (42, -52, -21)}, 15),
    "EBA": ("body", {"L": (-47, -70, 8), "R": (51, -69, -1)}, 15),
    "PPA": ("scene", {"L": (-28, -46, -11), "R": (26, -45, -12)}, 12),
    "RSC": ("scene", {"L": (-15, -57, 11), "R": (18, -56, 11)}, 12),
}
ATLAS_REGIONS = ("V1v", "V1d", "V2v", "hV4")
# The atlas's 25 areas in the published order; a place (on the right) for those filled here.
ATLAS_CENTRES: dict[str, tuple[float, float, float] | None] = {
    "V1v": (10, -86, -3), "V1d": (11, -92, 9), "V2v": (15, -78, -12), "V2d": (17, -96, 18),
    "V3v": (25, -76, -13), "V3d": (26, -91, 19), "hV4": (33, -82, -16),
    "VO1": (25, -66, -9), "VO2": None, "PHC1": None, "PHC2": None, "MST": None, "hMT": None,
    "LO2": None, "LO1": (38, -87, 3), "V3b": None, "V3a": None, "IPS0": None, "IPS1": None,
    "IPS2": None, "IPS3": None, "IPS4": None, "IPS5": None, "SPL1": None, "FEF": None,
}  # fmt: skip
ATLAS_LEFT_SHIFT = np.array([-1.5, -3.0, 2.5])  # the two hemispheres are no mirror images
ATLAS_SPREAD_MM = 6.2
ATLAS_SHAPE = (61, 38, 40)
ATLAS_AFFINE = np.array([[-2.0, 0, 0, 60], [0, 2, 0, -114], [0, 0, 2, -40], [0, 0, 0, 1]])
WHITE_MATTER = ((31, -62, 20, 9), (30, -38, 12, 9))  # x, y, z, radius; on both sides
FLUID = ((9, -36, 12, 8), (24, -34, 2, 5))


@dataclass(frozen=True)
class Grid:
    """A grid of voxels."""

    shape: tuple[int, int, int]
    affine: Floats

    def points(self) -> Floats:
        """Voxel centres in mm, (n, 3), in C order."""
        voxels = np.indices(self.shape).reshape(3, -1).T
        points: Floats = voxels @ self.affine[:3, :3].T + self.affine[:3, 3]
        return points


@dataclass(frozen=True)
class Anatomy:
    """One participant's anatomy: warp, native peaks and the grids of the scans.

    ``peaks`` maps region and hemisphere to native RAS mm; ``grids`` maps "localizer", "first" and
    "second" (movie runs before and after the participant was taken out) to native grids.
    """

    warp: Warp
    peaks: Mapping[str, Mapping[str, Floats]]
    grids: Mapping[str, Grid]


def draw_anatomy(rng: np.random.Generator) -> Anatomy:
    """Draw one participant."""
    warp = draw_warp(rng)
    peaks = {
        region: {side: warp.to_native(point[None])[0] for side, point in sides.items()}
        for region, sides in _draw_peaks(rng).items()
    }
    shift = warp.to_native(np.array([[0.0, -66.0, -4.0]]))[0] - [0.0, -66.0, -4.0]
    moves = {"first": (0, 0, 0), "second": (1.3, -0.8, 0.6), "localizer": (-0.4, 0.7, 0.35)}
    grids = {name: _slab(shift + VOXEL_MM * np.array(move), -1) for name, move in moves.items()}
    return Anatomy(warp, peaks, grids)


def template_grid() -> Grid:
    """Grid of the images written in the template's space."""
    return _slab(np.zeros(3), 1)


def anatomical_grid(anatomy: Anatomy) -> Grid:
    """Grid of the participant's anatomical image, a little wider than the scans."""
    grid = anatomy.grids["first"]
    affine = grid.affine.copy()
    affine[:3, 3] -= grid.affine[:3, :3] @ [3, 3, 3]
    return Grid((grid.shape[0] + 6, grid.shape[1] + 6, grid.shape[2] + 6), affine)


def _slab(shift: Floats, x_sign: int) -> Grid:
    shape = tuple(int(n) for n in np.round((SLAB_HIGH - SLAB_LOW) / VOXEL_MM) + 1)
    affine = np.diag([x_sign * VOXEL_MM, VOXEL_MM, VOXEL_MM, 1.0])
    start = SLAB_LOW.copy()
    start[0] = SLAB_LOW[0] if x_sign > 0 else SLAB_HIGH[0]
    affine[:3, 3] = start + shift
    return Grid((shape[0], shape[1], shape[2]), affine)


def in_brain(template_points: Floats, shrink: float = 1.0) -> Bools:
    """Tell which template points, (n, 3), lie in the brain's outline."""
    inside: Bools = (((template_points - BRAIN_CENTRE) / (BRAIN_AXES * shrink)) ** 2).sum(
        axis=1
    ) <= 1
    return inside


def _draw_peaks(rng: np.random.Generator) -> dict[str, dict[str, Floats]]:
    """Draw peaks in the template, off their search centres and apart from all else planted."""
    taken = [centre for name in ATLAS_REGIONS for centre in _atlas_centres(name).values()]
    peaks: dict[str, dict[str, Floats]] = {}
    for region, (_, centres, _) in SEARCH.items():
        peaks[region] = {}
        for side, centre in centres.items():
            for _ in range(10_000):
                direction = rng.standard_normal(3)
                offset = direction / np.linalg.norm(direction) * rng.uniform(*PEAK_OFFSET_MM)
                point = np.array(centre) + offset
                far = min(float(np.linalg.norm(point - other)) for other in taken) > APART_MM
                if far and in_brain(point[None], 0.9)[0]:
                    break
            else:
                raise RuntimeError(f"no room for {region} {side}")
            taken.append(point)
            peaks[region][side] = point
    return peaks


def near_peaks(anatomy: Anatomy, region: str, points: Floats) -> Bools:
    """Tell which native points, (n, 3), belong to a functional region's planted spheres."""
    distances = [np.linalg.norm(points - peak, axis=1) for peak in anatomy.peaks[region].values()]
    near: Bools = np.min(distances, axis=0) <= PLANTED_RADIUS_MM
    return near


def tissue(template_points: Floats, spheres: tuple[tuple[int, int, int, int], ...]) -> Bools:
    """Tell which points lie in one of the spheres, on either side."""
    folded = np.column_stack([np.abs(template_points[:, 0]), template_points[:, 1:]])
    inside = np.zeros(len(folded), dtype=bool)
    for x, y, z, radius in spheres:
        inside |= np.linalg.norm(folded - np.array([x, y, z]), axis=1) <= radius
    return inside


def _atlas_centres(name: str) -> dict[str, Floats]:
    right = ATLAS_CENTRES[name]
    if right is None:
        return {}
    place = np.array(right, dtype=float)
    return {"R": place, "L": place * [-1, 1, 1] + ATLAS_LEFT_SHIFT}


@cache
def atlas_probabilities() -> dict[str, Floats]:
    """Probability volumes of each hemisphere, (25, x, y, z), in percent."""
    points = Grid(ATLAS_SHAPE, ATLAS_AFFINE).points()
    volumes = {}
    for side, sign in SIDES.items():
        blobs = np.zeros((len(ATLAS_CENTRES), len(points)))
        for row, name in zip(blobs, ATLAS_CENTRES, strict=True):
            for centre in (place for key, place in _atlas_centres(name).items() if key == side):
                squared = ((points - centre) ** 2).sum(axis=1)
                row[:] = np.exp(-squared / (2 * ATLAS_SPREAD_MM**2))
        blobs[:, points[:, 0] * sign <= 0] = 0
        shares = 95 * blobs / np.maximum(1.0, blobs.sum(axis=0))
        shares[shares < 0.5] = 0
        volumes[side] = shares.astype(np.float32).reshape(-1, *ATLAS_SHAPE)
    return volumes


def write_atlas(directory: Path) -> None:
    """Write the small atlas under the names of the published one."""
    for side, volumes in atlas_probabilities().items():
        for index, volume in enumerate(volumes, start=1):
            name = f"perc_VTPM_vol_roi{index}_{side.lower()}h.nii.gz"
            with whole_file(directory / "subj_vol_all" / name) as temporary:
                nibabel.Nifti1Image(volume, ATLAS_AFFINE).to_filename(temporary)


def atlas_areas(template_points: Floats) -> Ints:
    """Area of highest probability at template points, 1 to 25; 0 where outside is likelier."""
    voxels = (template_points - ATLAS_AFFINE[:3, 3]) / np.diag(ATLAS_AFFINE)[:3]
    areas = np.zeros(len(template_points), dtype=int)
    for volumes in atlas_probabilities().values():
        filled = np.flatnonzero(volumes.any(axis=(1, 2, 3)))
        percent = np.stack([map_coordinates(volumes[i], voxels.T, order=1) for i in filled])
        inside = percent.sum(axis=0) > 50
        areas[inside] = filled[percent.argmax(axis=0)[inside]] + 1
    return areas


def planted_voxels(anatomy: Anatomy, grid: Grid) -> dict[str, Ints]:
    """Flat indices, in C order, of the voxels of every region on a native grid."""
    points = grid.points()
    template_points = anatomy.warp.to_template(points)
    brain = in_brain(template_points)
    areas = atlas_areas(template_points)
    found = {region: brain & near_peaks(anatomy, region, points) for region in SEARCH}
    for region in ATLAS_REGIONS:
        found[region] = brain & (areas == list(ATLAS_CENTRES).index(region) + 1)
    return {region: np.flatnonzero(mask) for region, mask in found.items()}
