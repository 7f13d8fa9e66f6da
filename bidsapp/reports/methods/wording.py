"""Words, numbers and works as sentences need them."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files

import yaml


@cache
def works() -> dict[str, dict[str, str]]:
    """Return every work, by key: how it is cited, and in full."""
    source = files("bidsapp.reports").joinpath("references.yaml")
    return dict(yaml.safe_load(source.read_text(encoding="utf-8")))


def cite(*keys: str) -> str:
    """Return works cited by their keys in references.yaml, as they stand in a text."""
    return "; ".join(works()[key]["short"] for key in keys)


def called(name: str, versions: Mapping[str, str]) -> str:
    """Return the name of a program with its version, where that is known."""
    folded = {key.lower(): version for key, version in versions.items()}
    version = folded.get(name.lower())
    return f"{name} {version}" if version else name


def words(names: Sequence[str]) -> str:
    """Join words as a sentence does."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def runs(labels: Sequence[str]) -> str:
    """Name runs."""
    return f"run {labels[0]}" if len(labels) == 1 else f"runs {words(labels)}"


def between(values: Sequence[float]) -> str:
    """Name the range of rising values."""
    return f"{values[0]:g}" if len(values) == 1 else f"{values[0]:g} to {values[-1]:g}"


def ordinal(step: int) -> str:
    """Name the place of a step: second, third ..."""
    named = {1: "single", 2: "second", 3: "third", 4: "fourth", 5: "fifth"}
    return named.get(step, f"{step}th")
