"""Getting checkpoint files: only when asked, resumed where cut off, and never half of one."""

import re
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

from bidsapp.errors import InputError, UsageError, reason
from bidsapp.vision.catalogue import Checkpoint, ModelEntry
from bidsapp.vision.networks.loading import check_digest, how_obtained, read_state

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
        validator = path.with_name(part.name + ".etag")
        _download(checkpoint, part, validator, progress)
        validator.unlink(missing_ok=True)
        try:
            _verify(part, checkpoint)
        except InputError as error:
            part.unlink()
            raise InputError(
                f"{checkpoint.url} gave what is not these weights, and it was not kept: {error}"
            ) from error
        part.replace(path)
        return path
    check_digest(path, checkpoint)
    return path


def _verify(part: Path, checkpoint: Checkpoint) -> None:
    """Make sure that what came is what is published or, where no digest tells, a checkpoint."""
    if checkpoint.sha256 is not None:
        check_digest(part, checkpoint, kept=False)
    else:
        read_state(part, Path(checkpoint.file).suffix)


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
    if checkpoint.obtained != "fetch":
        raise UsageError(
            f"the weights of {entry.name} cannot be fetched: {how_obtained(entry.name, checkpoint)}"
        )
    return checkpoint


def _download(checkpoint: Checkpoint, part: Path, validator: Path, progress: Progress) -> None:
    """Append to ``part`` what is missing of it; begin anew where the server's file is another.

    ``validator`` keeps the server's mark of the version that ``part`` is of.
    """
    url, have = checkpoint.url, part.stat().st_size if part.is_file() else 0
    version = validator.read_text(encoding="latin-1") if validator.is_file() else ""
    if not version and checkpoint.sha256 is None:
        have = 0  # nothing would tell whether what comes belongs to what is there
    headers = {"User-Agent": "moviersa"}
    if have:
        headers |= {"Range": f"bytes={have}-"} | ({"If-Range": version} if version else {})
    _refuse_unsafe(url)
    request = urllib.request.Request(url, headers=headers)  # noqa: S310  # its scheme is checked
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310  # as above
            there, total = _receive(answer, part, validator, have, progress)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not have:
            raise InputError(f"{url} cannot be downloaded: {error}") from error
        if _whole_size(error) != have:  # what is there is no beginning of the server's file
            part.unlink()
            _download(checkpoint, part, validator, progress)
        return
    except (OSError, HTTPException) as error:
        raise InputError(
            f"{url} cannot be downloaded: {reason(error)}; what has come is kept in {part}: run "
            "the same command again to go on"
        ) from error
    if total is not None and there < total:
        raise InputError(
            f"{url} ended after {there} of {total} bytes, which are kept in {part}: run the same "
            "command again to go on"
        )


def _receive(
    answer: HTTPResponse, part: Path, validator: Path, have: int, progress: Progress
) -> tuple[int, int | None]:
    """Write what comes; return the bytes that are there and, where it is said, those in all."""
    resumed = answer.status == 206
    begins = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", f"bytes {have}-"))
    if resumed and (begins is None or int(begins[1]) != have):
        raise InputError(f"{answer.url} went on at another place than asked; delete {part}")
    there, length = have if resumed else 0, answer.headers.get("Content-Length")
    total = None if length is None else there + int(length)
    validator.write_text(_version(answer), encoding="latin-1")
    with part.open("ab" if resumed else "wb") as stream:
        while chunk := answer.read(_CHUNK):
            stream.write(chunk)
            there += len(chunk)
            progress(there, total)
    return there, total


def _version(answer: HTTPResponse) -> str:
    """Return the mark by which the server tells versions of a file; empty where it has none."""
    tag = answer.headers.get("ETag", "")
    return answer.headers.get("Last-Modified", "") if tag.startswith("W/") or not tag else tag


def _whole_size(refusal: urllib.error.HTTPError) -> int | None:
    """Bytes of the whole file, of which a server has none left to give."""
    told = re.fullmatch(r"bytes \*/(\d+)", refusal.headers.get("Content-Range", ""))
    return None if told is None else int(told[1])


def _refuse_unsafe(url: str) -> None:
    """Accept https alone, and this machine's own servers."""
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "localhost"):
        raise InputError(f"{url} is no https address; nothing else is downloaded from")
