"""The examples for clusters, with a scheduler and a container that only note their words."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from bidsapp.cli.parser import parse

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples" / "cluster"
SCRIPT = EXAMPLES / "moviersa.sbatch"
# Every call ends in a blank line, and is answered by the number of a job.
NOTE = "#!/bin/bash\nprintf '%s\\n' \"$@\" '' >> \"$NOTED\"\necho 7\n"
JOB = {"SLURM_CPUS_PER_TASK": "4", "SLURM_MEM_PER_NODE": "16384"}


@pytest.fixture
def calls(tmp_path):
    """Run a line of bash on two participants; return the words of every call of a program."""
    for name in ("sbatch", "apptainer"):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(NOTE)
        program.chmod(0o755)
    for label in ("01", "02"):
        (tmp_path / "my bids" / f"sub-{label}").mkdir(parents=True)
    places = {"BIDS": tmp_path / "my bids", "OUT": tmp_path / "out", "WORK": tmp_path / "my work"}
    given = {name: str(place) for name, place in places.items()} | {
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "NOTED": str(tmp_path / "noted"),
        "MOVIERSA": "apptainer run -B /project moviersa.sif",
    }

    def run(words: list[str], **more: str) -> list[list[str]]:
        subprocess.run(["bash", *words], env=given | more, check=True)
        noted = (tmp_path / "noted").read_text()
        return [call.splitlines() for call in noted.removesuffix("\n\n").split("\n\n")]

    return run


def settings_of(words: list[str]):
    return parse(words[words.index("moviersa.sif") + 1 :])


def test_the_submission_in_the_head_can_be_run_as_it_is(calls):
    lines = [line[4:] for line in SCRIPT.read_text().splitlines() if line.startswith("#   ")]
    commands = [line for line in lines if not line.startswith("export")]
    models, people, group = calls(["-euc", "\n".join(commands)])
    assert "--kill-on-invalid-dep=yes" in people  # else it would wait for good
    assert {"--dependency=afterok:7", "--array=0-1"} <= set(people)
    assert "--dependency=afterany:7" in group
    for call, level in ((models, "stimulus"), (people, "participant"), (group, "group")):
        words = call[call.index("moviersa.sbatch") + 1 :]
        settings = parse(["bids", "out", *words])
        assert settings.level == level
        assert settings.weights == Path("/project/weights")  # the default analysis needs it


def test_a_job_of_an_array_is_one_participant_with_what_the_job_has(calls, tmp_path):
    words = [str(SCRIPT), "participant", "--stimuli", "/project/my film"]
    [call] = calls(words, **JOB, SLURM_ARRAY_TASK_ID="1")
    settings = settings_of(call)
    assert settings.participant_label == ("02",)
    assert settings.bids_dir == tmp_path / "my bids"
    assert settings.work_dir == tmp_path / "my work" / "sub-02"
    assert settings.stimuli == Path("/project/my film")
    assert (settings.nprocs, settings.mem_gb) == (4, 14.745)


@pytest.mark.parametrize(
    ("memory", "expected"),
    [
        ({"SLURM_MEM_PER_CPU": "2000"}, 7.2),
        ({"SLURM_MEM_PER_NODE": "1000"}, 0.9),
        ({"SLURM_MEM_PER_NODE": "10005"}, 9.004),
        ({"SLURM_MEM_PER_NODE": "0"}, None),  # all of the node: as moviersa finds it
        ({}, None),
    ],
)
def test_memory_is_that_of_the_job_however_it_was_asked_for(calls, memory, expected):
    [call] = calls([str(SCRIPT), "group"], SLURM_CPUS_PER_TASK="4", **memory)
    if expected is None:
        assert "--mem-gb" not in call
    else:
        assert settings_of(call).mem_gb == expected


def test_under_babs_every_place_of_the_command_is_seen_by_the_container():
    babs = yaml.safe_load((EXAMPLES / "babs.yaml").read_text())
    seen = " ".join(babs["singularity_args"])
    places = [word for word in babs["bids_app_args"].values() if word.startswith("/project")]
    assert "/project/weights" in places
    assert all(re.search(rf"-B {place}:{place}:ro", seen) for place in places)
