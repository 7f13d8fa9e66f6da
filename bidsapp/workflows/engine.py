"""The one place that talks to nipype's engine: its settings, its plugin, its failures."""

import logging
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nipype import config
from nipype.pipeline import engine

from bidsapp.errors import InputError, NoRoomError, UsageError
from bidsapp.settings import Settings
from bidsapp.workflows import cluster
from bidsapp.workflows.multiproc import WatchfulMultiProcPlugin
from bidsapp.workflows.plugin_file import read_plugin

LOGGER = logging.getLogger(__name__)
_LOCAL = ("Linear", "MultiProc")
_PARTICIPANT = re.compile(r"\bsub_([0-9a-zA-Z]+)_wf\b")


def run_workflow(
    workflow: engine.Workflow,
    settings: Settings,
    log_dir: Path,
    parallel: bool = True,
    told: tuple[str, ...] = (),
) -> dict[str, str]:
    """Run a workflow to its end; return the crash report of every step that failed, by its name.

    A failed step stops what depends on it and nothing else, unless ``--stop-on-first-crash``.
    Steps that were done before and whose input is unchanged are not repeated. Without ``parallel``
    steps run in this process, one after the other, unless a plugin file says otherwise. With
    ``told`` the end of each step whose name begins so is logged.

    Raises
    ------
    WorkerKilledError
        The system killed a worker process, so that nothing more can be run.
    UsageError
        The plugin file cannot be used.
    Exception
        Whatever else ends the run while steps are left that could be done; what failed before is
        logged.
    """
    log_dir.mkdir(parents=True, exist_ok=True)
    before = set(log_dir.glob("crash-*"))
    chosen = _plugin(settings, parallel)
    _configure(workflow, settings, log_dir, local=chosen["plugin"] in _LOCAL)
    logging.getLogger("nipype.workflow").setLevel("INFO" if settings.verbose else "CRITICAL")
    workflow.base_dir = str(settings.work_dir)
    tell = _teller(workflow, told)

    def watch(node: engine.Node, status: str) -> None:
        if status == "exception":
            _stop_if_interrupted(log_dir, before)
        tell(node, status)

    plugin = _watchful(chosen, workflow, watch)
    try:
        workflow.run(**plugin)
    except Exception:
        # nipype raises whatever a step raised; its crash files say which step and why.
        crashes = _crashes(log_dir, before)
        whole = settings.stop_on_first_crash or getattr(plugin["plugin"], "over", True)
        if whole and crashes:
            return crashes
        for step, reason in crashes.items():
            LOGGER.error("%s: %s", step, reason)
        raise
    return {}


def crash_reports(log_dir: Path, participant: str) -> dict[str, str]:
    """Return the report of every step of a participant that failed in a run, by the step's name."""
    steps = {path: _step(path) for path in sorted(log_dir.glob("crash-*"))}
    return {
        name.rsplit(".", 1)[-1]: path.read_text(encoding="utf-8", errors="replace")
        for path, name in steps.items()
        if participant in _PARTICIPANT.findall(name)
    }


def _crashes(log_dir: Path, before: set[Path]) -> dict[str, str]:
    new = sorted(set(log_dir.glob("crash-*")) - before)
    return {_step(path): _reason(path) for path in new}


def _stop_if_interrupted(log_dir: Path, before: set[Path]) -> None:
    """Stop everything for a step that the user stopped: nipype takes that for a crash like others.

    Raises
    ------
    KeyboardInterrupt
        The user stopped a step.
    """
    for path in set(log_dir.glob("crash-*")) - before:
        text = path.read_text(encoding="utf-8", errors="replace")
        if re.search(r"^\s*KeyboardInterrupt\b", text, re.MULTILINE):
            path.unlink()
            raise KeyboardInterrupt


def _configure(workflow: engine.Workflow, settings: Settings, log_dir: Path, local: bool) -> None:
    """Set nipype's options, also in the copy that the workflow took of them when it was made."""
    execution = {
        "crashdump_dir": str(log_dir),
        "crashfile_format": "txt",
        "stop_on_first_crash": str(settings.stop_on_first_crash).lower(),
        "check_version": "false",
        "poll_sleep_duration": "0.2" if local else str(cluster.POLL_S),
        "job_finished_timeout": str(cluster.RESULT_S),
    }
    level = "INFO" if settings.verbose else "WARNING"
    config.update_config({"execution": execution, "logging": {"workflow_level": level}})
    workflow.config["execution"].update(execution)


def failed_participants(crashes: Mapping[str, str]) -> dict[str, str]:
    """Sort failed steps by participant: label to the reason of its first failure.

    A failure that belongs to no participant keeps the name of its step.
    """
    found: dict[str, str] = {}
    for step, reason in crashes.items():
        match = _PARTICIPANT.search(step)
        found.setdefault(match[1] if match else step, reason)
    return found


def _plugin(settings: Settings, parallel: bool) -> dict[str, Any]:
    if settings.nipype_plugin_file is not None:
        return read_plugin(settings.nipype_plugin_file, settings)
    if settings.nprocs == 1 or not parallel:
        return {"plugin": "Linear"}
    arguments = {
        "n_procs": settings.nprocs,
        "memory_gb": settings.mem_gb,
        "raise_insufficient": False,
        "maxtasksperchild": 20,
    }
    return {"plugin": "MultiProc", "plugin_args": arguments}


def _teller(workflow: engine.Workflow, told: tuple[str, ...]) -> Callable[[engine.Node, str], None]:
    """Make what logs the end of each step whose name begins with one of ``told``."""
    steps = [name for name in workflow.list_node_names() if told and name.startswith(told)]
    ended: set[str] = set()

    def tell(node: engine.Node, status: str) -> None:
        if status == "end" and node.name in steps:
            ended.add(node.name)
            LOGGER.info("%s done (%d of %d)", node.name, len(ended), len(steps))

    return tell


def _watchful(
    chosen: dict[str, Any],
    workflow: engine.Workflow,
    watch: Callable[[engine.Node, str], None],
) -> dict[str, Any]:
    """Put our own plugins in the place of nipype's; in this process steps are watched."""
    name, arguments = chosen["plugin"], dict(chosen.get("plugin_args") or {})
    if name in _LOCAL:
        arguments["status_callback"] = watch
    if name == "MultiProc":
        arguments.setdefault("raise_insufficient", False)  # a step that is too large runs alone
        return {"plugin": WatchfulMultiProcPlugin(plugin_args=arguments)}
    scheduler = cluster.cluster_plugin(name, arguments, workflow)
    if scheduler is not None:
        return {"plugin": scheduler}
    return {"plugin": name, "plugin_args": arguments}


def _step(crash: Path) -> str:
    """Read the step's full name from the crash file's first line."""
    lines = crash.read_text(encoding="utf-8", errors="replace").splitlines()
    named = next((line for line in lines if line.startswith("Node: ")), "")
    return named.removeprefix("Node: ") or crash.name


def _reason(crash: Path) -> str:
    """Take the last line of the traceback, which is the error's own sentence."""
    lines = crash.read_text(encoding="utf-8", errors="replace").splitlines()
    errors = [line for line in lines if re.match(r"\s*[\w.]*([Ee]rror|Exception)\b.*: ", line)]
    sentence = errors[-1].strip() if errors else "see the crash file"
    plain = re.sub(r"^[a-z][\w.]*[.](?=[A-Z])", "", sentence)  # the error without its module
    for ours in (InputError, NoRoomError, UsageError):  # sentences that need no name
        plain = plain.removeprefix(f"{ours.__name__}: ")
    return f"{plain} ({crash})"
