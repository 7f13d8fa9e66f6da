"""What every step does, whatever its interface."""

import errno
import os
from pathlib import Path

from nipype import Function
from nipype.pipeline import engine

from bidsapp.cli.parser import parse
from bidsapp.workflows.engine import run_workflow
from bidsapp.workflows.steps import make_step


def same(x: int) -> int:
    return x


def test_where_a_full_disk_stops_nipype_itself_the_folder_is_named(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("nipype.pipeline.engine.nodes._save_resultfile", full)
    words = ("bids", "out", "participant", "-w", tmp_path / "work", "--nprocs", "1")
    workflow = engine.Workflow(name="one_wf")
    step = make_step(Function(input_names=["x"], output_names=["x"], function=same), "step", 0.1, 1)
    step.inputs.x = 1
    workflow.add_nodes([step])
    [reason] = run_workflow(workflow, parse(list(map(str, words))), tmp_path / "logs").values()
    place = Path(tmp_path, "work", "one_wf", "step")
    assert f"no room for {place}: No space left on device; make room (" in reason
