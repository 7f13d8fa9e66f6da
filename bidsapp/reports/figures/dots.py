"""Many dots as one path: thousands of elements make a page slow."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from bidsapp.arrays import Floats


def draw_dots(axis: Axes, x: Floats, y: Floats, size: float, fill: str, rim: str) -> None:
    """Draw dots with a rim.

    Parameters
    ----------
    axis
        Where; its limits stay as they are.
    x, y
        Centres, in data coordinates.
    size
        Diameter in points, without the rim of half a point.
    fill, rim
        Colours.
    """
    # A line without length, its ends round, is a dot.
    places = np.column_stack([x, y]).repeat(2, axis=0)
    path = Path(places, np.tile([Path.MOVETO, Path.LINETO], len(x)))
    path.should_simplify = False
    for width, colour in ((size + 1, rim), (size, fill)):
        dots = PathPatch(path, edgecolor=colour, linewidth=width, capstyle="round", zorder=3)
        dots.set_label("_dots")
        axis.add_patch(dots)
