"""Pages as data: what a report holds, and how it becomes one self-contained HTML file."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from typing import ClassVar

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


@dataclass(frozen=True)
class Text:
    """A paragraph, which may begin with a title."""

    kind: ClassVar[str] = "text"
    text: str
    title: str = ""


@dataclass(frozen=True)
class Facts:
    """A few short facts that are seen first: label and value."""

    kind: ClassVar[str] = "facts"
    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Notes:
    """Warnings, or the sentence that there are none."""

    kind: ClassVar[str] = "notes"
    sentences: tuple[str, ...]
    none: str = "No warnings."


@dataclass(frozen=True)
class Table:
    """Rows of text; a folded table opens by its caption. ``strong`` holds (row, column)."""

    kind: ClassVar[str] = "table"
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str
    source: str = ""
    folded: bool = False
    strong: frozenset[tuple[int, int]] = frozenset()


@dataclass(frozen=True)
class Picture:
    """A figure: its SVG, what it shows in words, and where it and its numbers stand as files.

    One with a ``folded`` title stays closed until that title is chosen.
    """

    kind: ClassVar[str] = "picture"
    svg: str
    alt: str
    caption: str
    file: str
    source: str
    folded: str = ""

    @property
    def inline(self) -> Markup:
        """The SVG with its description, ready to stand in a page."""
        label = f'<svg role="img" aria-label="{escape(self.alt, quote=True)}" '
        # The SVG is our own (matplotlib escapes every text in it), so it may pass as markup.
        return Markup(self.svg.replace("<svg ", label, 1))  # noqa: S704


@dataclass(frozen=True)
class Listing:
    """Text as it stands in a file, folded under a title."""

    kind: ClassVar[str] = "listing"
    title: str
    text: str


@dataclass(frozen=True)
class References:
    """A numbered list of works cited."""

    kind: ClassVar[str] = "references"
    items: tuple[str, ...]


Block = Text | Facts | Notes | Table | Picture | Listing | References


@dataclass(frozen=True)
class Section:
    """A part of a page, with its entry in the navigation."""

    title: str
    blocks: tuple[Block, ...] = field(default=())

    @property
    def anchor(self) -> str:
        """Name of the section in links."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")


def render(title: str, subtitle: str, sections: Sequence[Section], version: str) -> str:
    """Return a page as one HTML text that asks for nothing outside itself."""
    environment = Environment(
        loader=PackageLoader("bidsapp.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = files("bidsapp.reports").joinpath("templates/style.css").read_text(encoding="utf-8")
    # The style sheet is ours, and inside <style> it must not be escaped.
    page = environment.get_template("page.html").render(
        title=title,
        subtitle=subtitle,
        sections=sections,
        version=version,
        style=Markup(style),  # noqa: S704
    )
    return page + "\n"


def table_of(
    table: pd.DataFrame, caption: str, source: str = "", *, folded: bool = False, digits: int = 3
) -> Table:
    """Return a table as a block: numbers rounded, n/a for what is missing."""
    rows = tuple(
        tuple(cell(value, digits) for value in row)
        for row in table.itertuples(index=False, name=None)
    )
    return Table(tuple(map(str, table.columns)), rows, caption, source, folded)


def cell(value: object, digits: int = 3) -> str:
    """Return one value as it is shown."""
    if isinstance(value, str):
        return value
    if value is None or value != value:  # NaN
        return "n/a"
    if isinstance(value, float):
        if value.is_integer() and abs(value) < 1e6:
            return f"{value:.0f}"
        return f"{value:.{digits}f}" if abs(value) >= 10**-digits else f"{value:.1e}"
    return str(value)


def listed(names: Iterable[str], none: str = "none") -> str:
    """Join names with commas."""
    return ", ".join(names) or none
