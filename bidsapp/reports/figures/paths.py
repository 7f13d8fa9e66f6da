"""Models as paths: their layers, in order, on the first two components of all layers."""

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bidsapp.reports.style import INK, STYLE, WIDTH_IN, Look, new_figure

AXES = ("pc1", "pc2")


@rc_context(STYLE)
def component_paths(
    table: pd.DataFrame,
    looks: Mapping[str, Look],
    modes: Sequence[str],
    explained: Mapping[str, Mapping[str, float]],
) -> Figure:
    """Draw each model's layers on the first two components, joined in their order, a panel a mode.

    Parameters
    ----------
    table
        Columns ``mode``, ``model``, ``pc1`` and ``pc2``; the rows of a model are its layers, from
        first to last. A layer without scores is passed over.
    looks, modes
        What is drawn, in this order.
    explained
        Component to mode to its part of the variance over layers, 0 to 1, as far as known.
    """
    figure = new_figure(WIDTH_IN if len(modes) > 1 else 0.6 * WIDTH_IN, 4.6)
    panels = figure.subplots(1, len(modes), squeeze=False)[0]
    for axis, mode in zip(panels, modes, strict=True):
        ours = table[table["mode"] == mode]
        axis.axhline(0, color="#C4CAD1", linewidth=0.6, zorder=0)
        axis.axvline(0, color="#C4CAD1", linewidth=0.6, zorder=0)
        for model, look in looks.items():
            its = ours[ours["model"] == model].dropna(subset=list(AXES))
            if not its.empty:
                _draw_path(axis, its, look)
        axis.margins(0.08)
        axis.set_title(mode)
        axis.set_xlabel(_label(1, explained.get("pc1", {}).get(mode)))
        axis.set_ylabel(_label(2, explained.get("pc2", {}).get(mode)))
    handles = [
        Line2D(
            [],
            [],
            color=look.colour,
            linestyle=look.line,
            marker=look.marker,
            markersize=4,
            label=model,
        )
        for model, look in looks.items()
    ]
    handles.append(
        Line2D(
            [],
            [],
            marker="o",
            markersize=8,
            markerfacecolor="white",
            markeredgecolor=INK,
            markeredgewidth=1.4,
            linestyle="none",
            label="first layer",
        )
    )
    figure.legend(handles=handles, loc="outside upper left", ncols=min(len(handles), 5))
    return figure


def _draw_path(axis: Axes, layers: pd.DataFrame, look: Look) -> None:
    x, y = (layers[name].to_numpy(float) for name in AXES)
    axis.plot(
        x,
        y,
        color=look.colour,
        linestyle=look.line,
        linewidth=1.2,
        marker=look.marker,
        markersize=3.5,
        zorder=2,
    )
    axis.plot(
        x[:1],
        y[:1],
        color=look.colour,
        marker=look.marker,
        markersize=8,
        markerfacecolor="white",
        markeredgewidth=1.4,
        linestyle="none",
        zorder=3,
    )


def _label(number: int, part: float | None) -> str:
    if part is None:
        return f"component {number}"
    return f"component {number} ({part:.0%} of the variance over layers)"
