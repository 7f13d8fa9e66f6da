"""What each model explains beyond each other, one matrix a region on one colour scale."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure

from bidsapp.arrays import Floats
from bidsapp.reports.figures.dots import draw_dots
from bidsapp.reports.style import INK, PALE, STYLE, WIDTH_IN, new_figure

_WRITTEN = 6  # models up to which each cell has its value written in it
_NAMED = 26  # letters of a model's name that stand beside a matrix
_BESIDE_IN = 2.8  # of the figure's width, that names, colour bar and gaps take
_CORNER = 0.27  # of a cell, from its middle to the mark in its upper right corner
_DOT = (1.2, 2.6)  # least and largest diameter of a mark, in points
_ALPHA = 0.05


@rc_context(STYLE)
def unique_matrices(table: pd.DataFrame, regions: Sequence[str], models: Sequence[str]) -> Figure:
    """Draw one matrix per region: rows are controls, columns are targets.

    Colours are symmetric about zero and the same for all regions. A dot in a cell's corner marks
    what is under .05.

    Parameters
    ----------
    table
        Rows of one mode and fit with the columns ``roi``, ``control``, ``target`` and ``r_mean``,
        and, if cells are to be marked, ``p_null_fwe``.
    regions, models
        What is drawn, in this order; what the table lacks stays grey.
    """
    columns = min(4 if len(models) <= _WRITTEN else 6, max(len(regions), 1))
    rows = -(-max(len(regions), 1) // columns)
    side_in = (WIDTH_IN - _BESIDE_IN) / columns  # of a matrix, nearly
    figure = new_figure(WIDTH_IN, 0.4 + (side_in + 0.35) * rows)
    axes = figure.subplots(rows, columns, squeeze=False)
    grids = {region: matrix_of(table, region, models) for region in regions}
    top = _largest(list(grids.values()))
    picture = None
    for place, (axis, region) in enumerate(zip(axes.ravel(), regions, strict=False)):
        picture = axis.imshow(
            grids[region], cmap=_colours(), norm=Normalize(-top, top), interpolation="none"
        )
        axis.set_title(region)
        _name_models(axis, models, beside=place % columns == 0)
        if len(models) <= _WRITTEN:
            _write_values(axis, grids[region], top)
        if "p_null_fwe" in table:
            low = matrix_of(table, region, models, "p_null_fwe") < _ALPHA
            y, x = np.nonzero(low)
            size = float(np.clip(0.2 * side_in * 72 / len(models), *_DOT))
            draw_dots(axis, x + _CORNER, y - _CORNER, size, fill=INK, rim="white")
    for axis in axes.ravel()[len(regions) :]:
        axis.set_visible(False)
    figure.supxlabel("target (asked what it adds)", fontsize=8)
    figure.supylabel("control (taken out first)", fontsize=8)
    if picture is not None:
        figure.colorbar(
            picture,
            ax=list(axes.ravel()),
            label="unique similarity (r)",
            shrink=min(1.0, 1.8 / rows),
            aspect=16,
            pad=0.01,
        )
    return figure


def matrix_of(
    table: pd.DataFrame, region: str, models: Sequence[str], values: str = "r_mean"
) -> Floats:
    """Return one region's matrix, controls by targets, (n, n); NaN where there is no value."""
    its = table[table["roi"] == region].drop_duplicates(["control", "target"])
    grid = its.pivot_table(index="control", columns="target", values=values)
    return grid.reindex(index=list(models), columns=list(models)).to_numpy(float)


def _largest(grids: Sequence[Floats]) -> float:
    sizes = np.abs(np.concatenate([grid[np.isfinite(grid)] for grid in grids] or [np.empty(0)]))
    return float(sizes.max()) if sizes.size and sizes.max() > 0 else 1.0


def _colours() -> Colormap:
    # Blue and red are told apart by all kinds of colour vision; white is nothing.
    return colormaps["RdBu_r"].with_extremes(bad=PALE)


def _name_models(axis: Axes, models: Sequence[str], beside: bool) -> None:
    """Write numbers below the columns, and names too beside the rows of the leftmost."""
    size = 7.5 if len(models) <= _WRITTEN else 6
    numbers = [str(number) for number in range(1, len(models) + 1)]
    named = [
        f"{name if len(name) <= _NAMED else name[: _NAMED - 1] + '…'}  {number}"
        for name, number in zip(models, numbers, strict=True)
    ]
    axis.set_xticks(range(len(models)), labels=numbers, fontsize=min(size, 60 / len(models)))
    axis.set_yticks(range(len(models)), labels=named if beside else numbers, fontsize=size)
    axis.tick_params(length=0, pad=2)
    for spine in axis.spines.values():
        spine.set_visible(False)


def _write_values(axis: Axes, grid: Floats, top: float) -> None:
    for (row, column), value in np.ndenumerate(grid):
        if np.isfinite(value):
            dark = abs(value) > 0.6 * top
            text = f"{round(value, 2) + 0.0:.2f}".replace("-", "−").replace("0.", ".", 1)
            colour = "white" if dark else INK
            axis.text(column, row, text, ha="center", va="center", fontsize=6.5, color=colour)
