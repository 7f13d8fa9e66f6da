"""Steps as jobs, with a scheduler that runs each job at once; ``ci/slurm.sh`` has a real one."""

import inspect
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from nipype import Function
from nipype.pipeline import engine
from nipype.pipeline.plugins.base import DistributedPluginBase

import bidsapp
from bidsapp.analysis.spec import default_analysis, read_analysis
from bidsapp.cli.parser import parse
from bidsapp.cli.run import main
from bidsapp.errors import InputError, UsageError
from bidsapp.settings import Settings, to_toml
from bidsapp.workflows import cluster, group
from bidsapp.workflows.engine import run_workflow
from bidsapp.workflows.plugin_file import read_plugin
from bidsapp.workflows.plugins import NAMES, example
from bidsapp.workflows.steps import make_step

SBATCH = """#!/bin/sh
echo "$@" >>"$(dirname "$0")/jobs"
for script; do :; done
PYTHONWARNINGS=ignore sh "$script" >/dev/null 2>&1
echo "Submitted batch job $(wc -l <"$(dirname "$0")/jobs")"
"""

SIZES = ("--nprocs", "4", "--mem-gb", "8")


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
    words = ["b", "o", "participant", "-w", folder / work, "--nipype-plugin-file", path, *SIZES]
    return parse([str(word) for word in words])


def program(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


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
        ("plugin: Slurm", "no plugin 'Slurm' .*; there are .*SLURM"),
        ("plugin: IPython", "no plugin 'IPython'"),
        ("plugin: Debug", "no plugin 'Debug'"),
        ("plugin: SLURMGraph", "name SLURM instead"),
        ("plugin: SLURM\nplugin_arg: {max_jobs: 3}", "unknown key 'plugin_arg'"),
        ("plugin: SLURM\nplugin_args: [1]", "plugin_args must be keys with values"),
        ("plugin: SLURM\nplugin_args: {sbatch_args: }", "sbatch_args: .* valid string"),
        ("plugin: SLURM\nplugin_args: {sbatch_arg: -n 1}", "sbatch_arg: SLURM takes .*sbatch_args"),
        ("plugin: SLURM\nplugin_args: {max_jobs: many}", "max_jobs: .* valid integer"),
        ("plugin: MultiProc\nplugin_args: {n_procs: '4'}", "n_procs: .* valid integer"),
        ("plugin: MultiProc\nplugin_args: {memory_gb: lots}", "memory_gb: .* valid number"),
        (
            "plugin: SLURM\nplugin_args: {sbatch_args: '--mem={mem_gb}G'}",
            "sbatch_args has the unknown word {mem_gb}; words are mem_mb",
        ),
        ("plugin: SLURM\nplugin_args: {sbatch_args: '{gpu_args}'}", "'gpu_args: --gpus=1'"),
    ],
)
def test_a_plugin_that_cannot_be_used(tmp_path, scheduler, text, says):
    with pytest.raises(UsageError, match=says) as told:
        run_workflow(people({"01": same}), by_jobs(tmp_path, text), tmp_path / "logs")
    assert str(tmp_path / "plugin.yaml") in str(told.value)
    assert "\n" not in str(told.value)


def test_a_plugin_file_that_is_no_text(tmp_path, scheduler):
    settings = by_jobs(tmp_path)
    (tmp_path / "plugin.yaml").write_bytes(b"plugin: SLURM # \xe9")
    with pytest.raises(UsageError, match=r"cannot read .*plugin\.yaml"):
        run_workflow(people({"01": same}), settings, tmp_path / "logs")


def test_a_variable_of_the_shell_is_no_unknown_word(tmp_path):
    text = "plugin: SLURM\nplugin_args: {sbatch_args: '--account=${ACCOUNT}'}"
    settings = by_jobs(tmp_path, text)
    assert read_plugin(tmp_path / "plugin.yaml", settings)["plugin_args"] == {
        "sbatch_args": "--account=${ACCOUNT}"
    }


@pytest.mark.parametrize(
    ("given", "missing"),
    [((), "--nprocs and --mem-gb"), (("--nprocs", "4"), "--mem-gb"), (SIZES, None)],
)
def test_the_size_of_jobs_is_not_that_of_the_machine_that_submits(tmp_path, given, missing):
    path = tmp_path / "plugin.yaml"
    path.write_text(example("slurm"))
    words = ["b", "o", "participant", "--nipype-plugin-file", str(path), *given]
    if missing is None:
        read_plugin(path, parse(words))
        path.write_text(example("multiproc"))
        read_plugin(path, parse(words[:5]))  # steps on this machine may take what it has
        return
    with pytest.raises(UsageError, match=f"jobs of SLURM: say with {missing} what"):
        read_plugin(path, parse(words))


def test_what_was_not_given_is_known_of_a_saved_run_too(tmp_path):
    first = parse(["b", "o", "participant", "--nprocs", "1"])
    assert first.of_this_machine == ("mem_gb",)
    (tmp_path / "saved.toml").write_text(to_toml(first))
    words = ["b", "o", "participant", "--config-file", str(tmp_path / "saved.toml")]
    assert parse(words) == first
    assert parse([*words, "--mem-gb", "8"]).of_this_machine == ()
    (tmp_path / "saved.toml").write_text("nprocs = 2\nmem_gb = 4")
    assert parse(words).of_this_machine == ()


@pytest.mark.parametrize("name", ["sbatch", "squeue"])
def test_a_scheduler_that_is_not_here(tmp_path, scheduler, monkeypatch, name):
    (scheduler / name).unlink()
    settings = by_jobs(tmp_path)
    monkeypatch.setenv("PATH", str(scheduler))
    with pytest.raises(UsageError, match=f"SLURM calls {name}, which this machine does not have"):
        run_workflow(people({"01": same}), settings, tmp_path / "logs")


REFUSING = """for script; do :; done
case $script in *sub_02*)
  echo "sbatch: error: Batch job submission failed: Requested node is not available" >&2; exit 1
esac"""


def test_a_job_that_the_scheduler_refuses_fails_alone_in_its_words(tmp_path, scheduler):
    program(scheduler, "sbatch", REFUSING + SBATCH.removeprefix("#!/bin/sh"))
    settings = by_jobs(tmp_path, example("slurm").replace("max_jobs: 100", "max_jobs: 1"))
    steps = {"01": fail, "02": same, "03": same, "04": fail}
    crashes = run_workflow(people(steps), settings, tmp_path / "logs")
    told = {step.split(".")[-2]: reason for step, reason in crashes.items()}
    assert sorted(told) == ["sub_01_wf", "sub_02_wf", "sub_04_wf"]
    assert told["sub_02_wf"].startswith(
        "the job could not be submitted: sbatch: error: Batch job submission failed: Requested "
        "node is not available ("
    )
    done = [path.parts[-3] for path in (tmp_path / "work").rglob("result_step.pklz")]
    assert done == ["sub_03_wf"]


def test_what_ends_a_run_early_is_raised_and_earlier_failures_are_told(
    tmp_path, scheduler, monkeypatch, caplog
):
    text = example("slurm").replace("max_jobs: 100", "max_jobs: 1")

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("nipype is broken")

    monkeypatch.setattr(DistributedPluginBase, "_task_finished_cb", broken)
    with pytest.raises(RuntimeError, match="nipype is broken"):
        run_workflow(people({"01": fail, "02": same}), by_jobs(tmp_path, text), tmp_path / "logs")
    assert "sub_01_wf.step: ValueError: step 1 cannot be done" in caplog.text


LATER = """(
  until [ -e "$(dirname "$0")/asked" ]; do sleep 0.1; done
  PYTHONWARNINGS=ignore sh "$script"
  touch "$(dirname "$0")/ended"
) >/dev/null 2>&1 &
echo Submitted batch job 7"""
TIMED_OUT = """[ -e "$(dirname "$0")/ended" ] && exit 0
touch "$(dirname "$0")/asked"
echo "slurm_load_jobs error: Socket timed out on send/recv operation" >&2; exit 1"""


def test_a_job_that_cannot_be_asked_for_goes_on(tmp_path, scheduler, caplog):
    program(scheduler, "sbatch", f"for script; do :; done\n{LATER}")
    program(scheduler, "squeue", TIMED_OUT)
    assert run_workflow(people({"01": same}), by_jobs(tmp_path), tmp_path / "logs") == {}
    assert caplog.text.count("squeue fails, asked again until it does") == 1
    assert "Socket timed out" in caplog.text


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("SLURM", "slurm_load_jobs error: Invalid job id specified"),
        ("PBS", "qstat: Unknown Job Id 7.server"),
        ("PBS", "qstat: 7.server Job has finished, use -x or -H to obtain historical information"),
        ("LSF", "Job <7> is not found"),
    ],
)
def test_a_job_that_the_scheduler_has_forgotten_has_ended(tmp_path, scheduler, name, says):
    for each in ("qsub", "bsub", "squeue", "qstat", "bjobs"):
        program(scheduler, each, f"echo '{says}' >&2; exit 1")
    plugin = cluster.cluster_plugin(name, {}, people({"01": same}))
    assert plugin is not None
    plugin._told = set()
    assert plugin._is_pending(7) is False


@pytest.mark.parametrize(
    ("scancel", "says"),
    [
        ('echo "$@" >"$0.ids"', "jobs that had not ended were cancelled: 11 12"),
        ("echo no such luck >&2; exit 1", "jobs go on; end them with 'scancel 11 12'"),
        (None, "jobs go on; end them with 'scancel 11 12'"),
    ],
)
def test_jobs_of_a_run_that_is_stopped_are_cancelled(
    tmp_path, scheduler, monkeypatch, caplog, scancel, says
):
    program(scheduler, "sbatch", 'echo >>"$0.n"; echo "Submitted batch job 1$(wc -l <"$0.n")"')
    program(scheduler, "squeue", "echo 11 12")
    if scancel is not None:
        program(scheduler, "scancel", scancel)
    settings = by_jobs(tmp_path)

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cluster._Watchful, "_is_pending", stopped)
    with pytest.raises(KeyboardInterrupt):
        run_workflow(people({"01": same, "02": same}), settings, tmp_path / "logs")
    assert says in caplog.text
    if scancel is not None and "ids" in scancel:
        assert (scheduler / "scancel.ids").read_text() == "11 12\n"


@pytest.mark.parametrize("name", NAMES)
def test_examples_can_be_printed_and_read_and_leave_nothing_unfilled(tmp_path, capsys, name):
    with pytest.raises(SystemExit) as exit_:
        main(["--print-plugin-file", name])
    assert exit_.value.code == 0
    path = tmp_path / "plugin.yaml"
    path.write_text(capsys.readouterr().out)
    arguments = read_plugin(path, by_jobs(tmp_path, path.read_text()))["plugin_args"]
    needed = cluster.needs(people({"01": same}).get_node("sub_01_wf.step"))
    gpu_args = arguments.pop("gpu_args", "--")
    for text in map(str, arguments.values()):
        without, with_one = (
            cluster.filled(text, {**needed, "gpus": gpus}, gpu_args) for gpus in (0, 1)
        )
        assert "{" not in without + with_one
        assert gpu_args not in without
        assert (gpu_args in with_one) == ("{gpu_args}" in text)
    assert name == "multiproc" or any("{gpu_args}" in str(text) for text in arguments.values())


def test_memory_for_each_core_is_rounded_up():
    node = engine.Node(Function(input_names=[], output_names=[]), "a", mem_gb=0.5, n_procs=3)
    assert cluster.needs(node) == {
        "mem_mb": 1000, "n_procs": 3, "gpus": 0, "mem_mb_per_core": 334,
    }  # fmt: skip


def test_every_step_says_what_it_needs():
    """There is one place where nodes are made, and it asks for memory and cores."""
    package = Path(bidsapp.__file__).parent
    node = re.compile(r"Node\(|\(engine\.Node\)")  # made, or made a class of
    makers = [p.name for p in package.rglob("*.py") if node.search(p.read_text())]
    assert makers == ["steps.py"]
    needed = inspect.signature(make_step).parameters
    assert all(needed[name].default is inspect.Parameter.empty for name in ("mem_gb", "n_procs"))


def test_statistics_ask_for_what_their_rdms_need(tmp_path, monkeypatch):
    """Not for a share of the machine that submits them."""
    rdms = SimpleNamespace(onsets_s=np.arange(500) * 2.0, names=("layer",) * 10)
    analysis = read_analysis(default_analysis())

    def asked(n_participants: int, mem_gb: int) -> float:
        files = {f"{label:02d}": tmp_path for label in range(n_participants)}
        monkeypatch.setattr(group, "brain_rdm_files", lambda *_: {"1": files})
        settings = parse(["b", str(tmp_path), "group", "--mem-gb", str(mem_gb)])
        workflow = group.init_group_wf(settings, analysis)
        return float(workflow.get_node("statistics").mem_gb)

    monkeypatch.setattr(group, "read_rdms", lambda _: rdms)
    monkeypatch.setattr(group, "_check", lambda *_: None)
    monkeypatch.setattr(group, "plain_volumes", lambda *_: {})
    monkeypatch.setattr(group, "model_rdm_files", lambda *_: {"1": [tmp_path]})
    assert asked(10, 8) == asked(10, 800)
    column_gb = 500 * 500 / 2 * 4 / 1e9
    more = 2 * 10 * len(analysis.region_names) * column_gb  # each mode has its own
    assert asked(20, 8) - asked(10, 8) == pytest.approx(2.5 * more)


def test_only_networks_on_a_gpu_ask_for_one(study, scheduler, monkeypatch, tmp_path):
    """The GPU is another machine's: that this one has none does not matter."""
    (tmp_path / "slurm.yaml").write_text(example("slurm"))
    more = ("--nipype-plugin-file", tmp_path / "slurm.yaml", *SIZES)
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
            if rdms:  # responses take half, networks and their batch as much again
                assert (node.mem_gb, node.n_procs) == (8, 4)


def test_a_wrong_plugin_file_is_refused_before_anything_is_withdrawn(refused, tmp_path):
    (tmp_path / "plugin.yaml").write_text("plugin: Slurm")
    refused(64, "no plugin 'Slurm'", more=("--nipype-plugin-file", tmp_path / "plugin.yaml"))
