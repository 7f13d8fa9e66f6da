"""Downloads from a server on this machine, which can be made to fail."""

import hashlib
import io
from collections.abc import Iterator
from http.client import IncompleteRead
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import torch

from bidsapp.cli.models import main
from bidsapp.errors import InputError, UsageError
from bidsapp.vision.catalogue import Checkpoint, ModelEntry, find_model
from bidsapp.vision.fetching import downloadable, fetch

CONTENT = bytes(range(256)) * 40_000


class _Server(ThreadingHTTPServer):
    cut_at: int | None = None  # bytes after which the connection is closed
    ranges: list[str | None]
    content = CONTENT
    etag: str | None = '"first"'


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        content, etag, asked = self.server.content, self.server.etag, self.headers.get("Range")
        self.server.ranges.append(asked)
        if self.path != "/weights.pth":
            self.send_error(404)
            return
        if self.headers.get("If-Range", etag) != etag:
            asked = None
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if start >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(content) - start))
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if etag:
            self.send_header("ETag", etag)
        self.end_headers()
        stop = len(content) if self.server.cut_at is None else self.server.cut_at
        self.wfile.write(content[start:stop])

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[_Server]:
    server = _Server(("127.0.0.1", 0), _Handler)
    server.ranges = []
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def entry_at(server: _Server, sha256: str | None = None, path: str = "weights.pth") -> ModelEntry:
    url = f"http://127.0.0.1:{server.server_port}/{path}"
    checkpoint = Checkpoint(file="w.pth", url=url, sha256=sha256, licence="CC0")
    return find_model("pixels").model_copy(update={"checkpoint": checkpoint})


def ignore(_there: int, _total: int | None) -> None:
    """Take no note of progress."""


def test_file_comes_whole_and_is_verified(server: _Server, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    entry = entry_at(server, hashlib.sha256(CONTENT).hexdigest())
    path = fetch(entry, tmp_path / "new", lambda there, total: told.append((there, total)))
    assert path.read_bytes() == CONTENT
    assert [p.name for p in path.parent.iterdir()] == ["w.pth"]
    assert told[-1] == (len(CONTENT), len(CONTENT))
    fetch(entry, tmp_path / "new", ignore)
    assert len(server.ranges) == 1  # what is there is not taken again


def test_cut_off_download_goes_on_where_it_ended(server: _Server, tmp_path: Path) -> None:
    entry = entry_at(server, hashlib.sha256(CONTENT).hexdigest())
    server.cut_at = 3_000_000
    with pytest.raises(InputError, match="run the same command again"):
        fetch(entry, tmp_path, ignore)
    assert not (tmp_path / "w.pth").exists()
    server.cut_at = None
    assert fetch(entry, tmp_path, ignore).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=3000000-"]


def test_another_file_than_the_published_one_is_not_kept(server: _Server, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not the published file: .* not 00000000$"):
        fetch(entry_at(server, "0" * 64), tmp_path, ignore)
    assert list(tmp_path.iterdir()) == []


def weights(value: int) -> bytes:
    """Bytes of a checkpoint."""
    stream = io.BytesIO()
    torch.save({"weight": torch.full((1000,), value)}, stream)
    return stream.getvalue()


def test_a_page_instead_of_weights_is_not_kept(server: _Server, tmp_path: Path) -> None:
    server.content = b"<html>please log in</html>"
    with pytest.raises(InputError, match="gave what is not these weights"):
        fetch(entry_at(server), tmp_path, ignore)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("etag", ['"second"', None])
def test_no_file_is_made_of_two_versions(server: _Server, tmp_path: Path, etag: str | None) -> None:
    server.content, server.cut_at = weights(1), 2000
    server.etag = etag and '"first"'
    with pytest.raises(InputError, match="run the same command again"):
        fetch(entry_at(server), tmp_path, ignore)
    server.content, server.cut_at, server.etag = weights(2), None, etag
    assert fetch(entry_at(server), tmp_path, ignore).read_bytes() == weights(2)
    assert [path.name for path in tmp_path.iterdir()] == ["w.pth"]


@pytest.mark.parametrize(("more", "n_asked"), [(b"", 1), (b"more", 2)])
def test_a_part_that_is_whole_is_taken_and_a_longer_one_is_not(
    server: _Server, tmp_path: Path, more: bytes, n_asked: int
) -> None:
    (tmp_path / "w.pth.part").write_bytes(CONTENT + more)
    entry = entry_at(server, hashlib.sha256(CONTENT).hexdigest())
    assert fetch(entry, tmp_path, ignore).read_bytes() == CONTENT
    assert len(server.ranges) == n_asked


def test_a_broken_answer_is_told_in_a_sentence(
    server: _Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> bytes:
        raise IncompleteRead(b"")

    server.cut_at = 0
    monkeypatch.setattr("http.client.HTTPResponse.read", broken)
    with pytest.raises(InputError, match="cannot be downloaded: IncompleteRead"):
        fetch(entry_at(server), tmp_path, ignore)


def test_another_file_that_is_there_is_to_be_deleted(server: _Server, tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(b"another")
    with pytest.raises(InputError, match=r"not the published file: .* delete it and take it anew"):
        fetch(entry_at(server, "0" * 64), tmp_path, ignore)


def test_absent_file_and_unsafe_address_are_said(server: _Server, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="404"):
        fetch(entry_at(server, path="nothing"), tmp_path, ignore)
    unsafe = Checkpoint(file="w.pth", url="http://example.org/w.pth", licence="")
    with pytest.raises(InputError, match="no https address"):
        fetch(find_model("pixels").model_copy(update={"checkpoint": unsafe}), tmp_path, ignore)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("mvd-base-k400", "lets no program download"),
        ("tinymotionnet-haa500", "never published"),
        ("pixels", "needs none"),
    ],
)
def test_what_cannot_be_downloaded_says_how_it_is_had(model: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        downloadable(find_model(model))


def test_command_names_all_that_it_could_not_get(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["fetch", "mvd-base-k400", "pixels", "--weights", str(tmp_path)])
    assert exit_.value.code == 64
    said = capsys.readouterr().err
    assert "mvd_b_from_b_ckpt_399.pth" in said
    assert "needs none" in said
