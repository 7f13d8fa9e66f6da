"""What fMRIPrep left of a task where its BOLD is not in the space that is wanted."""

from collections.abc import Iterator
from pathlib import Path

from bidsapp.dataset.filenames import BIDSName, parse_name

_TELLING = ("ses", "acq", "ce", "rec", "dir", "run", "echo", "part")


def instead(folder: Path, task: str, space: str) -> str:
    """Say what there is of a task, and what to type.

    Parameters
    ----------
    folder
        A participant's folder of fMRIPrep's output.
    task
        The task without ``task-``.
    space
        The space that no BOLD image is in, with its resolution if one is asked for.

    Returns
    -------
    str
        One sentence.
    """
    names = list(_names(folder))
    of_task = [name for name in names if name.entities.get("task") == task]
    volumes = [name for name in of_task if _is_volume(name)]
    here = [name for name in volumes if space in (name.entities.get("space"), _written(name))]
    if here:
        there = "; ".join(sorted({_which(name) for name in here}))
        return (
            f"its BOLD is there in this space as {there}: compare this with the analysis, "
            "--session-label and --bids-filter-file"
        )
    spaces = sorted({_written(name) for name in volumes if "space" in name.entities})
    again = f"run fMRIPrep again with {space} among its --output-spaces"
    if spaces:
        typed = f"--output-space {spaces[0]}"
        return f"its BOLD is there in {', '.join(spaces)}: give {typed}, or {again}"
    if any("echo" not in name.entities for name in volumes):
        return f"its BOLD is there in the scanner's own space only: {again}"
    if any(name.extension.startswith(".dtseries") for name in of_task):
        return (
            "its BOLD is there as CIFTI only (*_bold.dtseries.nii), and moviersa works on volumes: "
            f"{again} (--cifti-output may stay)"
        )
    if any(name.extension.startswith(".func.gii") for name in of_task):
        return (
            "its BOLD is there on surfaces only (*_bold.func.gii), and moviersa works on volumes: "
            f"{again}"
        )
    if any(name.suffix == "boldref" for name in of_task):
        return (
            "its reference images are there and its BOLD is not, as --level minimal and --level "
            f"resampling leave it: run fMRIPrep again with --level full and {space} among its "
            "--output-spaces"
        )
    if of_task:
        return f"there are other files of this task and no BOLD, as of a run broken off: {again}"
    tasks = sorted({name.entities["task"] for name in names if "task" in name.entities})
    return f"there is nothing of this task, but of {', '.join(tasks) or 'none'}: preprocess it too"


def _names(folder: Path) -> Iterator[BIDSName]:
    for path in [*folder.glob("func/*"), *folder.glob("ses-*/func/*")]:
        name = parse_name(path)
        if name is not None:
            yield name


def _is_volume(name: BIDSName) -> bool:
    kind = (name.entities.get("desc"), name.suffix)
    return kind == ("preproc", "bold") and name.extension in (".nii", ".nii.gz")


def _written(name: BIDSName) -> str:
    """Write the space of a file as ``--output-space`` has it."""
    its = name.entities
    return its.get("space", "") + (f":res-{its['res']}" if "res" in its else "")


def _which(name: BIDSName) -> str:
    """Write what tells a run from others of its task."""
    kept = {key: name.entities[key] for key in _TELLING if key in name.entities}
    return "_".join(f"{key}-{value}" for key, value in kept.items()) or "the only run"
