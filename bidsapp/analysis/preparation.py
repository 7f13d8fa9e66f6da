"""The fMRIPrep command whose output an analysis can use."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bidsapp.analysis.spec import Analysis
from bidsapp.errors import UsageError

# Made by fMRIPrep whatever is asked: a way to other templates, and where hemispheres are parted.
_ALWAYS = "MNI152NLin2009cAsym"
_NATIVE = ("T1w", "T2w")
_WITH_COHORTS = ("MNIInfant", "MNIPediatricAsym", "UNCInfant")  # TemplateFlow's
_SPACE_IN_NAME = re.compile(r"(?:^|[_/])(?:space|tpl)-([0-9a-zA-Z+]+)")


@dataclass(frozen=True)
class Preparation:
    """What fMRIPrep is to read, and with what resources.

    Attributes
    ----------
    participants
        Labels without ``sub-``; none means all.
    filter_file
        JSON file with the content of `bids_filter`.
    spaces
        See `output_spaces`.
    nprocs, mem_gb
        Cores and memory; None leaves it to fMRIPrep.
    work_dir, licence
        fMRIPrep's scratch, and FreeSurfer's licence; None leaves it to fmriprep-docker.
    further
        Options that are handed on as they are.
    """

    bids_dir: Path
    output_dir: Path
    filter_file: Path
    spaces: Sequence[str]
    participants: Sequence[str] = ()
    nprocs: int | None = None
    mem_gb: float | None = None
    work_dir: Path | None = None
    licence: Path | None = None
    further: Sequence[str] = ()


def bids_filter(analysis: Analysis) -> dict[str, Any]:
    """Return PyBIDS filters, by fMRIPrep's names of queries, for the BOLD that an analysis reads.

    Anatomy and field maps are not filtered: they may lie in sessions of their own.
    """
    localizer = analysis.localizer
    tasks = [analysis.movie.task, *([localizer.task] if localizer else [])]
    filters: dict[str, Any] = {"task": list(dict.fromkeys(tasks))}
    sessions = [analysis.movie.session_of(run) for run in analysis.movie.runs]
    sessions += [localizer.session] if localizer else []
    if None not in sessions:  # else any session may hold what is read
        filters["session"] = list(dict.fromkeys(sessions))
    return {"bold": filters, "sbref": filters}


def output_spaces(
    analysis: Analysis, space: str = "T1w", resolution: str | None = None
) -> tuple[str, ...]:
    """Return fMRIPrep's ``--output-spaces``: that of the BOLD, and templates that regions live in.

    fMRIPrep writes transforms to every space that it is asked for.

    Parameters
    ----------
    analysis
        Names the templates of its regions.
    space, resolution
        Of the BOLD; resolution "native" or None adds no ``res-``.

    Raises
    ------
    UsageError
        A template has cohorts, and the analysis does not say which.
    """
    own = space if resolution in (None, "native") else f"{space}:res-{resolution}"
    wanted = dict.fromkeys((*_templates(analysis), _ALWAYS))
    return own, *(_as_fmriprep_has_it(name) for name in wanted if name not in (space, *_NATIVE))


def _templates(analysis: Analysis) -> Iterator[str]:
    """Give the spaces of all regions, as far as the analysis says them."""
    if analysis.functional.regions:
        yield analysis.functional.template
    if analysis.atlas.regions:
        yield analysis.atlas.template
    for region in analysis.masks.regions:
        named = (_SPACE_IN_NAME.search(pattern) for pattern in region.file.values())
        yield from [region.space] if region.space else [match[1] for match in named if match]


def _as_fmriprep_has_it(template: str) -> str:
    """Write a cohort as in options; in names of files it is ``MNIPediatricAsym+2``."""
    name, _, cohort = template.partition("+")
    if name in _WITH_COHORTS and not cohort:
        raise UsageError(
            f"the template {name} has cohorts, and fMRIPrep must know which: write it in the "
            f"analysis as fMRIPrep's files do, such as {name}+2"
        )
    return f"{name}:cohort-{cohort}" if cohort else name


def fmriprep_command(preparation: Preparation) -> list[str]:
    """Return the words of the fmriprep-docker command."""
    given = preparation
    command = ["fmriprep-docker", str(given.bids_dir), str(given.output_dir), "participant"]
    if given.participants:
        command += ["--participant-label", *given.participants]
    command += ["--bids-filter-file", str(given.filter_file), "--output-spaces", *given.spaces]
    if given.nprocs is not None:
        command += ["--nprocs", str(given.nprocs)]
    if given.mem_gb is not None:
        command += ["--mem_mb", str(round(given.mem_gb * 1000))]
    if given.work_dir is not None:
        command += ["--work-dir", str(given.work_dir)]
    if given.licence is not None:
        command += ["--fs-license-file", str(given.licence)]
    return [*command, *given.further]
