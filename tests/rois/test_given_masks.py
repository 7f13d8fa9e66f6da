"""The user's own masks: read, carried between spaces and grids, parted at the midline."""

import nibabel as nib
import numpy as np
import pytest
import SimpleITK

from bidsapp.errors import InputError
from bidsapp.rois.masks import RegionPart, carry_region, joined, parted_at_midline, read_region
from bidsapp.rois.transforms import TemplateTransforms

FINE = np.diag([1.0, 1.0, 1.0, 1.0])
FINE[:3, 3] = [-30, -30, -20]
COARSE = np.array([[-3.0, 0.2, 0, 31], [0.1, 3.0, 0, -32], [0, 0.1, 3.3, -21], [0, 0, 0, 1]])
SHAPE, COARSE_SHAPE = (60, 60, 40), (21, 21, 13)
IDENTITY = SimpleITK.Transform(3, SimpleITK.sitkIdentity)
SAME = TemplateTransforms(IDENTITY, IDENTITY, True, (), ("T1w",))


def millimetres(shape, affine):
    return np.moveaxis(np.indices(shape), 0, -1) @ affine[:3, :3].T + affine[:3, 3]


def ball(centre, radius, shape=SHAPE, affine=FINE):
    return np.linalg.norm(millimetres(shape, affine) - centre, axis=-1) <= radius


@pytest.fixture
def write(tmp_path):
    def to_file(data, name="mask.nii.gz", affine=FINE):
        nib.save(nib.Nifti1Image(data, affine), tmp_path / name)
        return tmp_path / name

    return to_file


def test_one_grid_changes_nothing(write):
    mask = ball((4, -3, 2), 9)
    region = read_region(write(mask.astype(np.uint8)))
    box, carried = carry_region(region, SAME, FINE)
    np.testing.assert_array_equal(joined([RegionPart(None, box, carried)], SHAPE), mask)


@pytest.mark.parametrize("label", [None, 5])
def test_on_another_grid_a_mask_is_nearest_neighbour(write, label):
    mask = ball((4, -3, 2), 9) | ball((-14, 6, 0), 5)
    stored = mask * np.uint8(5) + (ball((20, 20, 10), 6) * np.uint8(3) if label else 0)
    region = read_region(write(stored.astype(np.uint8)), label)
    box, carried = carry_region(region, SAME, COARSE)
    found = joined([RegionPart(None, box, carried)], COARSE_SHAPE)
    # Plainly: the fine voxel nearest to each coarse voxel's centre.
    nearest = np.rint(millimetres(COARSE_SHAPE, COARSE) - FINE[:3, 3]).astype(int)
    inside = ((nearest >= 0) & (nearest < SHAPE)).all(axis=-1)
    expected = np.zeros(COARSE_SHAPE, bool)
    expected[inside] = mask[tuple(nearest[inside].T)]
    assert (found != expected).mean() < 1e-3  # halves are rounded either way
    size_mm3 = found.sum() * abs(np.linalg.det(COARSE[:3, :3]))
    assert size_mm3 == pytest.approx(mask.sum(), rel=0.1)


def test_equal_in_millimetres_on_two_grids_of_a_participant(write):
    region = read_region(write(ball((4, -3, 2), 9).astype(np.uint8)))
    other = COARSE.copy()
    other[:3, 3] += (1.7, -16.3, 0.9)
    centres = []
    for affine in (COARSE, other):
        box, mask = carry_region(region, SAME, affine)
        assert mask.sum() * abs(np.linalg.det(affine[:3, :3])) == pytest.approx(3053, rel=0.1)
        centres.append(box.millimetres()[mask].mean(axis=0))
    np.testing.assert_allclose(centres[0], (4, -3, 2), atol=0.7)
    np.testing.assert_allclose(centres[0], centres[1], atol=0.9)


def test_a_map_is_cut_after_it_was_carried_linearly(write):
    x = millimetres(SHAPE, FINE)[..., 0]
    region = read_region(write((x / 100).astype(np.float32)), threshold=0.101)
    box, mask = carry_region(region, SAME, COARSE)
    where = box.millimetres()
    well_inside = (np.abs(where - (0, 0, 0)) < (28, 28, 18)).all(axis=-1)
    np.testing.assert_array_equal(mask[well_inside], (where[..., 0] >= 10.1)[well_inside])


def test_through_a_transform_the_region_moves(write):
    """A template 7 mm to the front of native space: native points are 7 mm behind."""
    to_native = SimpleITK.TranslationTransform(3, (0.0, -7.0, 0.0))  # native LPS to template's
    to_template = SimpleITK.TranslationTransform(3, (0.0, 7.0, 0.0))
    way = TemplateTransforms(to_native, to_template, True, (), ("MNI", "T1w"))
    box, mask = carry_region(read_region(write(ball((4, -3, 2), 9).astype(np.uint8))), way, FINE)
    np.testing.assert_allclose(box.millimetres()[mask].mean(axis=0), (4, -10, 2), atol=1e-6)


def test_what_the_image_cuts_off_is_counted(write):
    mask = ball((4, -3, 2), 9)
    region = read_region(write(mask.astype(np.uint8)))
    cut = FINE.copy()
    cut[1, 3] = -3.5  # the image begins in the middle of the region
    box, carried = carry_region(region, SAME, cut)
    part = RegionPart(None, box, carried)
    assert joined([part], SHAPE).sum() < 0.6 * mask.sum()
    assert part.n_voxels == pytest.approx(mask.sum(), rel=0.05)


def test_parted_at_the_templates_midline(write):
    """The template's midline lies at x = 2.5 in native space."""
    mask = ball((0, 0, 0), 12)
    box, carried = carry_region(read_region(write(mask.astype(np.uint8))), SAME, FINE)
    shift = SimpleITK.TranslationTransform(3, (2.5, 0.0, 0.0))  # LPS: native x less 2.5 mm
    left, right = parted_at_midline(RegionPart(None, box, carried), shift)
    assert (left.side, right.side) == ("L", "R")
    assert box.millimetres()[left.mask][:, 0].max() == 2
    assert box.millimetres()[right.mask][:, 0].min() == 3
    np.testing.assert_array_equal(left.mask | right.mask, carried)
    assert not (left.mask & right.mask).any()


def test_a_mask_may_be_a_series_of_one(write):
    data = np.random.default_rng(1).integers(0, 2, SHAPE).astype(np.uint8)
    region = read_region(write(data[..., None]))
    np.testing.assert_array_equal(region.inside, data == 1)


def test_an_empty_mask_is_empty_everywhere(write):
    region = read_region(write(np.zeros(SHAPE, np.uint8)))
    assert not region.inside.any()
    _, mask = carry_region(region, SAME, COARSE)
    assert not mask.any()


@pytest.mark.parametrize(
    ("data", "asked", "says"),
    [
        (np.ones((4, 4, 4, 2), np.uint8), {}, r"has shape \(4, 4, 4, 2\)"),
        (np.full((4, 4, 4), np.inf, np.float32), {}, "not finite"),
        (np.full((4, 4, 4), 0.5, np.float32) * np.arange(4, dtype=np.float32), {}, "no mask"),
        (-np.ones((4, 4, 4), np.float32), {}, "no mask"),
        (np.full((4, 4, 4), 0.5, np.float32), {"label": 1}, "no dseg"),
    ],
)
def test_what_is_no_region_is_said(write, data, asked, says):
    path = write(data)
    with pytest.raises(InputError, match=says) as error:
        read_region(path, **asked)
    assert str(path) in str(error.value)
