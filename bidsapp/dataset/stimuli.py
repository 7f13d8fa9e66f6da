"""The film's files."""

from pathlib import Path

from bidsapp.errors import InputError


def find_film(stimuli: Path, pattern: str) -> Path:
    """Find the one film file of a run.

    Parameters
    ----------
    stimuli
        Folder of the films; folders below it are looked through too.
    pattern
        A glob, from the analysis.

    Raises
    ------
    InputError
        The folder is absent, or the pattern fits no file or several.
    """
    if not stimuli.is_dir():
        raise InputError(f"there is no folder of films {stimuli}: give it with --stimuli")
    found = sorted(path for path in stimuli.rglob(pattern) if _is_plain_file(path))
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(str(path.relative_to(stimuli)) for path in found)
        raise InputError(f"several files in {stimuli} fit {pattern!r}: {names}; narrow the pattern")
    present = sorted(path.name for path in stimuli.rglob("*") if _is_plain_file(path))
    raise InputError(
        f"no film in {stimuli} fits {pattern!r}; it holds {', '.join(present[:10]) or 'no file'}"
    )


def _is_plain_file(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".")
