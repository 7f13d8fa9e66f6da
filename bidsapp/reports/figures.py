"""Figures of results, each a pure function from tables or arrays to a matplotlib figure."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from scipy.spatial.distance import squareform

from bidsapp.arrays import Bools, Floats
from bidsapp.reports.style import ACCENT, INK, PALE, STYLE, Look, new_figure

WIDTH_IN = 10.0
SIDE_BY_SIDE = 40  # bars in one panel up to which the modes stand beside each other
BARS_IN_ROW = 80  # more are broken into rows
GROUP_WIDTH = 0.8  # of the distance between two regions, filled with bars
RDM_PIXELS = 160  # per side; finer than this is averaged, to keep pages small


@rc_context(STYLE)
def similarity_bars(
    bars: pd.DataFrame,
    points: pd.DataFrame,
    regions: Sequence[str],
    looks: Mapping[str, Look],
    modes: Sequence[str],
) -> Figure:
    """Draw each model's similarity to each region, one panel per mode.

    Parameters
    ----------
    bars
        One fit's rows with the columns ``mode``, ``roi``, ``model``, ``r_mean`` and ``r_sd`` (bar
        and error bar), and, if there are any, ``ceiling_lower``, ``ceiling_upper`` (band),
        ``ceiling_paper`` (line) and ``p_null`` (star under .05).
    points
        ``mode``, ``roi``, ``model`` and ``r``: what each bar is the mean of, drawn as dots.
    regions, looks, modes
        What is drawn, in this order.
    """
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
        spread = np.nan_to_num(its["r_sd"].to_numpy(float))
        axis.bar(x, height, width * 0.9, color=look.colour, hatch=look.hatch, linewidth=0, zorder=2)
        axis.errorbar(x, height, spread, fmt="none", ecolor=INK, elinewidth=0.8, zorder=4)
        clouds = [dots.get((region, model), np.empty(0)) for region in regions]
        across = [
            centre + np.linspace(-0.3, 0.3, len(cloud) + 2)[1:-1] * width
            for centre, cloud in zip(x, clouds, strict=True)
        ]
        axis.scatter(
            np.concatenate([*across, []]),
            np.concatenate([*clouds, []]),
            s=min(11.0, 400 * width / len(regions)),
            facecolor="white",
            edgecolor=INK,
            linewidth=0.5,
            alpha=0.9,
            zorder=3,
        )
        if "p_null" in its:
            _draw_stars(axis, x, height + spread, its["p_null"].to_numpy(float) < 0.05)


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
    if "ceiling_paper" in bars and bars["ceiling_paper"].notna().any():
        handles.append(Patch(facecolor=PALE, label="noise ceiling, lower to upper"))
        handles.append(
            Line2D(
                [], [], color=INK, linewidth=1, linestyle=(0, (4, 2)), label="noise ceiling, paper"
            )
        )
    figure.legend(handles=handles, loc="outside upper left", ncols=min(len(handles), 5))


@rc_context(STYLE)
def lag_curve(table: pd.DataFrame, regions: Sequence[str], looks: Mapping[str, Look]) -> Figure:
    """Draw similarity against the least time between two volumes of a pair, one panel per region.

    Parameters
    ----------
    table
        One fit's rows with the columns ``roi``, ``model``, ``min_lag_s`` and ``r_mean``.
    """
    columns = min(6, max(len(regions), 1))
    rows = -(-max(len(regions), 1) // columns)
    figure = new_figure(WIDTH_IN, 0.5 + 1.5 * rows)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for axis, region in zip(axes.ravel(), regions, strict=False):
        for model, look in looks.items():
            its = table[(table["roi"] == region) & (table["model"] == model)].sort_values(
                "min_lag_s"
            )
            axis.plot(
                its["min_lag_s"],
                its["r_mean"].astype(float),
                color=look.colour,
                linestyle="--" if look.hatch else "-",
                marker=look.marker,
                markersize=3,
                linewidth=1.1,
            )
        axis.axhline(0, color=INK, linewidth=0.6)
        axis.set_title(region)
    for axis in axes.ravel()[len(regions) :]:
        axis.set_visible(False)
    handles = [
        Line2D(
            [],
            [],
            color=look.colour,
            marker=look.marker,
            markersize=3,
            label=model,
            linestyle="--" if look.hatch else "-",
        )
        for model, look in looks.items()
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=min(max(len(handles), 1), 5))
    figure.supxlabel("least time between the two volumes of a pair (s)", fontsize=8)
    figure.supylabel("similarity (r)", fontsize=8)
    return figure


@rc_context(STYLE)
def autocorrelation(table: pd.DataFrame, regions: Sequence[str]) -> Figure:
    """Draw how alike a voxel's denoised signal is to itself some seconds later.

    Parameters
    ----------
    table
        Columns ``roi``, ``lag_s`` and ``r``; rows of one region and lag (its runs) are averaged.
        The regions highest and lowest at the first lag are named, the mean of all is drawn dark.
    """
    figure = new_figure(5.2, 2.6)
    axis = figure.subplots()
    curves = table.pivot_table(index="lag_s", columns="roi", values="r", aggfunc="mean")
    curves = curves[[region for region in regions if region in curves]]
    axis.plot(curves.index, curves.to_numpy(float), color="#9AA3AE", linewidth=0.8)
    if not curves.empty:
        first = curves.iloc[0]
        for name, colour in ((first.idxmax(), ACCENT), (first.idxmin(), "#0072B2")):
            axis.plot(curves.index, curves[name], color=colour, linewidth=1.4, label=str(name))
        axis.plot(
            curves.index, curves.mean(axis=1), color=INK, linewidth=1.8, label="mean of regions"
        )
        axis.legend(loc="upper right")
    axis.axhline(0, color=INK, linewidth=0.6)
    axis.set(xlabel="lag (s)", ylabel="autocorrelation (r)")
    return figure


@rc_context(STYLE)
def rdm_grid(
    rdms: Mapping[str, Floats],
    onsets_s: Floats,
    min_lag_s: float | None = None,
    shared_from_s: float | None = None,
    measure: str = "1 − r",
) -> Figure:
    """Draw one RDM per region, all on one colour scale.

    Parameters
    ----------
    rdms
        Condensed RDMs by region, each ``(n * (n - 1) / 2,)``; NaN is drawn grey.
    onsets_s
        ``(n,)`` time of each volume, s.
    min_lag_s
        Pairs nearer than this are left out of the robust mode: drawn as two lines by the diagonal.
    shared_from_s
        Where the film begins that the next run shows again: drawn as a dashed cross.
    measure
        What the values are, for the colour bar.
    """
    columns = min(6, max(len(rdms), 1))
    rows = -(-max(len(rdms), 1) // columns)
    figure = new_figure(WIDTH_IN, 0.2 + 1.85 * rows)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    low, high = _common_scale(rdms)
    start, end = float(onsets_s[0]), float(onsets_s[-1])
    picture = None
    for axis, (region, rdm) in zip(axes, rdms.items(), strict=False):
        picture = axis.imshow(
            _thumbnail(squareform(rdm, checks=False)),
            cmap=_heat(),
            vmin=low,
            vmax=high,
            extent=(start, end, end, start),
            interpolation="none",
        )
        _draw_marks(axis, start, end, min_lag_s, shared_from_s)
        axis.set_title(region)
        axis.set_xticks([start, end], labels=["0" if start < 1 else f"{start:.0f}", f"{end:.0f} s"])
        axis.set_yticks([])
        for spine in axis.spines.values():
            spine.set_visible(False)
    for axis in axes[len(rdms) :]:
        axis.set_visible(False)
    if picture is not None:
        figure.colorbar(
            picture,
            ax=list(axes),
            label=f"dissimilarity ({measure})",
            shrink=min(1.0, 1.6 / rows),
            pad=0.01,
        )
    return figure


def _common_scale(rdms: Mapping[str, Floats]) -> tuple[float, float]:
    values = np.concatenate([rdm[np.isfinite(rdm)] for rdm in rdms.values()] or [np.empty(0)])
    if values.size == 0:
        return 0.0, 2.0
    low, high = np.percentile(values, [1, 99])
    return float(low), float(high)


def _heat() -> Colormap:
    return colormaps["cividis"].with_extremes(bad=PALE)


def _thumbnail(square: Floats) -> Floats:
    """Average square blocks of an RDM so that no side exceeds ``RDM_PIXELS``."""
    step = -(-len(square) // RDM_PIXELS)
    np.fill_diagonal(square, np.nan)  # zero by definition: it would only dim its neighbours
    if step == 1:
        return square
    starts = np.arange(0, len(square), step)
    total = np.add.reduceat(np.add.reduceat(np.nan_to_num(square), starts, 0), starts, 1)
    counted = np.isfinite(square).astype(float)
    count = np.add.reduceat(np.add.reduceat(counted, starts, 0), starts, 1)
    mean: Floats = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return mean


def _draw_marks(
    axis: Axes, start: float, end: float, min_lag_s: float | None, shared_from_s: float | None
) -> None:
    if min_lag_s and start + min_lag_s < end:
        for x, y in (
            ((start, end - min_lag_s), (start + min_lag_s, end)),
            ((start + min_lag_s, end), (start, end - min_lag_s)),
        ):
            axis.plot(x, y, color="white", linewidth=0.6)
    if shared_from_s is not None and start < shared_from_s < end:
        axis.axhline(shared_from_s, color=ACCENT, linewidth=0.8, linestyle=(0, (3, 2)))
        axis.axvline(shared_from_s, color=ACCENT, linewidth=0.8, linestyle=(0, (3, 2)))
