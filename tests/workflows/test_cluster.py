"""Steps as jobs, with a scheduler that runs each job at once; ``ci/slurm.sh`` has a real one."""

import inspect
import re
from pathlib import Path

import pytest
from nipype import Function
from nipype.pipeline import engine

import bidsapp
from bidsapp.cli.parser import parse
from bidsapp.cli.run import main
from bidsapp.errors import InputError, UsageError
from bidsapp.settings import Settings
from bidsapp.workflows import cluster
from bidsapp.workflows.engine import run_workflow
from bidsapp.workflows.plugins import NAMES, example
from bidsapp.workflows.steps import make_step

SBATCH = """#!/bin/sh
echo "$@" >>"$(dirname "$0")/jobs"
for script; do :; done
PYTHONWARNINGS=ignore sh "$script" >/dev/null 2>&1
echo "Submitted batch job $(wc -l <"$(dirname "$0")/jobs")"
"""


def same(x: int) -> int:
    return x


def fail(x: int) -> int:
    raise ValueError(f"step {x} cannot be done")


def die(x: int) -> int:
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL)
    return x


def people(steps: dict[str, object]) -> engine.Workflow:
    """Make a workflow of one step a participant, and one that joins no one's."""
    workflow = engine.Workflow(name="participant_wf")
    for label, function in steps.items():
        part = engine.Workflow(name=f"sub_{label}_wf")
        node = engine.Node(
            Function(input_names=["x"], output_names=["y"], function=function),
            name="step",
            mem_gb=1.5,
            n_procs=2,
        )
        node.inputs.x = 1
        part.add_nodes([node])
        workflow.add_nodes([part])
    return workflow


@pytest.fixture
def scheduler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of the scheduler's programs; ``jobs`` there has a line for each job."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in (("sbatch", SBATCH), ("squeue", "#!/bin/sh\n")):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    monkeypatch.delenv("LOGNAME", raising=False)
    monkeypatch.setattr(cluster, "POLL_S", 0.1)
    monkeypatch.setattr(cluster, "RESULT_S", 1.0)
    return folder


def by_jobs(folder: Path, text: str | None = None, work: str = "work") -> Settings:
    path = folder / "plugin.yaml"
    path.write_text(example("slurm") if text is None else text)
    words = ["b", "o", "participant", "-w", folder / work, "--nipype-plugin-file", path]
    return parse([str(word) for word in words])


def test_failed_and_killed_jobs_are_told_and_done_ones_are_not_repeated(tmp_path, scheduler):
    settings = by_jobs(tmp_path)
    crashes = run_workflow(people({"01": same, "02": fail, "03": die}), settings, tmp_path / "logs")
    told = {step.split(".")[-2]: reason for step, reason in crashes.items()}
    assert sorted(told) == ["sub_02_wf", "sub_03_wf"]
    assert "step 1 cannot be done" in told["sub_02_wf"]
    assert told["sub_03_wf"].startswith("the job ended without a result, killed or out of memory")
    jobs = (scheduler / "jobs").read_text().splitlines()
    assert len(jobs) == 3
    for job in jobs:
        assert "--mem=2000M --cpus-per-task=2" in job  # 1.5 GB of data, 0.5 GB of libraries
        assert "moviersa -" not in job
        assert "wf.moviersa" in job  # the name that LOGNAME gives to jobs

    assert run_workflow(people(dict.fromkeys(("01", "02", "03"), same)), settings, tmp_path) == {}
    repeated = (scheduler / "jobs").read_text().splitlines()[3:]
    assert sorted(job.split("-J ")[1].split(".")[1] for job in repeated) == [
        "sub_02_wf",
        "sub_03_wf",
    ]


def test_an_old_result_does_not_pass_for_that_of_a_job_killed_at_its_start(tmp_path, scheduler):
    settings = by_jobs(tmp_path)
    assert run_workflow(people({"01": same}), settings, tmp_path / "logs") == {}
    (scheduler / "sbatch").write_text(SBATCH.replace("PYTHONWARNINGS", "# "))
    changed = people({"01": same})
    changed.get_node("sub_01_wf.step").inputs.x = 2
    crashes = run_workflow(changed, settings, tmp_path / "logs")
    assert list(crashes) == ["participant_wf.sub_01_wf.step"]


def test_a_work_directory_that_cannot_be_handed_to_a_scheduler(tmp_path, scheduler):
    with pytest.raises(UsageError, match=r"--work-dir .*my work"):
        run_workflow(people({"01": same}), by_jobs(tmp_path, work="my work"), tmp_path / "logs")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("plugin: Slurm", "no plugin 'Slurm'; it has .*SLURM"),
        ("plugin: SLURMGraph", "name SLURM instead"),
        ("plugin: SLURM\nplugin_args: [1]", "plugin_args must be keys with values"),
        ("plugin: SLURM\nplugin_args: {sbatch_args: }", "those of the scheduler text"),
    ],
)
def test_a_plugin_that_cannot_be_used(tmp_path, text, says):
    with pytest.raises(UsageError, match=says):
        run_workflow(people({"01": same}), by_jobs(tmp_path, text), tmp_path / "logs")


@pytest.mark.parametrize("name", NAMES)
def test_examples_can_be_printed_and_read_and_leave_nothing_unfilled(tmp_path, capsys, name):
    with pytest.raises(SystemExit) as exit_:
        main(["--print-plugin-file", name])
    assert exit_.value.code == 0
    path = tmp_path / "plugin.yaml"
    path.write_text(capsys.readouterr().out)
    chosen = cluster.read_plugin(path, tmp_path)
    node = people({"01": same}).get_node("sub_01_wf.step")
    for text in map(str, chosen["plugin_args"].values()):
        assert "{" not in cluster._filled(text, cluster.needs(node))


def test_memory_for_each_core_is_rounded_up():
    node = engine.Node(Function(input_names=[], output_names=[]), "a", mem_gb=0.5, n_procs=3)
    assert cluster.needs(node) == {
        "mem_mb": 1000, "n_procs": 3, "gpus": 0, "mem_mb_per_core": 334,
    }  # fmt: skip


def test_every_step_says_what_it_needs():
    """There is one place where nodes are made, and it asks for memory and cores."""
    package = Path(bidsapp.__file__).parent
    makers = [p.name for p in package.rglob("*.py") if re.search(r"\w*Node\(", p.read_text())]
    assert makers == ["steps.py"]
    needed = inspect.signature(make_step).parameters
    assert all(needed[name].default is inspect.Parameter.empty for name in ("mem_gb", "n_procs"))


def test_only_networks_on_a_gpu_ask_for_one(study, monkeypatch, tmp_path):
    """The GPU is another machine's: that this one has none does not matter."""
    (tmp_path / "slurm.yaml").write_text(example("slurm"))
    more = ("--nipype-plugin-file", tmp_path / "slurm.yaml")
    seen: list[engine.Workflow] = []

    def keep(workflow: engine.Workflow, *_: object, **__: object) -> None:
        seen.append(workflow)
        raise InputError("enough")

    monkeypatch.setattr("bidsapp.workflows.stimulus.run_workflow", keep)
    for device in ("cuda:1", "auto"):
        with pytest.raises(SystemExit):
            main(study.arguments("stimulus", "--device", device, *more))
    for workflow, gpus in zip(seen, (1, 0), strict=True):
        nodes = [workflow.get_node(name) for name in workflow.list_node_names()]
        for node in nodes:
            rdms = node.name.startswith("rdms_")
            assert cluster.needs(node)["gpus"] == (gpus if rdms else 0), node.name


def test_a_wrong_plugin_file_is_refused_before_anything_is_withdrawn(refused, tmp_path):
    (tmp_path / "plugin.yaml").write_text("plugin: Slurm")
    refused(64, "no plugin 'Slurm'", more=("--nipype-plugin-file", tmp_path / "plugin.yaml"))
