"""How every command ends when something is wrong: one sentence, and an exit status."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from bidsapp.errors import MoviersaError, NoRoomError
from bidsapp.files import told_what_is_full


@contextmanager
def told_in_a_sentence(command: str, resumes: bool = True) -> Iterator[None]:
    """Turn errors that a user can mend, a full disk, and Ctrl-C into a sentence and an exit.

    ``resumes`` says whether the same command, given again, goes on where it was.
    """
    again = "; run the same command again to go on" if resumes else ""
    try:
        with told_what_is_full():
            yield
    except NoRoomError as error:
        _end(command, f"error: {error}{again}", error.exit_status)
    except MoviersaError as error:
        _end(command, f"error: {error}", error.exit_status)
    except KeyboardInterrupt:
        _end(command, f"interrupted{again}", 130)


def _end(command: str, sentence: str, status: int) -> None:
    sys.stderr.write(f"{command}: {sentence}\n")
    sys.exit(status)
