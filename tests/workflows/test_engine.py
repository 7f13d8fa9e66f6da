"""Failures of nipype's steps, and the options that decide what happens then."""

from collections.abc import Callable
from pathlib import Path

import pytest
from nipype import Function
from nipype.pipeline import engine

from bidsapp.cli.parser import parse
from bidsapp.errors import InputError, UsageError
from bidsapp.settings import Settings
from bidsapp.workflows.engine import _reason, failed_participants, run_workflow


def fail(number: int) -> int:
    raise ValueError(f"step {number} cannot be done: mend it")


def die() -> int:
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def same(x: int) -> int:
    return x


def three_failing_steps() -> engine.Workflow:
    workflow = engine.Workflow(name="failing_wf")
    for number in (1, 2, 3):
        part = engine.Workflow(name=f"sub_0{number}_wf")
        step = Function(input_names=["number"], output_names=["same"], function=fail)
        node = engine.Node(step, name="step")
        node.inputs.number = number
        part.add_nodes([node])
        workflow.add_nodes([part])
    return workflow


def settings(folder: Path, *more: str) -> Settings:
    words = [folder / "bids", folder / "out", "participant", "-w", folder / "work", "--nprocs", "1"]
    return parse([*map(str, words), *more])


def test_each_failure_is_told_by_its_participant(tmp_path: Path) -> None:
    crashes = run_workflow(three_failing_steps(), settings(tmp_path), tmp_path / "logs")
    failed = failed_participants(crashes)
    assert sorted(failed) == ["01", "02", "03"]
    for label, reason in failed.items():
        assert reason.startswith(f"ValueError: step {int(label)} cannot be done: mend it (")
        assert Path(reason.split("(")[1].rstrip(")")).parent == tmp_path / "logs"
    assert len(list((tmp_path / "logs").glob("crash-*.txt"))) == 3


def test_stop_on_first_crash(tmp_path: Path) -> None:
    chosen = settings(tmp_path, "--stop-on-first-crash")
    assert len(run_workflow(three_failing_steps(), chosen, tmp_path / "logs")) == 1


def test_crash_files_of_runs_in_one_process_stay_apart(tmp_path: Path) -> None:
    for name in ("first", "second"):
        workflow = three_failing_steps()
        run_workflow(workflow, settings(tmp_path / name), tmp_path / name / "logs")
    assert [len(list((tmp_path / n / "logs").iterdir())) for n in ("first", "second")] == [3, 3]


@pytest.mark.parametrize("cores", ["1", "2"])
def test_long_steps_are_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, cores: str
) -> None:
    workflow = engine.Workflow(name="long_wf")
    for name in ("null_FFA", "null_V1v", "other"):
        step = Function(input_names=["x"], output_names=["y"], function=same)
        workflow.add_nodes([engine.Node(step, name=name)])
        workflow.get_node(name).inputs.x = 1
    chosen = settings(tmp_path, "--nprocs", cores)
    with caplog.at_level("INFO", "bidsapp"):
        assert run_workflow(workflow, chosen, tmp_path / "logs", told="null_") == {}
    told = [r.getMessage() for r in caplog.records if r.name == "bidsapp.workflows.engine"]
    assert sorted(line.split(" done ")[1] for line in told) == ["(1 of 2)", "(2 of 2)"]
    assert {line.split()[0] for line in told} == {"null_FFA", "null_V1v"}


def test_reason_is_the_last_error_of_a_traceback(tmp_path: Path) -> None:
    crash = tmp_path / "crash-1.txt"
    for line, reason in (
        ("bidsapp.errors.InputError: a.nii.gz is cut off: copy it", "a.nii.gz is cut off: copy it"),
        ("\tzlib.error: Error -3: incorrect data", "zlib.error: Error -3: incorrect data"),
        ("no sentence", "see the crash file"),
    ):
        crash.write_text(f"Node: participant_wf.sub_01_wf.step\nTraceback\n{line}\n")
        assert _reason(crash) == f"{reason} ({crash})"


def test_failure_that_belongs_to_no_participant_keeps_its_name() -> None:
    assert failed_participants({"group_wf.statistics": "why"}) == {"group_wf.statistics": "why"}


@pytest.mark.parametrize("content", ["plugin_args: {}", "just words", "a: [b"])
def test_wrong_plugin_file(tmp_path: Path, content: str) -> None:
    path = tmp_path / "plugin.yaml"
    path.write_text(content)
    chosen = settings(tmp_path, "--nipype-plugin-file", str(path))
    with pytest.raises(UsageError, match=r"plugin\.yaml"):
        run_workflow(three_failing_steps(), chosen, tmp_path / "logs")


def test_a_step_that_is_larger_than_the_plugin_file_allows_runs_alone(tmp_path: Path) -> None:
    path = tmp_path / "plugin.yaml"
    path.write_text("{plugin: MultiProc, plugin_args: {n_procs: 1, memory_gb: 1}}")
    workflow = engine.Workflow(name="large_wf")
    step = Function(input_names=[], output_names=["y"], function=one)
    workflow.add_nodes([engine.Node(step, name="step", mem_gb=2, n_procs=2)])
    chosen = settings(tmp_path, "--nipype-plugin-file", str(path))
    assert run_workflow(workflow, chosen, tmp_path / "logs") == {}


def workflow_of(function: Callable[[], object], output: str) -> engine.Workflow:
    """Make two steps in a row, so that the second one waits for the first."""
    workflow = engine.Workflow(name="sub_01_wf")
    first = Function(input_names=[], output_names=[output], function=function)
    second = Function(input_names=["number"], output_names=["same"], function=fail)
    workflow.connect(engine.Node(first, "first"), output, engine.Node(second, "second"), "number")
    return workflow


@pytest.mark.parametrize("by_file", [False, True])
def test_killed_worker_ends_the_run(tmp_path: Path, by_file: bool) -> None:
    more = ["--nprocs", "2"]
    if by_file:
        path = tmp_path / "plugin.yaml"
        path.write_text("{plugin: MultiProc, plugin_args: {n_procs: 2}}")
        more = ["--nipype-plugin-file", str(path)]
    with pytest.raises(InputError, match=r"killed while sub_01_wf\.first ran") as error:
        run_workflow(workflow_of(die, "number"), settings(tmp_path, *more), tmp_path / "logs")
    assert "--mem-gb" in str(error.value)
    assert error.value.exit_status == 1


class Unsendable:
    """Something that no process can send to another."""

    def __deepcopy__(self, memo: object) -> "Unsendable":
        return self

    def __reduce__(self) -> str:
        raise TypeError("this cannot be sent")


def test_step_that_cannot_be_sent_to_a_worker_fails_alone(tmp_path: Path) -> None:
    workflow = workflow_of(one, "number")
    workflow.get_node("first").interface.extra = Unsendable()
    crashes = run_workflow(workflow, settings(tmp_path, "--nprocs", "2"), tmp_path / "logs")
    ((step, reason),) = crashes.items()
    assert step == "sub_01_wf.first"
    assert "this cannot be sent" in reason


def test_parallel_run_that_goes_well(tmp_path: Path) -> None:
    workflow = engine.Workflow(name="sub_01_wf")
    step = Function(input_names=[], output_names=["number"], function=one)
    workflow.add_nodes([engine.Node(step, name="step")])
    assert run_workflow(workflow, settings(tmp_path, "--nprocs", "2"), tmp_path / "logs") == {}


def one() -> int:
    return 1
