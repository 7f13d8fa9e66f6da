"""A home for programs that have none: a container's root is read-only, and its user unknown."""

import os
import tempfile
from pathlib import Path

from bidsapp.errors import UsageError


def give_a_home(place: Path) -> None:
    """Let HOME and temporary files be in ``place`` where the machine has nowhere to write them.

    Raises
    ------
    UsageError
        They are needed, and ``place`` cannot be written either.
    """
    if not os.access(os.path.expanduser("~"), os.W_OK):  # noqa: PTH111  # Path.home() may raise
        os.environ["HOME"] = str(place)
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        temporary = place / "tmp"
        try:
            temporary.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"cannot write {error.filename}: {error.strerror}; nor can anything else here: "
                "give a --work-dir that can be written"
            ) from error
        os.environ["TMPDIR"] = str(temporary)
