"""What nipype itself takes for a step: a chain of steps that do nothing, run and found done."""

import resource
import sys
import tempfile
from pathlib import Path

from nipype import Function
from nipype.pipeline import engine

from bidsapp.cli.parser import parse
from bidsapp.workflows.engine import run_workflow
from bidsapp.workflows.steps import make_step

STEPS = 40


def add_one(x: int) -> int:
    """Do next to nothing."""
    return x + 1


def chain() -> engine.Workflow:
    """Return a workflow of `STEPS` steps, each with the result of the one before."""
    workflow = engine.Workflow(name="chain_wf")
    last = None
    for i in range(STEPS):
        interface = Function(input_names=["x"], output_names=["y"], function=add_one)
        node = make_step(interface, f"step_{i}", 0.2, 1)
        if last is None:
            node.inputs.x = 0
            workflow.add_nodes([node])
        else:
            workflow.connect(last, "y", node, "x")
        last = node
    return workflow


def processor_s() -> float:
    """Return processor time of this process and of its children that have ended, in seconds."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    usages = [resource.getrusage(kind) for kind in kinds]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def run() -> dict[str, float]:
    """Return processor seconds a step, in this process and by workers, new and found done."""
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, nprocs in (("linear", 1), ("multiproc", 2)):
            words = ["b", "o", "participant", "-w", f"{folder}/{name}", "--nprocs", str(nprocs)]
            settings = parse(words)
            for kind in ("new", "done"):
                begun = processor_s()
                crashes = run_workflow(chain(), settings, Path(folder) / "logs")
                found[f"step_{name}_{kind}_s"] = (processor_s() - begun) / STEPS
                if crashes:
                    sys.exit(f"steps failed: {crashes}")
    return found
