"""Where things are in each participant: one brain, seen on the true grids of three scans."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import nibabel
import numpy as np
from scipy.ndimage import map_coordinates

from bench.standin.size import Size
from bench.standin.source import LOCALIZER, MOVIE, MOVIE_RUNS, RunHeader, Source
from bidsapp.analysis.spec import Analysis, default_analysis, read_analysis
from bidsapp.arrays import Bools, Floats, Ints
from bidsapp.demo.anatomy import ATLAS_CENTRES, FLUID, WHITE_MATTER, tissue
from bidsapp.demo.warps import Warp, draw_warp

DRIVEN = ("V1v", "V1d", "V2v", "V2d", "V3v", "V3d")  # areas that respond to the film
CUT_OFF, CUT_OFF_BEHIND_MM = "06", -78.0  # whose localizer lacks the occipital pole, and from where
_BRAIN_CENTRE_MM = np.array([0.0, -18.0, 2.0])  # of the template; scans are centred on it
_OFFSET_MM = (2.0, 6.0)  # of a peak from its search centre
_APART_MM = 9.0
_BORDER_MM = 2.0
_AREAS = tuple(ATLAS_CENTRES)  # in the published order


@dataclass(frozen=True)
class Template:
    """What lies where in the template: the brain and the atlas's areas."""

    source: Source

    @cached_property
    def _areas(self) -> list[tuple[Ints, Floats]]:
        folder = self.source.atlas / "subj_vol_all"
        images = [nibabel.load(folder / f"maxprob_vol_{side}h.nii.gz") for side in "lr"]
        return [(np.asarray(image.dataobj), image.affine) for image in images]

    @cached_property
    def _pictures(self) -> tuple[Floats, Floats, Floats]:
        """T1w and brain mask of a neighbouring template on one grid; 2 to 4 mm off is no matter."""
        folder = self.source.shared / "templates"
        stem = "tpl-MNI152NLin2009cAsym_res-02_"
        t1w = nibabel.load(folder / f"{stem}T1w_reference.nii.gz")
        brain = nibabel.load(folder / f"{stem}desc-brain_mask.nii.gz")
        return t1w.get_fdata(dtype=np.float32), brain.get_fdata(dtype=np.float32), brain.affine

    def areas(self, points: Floats) -> Ints:
        """Label of the atlas at template points (n, 3): 0 outside, else 1 to 25."""
        found = np.zeros(len(points), dtype=np.uint8)
        for labels, affine in self._areas:
            found = np.maximum(found, _nearest(labels, affine, points))
        return found

    def brain(self, points: Floats) -> Bools:
        """Tell which template points (n, 3) lie in the brain."""
        _, mask, affine = self._pictures
        return np.asarray((_nearest(mask, affine, points) > 0) | (self.areas(points) > 0))

    def t1w(self, points: Floats) -> Floats:
        """Intensity of the template's T1w image at points (n, 3)."""
        picture, _, affine = self._pictures
        return np.asarray(map_coordinates(picture, _voxels(affine, points), order=1))

    def driven(self, points: Floats) -> Bools:
        """Tell which points lie in driven areas, and not at the border of another area."""
        labels = [_AREAS.index(name) + 1 for name in DRIVEN]
        inside = np.isin(self.areas(points), labels)
        for axis in range(3):
            for sign in (-1, 1):
                beside = self.areas(points + sign * _BORDER_MM * np.eye(3)[axis])
                inside &= np.isin(beside, [0, *labels])
        return inside


def _voxels(affine: Floats, points: Floats) -> Floats:
    inverse = np.linalg.inv(affine)
    return np.asarray((points @ inverse[:3, :3].T + inverse[:3, 3]).T)


def _nearest(data: Floats | Ints, affine: Floats, points: Floats) -> Ints:
    return np.asarray(map_coordinates(data, _voxels(affine, points), order=0))


@dataclass(frozen=True)
class Person:
    """One participant: the warp from the template, and native peaks (RAS mm) by region and side."""

    label: str
    warp: Warp
    peaks: Mapping[str, Mapping[str, Floats]]


def draw_person(source: Source, size: Size, label: str) -> Person:
    """Draw a participant whose brain lies in the middle of the true fields of view.

    The head is turned as the first movie run's slices are; waves and small turns are drawn.
    """
    rng = np.random.default_rng([int(label), 0])
    headers = [
        size.header(source, label, task, run)
        for task, run in ((MOVIE, MOVIE_RUNS[0]), (MOVIE, MOVIE_RUNS[-1]), (LOCALIZER, "1"))
    ]
    drawn = draw_warp(rng)
    # Columns of the affine, turned to point right, front and up.
    axes = headers[0].affine[:3, :3] / np.linalg.norm(headers[0].affine[:3, :3], axis=0)
    turned = axes * np.sign(np.diag(axes))
    strain = np.linalg.norm(drawn.matrix, axis=0)
    matrix = turned * strain
    centre = np.mean([_centre(header) for header in headers], axis=0)
    offset = centre - matrix @ _BRAIN_CENTRE_MM
    warp = Warp(matrix, offset, drawn.heights, drawn.frequencies, drawn.phases)
    peaks = {
        region: {side: warp.to_native(point[None])[0] for side, point in sides.items()}
        for region, sides in _draw_peaks(rng, read_analysis(default_analysis())).items()
    }
    return Person(label, warp, peaks)


def _centre(header: RunHeader) -> Floats:
    middle = (np.array(header.shape) - 1) / 2
    return np.asarray(header.affine[:3, :3] @ middle + header.affine[:3, 3])


def _draw_peaks(rng: np.random.Generator, analysis: Analysis) -> dict[str, dict[str, Floats]]:
    """Draw template peaks off their search centres, and off each other."""
    searches = [
        (region.name, side, np.array(sphere.centre_mm))
        for region in analysis.functional.regions
        for side, sphere in region.search.items()
    ]
    points: list[Floats] = []
    while len(points) < len(searches):
        centre = searches[len(points)][2]
        steps = rng.standard_normal((100, 3))
        steps *= rng.uniform(*_OFFSET_MM, (100, 1)) / np.linalg.norm(steps, axis=1, keepdims=True)
        free = [
            point
            for point in centre + steps
            if all(np.linalg.norm(point - other) > _APART_MM for other in points)
        ]
        # Two search centres are 4 mm apart: a first draw may leave no room for the second.
        points = [*points, free[0]] if free else []
    peaks: dict[str, dict[str, Floats]] = {}
    for (region, side, _), point in zip(searches, points, strict=True):
        peaks.setdefault(region, {})[side] = point
    return peaks


@dataclass(frozen=True)
class Place:
    """A participant on one scan's grid; voxel arrays are flat, x running fastest, as in the file.

    ``points`` are RAS mm, (n, 3); ``driven`` and ``tissues`` ("CSF", "WM") are masks, (n,).
    """

    header: RunHeader
    points: Floats
    brain: Bools
    driven: Bools
    tissues: Mapping[str, Bools]


def make_place(template: Template, person: Person, header: RunHeader, *, cut_off: bool) -> Place:
    """Lay a participant over a grid; ``cut_off`` leaves out the occipital pole."""
    x, y, z = (range(n) for n in header.shape)
    voxels = np.stack(np.meshgrid(z, y, x, indexing="ij")[::-1]).reshape(3, -1).T
    points = voxels @ header.affine[:3, :3].T + header.affine[:3, 3]
    there = person.warp.to_template(points)
    brain = template.brain(there)
    if cut_off:
        brain &= there[:, 1] > CUT_OFF_BEHIND_MM
    fluid = tissue(there, FLUID) & brain
    white = tissue(there, WHITE_MATTER) & brain & ~fluid
    free = template.areas(there) == 0
    tissues = {"CSF": fluid & free, "WM": white & free}
    return Place(header, points, brain, template.driven(there) & brain, tissues)
