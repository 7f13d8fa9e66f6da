"""What every column of every table means, and its unit."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import yaml

Level = Literal["participant", "group"]


def describe(desc: str, level: Level = "group") -> dict[str, dict[str, str]]:
    """Describe a table's columns, in their order, as BIDS sidecars of tables do.

    Parameters
    ----------
    desc
        The table's ``desc`` entity, such as ``similarity``.
    level
        Whose table: only ``similarity`` exists on both levels, with different columns.

    Returns
    -------
    dict
        Column to ``Description`` and, where there is one, ``Units``.

    Raises
    ------
    KeyError
        There is no such table.
    """
    tables = _content()["tables"]
    names = tables[level].get(desc) or tables["participant"][desc]
    return {name: _column(name, f"{level}-{desc}") for name in names}


def tables() -> dict[Level, tuple[str, ...]]:
    """Return the tables of each level, by their ``desc`` entity."""
    return {level: tuple(names) for level, names in _content()["tables"].items()}


def _column(name: str, table: str) -> dict[str, str]:
    meanings: Mapping[str, dict[str, str]] = _content()["columns"]
    return dict(meanings.get(f"{table}.{name}", meanings.get(name, {})))


@cache
def _content() -> dict[str, Any]:
    text = (files("bidsapp.tables") / "columns.yaml").read_text(encoding="utf-8")
    content: dict[str, Any] = yaml.safe_load(text)
    return content
