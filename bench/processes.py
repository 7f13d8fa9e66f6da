"""What a command costs: wall and processor time, and memory of all its processes together."""

import os
import resource
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

_POLL_S = 0.1


@dataclass(frozen=True)
class Cost:
    """Wall and processor time in s, and the peak in GB (10^9 bytes).

    ``peak_gb`` is the most that all processes held at one moment: proportional set size, in which a
    page that several share counts once.
    """

    wall_s: float
    processor_s: float
    peak_gb: float


def measured(command: Sequence[str], *, log: Path | None = None) -> Cost:
    """Run a command to its end and measure it with all processes that it starts.

    Raises
    ------
    CalledProcessError
        The command failed.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    with (log or Path(os.devnull)).open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        done, peak = Event(), [0]
        watcher = Thread(target=_watch, args=(process.pid, done, peak))
        watcher.start()
        status = process.wait()
        done.set()
        watcher.join()
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if status:
        raise subprocess.CalledProcessError(status, list(command))
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(wall, processor, peak[0] / 1e9)


def _watch(root: int, done: Event, peak: list[int]) -> None:
    while not done.wait(_POLL_S):
        peak[0] = max(peak[0], sum(map(_memory, _family(root))))


def _family(root: int) -> list[int]:
    """Return a process and all that descend from it."""
    found, queue = [], [root]
    while queue:
        process = queue.pop()
        found.append(process)
        for children in Path(f"/proc/{process}/task").glob("*/children"):
            try:
                queue += map(int, children.read_text().split())
            except OSError:  # it ended meanwhile
                continue
    return found


def _memory(process: int) -> int:
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:  # it ended meanwhile
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
