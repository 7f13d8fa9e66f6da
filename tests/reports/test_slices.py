"""Slices show the right place, on the right side."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from nibabel import Nifti1Image
from nilearn.image import resample_img

from bidsapp.reports.outputs import read_volume
from bidsapp.reports.slices import (
    Volume,
    _busiest,
    _sample,
    _through,
    _voxels_mm,
    contrast_slices,
    map_slices,
    region_slices,
)
from bidsapp.reports.style import svg_text

OBLIQUE = np.array(
    [[-2.9, 0.4, 0.1, 40], [0.3, 2.8, -0.6, -60], [0.1, 0.5, 3.1, -30], [0, 0, 0, 1]]
)


def test_an_anatomy_may_be_a_series_of_one(tmp_path: Path) -> None:
    data = np.random.default_rng(0).uniform(size=(4, 5, 6)).astype(np.float32)
    Nifti1Image(data[..., None], OBLIQUE).to_filename(tmp_path / "T1w.nii.gz")
    np.testing.assert_array_equal(read_volume(tmp_path / "T1w.nii.gz").data, data)


def test_sampling_agrees_with_nilearn_on_an_oblique_image() -> None:
    data = np.random.default_rng(0).uniform(size=(20, 22, 18)).astype(np.float32)
    target = np.diag([2.0, 2.0, 2.0, 1.0])
    target[:3, 3] = (-10, -30, -5)
    reference = resample_img(
        Nifti1Image(data, OBLIQUE),
        target,
        (12, 12, 12),
        "linear",
        force_resample=True,
        copy_header=True,
    ).get_fdata()
    points = np.moveaxis(np.indices((12, 12, 12)), 0, -1) @ target[:3, :3].T + target[:3, 3]
    ours = _sample(Volume(data, OBLIQUE), points, order=1)
    inside = (reference != 0) & (ours != 0)
    assert inside.mean() > 0.5
    np.testing.assert_allclose(ours[inside], reference[inside], atol=1e-5)


def test_voxels_are_placed_by_the_affine() -> None:
    mask = np.zeros((5, 5, 5), bool)
    mask[1, 2, 3] = True
    np.testing.assert_allclose(_voxels_mm(Volume(mask, OBLIQUE)), [(OBLIQUE @ (1, 2, 3, 1))[:3]])


def test_the_slice_shows_both_hemispheres_where_one_can() -> None:
    left = np.array([[-30.0, y, z] for y in (-60, -57) for z in (0, 3, 6)])
    right = np.array([[30.0, y, 6] for y in (-57, -54)])
    points = np.concatenate([left, right])
    assert _busiest(points, axis=1) == -57
    assert _busiest(points, axis=2) == 6


@pytest.mark.parametrize("flip", [1.0, -1.0])
def test_left_is_left_whatever_the_storage_order(flip: float) -> None:
    affine = np.diag([3.0 * flip, 3.0, 3.0, 1.0])
    affine[:3, 3] = (-45 * flip, -45, -45)
    mask = np.zeros((31, 31, 31), bool)
    place = 5 if flip > 0 else 25  # x = -30 mm in both
    mask[place - 1 : place + 2, 10:13, 10:13] = True
    panel = region_slices(None, {"FFA": Volume(mask, affine)}).subfigs[0]
    for axis in panel.axes:
        outline = np.concatenate(
            [path.vertices for c in axis.collections for path in c.get_paths()]
        )
        assert -36 < outline[:, 0].min() < outline[:, 0].max() < -24


def test_counts_are_written_and_empty_regions_left_out(
    svg_texts: Callable[[str], list[str]],
) -> None:
    mask = np.zeros((20, 20, 20), bool)
    mask[5:7, 5:8, 5] = True
    anatomy = Volume(
        np.random.default_rng(0).uniform(1, 2, (20, 20, 20)).astype(np.float32), np.eye(4)
    )
    figure = region_slices(
        anatomy, {"FFA": Volume(mask, np.eye(4)), "PPA": Volume(~mask & mask, np.eye(4))}
    )
    said = svg_texts(svg_text(figure, "regions"))
    assert "FFA, 6 voxels" in said
    assert not any("PPA" in text for text in said)


def drawn(figure: Figure) -> list[np.ndarray]:
    """Values of the map on each slice, NaN where nothing is drawn."""
    panels = [axis for axis in figure.axes if axis.images]
    return [np.ma.filled(panel.images[-1].get_array(), np.nan) for panel in panels]


@pytest.mark.parametrize("flip", [1.0, -1.0])
def test_a_map_is_drawn_where_it_has_values(flip: float) -> None:
    affine = np.diag([3.0 * flip, 3.0, 3.0, 1.0])
    affine[:3, 3] = (-45 * flip, -45, -45)
    values = np.full((31, 31, 31), np.nan, np.float32)
    values[5:26, 5:26, 5:26] = 0.01
    hot = 8 if flip > 0 else 22  # x = -21 mm in both
    values[hot, 15, 5:26] = 0.3
    figure = map_slices(None, Volume(values, affine))
    slices = drawn(figure)
    assert len(slices) == 8
    for seen in slices:
        inside = np.isfinite(seen)
        assert 0.2 < inside.mean() < 0.6  # of the frame, which has a margin
        assert np.nanmax(seen) == pytest.approx(0.3)
        left = seen[:, : seen.shape[1] // 2]
        assert np.nanmax(left) == pytest.approx(0.3)
        assert np.nanmax(seen[:, seen.shape[1] // 2 + 1 :]) == pytest.approx(0.01)


def test_a_map_of_zeros_alone_can_be_drawn(svg_texts: Callable[[str], list[str]]) -> None:
    figure = map_slices(None, Volume(np.zeros((6, 6, 6), np.float32), np.eye(4)))
    assert "r" in svg_texts(svg_text(figure, "map"))


@pytest.mark.parametrize("flip", [1.0, -1.0])
def test_a_contrast_is_coloured_over_the_threshold_on_its_side(flip: float) -> None:
    affine = np.diag([3.0 * flip, 3.0, 3.0, 1.0])
    affine[:3, 3] = (-45 * flip, -45, -45)
    t = np.full((31, 31, 31), 0.5, np.float32)
    left = slice(4, 9) if flip > 0 else slice(22, 27)  # x from -33 to -21 mm
    t[left, 10:15, 10:15] = 8.0
    mask = t > 5
    figure, outlined = contrast_slices(None, Volume(t, affine), {"FFA": Volume(mask, affine)}, 3.0)
    assert outlined == ("FFA",)
    whole = np.asarray(figure.axes[0].images[0].get_array())
    high, wide = whole.shape[0], whole.shape[1] // 6
    coloured = [(whole[:, i * wide : (i + 1) * wide] < 255).any(axis=2) for i in range(6)]
    assert any(inside.any() for inside in coloured)
    for inside in coloured:
        assert not inside[:, wide // 2 :].any()
        assert inside.sum() < high * wide / 20
    assert figure.axes[0].collections  # the outline of the region


def test_each_region_on_the_slices_has_a_colour_and_is_named(
    svg_texts: Callable[[str], list[str]],
) -> None:
    t = Volume(np.ones((20, 20, 60), np.float32), np.eye(4))
    masks = {}
    for i in range(7):  # one more than there are slices
        mask = np.zeros(t.data.shape, bool)
        mask[5:8, 5:8, 5 + 6 * i : 8 + 6 * i] = True
        masks[f"R{i}"] = Volume(mask, np.eye(4))
    figure, outlined = contrast_slices(None, t, masks, 3.0)
    assert outlined == ("R0", "R1", "R2", "R3", "R4", "R5")
    assert len({text.get_color() for text in figure.texts}) == 6
    assert "R6" not in svg_texts(svg_text(figure, "contrast"))


def test_slices_go_through_the_regions_and_apart() -> None:
    t = Volume(np.ones((20, 20, 40), np.float32), np.eye(4))
    mask = np.zeros((20, 20, 40), bool)
    mask[5:8, 5:8, 9] = True
    heights = _through(t, [Volume(mask, np.eye(4))])
    assert 9 in heights
    assert np.diff(heights).min() > 1
