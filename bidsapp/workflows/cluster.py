"""Steps as jobs of a cluster: nipype's plugins of schedulers, and what each step asks them for."""

import logging
import math
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nipype.interfaces.base import CommandLine, InterfaceResult
from nipype.pipeline import engine, plugins
from nipype.pipeline.plugins.base import PluginBase

from bidsapp.errors import InputError
from bidsapp.workflows.plugin_file import GPU_ARGS, scheduler_texts
from bidsapp.workflows.schedulers import PROGRAMS, Programs, cancel, check_programs

LOGGER = logging.getLogger(__name__)
POLL_S = 5.0
RESULT_S = 30.0
"""How long a job that has ended may take until its result is seen on a network's file system."""
LIBRARIES_GB = 0.5
"""Memory of a job before it has read any data: Python and its libraries."""
# What a scheduler that is asked for a job says, with an error's status, when it has forgotten it.
_GONE = ("Invalid job id", "Unknown Job Id", "Job has finished", "is not found")


def cluster_plugin(
    name: str, arguments: Mapping[str, Any], workflow: engine.Workflow
) -> PluginBase | None:
    """Make the plugin of a scheduler, and tell each step of ``workflow`` what to ask it for.

    In the arguments that are handed to the scheduler, ``{mem_mb}``, ``{n_procs}``, ``{gpus}`` and
    ``{mem_mb_per_core}`` become what the step needs, and ``{gpu_args}`` the argument of that name
    where it needs a GPU.

    Returns
    -------
    nipype plugin
        None where ``name`` is no scheduler's.

    Raises
    ------
    UsageError
        The scheduler's programs are not on this machine.
    """
    if name not in PROGRAMS:
        return None
    check_programs(name)
    os.environ.setdefault("LOGNAME", "moviersa")  # the plugins name jobs by it
    # Programs try again by themselves; more tries only put jobs into the queue twice.
    arguments = {"max_tries": 0, **arguments}
    gpu_args = arguments.pop(GPU_ARGS, "")
    texts = scheduler_texts(arguments)
    for full_name in workflow.list_node_names():
        node = workflow.get_node(full_name)
        asked = {key: filled(text, needs(node), gpu_args) for key, text in texts.items()}
        node.plugin_args = {**asked, "overwrite": True}
    kind: type[PluginBase] = getattr(plugins, f"{name}Plugin")
    own = {"programs": PROGRAMS[name], "module": kind.__module__}
    fresh: type[PluginBase] = type(kind.__name__, (_Watchful, kind), own)
    return fresh(plugin_args=arguments)


def needs(node: engine.Node) -> dict[str, int]:
    """Say what a step that is a process of its own needs, by the placeholders' names."""
    mem_mb = math.ceil((node.mem_gb + LIBRARIES_GB) * 1000)
    return {
        "mem_mb": mem_mb,
        "n_procs": node.n_procs,
        "gpus": int(node.is_gpu_node()),
        "mem_mb_per_core": math.ceil(mem_mb / node.n_procs),
    }


def filled(text: str, values: Mapping[str, int], gpu_args: str) -> str:
    """Put what a step needs into the arguments for a scheduler."""
    text = text.replace(f"{{{GPU_ARGS}}}", gpu_args if values["gpus"] else "")
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", str(value))
    return text


class ProgramFailedError(Exception):
    """A scheduler's program ended with an error's status; the message is in its own words."""


class _Told(CommandLine):  # type: ignore[misc]  # nipype has no types
    """A command whose failure raises: nipype's own goes on, and what the program said is lost."""

    def run(self, *args: Any, **keywords: Any) -> InterfaceResult:  # noqa: ANN401
        self.terminal_output = "allatonce"  # kept, not put into files of the current folder
        result = super().run(*args, **{**keywords, "ignore_exception": False})
        runtime = result.runtime
        if runtime.returncode != 0:
            said = f"{runtime.stderr}\n{runtime.stdout}".split()
            raise ProgramFailedError(" ".join(said) or f"status {runtime.returncode}")
        return result


class _Watchful:
    """What nipype's plugins of schedulers lack, for jobs that are refused, killed or left behind.

    The class is mixed into a plugin. Job numbers are the plugin's own; that of a job which could
    not be submitted is the error.
    """

    programs: Programs
    module: str
    over = False
    """Whether all steps were run that could be."""
    _pending: dict[object, str]

    def run(self, graph: object, config: object, updatehash: bool = False) -> None:
        """Run all steps; cancel what is in the queue if that does not come to its end."""
        self._told: set[str] = set()
        try:
            super().run(graph, config, updatehash=updatehash)  # type: ignore[misc]
        except BaseException:
            cancel(self.programs, [str(job) for job in self._pending])
            raise

    def _postrun_check(self) -> None:
        super()._postrun_check()  # type: ignore[misc]
        self.over = True

    def _submit_job(self, node: engine.Node, updatehash: bool = False) -> object:
        """Remove an earlier run's result first: it would pass for that of a job killed at once."""
        for old in Path(node.output_dir()).glob("result_*.pklz"):
            old.unlink()
        try:
            with self._failures_told():
                job: object = super()._submit_job(node, updatehash)  # type: ignore[misc]
        except Exception as error:  # nipype's plugins raise what they happen to
            why = " ".join(str(error.__context__ or error).split())
            return InputError(f"the job could not be submitted: {why}")
        return job

    def _get_result(self, job: object) -> dict[str, Any] | None:
        if isinstance(job, InputError):
            raise job
        try:
            result: dict[str, Any] | None = super()._get_result(job)  # type: ignore[misc]
        except Exception:
            self._clear_task(job)
            raise
        if result is not None:
            self._clear_task(job)
        return result

    def _clear_task(self, job: object) -> None:
        self._pending.pop(job, None)

    def _is_pending(self, job: object) -> bool:
        """Tell whether a job has not ended; one that cannot be asked for now has not."""
        try:
            with self._failures_told():
                pending: bool = super()._is_pending(job)  # type: ignore[misc]
        except Exception as error:
            why = " ".join(str(error).split())
            if any(gone in why for gone in _GONE):
                return False
            if why not in self._told:
                self._told.add(why)
                LOGGER.warning("%s fails, asked again until it does: %s", self.programs.ask, why)
            return True
        return pending

    @contextmanager
    def _failures_told(self) -> Iterator[None]:
        """Let nipype's plugin call programs by `_Told`: it has no other way to see them fail."""
        module: Any = sys.modules[self.module]
        before = module.CommandLine
        module.CommandLine = _Told
        try:
            yield
        finally:
            module.CommandLine = before

    def _report_crash(self, node: engine.Node, result: dict[str, Any] | None = None) -> str:
        """Give nipype the lines that it needs of a traceback, and a killed job a clear sentence."""
        if result is not None and isinstance(result["traceback"], str):
            lines = result["traceback"].splitlines(keepends=True)
            if "results file does not exist" in result["traceback"]:
                lines.append(
                    f"\n{InputError.__name__}: the job ended without a result, killed or out of "
                    f"memory or time: its log is in {_batch_folder(node)}"
                )
            result = {**result, "traceback": lines}
        crash_file: str = super()._report_crash(node, result=result)  # type: ignore[misc]
        return crash_file


def _batch_folder(node: engine.Node) -> Path:
    """Return where nipype keeps scripts and logs of the jobs of a node's workflow."""
    return Path(node.base_dir, str(node._hierarchy).split(".")[0], "batch")
