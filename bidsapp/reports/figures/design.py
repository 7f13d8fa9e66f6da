"""The design matrix of a localizer run, with the contrasts below it."""

import re
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure

from bidsapp.reports.style import INK, STYLE, WIDTH_IN

_COLUMN_IN = 0.27
_MATRIX_IN, _ROW_IN, _ABOVE_IN, _BELOW_IN, _LEFT_IN = 2.6, 0.17, 1.4, 0.1, 0.9


@rc_context(STYLE)
def design_figure(design: pd.DataFrame, contrasts: Mapping[str, Mapping[str, float]]) -> Figure:
    """Draw a design and the weights of its contrasts.

    Parameters
    ----------
    design
        (n_volumes, n_regressors); each column is scaled by its highest absolute value.
    contrasts
        Contrast to the weights of its columns.
    """
    names = [str(name) for name in design]
    values = design.to_numpy(float)
    scaled = values / np.where(np.abs(values).max(axis=0) > 0, np.abs(values).max(axis=0), 1.0)
    weights = np.array([[its.get(name, 0.0) for name in names] for its in contrasts.values()])
    below = _ROW_IN * len(contrasts)
    width = min(_LEFT_IN + _COLUMN_IN * len(names) + 0.1, WIDTH_IN)
    height = _ABOVE_IN + _MATRIX_IN + 0.08 + below + _BELOW_IN
    figure = Figure(figsize=(width, height))

    def place(bottom: float, tall: float) -> tuple[float, float, float, float]:
        return _LEFT_IN / width, bottom / height, 1 - (_LEFT_IN + 0.1) / width, tall / height

    matrix = figure.add_axes(place(_BELOW_IN + below + 0.08, _MATRIX_IN))
    matrix.imshow(scaled, cmap="gray", vmin=-1, vmax=1, aspect="auto", interpolation="none")
    matrix.set_xticks(range(len(names)), labels=names, rotation=90, fontsize=6.5)
    matrix.xaxis.tick_top()
    matrix.set_ylabel("volume")
    row = figure.add_axes(place(_BELOW_IN, below))
    top = float(np.abs(weights).max(initial=0.0)) or 1.0
    row.imshow(weights, cmap="RdBu_r", vmin=-1.6 * top, vmax=1.6 * top, aspect="auto")
    for (i, j), weight in np.ndenumerate(weights):
        if weight:
            row.text(j, i, _short(weight), fontsize=5, ha="center", va="center")
    row.set_yticks(range(len(contrasts)), labels=list(contrasts))
    row.set_xticks([])
    for axis in (matrix, row):
        axis.tick_params(length=0)
        for spine in axis.spines.values():
            spine.set(visible=True, color=INK)
    return figure


def _short(weight: float) -> str:
    """Write a weight without the zero before its point."""
    return re.sub(r"^(-?)0\.", r"\1.", f"{weight:.3g}")
