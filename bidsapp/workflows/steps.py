"""How the nodes of all workflows are made: each says what memory and how many cores it needs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nipype.interfaces.base import BaseInterface
from nipype.interfaces.utility import Merge
from nipype.pipeline import engine

from bidsapp.files import told_what_is_full
from bidsapp.interfaces.staging import Publish
from bidsapp.settings import Settings


class _Step(engine.Node):  # type: ignore[misc]  # nipype's classes have no types
    """A step that names its folder where the disk is full: nipype's own writing does not."""

    def run(self, updatehash: bool = False) -> Any:  # noqa: ANN401
        with told_what_is_full(Path(self.output_dir())):
            return super().run(updatehash)


def make_step(interface: BaseInterface, name: str, mem_gb: float, n_procs: int) -> engine.Node:
    """Make a step that may run as a job of its own.

    Parameters
    ----------
    mem_gb
        Memory that its data take, in GB; the libraries' is not counted.
    n_procs
        Cores that it uses.
    """
    return _Step(interface, name=name, mem_gb=mem_gb, n_procs=n_procs)


def join(count: int, name: str, axis: str = "vstack") -> engine.Node:
    """Make a step that joins ``count`` inputs, ``in1`` and so on, to a list ``out``.

    It moves names only: the process that runs the workflow does it at once.
    """
    return _at_once(Merge(count, axis=axis), name)


def publish(
    workflow: engine.Workflow, writers: Sequence[engine.Node], name: str, settings: Settings
) -> None:
    """Add a step that copies what other steps staged to OUTPUT_DIR when all of them are done."""
    staged = join(len(writers), f"staged_for_{name}")
    for i, writer in enumerate(writers, start=1):
        workflow.connect(writer, "staged", staged, f"in{i}")
    last = _at_once(Publish(output_dir=str(settings.output_dir)), name)
    workflow.connect(staged, "out", last, "staged")


def _at_once(interface: BaseInterface, name: str) -> engine.Node:
    return _Step(interface, name=name, mem_gb=0.1, n_procs=1, run_without_submitting=True)
