"""Processes that are killed, that run at once, that find no room or a clock that jumps.

Every run is a process of its own, forked from one that holds the libraries already. All paths have
spaces and letters beyond ASCII, inputs are read-only, and the undisturbed run, which the others are
compared with, has its work directory on another file system where there is one.
"""

import errno
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from tiny_study import PARTICIPANTS, TinyStudy, listing

from bidsapp.cli.run import main

pytestmark = pytest.mark.xdist_group("faults")
SERVER = get_context("forkserver")
SERVER.set_forkserver_preload(
    [f"bidsapp.workflows.{level}" for level in ("stimulus", "participant", "group")]
)
Fault = Callable[[], None]


def moviersa(words: list[str], fault: Fault | None) -> None:
    """Run the command line in this process, without the reports' figures."""
    import bidsapp.workflows.group
    import bidsapp.workflows.pages

    bidsapp.workflows.pages.participant_report = lambda *_: None
    bidsapp.workflows.group.group_report = lambda *_: None
    if fault is not None:
        fault()
    main(words)


class KilledAt:
    """The process is killed when it has written ``count`` files, the last of them not yet whole."""

    def __init__(self, count: int) -> None:
        self.left = count

    def __call__(self) -> None:
        self.fsync, os.fsync = os.fsync, self._fsync

    def _fsync(self, descriptor: int) -> None:
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)
        self.fsync(descriptor)


def small_files() -> None:
    """No file may grow beyond some kilobytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))


class FullBelow:
    """The disk of ``folder`` is full; what is said on standard error goes to the file ``told``."""

    def __init__(self, folder: Path, told: Path) -> None:
        self.folder, self.told = folder, told

    def __call__(self) -> None:
        self.fsync, os.fsync = os.fsync, self._fsync
        sys.stderr = self.told.open("w", buffering=1)

    def _fsync(self, descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink().is_relative_to(self.folder):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # which names no file
        self.fsync(descriptor)


def jumping_clock() -> None:
    """The clock of this process is put back or forward by hours, again and again."""
    now, calls = time.time, [0]

    def jumped() -> float:
        calls[0] += 1
        return now() + (-7200, 0, 86400)[calls[0] // 5 % 3]

    time.time = jumped


def begin(words: list[str], fault: Fault | None = None) -> BaseProcess:
    process = SERVER.Process(target=moviersa, args=(words, fault))
    process.start()
    return process


def status(process: BaseProcess) -> int | None:
    process.join(120)
    return process.exitcode


def tables(out: Path, below: str = "") -> dict[str, str]:
    """Return the text of every table by its path in ``out``."""
    paths = sorted(path.relative_to(out) for path in (out / below).rglob("*_stats.tsv"))
    return {str(path): (out / path).read_text() for path in paths}


def half_written(out: Path) -> list[Path]:
    """Return files that are not under their final names, but those that a killed process left."""
    return [path for path in out.rglob(".*_*") if path.is_file()]


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder on another file system, where there is one."""
    memory = Path("/dev/shm")  # noqa: S108  # what is wanted is its file system
    parent = memory if os.access(memory, os.W_OK) else tmp_path_factory.mktemp("elsewhere")
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def undisturbed(
    built_study: TinyStudy, tmp_path_factory: pytest.TempPathFactory, elsewhere: Path
) -> Iterator[TinyStudy]:
    study = TinyStudy(tmp_path_factory.mktemp("faults") / "Étude über tausend Köpfe 映画")
    shutil.copytree(built_study.root, study.root)
    inputs = (study.bids, study.fmriprep, study.stimuli, study.atlas)
    paths = [path for folder in inputs for path in (folder, *folder.rglob("*"))]
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = listing(*inputs)
    for level in ("stimulus", "participant", "group"):
        assert status(begin(study.arguments(level, "-w", elsewhere / "wörk dir"))) == 0
    assert listing(*inputs) == before
    yield study
    for path in paths:
        path.chmod(0o755 if path.is_dir() else 0o644)


@pytest.fixture
def again(undisturbed: TinyStudy, tmp_path: Path) -> Callable[..., list[str]]:
    """Give the words of a run on the same study with an output and a work directory of its own."""

    def words(level: str, *more: object, out: Path, work: str = "wörk dir") -> list[str]:
        given = undisturbed.arguments(level, "-w", tmp_path / work, *more)
        given[1] = str(out)
        return given

    return words


def output_before(level: str, undisturbed: TinyStudy, out: Path) -> None:
    """Copy what the levels before ``level`` leave."""
    later = {
        "stimulus": ["stimuli", "sub-*", "group"],
        "participant": ["sub-*", "group"],
        "group": ["group"],
    }
    shutil.copytree(undisturbed.out, out, ignore=shutil.ignore_patterns(*later[level], "logs"))


def test_another_file_system_holds_the_work(undisturbed, elsewhere):
    if elsewhere.stat().st_dev == undisturbed.out.stat().st_dev:
        pytest.skip("there is no other file system to write to")
    assert list((elsewhere / "wörk dir").iterdir())
    assert half_written(undisturbed.out) == []
    assert {path.split("/")[0] for path in tables(undisturbed.out)} == {
        *(f"sub-{label}" for label in PARTICIPANTS),
        "group",
    }


@pytest.mark.parametrize(
    ("level", "count"), [("stimulus", 16), ("participant", 12), ("participant", 30), ("group", 12)]
)
def test_killed_and_started_again(undisturbed, again, tmp_path, level, count):
    out = tmp_path / "öut"
    output_before(level, undisturbed, out)
    more = ["--participant-label", "01"] if level == "participant" else []
    words = again(level, *more, out=out)
    assert status(begin(words, KilledAt(count))) == -signal.SIGKILL
    if level == "stimulus":  # its lock is left, with a dead owner
        assert (out / "stimuli" / ".lock").is_file()
    made = {"stimulus": "stimuli", "participant": "sub-01", "group": "group"}[level]
    whole = {path.name for path in (undisturbed.out / made).rglob("*") if path.is_file()}
    assert {path.name for path in (out / made).rglob("[!.]*") if path.is_file()} < whole
    assert status(begin(words)) == 0
    assert whole <= {path.name for path in (out / made).rglob("*")}
    if level == "stimulus":
        words = again("participant", "--participant-label", "01", out=out)
        assert status(begin(words)) == 0
        made = "sub-01"
    assert tables(out, made) == tables(undisturbed.out, made)


def test_four_at_once_share_an_output_directory(undisturbed, again, tmp_path):
    out = tmp_path / "öut"
    people = [
        begin(again("participant", "--participant-label", label, out=out, work=f"w {label}"))
        for label in PARTICIPANTS
    ]
    models = begin(again("stimulus", out=out, work="w models"))
    assert [status(process) for process in (*people, models)] == [0, 0, 0, 0]
    assert status(begin(again("group", out=out))) == 0
    assert tables(out) == tables(undisturbed.out)
    assert half_written(out) == []


@pytest.mark.parametrize("full", [None, "wörk dir/participant_wf", "öut/logs", "öut/sub-01"])
def test_a_full_disk_is_an_error_and_nothing_half_written_is_left(
    undisturbed, again, tmp_path, full
):
    out, told = tmp_path / "öut", tmp_path / "told.txt"
    output_before("participant", undisturbed, out)
    words = again("participant", "--participant-label", "01", out=out)
    fault = small_files if full is None else FullBelow(tmp_path / full, told)
    assert status(begin(words, fault)) == 1
    if full is not None:
        sentence = told.read_text().splitlines()[-1]
        assert f"no room for {tmp_path / full}/" in sentence
        assert ": No space left on device; make room" in sentence
    assert half_written(out) == []
    assert tables(out, "sub-01") == {}
    assert status(begin(words)) == 0
    assert tables(out, "sub-01") == tables(undisturbed.out, "sub-01")


def test_a_clock_that_jumps_changes_nothing(undisturbed, again, tmp_path):
    out = tmp_path / "öut"
    output_before("participant", undisturbed, out)
    words = again("participant", "--participant-label", "01", out=out)
    assert status(begin(words, jumping_clock)) == 0
    assert tables(out, "sub-01") == tables(undisturbed.out, "sub-01")
