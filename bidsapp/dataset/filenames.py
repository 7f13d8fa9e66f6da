"""BIDS file names taken apart, and metadata by the inheritance principle."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bidsapp.dataset.textfiles import read_json

_NAME = re.compile(r"(?P<entities>(?:[a-z]+-[^_.]+_)*)(?P<suffix>[0-9a-zA-Z]+)(?P<extension>\..+)")


@dataclass(frozen=True)
class BIDSName:
    """A file name as BIDS reads it: ``task-movie_run-1_bold.nii.gz``."""

    entities: Mapping[str, str]
    suffix: str
    extension: str

    def matches(self, entities: Mapping[str, str | None]) -> bool:
        """Tell whether the name has just these values; None means that it lacks the entity."""
        return all(same_value(self.entities.get(key), value) for key, value in entities.items())


def parse_name(path: Path) -> BIDSName | None:
    """Take a file name apart; None where it is no BIDS name."""
    match = _NAME.fullmatch(path.name)
    if match is None:
        return None
    pairs = (part.split("-", 1) for part in match["entities"].split("_") if part)
    return BIDSName(dict(pairs), match["suffix"], match["extension"])


def same_value(one: str | None, other: str | None) -> bool:
    """Compare values of an entity: ``01`` and ``1`` are the same run."""
    if one is None or other is None:
        return one is other
    return one == other or (one.isdigit() and other.isdigit() and int(one) == int(other))


def inherited_files(path: Path, root: Path, extension: str) -> list[Path]:
    """Find the files that apply to ``path`` by inheritance, the nearest last.

    A file applies if it lies in a folder from ``root`` down to that of ``path``, has the same
    suffix, and all its entities stand with the same values in the name of ``path`` (BIDS
    specification, "The Inheritance Principle").
    """
    name = parse_name(path)
    if name is None:
        return []
    found: list[tuple[int, int, Path]] = []
    for depth, folder in enumerate(_folders(path.parent, root)):
        for candidate in sorted(folder.glob(f"*{name.suffix}{extension}")):
            its = parse_name(candidate)
            if its is None or (its.suffix, its.extension) != (name.suffix, extension):
                continue
            if name.matches(its.entities):
                found.append((depth, len(its.entities), candidate))
    return [candidate for _, _, candidate in sorted(found)]


def _folders(folder: Path, root: Path) -> list[Path]:
    below = folder.relative_to(root).parts
    return [root.joinpath(*below[:depth]) for depth in range(len(below) + 1)]


def inherited_metadata(path: Path, root: Path) -> dict[str, Any]:
    """Merge the JSON files that apply to ``path``; the nearest wins, key by key.

    Raises
    ------
    InputError
        One of them is not valid JSON.
    """
    merged: dict[str, Any] = {}
    for sidecar in inherited_files(path, root, ".json"):
        merged |= read_json(sidecar)
    return merged
