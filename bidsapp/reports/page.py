"""Pages as data: what a report holds, and how it becomes one self-contained HTML file."""

import re
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
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
    """Rows of text; a folded table opens by its caption. ``strong`` holds (row, column).

    A sortable one can be sorted and filtered where the browser runs scripts. Long texts stand in
    several lines in a wrapped one.
    """

    kind: ClassVar[str] = "table"
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str
    source: str = ""
    folded: bool = False
    strong: frozenset[tuple[int, int]] = frozenset()
    sortable: bool = False
    wrapped: bool = False


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
    sources: tuple[str, ...]
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
    style, script = _template("style.css"), ""
    if any(
        isinstance(block, Table) and block.sortable for part in sections for block in part.blocks
    ):
        script = _template("tables.js")
    # Style sheet and script are ours, and must stand in the page as they are.
    page = environment.get_template("page.html").render(
        title=title,
        subtitle=subtitle,
        sections=sections,
        version=version,
        policy=_policy(script),
        style=Markup(style),  # noqa: S704
        script=Markup(script),  # noqa: S704
    )
    return page + "\n"


def _template(name: str) -> str:
    return files("bidsapp.reports").joinpath("templates", name).read_text(encoding="utf-8")


def _policy(script: str) -> str:
    """Let the browser load nothing from anywhere, and run no script but our own."""
    digest = b64encode(sha256(script.encode()).digest()).decode()
    ours = f"'sha256-{digest}'" if script else "'none'"
    return (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {ours}; "
        "base-uri 'none'; form-action 'none'"
    )


def table_of(
    table: pd.DataFrame,
    caption: str,
    source: str = "",
    *,
    folded: bool = False,
    sortable: bool = False,
    digits: int = 3,
) -> Table:
    """Return a table as a block: numbers rounded, n/a for what is missing."""
    rows = tuple(
        tuple(cell(value, digits) for value in row)
        for row in table.itertuples(index=False, name=None)
    )
    header = tuple(map(str, table.columns))
    return Table(header, rows, caption, source, folded, sortable=sortable)


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
