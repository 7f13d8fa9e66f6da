"""Bars of similarity: models in each region, with participants, ceilings and stars."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from bidsapp.arrays import Bools, Floats
from bidsapp.reports.figures.dots import draw_dots
from bidsapp.reports.style import INK, PALE, STYLE, WIDTH_IN, Look, new_figure
from bidsapp.settings import ErrorBars

SIDE_BY_SIDE = 40  # bars in one panel up to which the modes stand beside each other
BARS_IN_ROW = 80  # more are broken into rows
ERROR_BARS: Mapping[ErrorBars, str] = {"sd": "SD", "se": "standard error"}
GROUP_WIDTH = 0.8  # of the distance between two regions, filled with bars


@rc_context(STYLE)
def similarity_bars(
    bars: pd.DataFrame,
    points: pd.DataFrame,
    regions: Sequence[str],
    looks: Mapping[str, Look],
    modes: Sequence[str],
    error_bars: ErrorBars = "sd",
) -> Figure:
    """Draw each model's similarity to each region, one panel per mode.

    Parameters
    ----------
    bars
        One fit's rows with the columns ``mode``, ``roi``, ``model``, ``r_mean`` and ``r_sd`` (bar
        and error bar), and, if there are any, ``ceiling_lower``, ``ceiling_upper`` (band),
        ``ceiling_paper`` (line), ``p_null_fwe`` (star under .05) and ``n`` (for standard errors).
    points
        ``mode``, ``roi``, ``model`` and ``r``: what each bar is the mean of, drawn as dots.
    regions, looks, modes
        What is drawn, in this order.
    error_bars
        ``sd``, standard deviation, or ``se``, that over the root of ``n``.
    """
    bars = bars.assign(spread=bars["r_sd"].astype(float))
    if error_bars == "se":
        bars["spread"] /= np.sqrt(bars["n"].astype(float))
    rows = _in_rows(regions, len(looks))
    beside = len(rows) == 1 and len(regions) * len(looks) <= SIDE_BY_SIDE
    panels = [(mode, row) for mode in modes for row in rows]
    shape = (1, len(panels)) if beside else (len(panels), 1)
    figure = new_figure(WIDTH_IN, 2.9 if beside else 0.4 + 2.1 * len(panels))
    axes = list(figure.subplots(*shape, squeeze=False).flat)
    for axis, (mode, row) in zip(axes, panels, strict=True):
        ours = bars[bars["mode"] == mode]
        _draw_ceilings(axis, ours, row)
        _draw_bars(axis, ours, points[points["mode"] == mode], row, looks)
        axis.axhline(0, color=INK, linewidth=0.6)
        axis.set(ylabel="similarity (Pearson r)", xlim=(-0.6, len(rows[0]) - 0.4))
        axis.set_title(mode if row is rows[0] else "")
        axis.set_xticks(range(len(row)), labels=row)
        axis.tick_params(axis="x", length=0)
        axis.spines["bottom"].set_visible(False)
    _level(axes, len(rows))
    _legend(figure, looks, bars)
    return figure


def _in_rows(regions: Sequence[str], n_models: int) -> list[Sequence[str]]:
    """Break the regions into rows of like length, each with few enough bars to be told apart."""
    n_rows = max(1, -(-len(regions) * n_models // BARS_IN_ROW))
    length = -(-len(regions) // n_rows) or 1
    return [regions[start : start + length] for start in range(0, max(len(regions), 1), length)]


def _level(axes: Sequence[Axes], n_rows: int) -> None:
    """Give the rows of one mode the same scale."""
    for start in range(0, len(axes), n_rows):
        ours = axes[start : start + n_rows]
        low = min(axis.get_ylim()[0] for axis in ours)
        high = max(axis.get_ylim()[1] for axis in ours)
        for axis in ours:
            axis.set_ylim(low, high)


def _draw_bars(
    axis: Axes,
    bars: pd.DataFrame,
    points: pd.DataFrame,
    regions: Sequence[str],
    looks: Mapping[str, Look],
) -> None:
    width = GROUP_WIDTH / max(len(looks), 1)
    rows = bars.drop_duplicates(["roi", "model"]).set_index(["roi", "model"])
    grid = rows.reindex(pd.MultiIndex.from_product([regions, list(looks)], names=["roi", "model"]))
    dots = {key: group["r"].dropna().to_numpy() for key, group in points.groupby(["roi", "model"])}
    for place, (model, look) in enumerate(looks.items()):
        its = grid.xs(model, level="model")
        x = np.arange(len(regions)) - GROUP_WIDTH / 2 + (place + 0.5) * width
        height = its["r_mean"].to_numpy(float)
        spread = np.nan_to_num(its["spread"].to_numpy(float))
        axis.bar(x, height, width * 0.9, color=look.colour, hatch=look.hatch, linewidth=0, zorder=2)
        axis.errorbar(x, height, spread, fmt="none", ecolor=INK, elinewidth=0.8, zorder=4)
        clouds = [dots.get((region, model), np.empty(0)) for region in regions]
        across = [
            centre + np.linspace(-0.3, 0.3, len(cloud) + 2)[1:-1] * width
            for centre, cloud in zip(x, clouds, strict=True)
        ]
        size = min(3.3, (400 * width / len(regions)) ** 0.5)
        x_dots, y_dots = (np.concatenate([*parts, []]) for parts in (across, clouds))
        draw_dots(axis, x_dots, y_dots, size, fill="white", rim=INK)
        if "p_null_fwe" in its:
            highest = [cloud.max(initial=-np.inf) for cloud in clouds]
            top = np.maximum(height + spread, highest)
            _draw_stars(axis, x, top, its["p_null_fwe"].to_numpy(float) < 0.05)


def _draw_stars(axis: Axes, x: Floats, top: Floats, marked: Bools) -> None:
    for left, height in zip(x[marked], top[marked], strict=True):
        axis.annotate("*", (left, max(height, 0.0)), ha="center", va="bottom", fontsize=8)


def _draw_ceilings(axis: Axes, bars: pd.DataFrame, regions: Sequence[str]) -> None:
    """Draw a region's band and line behind its bars; ceilings do not depend on the model."""
    if "ceiling_paper" not in bars:
        return
    names = ["ceiling_lower", "ceiling_upper", "ceiling_paper"]
    by_region = bars.groupby("roi")[names].first().reindex(list(regions))
    for place, (lower, upper, paper) in enumerate(by_region.to_numpy(float)):
        left = place - 0.46
        if np.isfinite([lower, upper]).all():
            band = Rectangle(
                (left, lower), 0.92, upper - lower, facecolor=PALE, linewidth=0, zorder=0
            )
            axis.add_patch(band)
        if np.isfinite(paper):
            axis.plot(
                [left, left + 0.92], [paper, paper], color=INK, linewidth=1, linestyle=(0, (4, 2))
            )
    axis.update_datalim([(0, top) for top in np.nanmax(np.nan_to_num(by_region), axis=1)])
    axis.autoscale_view()


def _legend(figure: Figure, looks: Mapping[str, Look], bars: pd.DataFrame) -> None:
    handles: list[Patch | Line2D] = [
        Patch(facecolor=look.colour, hatch=look.hatch, linewidth=0, label=model)
        for model, look in looks.items()
    ]
    there = {name for name in bars if bars[name].notna().any()}
    if there.issuperset(("ceiling_lower", "ceiling_upper")):
        handles.append(Patch(facecolor=PALE, label="noise ceiling, lower to upper"))
    if "ceiling_paper" in there:
        handles.append(
            Line2D(
                [], [], color=INK, linewidth=1, linestyle=(0, (4, 2)), label="noise ceiling, paper"
            )
        )
    figure.legend(handles=handles, loc="outside upper left", ncols=min(len(handles), 5))
