"""RDMs of all regions on one colour scale, drawn as one picture."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from scipy.spatial.distance import squareform

from bidsapp.arrays import Floats, Ints
from bidsapp.reports.style import ACCENT, PALE, STYLE, WIDTH_IN

RDM_PIXELS = 160  # per side; finer than this is averaged, to keep pages small
COLUMNS = 6
_SCALE_IN = 0.85  # on the right, for the colour bar
_MARGIN = 0.06  # between two matrices, of a matrix's side
_TITLE = 0.26  # above a matrix, for its name and the times of the one above
Line = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class RobustPairs:
    """Pairs of a run that the mode robust keeps, as far as the brain's RDMs decide it.

    Of the volumes ``kept``, put end to end, those that are ``min_lag`` places apart or more, also
    around the ends: ``min_lag <= |a - b| <= len(kept) - min_lag``.
    """

    kept: Ints
    min_lag: int

    @property
    def parted(self) -> bool:
        """Whether some pairs are kept and others are not."""
        return 0 < 2 * self.min_lag <= len(self.kept)


@dataclass(frozen=True)
class _Side:
    """The side of a matrix: ``n`` pixels of ``step`` volumes each, from one time to another."""

    start_s: float
    end_s: float
    n: int
    step: int


@rc_context(STYLE)
def rdm_grid(
    rdms: Mapping[str, Floats],
    onsets_s: Floats,
    robust: RobustPairs | None = None,
    shared_from: int | None = None,
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
    robust
        What the mode robust keeps: parted from the rest by lines along the diagonal and across the
        corners.
    shared_from
        First volume, from 0, of the film that the next run shows again: drawn as a dashed cross.
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
    colours = _colours(rdms)
    mosaic = np.full((rows * high, columns * wide, 4), 255, np.uint8)  # white
    corners = [
        (row * high + high - n, column * wide) for row in range(rows) for column in range(columns)
    ]
    for (y, x), square in zip(corners, squares.values(), strict=False):
        mosaic[y : y + n, x : x + n] = colours.to_rgba(np.ma.masked_invalid(square), bytes=True)
    axis.imshow(mosaic, interpolation="none", aspect="auto")
    axis.set(xlim=(-0.5, columns * wide - 0.5), ylim=(rows * high + _MARGIN * n, -0.5))
    axis.set_axis_off()
    side = _Side(float(onsets_s[0]), float(onsets_s[-1]), n, -(-len(onsets_s) // pixels))
    used = corners[: len(rdms)]
    _name(axis, used, list(rdms), side)
    if robust is not None and robust.parted:
        lines = [line for corner in used for line in _cut(corner, side, robust)]
        axis.add_collection(LineCollection(lines, colors="white", linewidths=0.6))
    if shared_from is not None:
        crosses = [line for corner in used for line in _cross(corner, side, shared_from)]
        axis.add_collection(
            LineCollection(crosses, colors=ACCENT, linewidths=0.8, linestyles=[(0, (3, 2))])
        )
    height = min(1.0, 1.6 * n * scale / size[1])
    beside = figure.add_axes(
        ((size[0] - _SCALE_IN + 0.1) / size[0], 1 - height, 0.012, height * 0.86)
    )
    figure.colorbar(colours, cax=beside, label=f"dissimilarity ({measure})")
    return figure


def _name(
    axis: Axes, corners: Sequence[tuple[int, int]], names: Sequence[str], side: _Side
) -> None:
    times = ("0" if side.start_s < 1 else f"{side.start_s:.0f}", f"{side.end_s:.0f} s")
    for (y, x), name in zip(corners, names, strict=True):
        axis.text(x, y - 0.03 * side.n, name, fontsize=8, fontweight="bold", va="bottom")
        for text, place, align in zip(times, (x, x + side.n), ("left", "right"), strict=True):
            axis.text(place, y + 1.01 * side.n, text, fontsize=6, ha=align, va="top")


def _cut(corner: tuple[int, int], side: _Side, robust: RobustPairs) -> Iterator[Line]:
    """Lines round the pairs that are kept: off the diagonal, the far corners, and the start."""
    origin = np.array(corner[::-1]) - 0.5  # pixels are drawn around their numbers
    kept, lag = robust.kept, robust.min_lag
    # A volume is from its number to the next: lines go through the middle of each row's last edge.
    near = np.column_stack([kept[lag:], kept[:-lag] + 0.5])
    near = np.vstack([near[0] - 0.5, near, near[-1] + (1, 1)])
    far = np.column_stack([kept[-lag:] + 1, kept[:lag] + 0.5])
    far = np.vstack([far[0] - 0.5, far])
    if kept[0] > 0:
        yield from _cross(corner, side, int(kept[0]))
    for line in map(_without_midway, (near, far)):
        across = origin + line / side.step
        down = origin + line[:, ::-1] / side.step
        yield [(x, y) for x, y in across]
        yield [(x, y) for x, y in down]


def _without_midway(line: Floats) -> Floats:
    """Leave out points of a line where it goes straight on, to keep pages small."""
    steps = np.diff(line, axis=0)
    slopes = steps[:, 1] / steps[:, 0]
    turns = np.r_[True, slopes[1:] != slopes[:-1], True]
    return line[turns]


def _cross(corner: tuple[int, int], side: _Side, volume: int) -> Iterator[Line]:
    """Lines before a volume, across the whole matrix."""
    y, x = (edge - 0.5 for edge in corner)
    at = volume / side.step
    yield ((x, y + at), (x + side.n, y + at))
    yield ((x + at, y), (x + at, y + side.n))


def _colours(rdms: Mapping[str, Floats]) -> ScalarMappable:
    """Return the colours of all matrices; what lies beyond their ends has those of the ends."""
    values = np.concatenate([rdm[np.isfinite(rdm)] for rdm in rdms.values()] or [np.empty(0)])
    low, high = np.percentile(values, [1, 99]) if values.size else (0.0, 2.0)
    # Few colours keep pages small, and with grey and white fit a palette.
    heat = colormaps["cividis"].resampled(64).with_extremes(bad=PALE)
    return ScalarMappable(Normalize(float(low), float(high)), heat)


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
