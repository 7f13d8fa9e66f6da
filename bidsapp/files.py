"""Writing so that nothing half-written is ever taken for whole, and locks that only save work."""

import errno
import gzip
import json
import logging
import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from bidsapp.errors import NoRoomError

LOGGER = logging.getLogger(__name__)
_HEARTBEAT_S = 30.0
_FULL = (errno.ENOSPC, errno.EDQUOT)
_FULL_BELOW_BYTES = 1_000_000


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary name beside ``path``; it becomes ``path`` only when the block ends well.

    The temporary name keeps every suffix of ``path``, since libraries choose a format by it.

    Raises
    ------
    NoRoomError
        The disk is full.
    """
    temporary = path.with_name(f".{uuid4().hex[:12]}_{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        if error.errno in _FULL:  # what it names, if anything, is the temporary file or a source
            raise _no_room(path, error) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def told_what_is_full(*places: Path) -> Iterator[None]:
    """Turn the error of a full disk, which seldom names a file, into a sentence that names a place.

    Parameters
    ----------
    *places
        Folders that the block writes to; where the error names no file, those that are full are
        named, or all if that cannot be seen, as with a quota.

    Raises
    ------
    NoRoomError
        The disk is full.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        named = error.filename2 or error.filename
        full = [str(place) for place in places if _is_full(place)] or list(map(str, places))
        place = named or " or ".join(full) or "the output or the work directory"
        raise _no_room(place, error) from error


def _no_room(place: Path | str, error: OSError) -> NoRoomError:
    return NoRoomError(f"no room for {place}: {os.strerror(error.errno or 0)}; make room")


def _is_full(place: Path) -> bool:
    with suppress(OSError):
        return shutil.disk_usage(place).free < _FULL_BELOW_BYTES
    return False


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_whole(path: Path) -> bytes:
    """Read a file to its end, unpacked where it is compressed by gzip.

    Raises
    ------
    OSError, EOFError, zlib.error
        It cannot be read, ends early, or its content has another checksum than gzip noted.
    """
    content = path.read_bytes()
    return gzip.decompress(content) if path.suffix == ".gz" else content


@contextmanager
def lock(path: Path, lifetime_s: float = 180.0, poll_s: float = 1.0) -> Iterator[None]:
    """Hold a lock file that names its host, process and expiry; wait for another's.

    While the lock is held, its expiry is renewed. A lock is taken over when its owner is dead (as
    far as can be seen: not from one container into another), when its time has passed, or when it
    was not renewed for ``lifetime_s`` of our own time, whatever its owner's clock said. Locks only
    save work, since whoever computes writes whole files with equal content.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    token, told = uuid4().hex, False
    seen, since = _content(path), time.monotonic()
    while not _take(path, token, lifetime_s):
        if seen != (seen := _content(path)):
            since = time.monotonic()
        if _abandoned(path) or time.monotonic() - since > lifetime_s:
            path.unlink(missing_ok=True)
            continue
        told = told or _tell(path)
        time.sleep(poll_s)
    ended = threading.Event()
    beat = threading.Thread(target=_keep, args=(path, token, lifetime_s, ended), daemon=True)
    beat.start()
    try:
        yield
    finally:
        ended.set()
        beat.join()
        if _is_mine(path, token):
            path.unlink(missing_ok=True)


def _content(path: Path) -> bytes:
    with suppress(OSError):
        return path.read_bytes()
    return b""


def _take(path: Path, token: str, lifetime_s: float) -> bool:
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w") as stream:
        stream.write(_owner(token, lifetime_s))
    return True


def _owner(token: str, lifetime_s: float) -> str:
    owner = {
        "host": socket.gethostname(),
        "processes": _process_namespace(),
        "process": os.getpid(),
        "token": token,
        "expires": time.time() + lifetime_s,
    }
    return json.dumps(owner)


def _keep(path: Path, token: str, lifetime_s: float, ended: threading.Event) -> None:
    """Renew the expiry until the lock's end, or until another has taken the lock over."""
    while not ended.wait(min(_HEARTBEAT_S, lifetime_s / 4)) and _is_mine(path, token):
        with suppress(OSError, NoRoomError):  # the next beat may succeed
            write_text(path, _owner(token, lifetime_s))


def _is_mine(path: Path, token: str) -> bool:
    with suppress(OSError, ValueError):
        return bool(json.loads(path.read_text()).get("token") == token)
    return False


def _tell(path: Path) -> bool:
    """Log whom the lock is waited for; False where its file cannot be read yet."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        owner: dict[str, Any] = json.loads(path.read_text())
        until = time.strftime("%H:%M:%S", time.localtime(owner["expires"]))
        LOGGER.info(
            "waiting for process %s on %s, which holds %s: until it is done, or until %s if it "
            "has died",
            owner["process"], owner["host"], path, until,
        )  # fmt: skip
        return True
    return False


def _abandoned(path: Path) -> bool:
    try:
        owner = json.loads(path.read_text())
        expired = bool(time.time() > owner["expires"])
        seen = (owner["host"], owner.get("processes")) == (
            socket.gethostname(),
            _process_namespace(),
        )
    except FileNotFoundError:
        return False
    except (ValueError, KeyError, TypeError):
        return _older_than(path, 60.0)  # cut off while being written
    return expired or (seen and not _alive(int(owner["process"])))


def _older_than(path: Path, seconds: float) -> bool:
    with suppress(FileNotFoundError):
        return time.time() - path.stat().st_mtime > seconds
    return False


def _process_namespace() -> str | None:
    """Name the set of processes that are seen from here; each container has its own."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:  # not Linux
        return None


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
