"""The look that every figure shares, and the one writer of SVG."""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Literal

from matplotlib import rc_context
from matplotlib.figure import Figure

from bidsapp.reports.compact import compact

Line = Literal["-", "--", ":", "-."]

# Okabe and Ito's colours for all kinds of colour vision, without the yellow, which print loses.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#7A7A7A")
HATCHES = ("", "////", "....", "xxxx")
LINES: tuple[Line, ...] = ("-", "--", ":", "-.")  # one for each hatch
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
WIDTH_IN = 10.0  # of a figure as wide as the page
ACCENT = "#D55E00"
INK = "#22272E"
PALE = "#D5D9DF"

STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    # DejaVu comes with matplotlib, so every machine lays the text out alike.
    "font.sans-serif": ["DejaVu Sans", "Arial", "Helvetica"],
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.labelsize": 8,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#8A929C",
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "xtick.color": "#8A929C",
    "ytick.color": "#8A929C",
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "text.color": INK,
    "text.parse_math": False,  # a name may hold a dollar sign
    "legend.frameon": False,
    "legend.fontsize": 7.5,
    "legend.handlelength": 2.8,  # shows a whole dash beside a marker
    "hatch.linewidth": 0.6,
    "hatch.color": "white",
    "figure.facecolor": "white",
    "svg.fonttype": "none",  # text stays text: it can be searched and read aloud
}


@dataclass(frozen=True)
class Look:
    """How one model is drawn, in every figure of an analysis."""

    colour: str
    hatch: str
    marker: str

    @property
    def line(self) -> Line:
        """Dashes of its line: a hatched model's line is broken too."""
        return LINES[HATCHES.index(self.hatch)]


def model_looks(models: Sequence[str]) -> dict[str, Look]:
    """Give each model its look by its place in the analysis; hatches tell the later ones apart.

    Markers too: a model of one layer is drawn by its marker alone.
    """
    return {
        model: Look(
            COLOURS[place % len(COLOURS)],
            HATCHES[place // len(COLOURS) % len(HATCHES)],
            MARKERS[(place + place // len(COLOURS)) % len(MARKERS)],
        )
        for place, model in enumerate(models)
    }


def new_figure(width_in: float, height_in: float) -> Figure:
    """Return an empty figure that arranges its own margins."""
    return Figure(figsize=(width_in, height_in), layout="constrained")


def svg_text(figure: Figure, name: str) -> str:
    """Return a figure as one SVG element.

    The same figure and name give the same text. Every id begins with ``name``, so that several
    figures can stand in one page. Coordinates are rounded to a hundredth of a point.
    """
    _arrange(figure)
    stream = io.StringIO()
    silent = {"Creator": None, "Date": None, "Format": None, "Type": None}
    with rc_context(STYLE):
        figure.savefig(stream, format="svg", metadata=silent)
    return compact(_renamed(stream.getvalue(), name))


def _arrange(figure: Figure) -> None:
    """Let a figure arrange its margins once; saving would draw all of it a second time for that."""
    engine = figure.get_layout_engine()
    if engine is not None:
        with rc_context(STYLE):
            engine.execute(figure)
        figure.set_layout_engine(None)


def _renamed(text: str, name: str) -> str:
    """Cut the SVG element out of a file, and give its ids names of its own."""
    # Nothing refers to images by id, and two that look the same would have the same one.
    element = re.sub(r' id="image[0-9a-f]+"', "", text[text.index("<svg") :])
    prefix = re.sub(r"[^0-9a-zA-Z]+", "-", name)
    numbers: dict[str, int] = {}  # matplotlib's own ids change from run to run

    def own_id(match: re.Match[str]) -> str:
        return f"{match[1]}{prefix}-{numbers.setdefault(match[2], len(numbers))}"

    def own_ids(tag: re.Match[str]) -> str:
        return re.sub(r'( id="| xlink:href="#|url\(#)([^")]+)', own_id, tag[0])

    return re.sub(r"<[^>]*>", own_ids, element)


def described(svg: str, title: str, description: str) -> str:
    """Return an SVG element with a title and a description of its own."""
    told = f"<title>{escape(title)}</title>\n<desc>{escape(description)}</desc>\n"
    end = svg.index(">", svg.index("<svg")) + 1
    return f"{svg[:end]}\n{told}{svg[end:].lstrip()}"
