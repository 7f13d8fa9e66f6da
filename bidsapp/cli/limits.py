"""How much memory a run may use: that of the machine, of the container, or of SLURM's job."""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

_SHARE = 0.9  # the rest is the system's, and what libraries take besides data
_MIB = 1 << 20


def memory_gb(environment: Mapping[str, str] = os.environ, root: Path = Path("/")) -> float:
    """Return 90% of the memory that this process may use, in GB.

    Parameters
    ----------
    environment
        Variables of the process; SLURM says in them what a job has.
    root
        Where ``proc`` and ``sys`` are.
    """
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    least = min([machine, *_of_control_groups(root), *_of_job(environment)])
    return max(0.1, round(_SHARE * least / 1e9, 1))


def _of_control_groups(root: Path) -> Iterator[int]:
    """Give the limits of the process's control group and of all above it, of either version."""
    with suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, group = line.split(":", 2)
            if not controllers:
                yield from _limits(root / "sys/fs/cgroup", group, "memory.max")
            elif "memory" in controllers.split(","):
                yield from _limits(root / "sys/fs/cgroup/memory", group, "memory.limit_in_bytes")


def _limits(top: Path, group: str, name: str) -> Iterator[int]:
    """Read a limit at every height; a container may see its own group as the top."""
    path = Path(group.lstrip("/"))
    for folder in (path, *path.parents):
        with suppress(OSError, ValueError):  # no such group here, or no limit: "max"
            yield int((top / folder / name).read_text())


def _of_job(environment: Mapping[str, str]) -> Iterator[int]:
    """Give what SLURM allows on this node; 0 stands for all of it."""
    whole = _count(environment, "SLURM_MEM_PER_NODE")
    parts = _count(environment, "SLURM_MEM_PER_CPU") * _count(environment, "SLURM_CPUS_ON_NODE")
    yield from (mebibytes * _MIB for mebibytes in (whole, parts) if mebibytes)


def _count(environment: Mapping[str, str], name: str) -> int:
    value = environment.get(name, "")
    return int(value) if value.isdecimal() else 0
