"""Steps as jobs of a cluster: nipype's plugins of schedulers, and what each step asks them for."""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from nipype.pipeline import engine, plugins
from nipype.pipeline.plugins.base import GraphPluginBase, PluginBase, SGELikeBatchManagerBase

from bidsapp.errors import InputError, UsageError

POLL_S = 5.0
RESULT_S = 30.0
"""How long a job that has ended may take until its result is seen on a network's file system."""
_FOR_SCHEDULER = ("sub_args", "batch_args")
LIBRARIES_GB = 0.5
"""Memory of a job before it has read any data: Python and its libraries."""


def read_plugin(path: Path, work_dir: Path) -> dict[str, Any]:
    """Read the name and the arguments of a plugin from a YAML file.

    Raises
    ------
    UsageError
        The file cannot be read, or names no plugin that can be used; or the work directory has a
        name that nipype cannot hand to a scheduler.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise UsageError(f"cannot read the nipype plugin file {path}: {error}") from error
    if not isinstance(content, dict) or "plugin" not in content:
        raise UsageError(f"{path} must name a nipype plugin, such as 'plugin: SLURM'")
    kind = _kind(content["plugin"])
    if kind is None:
        known = sorted(
            name.removesuffix("Plugin") for name in dir(plugins) if name.endswith("Plugin")
        )
        raise UsageError(
            f"{path}: nipype has no plugin {content['plugin']!r}; it has {', '.join(known)}"
        )
    if issubclass(kind, GraphPluginBase):
        raise UsageError(
            f"{path}: {content['plugin']} does not wait for its jobs, so that failures would be "
            f"missed; name {content['plugin'].removesuffix('Graph')} instead"
        )
    arguments = content.get("plugin_args", {})
    if not isinstance(arguments, dict) or not all(
        isinstance(text, str) for key, text in arguments.items() if key.endswith(_FOR_SCHEDULER)
    ):
        raise UsageError(
            f"{path}: plugin_args must be keys with values, and those of the scheduler text, such "
            "as 'sbatch_args: --mem={mem_mb}M'"
        )
    if issubclass(kind, SGELikeBatchManagerBase):
        _check_work_dir(work_dir)
    return {key: content[key] for key in ("plugin", "plugin_args") if key in content}


def cluster_plugin(
    name: str, arguments: Mapping[str, Any], workflow: engine.Workflow
) -> PluginBase | None:
    """Make the plugin of a scheduler, and tell each step of ``workflow`` what to ask it for.

    In the arguments that are handed to the scheduler, ``{mem_mb}``, ``{n_procs}``, ``{gpus}`` and
    ``{mem_mb_per_core}`` become what the step needs.

    Returns
    -------
    nipype plugin
        None where ``name`` is no scheduler's.
    """
    kind = _kind(name)
    if kind is None or not issubclass(kind, SGELikeBatchManagerBase):
        return None
    os.environ.setdefault("LOGNAME", "moviersa")  # the plugins name jobs by it
    templates = {key: text for key, text in arguments.items() if key.endswith(_FOR_SCHEDULER)}
    for full_name in workflow.list_node_names():
        node = workflow.get_node(full_name)
        asked = {key: _filled(text, needs(node)) for key, text in templates.items()}
        node.plugin_args = {**asked, "overwrite": True}
    fresh: type[PluginBase] = type(kind.__name__, (_Watchful, kind), {})
    return fresh(plugin_args=dict(arguments))


def needs(node: engine.Node) -> dict[str, int]:
    """Say what a step that is a process of its own needs, by the placeholders' names."""
    mem_mb = math.ceil((node.mem_gb + LIBRARIES_GB) * 1000)
    return {
        "mem_mb": mem_mb,
        "n_procs": node.n_procs,
        "gpus": int(node.is_gpu_node()),
        "mem_mb_per_core": math.ceil(mem_mb / node.n_procs),
    }


class _Watchful:
    """What nipype's plugins of schedulers lack for jobs that are killed."""

    def _submit_job(self, node: engine.Node, updatehash: bool = False) -> int:
        """Remove an earlier run's result first: it would pass for that of a job killed at once."""
        for old in Path(node.output_dir()).glob("result_*.pklz"):
            old.unlink()
        taskid: int = super()._submit_job(node, updatehash)  # type: ignore[misc]
        return taskid

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


def _kind(name: object) -> type[PluginBase] | None:
    found: type[PluginBase] | None = getattr(plugins, f"{name}Plugin", None)
    return found


def _filled(text: str, values: Mapping[str, int]) -> str:
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", str(value))
    return text


def _check_work_dir(work_dir: Path) -> None:
    if any(character.isspace() or character in "'\"\\$" for character in str(work_dir)):
        raise UsageError(
            f"--work-dir {work_dir}: nipype cannot hand paths with spaces or quotes to a "
            "scheduler; choose another work directory"
        )
