"""Regions and maps drawn on slices of the participant's own anatomy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from bidsapp.arrays import Bools, Floats
from bidsapp.reports.style import ACCENT, COLOURS, INK, STYLE, new_figure

STEP_MM = 1.25  # between two pixels of a slice
MARGIN_MM = 15.0  # around the regions where there is no anatomy to show
_Extent = tuple[float, float, float, float]  # left, right, bottom, top of a slice, mm
N_SLICES = 6  # of a contrast
LEVELS = 100  # of grey, and of t: together they fit a palette
# Blue below zero and red above, both bright far from it: to be seen on grey.
T_COLOURS = LinearSegmentedColormap.from_list(
    "t", ["#B5ECF8", "#2F8FD8", "#16307E", "#7E1010", "#E4570C", "#FFE866"]
)
Bytes = NDArray[np.uint8]
THINNING = 4  # every fourth voxel tells where the head is


@dataclass(frozen=True)
class Volume:
    """A 3-D image: ``data`` (x, y, z) and ``affine`` (4, 4), voxels to RAS mm."""

    data: Floats | Bools
    affine: Floats


@dataclass(frozen=True)
class _Scene:
    """What all slices of a figure share: anatomy, its white level, and corners of the frame, mm."""

    background: Volume | None
    white: float
    low: Floats
    high: Floats


@rc_context(STYLE)
def region_slices(
    background: Volume | None, masks: Mapping[str, Volume], columns: int = 4
) -> Figure:
    """Draw each region on a coronal and an axial slice, with its number of voxels.

    The slices are those that show most of the region in both hemispheres. Any orientation of the
    images is heeded: slices are cut in scanner space, left is left.

    Parameters
    ----------
    background
        Anatomy; None leaves the regions on white.
    masks
        Boolean masks by region, each on its own grid; a region without voxels is left out.
    columns
        Regions in one row of the figure.
    """
    filled = {name: mask for name, mask in masks.items() if mask.data.any()}
    scene = _scene(background, filled)
    columns = min(columns, max(len(filled), 1))
    rows = -(-max(len(filled), 1) // columns)
    width_in = 2.5 * columns
    figure = new_figure(width_in, _panel_height(scene, width_in / columns) * rows)
    panels = figure.subfigures(rows, columns, squeeze=False).ravel()
    for panel, (name, mask) in zip(panels, filled.items(), strict=False):
        panel.suptitle(f"{name}, {int(mask.data.sum())} voxels", fontsize=8.5, x=0.02, ha="left")
        points = _voxels_mm(mask)
        widths = [_aspect(scene, axis) for axis in (1, 2)]
        coronal, axial = panel.subplots(1, 2, width_ratios=widths)
        _draw_slice(coronal, scene, mask, axis=1, at_mm=_busiest(points, 1))
        _draw_slice(axial, scene, mask, axis=2, at_mm=_busiest(points, 2))
    return figure


@rc_context(STYLE)
def map_slices(background: Volume | None, values: Volume, n_slices: int = 8) -> Figure:
    """Draw a map of correlations on axial slices, evenly spaced over where it has values.

    Parameters
    ----------
    background
        Anatomy; None leaves the map on white.
    values
        The map; NaN is not drawn.
    n_slices
        Slices, four in a row.
    """
    there = Volume(np.isfinite(values.data), values.affine)
    scene = _scene(background, {"map": there})
    points = _voxels_mm(there)
    columns = min(4, n_slices)
    rows = -(-n_slices // columns)
    width_in = 2.2 * columns
    figure = new_figure(width_in, width_in / columns / _aspect(scene, 2) * rows + 0.4)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    low, high = np.percentile(points[:, 2], [5, 95])
    filled: Floats = np.nan_to_num(np.asarray(values.data, np.float32))
    top = float(np.percentile(np.abs(values.data[there.data]), 99.5)) or 1.0
    picture = None
    for panel, at_mm in zip(panels, np.linspace(low, high, n_slices), strict=False):
        grid, extent = _cut(scene, axis=2, at_mm=float(at_mm))
        _draw_background(panel, scene, grid, extent)
        sampled = np.where(
            _sample(there, grid, order=0) > 0,
            _sample(Volume(filled, values.affine), grid, order=0),
            np.nan,
        )
        picture = panel.imshow(
            sampled, cmap="RdBu_r", vmin=-top, vmax=top, origin="lower", extent=extent,
            interpolation="none", alpha=0.85,
        )  # fmt: skip
        _label(panel, scene, axis=2, at_mm=float(at_mm), extent=extent)
    if picture is not None:
        figure.colorbar(picture, ax=list(panels), label="r", shrink=0.6, pad=0.01)
    return figure


@rc_context(STYLE)
def contrast_slices(
    background: Volume | None, t: Volume, masks: Mapping[str, Volume], least_t: float
) -> tuple[Figure, tuple[str, ...]]:
    """Draw a contrast's t on axial slices through its regions, which are outlined.

    All slices are one picture of few colours, so that it is drawn at once and stays small.

    Parameters
    ----------
    background
        Anatomy; None leaves the map on white.
    t
        The map; zero is where nothing was measured.
    masks
        Boolean masks of the contrast's regions, each on its own grid.
    least_t
        Voxels whose t, or -t, is lower are not coloured.

    Returns
    -------
    figure, outlined
        ``outlined`` names the regions that a slice goes through, each in its colour.
    """
    scene = _scene(background, {"t": Volume(t.data != 0, t.affine)})
    places = _through(t, [mask for mask in masks.values() if mask.data.any()])
    top = max(float(np.abs(t.data).max(initial=0.0)), least_t + 1.0)
    cuts = [_cut(scene, 2, at_mm)[0] for at_mm in places]
    high, wide = cuts[0].shape[:2]
    whole = np.concatenate([_coloured(scene, grid, t, least_t, top) for grid in cuts], axis=1)
    width_in = 10.0
    picture_in = (width_in - 0.7) * high / whole.shape[1]
    figure = Figure(figsize=(width_in, picture_in + 0.25))
    axis = figure.add_axes((0, 0, 1 - 0.7 / width_in, picture_in / (picture_in + 0.25)))
    axis.imshow(whole, origin="lower", interpolation="none", aspect="auto")
    axis.set_axis_off()
    ink = "white" if background is not None else INK
    colours = dict(zip(masks, cycle(COLOURS), strict=False))
    outlined = set()
    for i, (grid, at_mm) in enumerate(zip(cuts, places, strict=True)):
        axis.text(i * wide + 3, 3, f"z = {at_mm:.0f}", color=ink, fontsize=6.5)
        for name, mask in masks.items():
            inside = _sample(mask, grid, order=0)
            if inside.any():
                outlined.add(name)
                x, y = np.arange(wide) + i * wide, np.arange(high)
                axis.contour(x, y, inside, levels=[0.5], colors=["white"], linewidths=2.2)
                axis.contour(x, y, inside, levels=[0.5], colors=[colours[name]], linewidths=1.2)
    axis.text(3, high - 4, "L", color=ink, fontsize=7, va="top")
    axis.text(wide - 3, high - 4, "R", color=ink, fontsize=7, va="top", ha="right")
    named = tuple(name for name in masks if name in outlined)
    for i, name in enumerate(named):
        figure.text(0.005 + 0.08 * i, 0.995, name, color=colours[name], fontweight="bold", va="top")
    scale = ScalarMappable(Normalize(-top, top), T_COLOURS)
    bar = figure.colorbar(scale, cax=figure.add_axes((0.945, 0.08, 0.012, 0.76)))
    bar.set_label("t", rotation=0)
    return figure, named


def _through(t: Volume, masks: Sequence[Volume]) -> list[float]:
    """Choose heights of axial slices, mm: through each region, and far from one another."""
    low, high = np.percentile(_voxels_mm(Volume(t.data != 0, t.affine))[:, 2], [12, 88])
    chosen = sorted({_busiest(_voxels_mm(mask), 2) for mask in masks})[:N_SLICES]
    candidates = np.linspace(low, high, 40)
    while len(chosen) < N_SLICES:
        apart = np.abs(candidates[:, None] - np.array(chosen)[None, :]).min(axis=1, initial=np.inf)
        chosen.append(float(candidates[int(np.argmax(apart))]))
    return sorted(chosen)


def _coloured(scene: _Scene, grid: Floats, t: Volume, least_t: float, top: float) -> Bytes:
    """Return a slice as colours, (rows, columns, 3): grey anatomy below an opaque map."""
    if scene.background is None:
        shown = np.full(grid.shape[:2], LEVELS - 1)
    else:
        grey = _sample(scene.background, grid, order=1) / scene.white
        shown = (np.clip(grey, 0, 1) * (LEVELS - 1)).astype(int)
    values = _sample(t, grid, order=0)
    level = (np.clip(values / top, -1, 1) + 1) / 2 * (LEVELS - 1)
    shown = np.where(np.abs(values) >= least_t, LEVELS + level.astype(int), shown)
    steps = np.linspace(0, 1, LEVELS)
    palette = np.concatenate([colormaps["gray"](steps), T_COLOURS(steps)])[:, :3]
    coloured: Bytes = (palette * 255).round().astype(np.uint8)[shown]
    return coloured


def _scene(background: Volume | None, masks: Mapping[str, Volume]) -> _Scene:
    if background is not None:
        steps = np.diag([THINNING, THINNING, THINNING, 1.0])
        thin = Volume(
            background.data[::THINNING, ::THINNING, ::THINNING], background.affine @ steps
        )
        inside = thin.data[np.isfinite(thin.data) & (thin.data > 0)]
        if inside.size:
            head = Volume(thin.data > 0.15 * np.percentile(inside, 98), thin.affine)
            return _Scene(
                background, float(np.percentile(inside, 99.5)), *_corners(_voxels_mm(head), 4)
            )
    points = [_voxels_mm(mask) for mask in masks.values()]
    return _Scene(
        None, 1.0, *_corners(np.concatenate(points) if points else np.zeros((1, 3)), MARGIN_MM)
    )


def _corners(points: Floats, margin_mm: float) -> tuple[Floats, Floats]:
    # A few stray bright voxels must not blow up the frame.
    low, high = np.percentile(points, [0.1, 99.9], axis=0)
    return low - margin_mm, high + margin_mm


def _aspect(scene: _Scene, axis: int) -> float:
    """Width of a slice across ``axis``, in units of its height."""
    across, up = (other for other in range(3) if other != axis)
    size = scene.high - scene.low
    return float(size[across] / size[up])


def _panel_height(scene: _Scene, width_in: float) -> float:
    """Height at which two slices and their labels fill the width of a panel."""
    widths = sum(_aspect(scene, axis) for axis in (1, 2))
    return min(3.0, 0.94 * width_in / widths + 0.42)


def _voxels_mm(volume: Volume) -> Floats:
    """Centres of the voxels of a mask, RAS mm, ``(n, 3)``."""
    found: Floats = np.argwhere(volume.data) @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    return found


def _busiest(points: Floats, axis: int, bin_mm: float = 3.0) -> float:
    """Return the place along an axis whose slice shows most of a region, in both hemispheres.

    The square root of each side's count puts a slice that shows both before one that shows one.
    """
    bins = np.round(points[:, axis] / bin_mm).astype(int)
    left = points[:, 0] < 0
    places = np.unique(bins)
    worth = [
        np.sqrt(np.sum((bins == place) & left)) + np.sqrt(np.sum((bins == place) & ~left))
        for place in places
    ]
    return float(places[int(np.argmax(worth))] * bin_mm)


def _draw_slice(panel: Axes, scene: _Scene, mask: Volume, axis: int, at_mm: float) -> None:
    grid, extent = _cut(scene, axis, at_mm)
    _draw_background(panel, scene, grid, extent)
    inside = _sample(mask, grid, order=0)
    if inside.any():
        across, up = (other for other in range(3) if other != axis)
        x, y = grid[0, :, across], grid[:, 0, up]
        panel.contourf(x, y, inside, levels=[0.5, 2], colors=[ACCENT], alpha=0.65)
        panel.contour(x, y, inside, levels=[0.5], colors=[ACCENT], linewidths=0.9)
    _label(panel, scene, axis, at_mm, extent)


def _cut(scene: _Scene, axis: int, at_mm: float) -> tuple[Floats, _Extent]:
    """Points of a slice across an axis, RAS mm, (rows, columns, 3), and its first and last."""
    across, up = (other for other in range(3) if other != axis)
    x, y = (
        np.arange(scene.low[side], scene.high[side] + STEP_MM, STEP_MM) for side in (across, up)
    )
    grid = np.empty((len(y), len(x), 3))
    grid[..., across], grid[..., up], grid[..., axis] = x[None, :], y[:, None], at_mm
    return grid, (float(x[0]), float(x[-1]), float(y[0]), float(y[-1]))


def _draw_background(panel: Axes, scene: _Scene, grid: Floats, extent: _Extent) -> None:
    if scene.background is not None:
        panel.imshow(
            _sample(scene.background, grid, order=1),
            cmap="gray",
            vmin=0,
            vmax=scene.white,
            origin="lower",
            extent=extent,
            interpolation="none",
        )


def _label(panel: Axes, scene: _Scene, axis: int, at_mm: float, extent: _Extent) -> None:
    panel.set(aspect="equal", xlim=extent[:2], ylim=extent[2:], xticks=[], yticks=[])
    panel.set_xlabel(f"{'xyz'[axis]} = {at_mm:.0f} mm", fontsize=7, labelpad=2)
    for spine in panel.spines.values():
        spine.set_visible(False)
    ink = "white" if scene.background is not None else "black"
    for text, place in (("L", 0.02), ("R", 0.98)):
        align = "left" if text == "L" else "right"
        panel.text(
            place, 0.97, text, transform=panel.transAxes, ha=align, va="top", fontsize=7, color=ink
        )


def _sample(volume: Volume, points_mm: Floats, order: int) -> Floats:
    """Read an image at points in RAS mm, ``(..., 3)``; outside of it is zero."""
    inverse = np.linalg.inv(volume.affine)
    voxels = points_mm @ inverse[:3, :3].T + inverse[:3, 3]
    data = np.asarray(volume.data, dtype=np.float32)
    sampled: Floats = map_coordinates(data, np.moveaxis(voxels, -1, 0), order=order, cval=0.0)
    return sampled
