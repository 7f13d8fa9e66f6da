"""The lag curve: similarity without pairs of volumes nearer than some time."""

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bidsapp.reports.style import INK, STYLE, WIDTH_IN, Look, new_figure


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
    for place, (axis, region) in enumerate(zip(axes.ravel(), regions, strict=False)):
        for model, look in looks.items():
            its = table[(table["roi"] == region) & (table["model"] == model)].sort_values(
                "min_lag_s"
            )
            axis.plot(
                its["min_lag_s"],
                its["r_mean"].astype(float),
                color=look.colour,
                linestyle=look.line,
                marker=look.marker,
                markersize=3,
                linewidth=1.1,
            )
        axis.axhline(0, color=INK, linewidth=0.6)
        axis.set_title(region)
        axis.tick_params(labelbottom=place + columns >= len(regions))  # of each column, the lowest
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
            linestyle=look.line,
        )
        for model, look in looks.items()
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=min(max(len(handles), 1), 5))
    figure.supxlabel("least time between the two volumes of a pair (s)", fontsize=8)
    figure.supylabel("similarity (r)", fontsize=8)
    return figure
