"""Voxels before and after denoising, below the motion of the run."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure

from bidsapp.reports.style import ACCENT, INK, PALE, STYLE, WIDTH_IN

_HEIGHT_IN = 3.3
_LIMIT = 2.5  # SDs at which the colours end
_GREYS = 32  # few, to keep pages small
# Left, bottom, width and height of the panels, in parts of the figure.
_PLACES = {"before": (0.07, 0.1, 0.43, 0.66), "after": (0.52, 0.1, 0.43, 0.66)}
_TITLES = {"before": "as measured", "after": "denoised"}


@rc_context(STYLE)
def carpet_plot(table: pd.DataFrame) -> Figure:
    """Draw one run's voxels before and after denoising, on one scale, with its motion above.

    Parameters
    ----------
    table
        ``onset`` (s), ``framewise_displacement`` (mm), ``censored`` (0 or 1), and columns
        ``<region> <number> before`` and ``... after`` in SDs; a row is a moment.
    """
    figure = Figure(figsize=(WIDTH_IN, _HEIGHT_IN))
    start, end = float(table["onset"].iloc[0]), float(table["onset"].iloc[-1])
    for state, place in _PLACES.items():
        names = [name for name in table if str(name).endswith(f" {state}")]
        left, bottom, width, height = place
        above = figure.add_axes((left, bottom + height + 0.02, width, 0.13))
        _draw_motion(above, table, with_scale=state == "before")
        above.set_title(_TITLES[state])
        axis = figure.add_axes(place)
        axis.imshow(
            table[names].to_numpy(float).T, cmap=_greys(), vmin=-_LIMIT, vmax=_LIMIT,
            aspect="auto", interpolation="none", extent=(start, end, len(names), 0),
        )  # fmt: skip
        regions = [str(name).rsplit(" ", 2)[0] for name in names]
        _name_regions(axis, regions, named=state == "before")
        axis.set_xlabel("time (s)", labelpad=1)
        above.set_xlim(start, end)
    beside = figure.add_axes((0.96, 0.1, 0.01, 0.66))
    figure.colorbar(axis.images[0], cax=beside, label="SD as measured")
    return figure


def _greys() -> Colormap:
    return colormaps["gray"].resampled(_GREYS).with_extremes(bad=PALE)


def _draw_motion(axis: Axes, table: pd.DataFrame, *, with_scale: bool) -> None:
    moved = table["framewise_displacement"].to_numpy(float)
    axis.plot(table["onset"], moved, color=INK, linewidth=0.7)
    cut = table["censored"].to_numpy(float) > 0
    axis.plot(
        table["onset"][cut], np.zeros(cut.sum()), linestyle="none", marker="|", color=ACCENT,
        clip_on=False,
    )  # fmt: skip
    known = moved[np.isfinite(moved)]
    axis.set(ylim=(0, max(float(known.max(initial=0.0)), 0.5)), xticks=[])
    if with_scale:
        axis.set_ylabel("FD (mm)", labelpad=1)
    else:
        axis.set_yticklabels([])


def _name_regions(axis: Axes, regions: Sequence[str], *, named: bool) -> None:
    """Part regions by lines, and name each beside its voxels."""
    order = list(dict.fromkeys(regions))
    counts = [regions.count(name) for name in order]
    ends = np.cumsum(counts)
    axis.hlines(ends[:-1], *axis.get_xlim(), color="white", linewidth=0.8)
    middles = ends - np.array(counts) / 2
    axis.set_yticks(middles, labels=order if named else [""] * len(order), fontsize=5.5)
    axis.tick_params(axis="y", length=0, pad=2)
    for spine in axis.spines.values():
        spine.set_visible(False)
