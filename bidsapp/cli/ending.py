"""How every command ends when something is wrong: one sentence, and an exit status."""

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from bidsapp.errors import MoviersaError


@contextmanager
def told_in_a_sentence(command: str, resumes: bool = True) -> Iterator[None]:
    """Turn errors that a user can mend, a full disk, and Ctrl-C into a sentence and an exit.

    ``resumes`` says whether the same command, given again, goes on where it was.
    """
    again = "; run the same command again to go on" if resumes else ""
    try:
        yield
    except MoviersaError as error:
        _end(command, f"error: {error}", error.exit_status)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        full = error.filename2 or error.filename or "the output or the work directory"
        _end(command, f"error: no room for {full}: {error.strerror}; make room{again}", 1)
    except KeyboardInterrupt:
        _end(command, f"interrupted{again}", 130)


def _end(command: str, sentence: str, status: int) -> None:
    sys.stderr.write(f"{command}: {sentence}\n")
    sys.exit(status)
