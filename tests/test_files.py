import json
import logging
import os
import socket
import threading
import time
from types import SimpleNamespace

import pytest

from bidsapp.errors import NoRoomError
from bidsapp.files import _process_namespace, lock, told_what_is_full, whole_file, write_text


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


def write_to_a_full_disk(path):
    """Write as on a full disk; the error that the system raises then names no file."""
    path.symlink_to("/dev/full")
    path.write_text("no room")


def test_a_full_disk_is_told_by_the_name_of_the_file(tmp_path):
    target = tmp_path / "a.json"

    def fail() -> None:
        with whole_file(target) as temporary:
            write_to_a_full_disk(temporary)

    with pytest.raises(NoRoomError) as told:
        fail()
    assert str(told.value) == f"no room for {target}: No space left on device; make room"
    assert list(tmp_path.iterdir()) == []


def test_of_several_places_the_full_one_is_named(tmp_path, monkeypatch):
    free = {tmp_path / "out": 10, tmp_path / "work": 10**9}
    monkeypatch.setattr("shutil.disk_usage", lambda place: SimpleNamespace(free=free[place]))
    with (
        pytest.raises(NoRoomError, match=rf"no room for {tmp_path}/out: "),
        told_what_is_full(*free),
    ):
        write_to_a_full_disk(tmp_path / "a")
    free[tmp_path / "out"] = 10**9  # of the disk, though not of a quota
    with pytest.raises(NoRoomError, match=r"/out or .*/work: "), told_what_is_full(*free):
        write_to_a_full_disk(tmp_path / "b")


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
        {
            "host": socket.gethostname(),
            "processes": _process_namespace(),
            "process": 2**22 + 1,
            "expires": time.time() + 1e6,
        },
        {"host": "elsewhere", "process": 1, "expires": time.time() - 1},
    ],
)
def test_a_dead_or_expired_owner_is_taken_over(tmp_path, owner):
    (tmp_path / "l").write_text(json.dumps(owner))
    with lock(tmp_path / "l", poll_s=0.01):
        assert json.loads((tmp_path / "l").read_text())["process"] == os.getpid()
    assert not (tmp_path / "l").exists()


def test_an_owner_in_another_container_of_this_host_is_waited_for(tmp_path):
    """Its process cannot be seen from here: only its expiry tells that it is dead."""
    path, expires = tmp_path / "l", time.time() + 0.3
    owner = {"host": socket.gethostname(), "processes": "pid:[1]", "process": 2**22 + 1}
    path.write_text(json.dumps(owner | {"expires": expires}))
    with lock(path, poll_s=0.01):
        assert time.time() > expires


@pytest.mark.parametrize("jump_s", [-7200, 7200])
def test_a_clock_that_jumps_while_a_lock_is_held_does_no_harm(tmp_path, monkeypatch, jump_s):
    """The worst is that another computes the same: the owner leaves the other's lock alone."""
    path, now = tmp_path / "l", time.time
    with lock(path, 0.2, poll_s=0.01):
        monkeypatch.setattr(time, "time", lambda: now() + jump_s)
        if jump_s > 0:  # others may believe it expired until it is renewed by the new clock
            while json.loads(path.read_text())["expires"] < time.time():
                time.sleep(0.01)
    assert not path.exists()
    with lock(path, 0.2, poll_s=0.01):
        assert path.exists()
    assert not path.exists()


def test_a_dead_owner_elsewhere_whose_clock_was_years_ahead_is_taken_over(tmp_path):
    path, begun = tmp_path / "l", time.monotonic()
    path.write_text(json.dumps({"host": "elsewhere", "process": 1, "expires": time.time() + 1e8}))
    with lock(path, 0.2, poll_s=0.01):
        assert time.monotonic() - begun > 0.2
        assert json.loads(path.read_text())["process"] == os.getpid()


def test_a_lock_that_is_held_outlives_its_first_expiry(tmp_path):
    """A short lifetime is renewed in time, so that no second one takes the lock over."""
    path = tmp_path / "l"
    with lock(path, 0.4):
        first = json.loads(path.read_text())["expires"]
        while time.time() < first + 0.2:
            time.sleep(0.05)
        assert json.loads(path.read_text())["expires"] > time.time()
    assert not path.exists()


def test_a_lock_taken_over_is_left_to_its_new_owner(tmp_path):
    path = tmp_path / "l"
    other = {"host": "elsewhere", "process": 1, "token": "other", "expires": time.time() + 60}
    with lock(path, 0.04):
        path.write_text(json.dumps(other))
        time.sleep(0.1)
    assert json.loads(path.read_text()) == other


def test_who_waits_says_so_once(tmp_path, caplog):
    path = tmp_path / "l"
    owner = {"host": "elsewhere", "process": 7, "expires": time.time() + 0.2}
    path.write_text(json.dumps(owner))
    with caplog.at_level(logging.INFO, "bidsapp"), lock(path, poll_s=0.01):
        pass
    (record,) = caplog.records
    assert "waiting for process 7 on elsewhere" in record.getMessage()
    assert str(path) in record.getMessage()
