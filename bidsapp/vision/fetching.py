"""Getting checkpoint files: only when asked, resumed where cut off, and never half of one."""

import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from bidsapp.errors import InputError, UsageError
from bidsapp.vision.catalogue import Checkpoint, ModelEntry
from bidsapp.vision.networks.loading import check_digest

_CHUNK = 1 << 20
Progress = Callable[[int, int | None], None]


def fetch(entry: ModelEntry, weights_dir: Path, progress: Progress) -> Path:
    """Download a model's checkpoint into the folder of weights.

    What has come is kept beside it as ``.part`` until it is whole; a second call goes on there.

    Parameters
    ----------
    entry
        The model.
    weights_dir
        Made where absent.
    progress
        Told the bytes that are there and, where the server says so, those in all.

    Returns
    -------
    Path
        The file; one that is there already is verified and kept.

    Raises
    ------
    UsageError
        The model has no checkpoint, or one that no program can download; the message says what to
        do instead.
    InputError
        The server refuses or cannot be reached, or the file is not the published one.
    """
    checkpoint = downloadable(entry)
    path = weights_dir / checkpoint.file
    if not path.is_file():
        weights_dir.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        _download(checkpoint.url, part, progress)
        try:
            check_digest(part, checkpoint)
        except InputError:
            part.unlink()
            raise
        part.replace(path)
    check_digest(path, checkpoint)
    return path


def downloadable(entry: ModelEntry) -> Checkpoint:
    """Return the checkpoint of a model if a program can download it.

    Raises
    ------
    UsageError
        It cannot; the message says how the model's weights are had.
    """
    checkpoint = entry.checkpoint
    if checkpoint is None:
        raise UsageError(f"model {entry.name} has no checkpoint: it needs none")
    if checkpoint.obtained == "hand":
        raise UsageError(
            f"the weights of {entry.name} are on a page that lets no program download them: get "
            f"them from {checkpoint.url} ({checkpoint.licence}) and save them as {checkpoint.file} "
            "in the folder of weights"
        )
    if checkpoint.obtained == "training":
        raise UsageError(
            f"the weights of {entry.name} were never published: train the network on the data of "
            f"{checkpoint.url} ({checkpoint.licence}) and save its checkpoint as {checkpoint.file} "
            "in the folder of weights"
        )
    return checkpoint


def _download(url: str, part: Path, progress: Progress) -> None:
    """Append to ``part`` what is missing of it."""
    have = part.stat().st_size if part.is_file() else 0
    headers = {"User-Agent": "moviersa"} | ({"Range": f"bytes={have}-"} if have else {})
    _refuse_unsafe(url)
    request = urllib.request.Request(url, headers=headers)  # noqa: S310  # its scheme is checked
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310  # as above
            resumed = answer.status == 206
            length = answer.headers.get("Content-Length")
            there = have if resumed else 0
            total = None if length is None else there + int(length)
            with part.open("ab" if resumed else "wb") as stream:
                while chunk := answer.read(_CHUNK):
                    stream.write(chunk)
                    there += len(chunk)
                    progress(there, total)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing is missing
            return
        raise InputError(f"{url} cannot be downloaded: {error}") from error
    except (OSError, urllib.error.URLError) as error:
        raise InputError(
            f"{url} cannot be downloaded: {error}; what has come is kept in {part}: run the same "
            "command again to go on"
        ) from error
    if total is not None and there < total:
        raise InputError(
            f"{url} ended after {there} of {total} bytes, which are kept in {part}: run the same "
            "command again to go on"
        )


def _refuse_unsafe(url: str) -> None:
    """Accept https alone, and this machine's own servers."""
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "localhost"):
        raise InputError(f"{url} is no https address; nothing else is downloaded from")
