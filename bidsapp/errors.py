"""Errors that a user can mend: each message says what is wrong, in which file, and what to do."""

EXIT_USAGE = 64  # EX_USAGE of sysexits.h, as BIDS Apps use it


class MoviersaError(Exception):
    """Anything that ends a run with a clear sentence instead of a traceback."""

    exit_status = 1


def reason(error: Exception) -> str:
    """Return what another library says of an error, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


class UsageError(MoviersaError):
    """The words on the command line, or the analysis file, are wrong or contradict each other."""

    exit_status = EXIT_USAGE


class InputError(MoviersaError):
    """A file of the input is missing, broken, or does not fit the others."""


class NoRoomError(MoviersaError):
    """A disk, or what may be used of it, is full."""
