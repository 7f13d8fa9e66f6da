"""Words, numbers and works as sentences need them."""

from collections.abc import Mapping, Sequence

from bidsapp.reports.methods.works import works

_PACKAGES = {"pytorch": "torch"}  # where a program is not called as its package is


def cite(key: str) -> str:
    """Return the mark of a work, by its key in references.yaml; each format names it its own way.

    Raises
    ------
    KeyError
        There is no such work.
    """
    works()[key]
    return f"@{{{key}}}"


def called(name: str, versions: Mapping[str, str]) -> str:
    """Return the name of a program with its version, where that is known."""
    folded = {key.lower(): version for key, version in versions.items()}
    version = folded.get(_PACKAGES.get(name.lower(), name.lower()))
    return f"{name} {version}" if version else name


def words(names: Sequence[str]) -> str:
    """Join words as a sentence does."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def counted(thing: str, names: Sequence[str]) -> str:
    """Name one thing, or several: model a; models a and b."""
    return f"{thing}{'s' if len(names) > 1 else ''} {words(names)}"


def were(names: Sequence[str]) -> str:
    """Return the verb for so many."""
    return "were" if len(names) > 1 else "was"


def place(space: str) -> str:
    """Name the space of the outputs."""
    return "the participant's own anatomical space (T1w)" if space == "T1w" else f"space {space}"


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
