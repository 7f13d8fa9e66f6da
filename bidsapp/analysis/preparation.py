"""The fMRIPrep command whose output an analysis can use."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bidsapp.analysis.spec import Analysis

# The atlas lives in the first template; fMRIPrep writes transforms to every space asked for.
OUTPUT_SPACES = ("T1w", "MNI152NLin6Asym", "MNI152NLin2009cAsym")


@dataclass(frozen=True)
class Preparation:
    """What fMRIPrep is to read, and with what resources.

    Attributes
    ----------
    participants
        Labels without ``sub-``; none means all.
    filter_file
        JSON file with the content of `bids_filter`.
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


def fmriprep_command(preparation: Preparation) -> list[str]:
    """Return the words of the fmriprep-docker command."""
    given = preparation
    command = ["fmriprep-docker", str(given.bids_dir), str(given.output_dir), "participant"]
    if given.participants:
        command += ["--participant-label", *given.participants]
    command += ["--bids-filter-file", str(given.filter_file), "--output-spaces", *OUTPUT_SPACES]
    if given.nprocs is not None:
        command += ["--nprocs", str(given.nprocs)]
    if given.mem_gb is not None:
        command += ["--mem_mb", str(round(given.mem_gb * 1000))]
    if given.work_dir is not None:
        command += ["--work-dir", str(given.work_dir)]
    if given.licence is not None:
        command += ["--fs-license-file", str(given.licence)]
    return [*command, *given.further]
