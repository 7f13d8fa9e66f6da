"""Pairs of film frames side by side, with their optic flow as arrows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bidsapp.arrays import Floats
from bidsapp.reports.style import INK, STYLE, WIDTH_IN, new_figure

_ARROWS_ACROSS = 7
_LONGEST = 0.12  # of a frame's width, within a cell: the arrow of the fastest in the figure
_SHORTEST = 0.02  # likewise; slower cells have none
_GAP = 0.1  # between two pairs, of a frame's width


@dataclass(frozen=True)
class Moment:
    """What was on the screen at one moment.

    Attributes
    ----------
    frame
        Shape (height, width, 3): uint8 RGB.
    flow
        Shape (height, width, 2): motion to the right and down, in frame widths per second.
    label
        Which moment it is.
    """

    frame: NDArray[np.uint8]
    flow: Floats
    label: str


@rc_context(STYLE)
def moment_pairs(rows: Mapping[str, Sequence[tuple[str, Moment, Moment]]]) -> Figure:
    """Draw pairs of moments, a row of pairs for each title; arrows are on one scale.

    Parameters
    ----------
    rows
        Title of a row to its pairs: what is said of each, and its two moments.
    """
    n_pairs = max((len(pairs) for pairs in rows.values()), default=1)
    moments = [moment for pairs in rows.values() for pair in pairs for moment in pair[1:]]
    shape = max((moment.frame.shape[0] / moment.frame.shape[1] for moment in moments), default=1.0)
    width = WIDTH_IN / ((2 + _GAP) * n_pairs)
    figure = new_figure(WIDTH_IN, len(rows) * (width * shape + 0.62))
    fastest = max((float(np.linalg.norm(_in_cells(moment), axis=-1).max()) for moment in moments),
                  default=0.0)  # fmt: skip
    strips = figure.subfigures(len(rows), 1, squeeze=False)[:, 0]
    for strip, (title, pairs) in zip(strips, rows.items(), strict=True):
        strip.suptitle(title, x=0.005, ha="left", fontsize=9, fontweight="bold")
        shares = {"width_ratios": [1, 1, _GAP] * n_pairs}
        axes = strip.subplots(1, 3 * n_pairs, squeeze=False, gridspec_kw=shares)[0]
        for axis in axes:
            axis.set_axis_off()
        for place, (said, *two) in enumerate(pairs):
            for axis, moment in zip(axes[3 * place : 3 * place + 2], two, strict=True):
                _draw(axis, moment, fastest)
            axes[3 * place].set_title(said, fontsize=7.5, fontweight="normal")
    return figure


def _draw(axis: Axes, moment: Moment, fastest: float) -> None:
    height, width = moment.frame.shape[:2]
    axis.imshow(moment.frame, interpolation="none")
    flow, side = _in_cells(moment), _side(moment)
    y, x = np.mgrid[: flow.shape[0], : flow.shape[1]] * side + (side - 1) / 2
    drawn = flow * (_LONGEST * width / fastest if fastest else 0.0)
    moving = np.linalg.norm(drawn, axis=-1) > _SHORTEST * width
    if moving.any():
        axis.quiver(
            x[moving],
            y[moving],
            *drawn[moving].T,
            angles="xy",
            scale_units="xy",
            scale=1,
            pivot="middle",
            color="white",
            edgecolor=INK,
            linewidth=0.5,
            width=0.013,
            headwidth=4,
            headlength=4,
            headaxislength=3.5,
        )
    axis.set_xlim(-0.5, width - 0.5)
    axis.set_ylim(height - 0.5, -0.5)
    axis.text(0, 1.02 * height, moment.label, va="top", fontsize=6.5)


def _side(moment: Moment) -> int:
    """Return the side of a cell, in pixels."""
    return max(int(moment.frame.shape[1]) // _ARROWS_ACROSS, 1)


def _in_cells(moment: Moment) -> Floats:
    """Average the flow over square cells: (rows, columns, 2)."""
    side = _side(moment)
    rows, columns = (max(size // side, 1) for size in moment.flow.shape[:2])
    whole = moment.flow[: rows * side, : columns * side]
    cells: Floats = whole.reshape(rows, -1, columns, whole.shape[1] // columns, 2).mean(axis=(1, 3))
    return cells
