"""Failures of nipype's steps, and the options that decide what happens then."""

from pathlib import Path

import pytest
from nipype import Function
from nipype.pipeline import engine

from bidsapp.cli.parser import parse
from bidsapp.settings import Settings
from bidsapp.workflows.engine import _reason, failed_participants, run_workflow


def fail(number: int) -> int:
    raise ValueError(f"step {number} cannot be done: mend it")


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
    from bidsapp.errors import UsageError

    path = tmp_path / "plugin.yaml"
    path.write_text(content)
    chosen = settings(tmp_path, "--nipype-plugin-file", str(path))
    with pytest.raises(UsageError, match=r"plugin\.yaml"):
        run_workflow(three_failing_steps(), chosen, tmp_path / "logs")
