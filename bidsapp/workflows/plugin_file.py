"""The file that names one of nipype's plugins, checked before anything is run."""

import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bidsapp.errors import UsageError
from bidsapp.settings import Count, Positive, Settings
from bidsapp.workflows.schedulers import PROGRAMS

_FOR_SCHEDULER = ("sub_args", "batch_args")
WORDS = ("mem_mb", "n_procs", "gpus", "mem_mb_per_core")
"""What a step needs; in braces, in the arguments for a scheduler, they become its numbers."""
GPU_ARGS = "gpu_args"
"""An argument of ours: what the word of this name becomes for steps that need a GPU."""


class _Arguments(BaseModel):
    """Arguments of a plugin. Defaults mean nothing: what is not given is nipype's to choose."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Linear(_Arguments):
    pass


class _MultiProc(_Arguments):
    max_jobs: Count = 1
    n_procs: Count = 1
    n_gpu_procs: int = Field(0, ge=0)
    memory_gb: Positive = 1
    raise_insufficient: bool = True
    scheduler: str = "tsort"
    mp_context: str = ""
    maxtasksperchild: Count = 1
    non_daemon: bool = True


class _Jobs(_Arguments):
    max_jobs: Count = 1
    max_tries: int = Field(0, ge=0)
    retry_timeout: float = Field(0, ge=0)
    template: str = ""
    gpu_args: str = ""


class _Slurm(_Jobs):
    sbatch_args: str = ""
    jobid_re: str = ""


class _Pbs(_Jobs):
    qsub_args: str = ""
    max_jobname_len: Count = 1


class _Sge(_Jobs):
    qsub_args: str = ""
    qstatProgramPath: str = ""  # noqa: N815  (nipype's names)
    qstatCachedProgramPath: str = ""  # noqa: N815


class _Lsf(_Jobs):
    bsub_args: str = ""


class _Oar(_Jobs):
    oarsub_args: str = ""
    max_jobname_len: Count = 1


class _Condor(_Jobs):
    qsub_args: str = ""


_PLUGINS: dict[str, type[_Arguments]] = {
    "Linear": _Linear,
    "MultiProc": _MultiProc,
    "SLURM": _Slurm,
    "PBS": _Pbs,
    "SGE": _Sge,
    "LSF": _Lsf,
    "OAR": _Oar,
    "Condor": _Condor,
}


def read_plugin(path: Path, settings: Settings) -> dict[str, Any]:
    """Read the name and the arguments of a plugin from a YAML file.

    Returns
    -------
    dict
        ``plugin`` and ``plugin_args``, as nipype has them.

    Raises
    ------
    UsageError
        The file cannot be read, names no plugin that can be used, or has arguments that the plugin
        does not take; or the settings do not go with a scheduler.
    """
    content = _content(path)
    name = str(content["plugin"])
    arguments = _arguments(path, name, content.get("plugin_args", {}))
    if name in PROGRAMS:
        _check_words(path, arguments)
        _check_settings(name, settings)
    return {"plugin": name, "plugin_args": arguments}


def scheduler_texts(arguments: dict[str, Any]) -> dict[str, str]:
    """Return those arguments of a plugin that are handed to the scheduler."""
    return {key: text for key, text in arguments.items() if key.endswith(_FOR_SCHEDULER)}


def _content(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        why = " ".join(str(error).split())
        raise UsageError(f"cannot read the nipype plugin file {path}: {why}") from error
    if not isinstance(content, dict) or "plugin" not in content:
        raise UsageError(f"{path} must name a nipype plugin, such as 'plugin: SLURM'")
    unknown = sorted(set(map(str, content)) - {"plugin", "plugin_args"})
    if unknown:
        raise UsageError(
            f"{path} holds the unknown key '{unknown[0]}'; its keys are plugin and plugin_args"
        )
    return content


def _arguments(path: Path, name: str, given: object) -> dict[str, Any]:
    """Check arguments against those that the plugin has."""
    waits = name.removesuffix("Graph")
    if name != waits and waits in _PLUGINS:
        raise UsageError(
            f"{path}: {name} does not wait for its jobs, so that failures would be missed; name "
            f"{waits} instead"
        )
    if name not in _PLUGINS:
        raise UsageError(
            f"{path}: there is no plugin '{name}' that moviersa can use; there are "
            f"{', '.join(_PLUGINS)}"
        )
    if not isinstance(given, dict):
        raise UsageError(
            f"{path}: plugin_args must be keys with values, such as "
            "'sbatch_args: --mem={mem_mb}M'"
        )
    kind = _PLUGINS[name]
    try:
        return kind.model_validate(given).model_dump(exclude_unset=True)
    except ValidationError as error:
        first = error.errors()[0]
        key, why = first["loc"][0], first["msg"]
        if first["type"] == "extra_forbidden":
            why = f"{name} takes {', '.join(kind.model_fields) or 'none'}"
        raise UsageError(f"{path}: plugin_args, {key}: {why}") from error


def _check_words(path: Path, arguments: dict[str, Any]) -> None:
    """Make sure that no word in braces stays as it is; ``${NAME}`` is the shell's."""
    known = {*WORDS, *({GPU_ARGS} & arguments.keys())}
    for key, text in scheduler_texts(arguments).items():
        for word in re.findall(r"(?<!\$)\{(\w+)\}", text):
            if word in known:
                continue
            if word == GPU_ARGS:
                raise UsageError(
                    f"{path}: {key} has {{{word}}}, so plugin_args must say what it becomes for "
                    f"steps with a GPU, such as '{word}: --gpus=1'"
                )
            raise UsageError(
                f"{path}: {key} has the unknown word {{{word}}}; words are {', '.join(WORDS)}, "
                f"{GPU_ARGS}"
            )


def _check_settings(name: str, settings: Settings) -> None:
    work_dir = settings.work_dir
    if any(character.isspace() or character in "'\"\\$" for character in str(work_dir)):
        raise UsageError(
            f"--work-dir {work_dir}: nipype cannot hand paths with spaces or quotes to a "
            "scheduler; choose another work directory"
        )
    if settings.of_this_machine:
        options = " and ".join("--" + key.replace("_", "-") for key in settings.of_this_machine)
        raise UsageError(
            f"steps are jobs of {name}: say with {options} what the largest of them may take, "
            "which would else be all of this machine"
        )
