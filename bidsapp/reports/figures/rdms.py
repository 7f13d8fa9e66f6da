"""RDMs of all regions on one colour scale, drawn as one picture."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from scipy.spatial.distance import squareform

from bidsapp.arrays import Floats
from bidsapp.reports.style import ACCENT, PALE, STYLE, WIDTH_IN

RDM_PIXELS = 160  # per side; finer than this is averaged, to keep pages small
COLUMNS = 6
_SCALE_IN = 0.85  # on the right, for the colour bar
_MARGIN = 0.06  # between two matrices, of a matrix's side
_TITLE = 0.26  # above a matrix, for its name and the times of the one above
Line = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class _Clock:
    """Where moments of a run lie along the side of a matrix of ``n`` pixels."""

    start_s: float
    end_s: float
    n: int

    def place(self, moment_s: float) -> float:
        """Pixels from the edge."""
        return (moment_s - self.start_s) / (self.end_s - self.start_s) * self.n


@rc_context(STYLE)
def rdm_grid(
    rdms: Mapping[str, Floats],
    onsets_s: Floats,
    min_lag_s: float | None = None,
    shared_from_s: float | None = None,
    measure: str = "1 − r",
    pixels: int = RDM_PIXELS,
) -> Figure:
    """Draw one RDM per region, all on one colour scale.

    One axis holds all matrices: it is drawn many times faster than an axis for each.

    Parameters
    ----------
    rdms
        Condensed RDMs by region, each ``(n * (n - 1) / 2,)``; NaN is drawn grey.
    onsets_s
        ``(n,)`` time of each volume, s.
    min_lag_s
        Pairs nearer than this, or nearer to the run's whole length, are left out of the robust
        mode: cut off by lines along the diagonal and across the corners.
    shared_from_s
        Where the film begins that the next run shows again: drawn as a dashed cross.
    measure
        What the values are, for the colour bar.
    pixels
        Of a matrix's side, at most.
    """
    squares = {
        name: _thumbnail(squareform(rdm, checks=False), pixels) for name, rdm in rdms.items()
    }
    n = max((len(square) for square in squares.values()), default=1)
    columns = min(COLUMNS, max(len(rdms), 1))
    rows = -(-max(len(rdms), 1) // columns)
    wide, high = round(n * (1 + _MARGIN)), round(n * (1 + _TITLE))
    scale = (WIDTH_IN - _SCALE_IN) / (COLUMNS * wide)  # inches a pixel
    size = (columns * wide * scale + _SCALE_IN, (rows * high + _MARGIN * n) * scale)
    figure = Figure(figsize=size)
    axis = figure.add_axes((0, 0, 1 - _SCALE_IN / size[0], 1))
    low, top = _common_scale(rdms)
    mosaic = np.full((rows * high, columns * wide), low - 1.0)  # drawn white
    corners = [
        (row * high + high - n, column * wide) for row in range(rows) for column in range(columns)
    ]
    for (y, x), square in zip(corners, squares.values(), strict=False):
        mosaic[y : y + n, x : x + n] = np.clip(square, low, top)
    picture = axis.imshow(
        mosaic, cmap=_heat(), vmin=low, vmax=top, interpolation="none", aspect="auto"
    )
    axis.set(xlim=(-0.5, columns * wide - 0.5), ylim=(rows * high + _MARGIN * n, -0.5))
    axis.set_axis_off()
    clock = _Clock(float(onsets_s[0]), float(onsets_s[-1]), n)
    used = corners[: len(rdms)]
    _name(axis, used, list(rdms), clock)
    _mark(axis, used, clock, min_lag_s, shared_from_s)
    height = min(1.0, 1.6 * n * scale / size[1])
    beside = figure.add_axes(
        ((size[0] - _SCALE_IN + 0.1) / size[0], 1 - height, 0.012, height * 0.86)
    )
    figure.colorbar(picture, cax=beside, label=f"dissimilarity ({measure})")
    return figure


def _name(
    axis: Axes, corners: Sequence[tuple[int, int]], names: Sequence[str], clock: _Clock
) -> None:
    times = ("0" if clock.start_s < 1 else f"{clock.start_s:.0f}", f"{clock.end_s:.0f} s")
    for (y, x), name in zip(corners, names, strict=True):
        axis.text(x, y - 0.03 * clock.n, name, fontsize=8, fontweight="bold", va="bottom")
        for text, place, side in zip(times, (x, x + clock.n), ("left", "right"), strict=True):
            axis.text(place, y + 1.01 * clock.n, text, fontsize=6, ha=side, va="top")


def _mark(
    axis: Axes,
    corners: Sequence[tuple[int, int]],
    clock: _Clock,
    min_lag_s: float | None,
    shared_from_s: float | None,
) -> None:
    whole_s = clock.end_s - clock.start_s
    if min_lag_s and 2 * min_lag_s < whole_s:
        lines = [line for corner in corners for line in _cut(corner, clock, min_lag_s)]
        axis.add_collection(LineCollection(lines, colors="white", linewidths=0.6))
    if shared_from_s is not None and clock.start_s < shared_from_s < clock.end_s:
        at, n = clock.place(shared_from_s), clock.n
        cross = [
            line
            for y, x in corners
            for line in (((x, y + at), (x + n, y + at)), ((x + at, y), (x + at, y + n)))
        ]
        axis.add_collection(
            LineCollection(cross, colors=ACCENT, linewidths=0.8, linestyles=[(0, (3, 2))])
        )


def _cut(corner: tuple[int, int], clock: _Clock, lag_s: float) -> Iterator[Line]:
    """Lines round the pairs that are kept: off the diagonal, and off the far corners."""
    y, x = corner
    n, near = clock.n, clock.place(clock.start_s + lag_s)
    for lag in (near, n - near):
        yield ((x + lag, y), (x + n, y + n - lag))
        yield ((x, y + lag), (x + n - lag, y + n))


def _common_scale(rdms: Mapping[str, Floats]) -> tuple[float, float]:
    values = np.concatenate([rdm[np.isfinite(rdm)] for rdm in rdms.values()] or [np.empty(0)])
    if values.size == 0:
        return 0.0, 2.0
    low, high = np.percentile(values, [1, 99])
    return float(low), float(high)


def _heat() -> Colormap:
    # Few colours keep pages small, and with grey and white fit a palette.
    return colormaps["cividis"].resampled(64).with_extremes(bad=PALE, under="white")


def _thumbnail(square: Floats, pixels: int) -> Floats:
    """Average square blocks of an RDM so that no side exceeds ``pixels``."""
    step = -(-len(square) // pixels)
    np.fill_diagonal(square, np.nan)  # zero by definition: it would only dim its neighbours
    if step == 1:
        return square
    starts = np.arange(0, len(square), step)
    total = np.add.reduceat(np.add.reduceat(np.nan_to_num(square), starts, 0), starts, 1)
    counted = np.isfinite(square).astype(float)
    count = np.add.reduceat(np.add.reduceat(counted, starts, 0), starts, 1)
    mean: Floats = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return mean
