import json
import os
import socket
import threading
import time

import pytest

from bidsapp.files import lock, whole_file, write_text


def test_a_file_appears_only_when_whole(tmp_path):
    target = tmp_path / "deep" / "a.tsv"
    with whole_file(target) as temporary:
        temporary.write_text("half")
        assert not target.exists()
        assert temporary.suffix == ".tsv"
    assert target.read_text() == "half"
    assert [path.name for path in target.parent.iterdir()] == ["a.tsv"]


def test_a_failure_leaves_the_old_file_and_no_rubbish(tmp_path):
    target = tmp_path / "a.json"
    write_text(target, "old")

    def fail() -> None:
        with whole_file(target) as temporary:
            temporary.write_text("new, but not whole")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_second_taker_waits(tmp_path):
    order = []

    def second():
        with lock(tmp_path / "l", poll_s=0.01):
            order.append("second")

    with lock(tmp_path / "l"):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.05)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


@pytest.mark.parametrize(
    "owner",
    [
        {"host": socket.gethostname(), "process": 2**22 + 1, "expires": time.time() + 1e6},
        {"host": "elsewhere", "process": 1, "expires": time.time() - 1},
    ],
)
def test_a_dead_or_expired_owner_is_taken_over(tmp_path, owner):
    (tmp_path / "l").write_text(json.dumps(owner))
    with lock(tmp_path / "l", poll_s=0.01):
        assert json.loads((tmp_path / "l").read_text())["process"] == os.getpid()
    assert not (tmp_path / "l").exists()
