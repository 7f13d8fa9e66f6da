"""Regions on the inflated cortex, coloured by a value of each."""

from collections.abc import Mapping
from functools import cache
from itertools import product
from typing import Any, Literal

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from nibabel import Nifti1Image
from nilearn import datasets, plotting, surface

from bidsapp.arrays import Floats
from bidsapp.reports.style import INK, STYLE, WIDTH_IN

Side = Literal["left", "right"]

SIDES: tuple[Side, ...] = ("left", "right")
VIEWS = ("lateral", "medial", "ventral")
_COLOURS = "viridis"
_TURNED_MM = 4.0  # before the middle of the hemisphere: what lies behind is hidden
_BEFORE_MM = 40.0  # so that a number is not drawn inside the cortex


def on_surface(regions: Mapping[str, Floats], affine: Floats) -> dict[Side, Floats]:
    """Sample maps of regions on fsaverage5, between white matter and pia (nilearn).

    Parameters
    ----------
    regions
        Region to its map, each (x, y, z), in MNI space.
    affine
        (4, 4) voxels to RAS mm.

    Returns
    -------
    dict
        Hemisphere to (n_regions, n_vertices), 0 outside the maps.
    """
    stacked = np.stack(list(regions.values()), axis=-1).astype(np.float32)
    image = Nifti1Image(stacked, affine)
    mesh = _meshes()
    return {
        side: np.nan_to_num(
            surface.vol_to_surf(
                image, mesh[f"pial_{side}"], inner_mesh=mesh[f"white_{side}"], kind="depth"
            )
        ).T
        for side in SIDES
    }


def winners(overlap: Floats, least: float) -> Floats:
    """Give each vertex to the region that overlaps most there, if it does by ``least`` or more.

    Parameters
    ----------
    overlap
        Shape (n_regions, n_vertices).

    Returns
    -------
    Floats
        Shape (n_vertices,): number of the region, NaN for none.
    """
    best = overlap.argmax(axis=0)
    return np.where(overlap.max(axis=0) >= least, best, np.nan)


@rc_context(STYLE)
def surface_map(regions: Mapping[Side, Floats], values: Mapping[str, float]) -> Figure:
    """Colour regions on the inflated surface of fsaverage5, number them, and list their values.

    Parameters
    ----------
    regions
        Hemisphere to the number of each vertex's region in ``values``, (n_vertices,), NaN for none.
    values
        Region to its value; NaN leaves it uncoloured.
    """
    figure = Figure(figsize=(WIDTH_IN, 4.9))
    numbers = np.array([*values.values()], dtype=float)
    finite = numbers[np.isfinite(numbers)]
    scale = Normalize(finite.min(initial=0.0), max(finite.max(initial=0.0), 1e-6))
    for (row, side), (column, view) in product(enumerate(SIDES), enumerate(VIEWS)):
        drawn = np.isfinite(regions[side])
        texture = np.full(len(drawn), np.nan)
        texture[drawn] = numbers[regions[side][drawn].astype(int)]
        place = (0.27 * column - 0.01, 0.48 - 0.49 * row, 0.28, 0.5)
        axis: Any = figure.add_axes(place, projection="3d")
        _draw_hemisphere(axis, side, view, texture, scale)
        _number_regions(axis, side, np.where(np.isfinite(texture), regions[side], np.nan))
    figure.text(0.01, 0.96, "left hemisphere", fontweight="bold", fontsize=9)
    figure.text(0.01, 0.47, "right hemisphere", fontweight="bold", fontsize=9)
    _list_regions(figure, values)
    bar = figure.add_axes((0.84, 0.11, 0.14, 0.025))
    figure.colorbar(
        ScalarMappable(scale, colormaps[_COLOURS]),
        cax=bar,
        orientation="horizontal",
        label="similarity (Pearson r)",
    )
    return figure


def _draw_hemisphere(
    axis: Any,  # noqa: ANN401 (mplot3d has no types)
    side: Side,
    view: str,
    texture: Floats,
    scale: Normalize,
) -> None:
    mesh = _meshes()
    plotting.plot_surf(
        mesh[f"infl_{side}"],
        texture,
        bg_map=mesh[f"sulc_{side}"],
        hemi=side,
        view=view,
        cmap=_COLOURS,
        vmin=scale.vmin,
        vmax=scale.vmax,
        colorbar=False,
        axes=axis,
    )
    axis.set_box_aspect(None, zoom=1.5)
    for part in axis.collections:
        part.set_rasterized(True)  # twenty thousand faces


def _number_regions(axis: Any, side: Side, regions: Floats) -> None:  # noqa: ANN401
    """Write each region's number at its middle, where that is turned to the reader."""
    points = np.asarray(surface.load_surf_mesh(_meshes()[f"infl_{side}"]).coordinates)
    up, round_ = np.radians([axis.elev, axis.azim])
    eye = np.array([np.cos(up) * np.cos(round_), np.cos(up) * np.sin(round_), np.sin(up)])
    towards = (points - points.mean(axis=0)) @ eye
    for number in np.unique(regions[np.isfinite(regions)]):
        its = np.flatnonzero(regions == number)
        middle = its[np.linalg.norm(points[its] - points[its].mean(axis=0), axis=1).argmin()]
        if towards[middle] < _TURNED_MM:
            continue
        text = axis.text(
            *(points[middle] + _BEFORE_MM * eye),
            f"{number + 1:.0f}",
            fontsize=7,
            fontweight="bold",
            color="white",
            ha="center",
            va="center",
        )
        text.set_path_effects([withStroke(linewidth=1.6, foreground=INK)])


def _list_regions(figure: Figure, values: Mapping[str, float]) -> None:
    """Write the regions' numbers, names and values beside the brains."""
    step = min(0.045, 0.72 / max(len(values), 1))
    for number, (name, value) in enumerate(values.items(), start=1):
        y = 0.95 - step * (number - 1)
        figure.text(0.845, y, str(number), ha="right", fontweight="bold")
        figure.text(0.857, y, name)
        shown = f"{value:.3f}" if np.isfinite(value) else "n/a"
        figure.text(0.985, y, shown.replace("-", "−"), ha="right")


@cache
def _meshes() -> Any:  # noqa: ANN401 (nilearn has no types)
    """Return the files of fsaverage5, which come with nilearn."""
    return datasets.fetch_surf_fsaverage("fsaverage5")
