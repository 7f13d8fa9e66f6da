"""Writing so that nothing half-written is ever taken for whole, and locks that only save work."""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary name beside ``path``; it becomes ``path`` only when the block ends well.

    The temporary name keeps every suffix of ``path``, since libraries choose a format by it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid4().hex[:12]}_{path.name}")
    try:
        yield temporary
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def lock(path: Path, lifetime_s: float = 3600.0, poll_s: float = 1.0) -> Iterator[None]:
    """Hold a lock file that names its host, process and expiry; wait for another's.

    A lock whose owner is dead, or whose time has passed, is taken over: locks only save work, since
    whoever computes writes whole files with equal content.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    while not _take(path, lifetime_s):
        if _abandoned(path):
            path.unlink(missing_ok=True)
        else:
            time.sleep(poll_s)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _take(path: Path, lifetime_s: float) -> bool:
    owner = {
        "host": socket.gethostname(),
        "process": os.getpid(),
        "expires": time.time() + lifetime_s,
    }
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w") as stream:
        json.dump(owner, stream)
    return True


def _abandoned(path: Path) -> bool:
    try:
        owner = json.loads(path.read_text())
        expired = bool(time.time() > owner["expires"])
        here = owner["host"] == socket.gethostname()
    except FileNotFoundError:
        return False
    except (ValueError, KeyError, TypeError):
        return _older_than(path, 60.0)  # cut off while being written
    return expired or (here and not _alive(int(owner["process"])))


def _older_than(path: Path, seconds: float) -> bool:
    with suppress(FileNotFoundError):
        return time.time() - path.stat().st_mtime > seconds
    return False


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
