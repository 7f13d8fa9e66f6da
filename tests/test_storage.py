"""The same BOLD stored in any order of voxels, or scaled to integers, gives equal results."""

from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
import SimpleITK
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

from bidsapp.analysis.spec import Contrast, FunctionalRegions, Localizer
from bidsapp.brain.denoise import NuisanceDesign
from bidsapp.brain.patterns import region_patterns
from bidsapp.rois.atlas import atlas_regions, carry_atlas, read_atlas
from bidsapp.rois.functional import find_regions, native_priors
from bidsapp.rois.localizer import LocalizerRun, design_matrix, fit_localizer
from bidsapp.rsa.rdm import correlation_distance

SHAPE, N, TR = (13, 11, 9), 60, 2.0
# Rotated about two axes, anisotropic, off the centre: an oblique scan.
AFFINE = np.array(
    [[2.95, 0.31, 0.25, -18.0], [-0.35, 2.93, -0.49, -12.0], [-0.21, 0.42, 3.25, -14.0],
     [0, 0, 0, 1]]
)  # fmt: skip
IDENTITY = SimpleITK.Transform(3, SimpleITK.sitkIdentity)
LOCALIZER = Localizer(
    task="objectcategories",
    runs=("1",),
    conditions=("face", "house"),
    contrasts={"face": Contrast(plus=("face",), minus=("house",))},
    confounds=(),
)
REGIONS = FunctionalRegions.model_validate(
    {
        "voxels": 20,
        "regions": [
            {"name": "FFA", "contrast": "face", "search": {
                "L": {"centre_mm": [-10, 0, 0], "radius_mm": 8},
                "R": {"centre_mm": [10, 3, 2], "radius_mm": 8}}}
        ],
    }
)  # fmt: skip
SILENT = [
    "ignore:Mean values of 0 observed",
    "ignore:.*Generation of a mask has been requested",
]
pytestmark = [pytest.mark.filterwarnings(words) for words in SILENT]


@dataclass(frozen=True)
class Results:
    """Voxels of regions in mm, in one order, and RDMs."""

    functional_mm: np.ndarray
    atlas_mm: np.ndarray
    rdms: np.ndarray


def series() -> nibabel.Nifti1Image:
    """Noise with two places that prefer faces."""
    rng = np.random.default_rng(3)
    data = rng.normal(1000, 10, (*SHAPE, N))
    course = design(1.0)["face"].to_numpy()
    mm = np.indices(SHAPE).reshape(3, -1).T @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    for centre in ([-10, 0, 0], [11, 4, 1]):
        bump = np.exp(-((mm - centre) ** 2).sum(axis=1) / (2 * 5.0**2)).reshape(SHAPE)
        data += 30 * bump[..., None] * course
    return nibabel.Nifti1Image(data.astype(np.float32), AFFINE)


def design(start: float) -> pd.DataFrame:
    events = pd.DataFrame(
        {"onset": np.arange(8.0, 100, 24), "duration": 12.0, "trial_type": ["face", "house"] * 2}
    )
    return design_matrix(events, None, N, TR, start, LOCALIZER)


def ordered(image: nibabel.Nifti1Image, codes: str) -> nibabel.Nifti1Image:
    """Store an image along other axes; every voxel keeps its place in mm."""
    wanted = axcodes2ornt(tuple(codes))
    return image.as_reoriented(ornt_transform(io_orientation(image.affine), wanted))


def results(folder: Path, image: nibabel.Nifti1Image, slope: float | None = None) -> Results:
    bold, mask, atlas = (folder / f"{name}.nii.gz" for name in ("bold", "mask", "atlas"))
    if slope is None:
        nibabel.save(image, bold)
    else:
        # nibabel stores numbers as they are where a slope is set.
        stored = np.rint((image.get_fdata() - 1000) / slope).astype(np.int16)
        scaled = nibabel.Nifti1Image(stored, image.affine)
        scaled.header.set_slope_inter(slope, 1000.0)
        nibabel.save(scaled, bold)
        assert nibabel.load(bold).dataobj.slope == pytest.approx(slope)
    inside = np.ones(image.shape[:3], np.uint8)
    nibabel.save(nibabel.Nifti1Image(inside, image.affine), mask)
    maps = fit_localizer([LocalizerRun(bold, mask, design(1.0))], LOCALIZER)["face"]
    found = find_regions(
        {"face": maps.t.get_fdata()},
        {"face": maps.z.get_fdata()},
        inside > 0,
        image.affine,
        native_priors(REGIONS, IDENTITY),
        REGIONS,
    )[0]
    percent = np.zeros((20, 20, 20), np.float32)
    percent[8:12, 7:12, 9:13] = 90
    place = np.diag([3.0, 3, 3, 1])
    place[:3, 3] = -30
    nibabel.save(nibabel.Nifti1Image(percent, place), atlas)
    carried = carry_atlas(read_atlas({("L", 1): atlas}), IDENTITY, image.shape[:3], image.affine)
    area = atlas_regions(carried, ["V1v"], ["V1v"]).mask("V1v")
    masks = {"FFA": found.mask, "V1v": area}
    nuisance = NuisanceDesign(np.column_stack([np.linspace(-1, 1, N), np.ones(N)]), ("a", "b"), {})
    patterns = region_patterns(bold, masks, nuisance, scale=False).replicate.series
    return Results(
        *(in_order(mask, image.affine) for mask in masks.values()),
        np.stack([correlation_distance(patterns[name]) for name in masks]),
    )


def in_order(mask: np.ndarray, affine: np.ndarray) -> np.ndarray:
    mm = (np.argwhere(mask) @ affine[:3, :3].T + affine[:3, 3]).round(3)
    return mm[np.lexsort(mm.T)]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Results:
    found = results(tmp_path_factory.mktemp("ras"), series())
    assert len(found.functional_mm) == 20
    assert len(found.atlas_mm) > 20
    return found


@pytest.mark.parametrize("codes", ["LAS", "LPS", "RAI", "SPL", "ASR"])
def test_the_order_of_voxels_does_not_matter(tmp_path, expected, codes):
    image = ordered(series(), codes)
    assert nibabel.aff2axcodes(image.affine) == tuple(codes)
    found = results(tmp_path, image)
    np.testing.assert_allclose(found.functional_mm, expected.functional_mm, atol=2e-3)
    np.testing.assert_allclose(found.atlas_mm, expected.atlas_mm, atol=2e-3)
    np.testing.assert_allclose(found.rdms, expected.rdms, atol=1e-5)


def test_scaled_integers_are_the_values_that_they_stand_for(tmp_path, expected):
    found = results(tmp_path, series(), slope=0.02)
    np.testing.assert_allclose(found.functional_mm, expected.functional_mm, atol=2e-3)
    np.testing.assert_allclose(found.rdms, expected.rdms, atol=2e-3)
