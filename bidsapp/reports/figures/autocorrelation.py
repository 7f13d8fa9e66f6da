"""How alike a voxel's denoised signal is to itself some seconds later."""

from collections.abc import Sequence

import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure

from bidsapp.reports.style import ACCENT, INK, STYLE, new_figure


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
