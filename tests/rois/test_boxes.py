"""A box of a grid's voxels: what lies outside of the image is counted and never placed."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bidsapp.rois.boxes import Box

AFFINE = np.array([[-3.0, 0.1, 0, 20], [0.1, 3.0, 0.2, -30], [0, -0.2, 3.3, -10], [0, 0, 0, 1]])
SHAPE = (7, 6, 5)
index = st.integers(-9, 14)
corner = st.tuples(index, index, index)


@given(one=corner, other=corner)
@settings(max_examples=60)
def test_a_box_holds_its_points_and_agrees_with_the_image(one, other):
    points = np.array([one, other]) @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    box = Box.around(points, AFFINE)
    low, high = np.minimum(one, other), np.maximum(one, other)
    assert (np.array(box.low) <= low).all()
    assert (np.add(box.low, box.shape) > high).all()
    # Place and cut, against a loop over the image's voxels.
    values = np.arange(1, np.prod(box.shape) + 1).reshape(box.shape)
    placed = box.place(values, SHAPE)
    for voxel in np.ndindex(SHAPE):
        inside = np.subtract(voxel, box.low)
        there = (inside >= 0).all() and (inside < box.shape).all()
        assert placed[voxel] == (values[tuple(inside)] if there else 0)
    mask = np.random.default_rng(0).random(SHAPE) > 0.5
    cut = box.cut(mask)
    assert cut.sum() == (mask & (placed > 0)).sum()
    np.testing.assert_array_equal(box.place(cut, SHAPE), mask & (placed > 0))
    first = box.millimetres()[0, 0, 0]
    np.testing.assert_allclose(first, AFFINE[:3, :3] @ box.low + AFFINE[:3, 3], atol=1e-9)


def test_a_margin_and_no_points():
    point = AFFINE[:3, :3] @ (3, 3, 3) + AFFINE[:3, 3]
    box = Box.around(point[None], AFFINE, 6.0)
    assert (np.array(box.low) <= 1).all()
    assert (np.add(box.low, box.shape) >= 6).all()
    assert Box.around(np.zeros((0, 3)), AFFINE).shape == (1, 1, 1)
