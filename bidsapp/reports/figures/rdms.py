"""RDMs of all regions on one colour scale."""

from collections.abc import Mapping

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from scipy.spatial.distance import squareform

from bidsapp.arrays import Floats
from bidsapp.reports.style import ACCENT, PALE, STYLE, WIDTH_IN, new_figure

RDM_PIXELS = 160  # per side; finer than this is averaged, to keep pages small


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
    # Fewer than 256 colours: with grey for what is missing, a palette holds them all.
    return colormaps["cividis"].resampled(128).with_extremes(bad=PALE)


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
