"""The memory that a run takes by default: the least of machine, container and job."""

import os

import pytest

from bidsapp.cli.limits import memory_gb

MACHINE = max(0.1, round(0.9 * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1))


@pytest.fixture
def made(tmp_path):
    def make(files: dict[str, str]):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return make


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, MACHINE),  # neither proc nor sys
        (
            {
                "proc/self/cgroup": "0::/system.slice/job_7/step_0\n",
                "sys/fs/cgroup/system.slice/job_7/step_0/memory.max": "max\n",
                "sys/fs/cgroup/system.slice/job_7/memory.max": "500000000\n",
                "sys/fs/cgroup/system.slice/memory.max": "700000000\n",
            },
            0.5,  # 90% of 500 MB, rounded
        ),
        (
            {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "1000000000\n"},
            0.9,  # in a container, which is the top of what it sees
        ),
        (
            {
                "proc/self/cgroup": "5:cpu,cpuacct:/\n4:memory:/docker/abc\n1:name=systemd:/x:y\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "1000000000\n",
            },
            0.9,  # version 1, whose path is the host's
        ),
        (
            {
                "proc/self/cgroup": "4:memory:/\n0::/\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            },
            MACHINE,  # version 1 without a limit
        ),
    ],
)
def test_a_container_has_its_own_limit(made, files, expected):
    assert memory_gb({}, made(files)) == expected


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        ({"SLURM_MEM_PER_NODE": "1024"}, 1.0),
        ({"SLURM_MEM_PER_CPU": "512", "SLURM_CPUS_ON_NODE": "2"}, 1.0),
        ({"SLURM_MEM_PER_NODE": "0"}, MACHINE),  # --mem=0: all of the node
        ({"SLURM_MEM_PER_NODE": "20"}, 0.1),  # never nothing
    ],
)
def test_a_job_has_its_own_limit(tmp_path, job, expected):
    assert memory_gb(job, tmp_path) == expected
