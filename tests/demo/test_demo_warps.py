"""The demo's warps: their files, read by SimpleITK, against the formula."""

import numpy as np
import pytest
import SimpleITK

from bidsapp.demo import warps

POINTS = np.array([[-40.0, -52, -20], [42, -52, -21], [-15, -57, 11], [10, -90, 5], [51, -69, -1]])


def carry(path, points):
    transform = SimpleITK.ReadTransform(str(path))
    carried = [transform.TransformPoint((point * warps.LPS).tolist()) for point in points]
    return np.array(carried) * warps.LPS


@pytest.mark.parametrize("seed", range(3))
def test_files_carry_points_as_the_formula_and_back(tmp_path, seed):
    warp = warps.draw_warp(np.random.default_rng(seed))
    warps.write_transforms(tmp_path, "sub-01", warp)
    native = warp.to_native(POINTS)
    assert warp.to_template(native) == pytest.approx(POINTS, abs=1e-4)
    second = POINTS * warps.SECOND_SCALE + warps.SECOND_SHIFT_MM
    for template, points in zip(warps.TEMPLATES, (POINTS, second), strict=True):
        there = tmp_path / f"sub-01_from-T1w_to-{template}_mode-image_xfm.h5"
        back = tmp_path / f"sub-01_from-{template}_to-T1w_mode-image_xfm.h5"
        assert carry(there, points) == pytest.approx(native, abs=0.1)
        assert carry(back, carry(there, points)) == pytest.approx(points, abs=0.3)


@pytest.mark.parametrize("seed", range(3))
def test_a_reversed_transform_would_be_far_off(seed):
    warp = warps.draw_warp(np.random.default_rng(seed))
    apart = np.linalg.norm(warp.to_native(POINTS) - warp.to_template(POINTS), axis=1)
    assert apart.mean() > 9


def test_the_templates_lie_about_four_mm_apart():
    moved = POINTS * warps.SECOND_SCALE + warps.SECOND_SHIFT_MM - POINTS
    assert np.linalg.norm(moved, axis=1) == pytest.approx(4.0, abs=0.6)
