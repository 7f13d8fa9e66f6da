"""What fMRIPrep made of a participant, checked before anything heavy begins."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bidsapp.analysis.spec import Analysis
from bidsapp.dataset.anatomy import (
    check_one_anatomy,
    check_transforms,
    find_anatomy,
    find_brain_masks,
    find_t1w,
    find_transforms,
)
from bidsapp.dataset.nifti import image_facts
from bidsapp.dataset.raw import RawDataset
from bidsapp.dataset.runs import TR_TOLERANCE_S, PreprocessedRun, RunFinder
from bidsapp.dataset.textfiles import read_json
from bidsapp.errors import InputError

__all__ = [
    "MIN_MOVIE_RUNS",
    "ParticipantInputs",
    "PreprocessedRun",
    "check_derivatives",
    "find_participant",
]

MIN_MOVIE_RUNS = 3


@dataclass(frozen=True)
class ParticipantInputs:
    """All that the analysis needs of a participant.

    Attributes
    ----------
    participant
        Label without ``sub-``.
    localizer, movie
        Runs in the order of the analysis; no localizer runs where no functional region is asked.
    movie_found
        The movie runs that are there; of these, ``movie`` are those that can be used.
    t1w
        Anatomical image in the output space, for figures.
    transforms
        ITK transforms by ``from->to``, such as ``T1w->MNI152NLin6Asym``.
    missing
        Sentences on what is missing and can be done without.
    release
        Version of fMRIPrep, where its output says so.
    brain_masks
        Masks of the anatomical image by space: that of the participant and of templates.
    landing
        Sentences on how templates land on the brain.
    """

    participant: str
    localizer: tuple[PreprocessedRun, ...]
    movie: tuple[PreprocessedRun, ...]
    movie_found: tuple[PreprocessedRun, ...]
    t1w: Path | None
    transforms: Mapping[str, Path]
    missing: tuple[str, ...]
    release: str | None = None
    brain_masks: Mapping[str, Path] = field(default_factory=dict)
    landing: tuple[str, ...] = ()


def check_derivatives(derivatives: Path, bids_dir: Path, participants: Sequence[str] = ()) -> None:
    """Make sure that a folder holds fMRIPrep's results.

    Raises
    ------
    InputError
        It does not; the message holds the commands that make them.
    """
    command = _how_to_make(derivatives, bids_dir, participants)
    if not derivatives.is_dir():
        raise InputError(f"there are no fMRIPrep derivatives at {derivatives}. {command}")
    description = derivatives / "dataset_description.json"
    if not description.is_file():
        legacy = derivatives / "fmriprep"
        if (legacy / "dataset_description.json").is_file():
            raise InputError(
                f"{derivatives} holds fMRIPrep's output in a folder of its own, as the legacy "
                f"layout has it: give --derivatives fmriprep={legacy}"
            )
        raise InputError(
            f"{derivatives} has no dataset_description.json, so it is no complete output "
            f"of fMRIPrep. {command}"
        )
    makers = [str(maker.get("Name", "")).lower() for maker in _makers(read_json(description))]
    if not any("fmriprep" in maker for maker in makers):
        raise InputError(f"{description} does not name fMRIPrep in GeneratedBy. {command}")


def _makers(description: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return what made a dataset; fMRIPrep before 20.2 says so in PipelineDescription."""
    generated = description.get("GeneratedBy", [])
    items = [
        *(generated if isinstance(generated, list) else []),
        description.get("PipelineDescription"),
    ]
    return [item for item in items if isinstance(item, dict)]


def release(derivatives: Path) -> str | None:
    """Return the version of fMRIPrep that made a folder; None where it does not say."""
    description = read_json(derivatives / "dataset_description.json")
    for item in _makers(description):
        if "fmriprep" in str(item.get("Name", "")).lower() and item.get("Version"):
            return str(item["Version"])
    return None


def _how_to_make(derivatives: Path, bids_dir: Path, participants: Sequence[str]) -> str:
    command = ["moviersa-fmriprep", str(bids_dir), str(derivatives)]
    command += ["--participant-label", *participants] if participants else []
    return (
        f"To make them: {shlex.join(command)} prints the command (with --analysis and "
        "--output-space as here); or say where they are with --derivatives fmriprep=PATH"
    )


def find_participant(
    derivatives: Path,
    raw: RawDataset,
    participant: str,
    analysis: Analysis,
    space: str,
    sessions: Sequence[str] = (),
    resolution: str | None = None,
) -> ParticipantInputs:
    """Find a participant's preprocessed data and check that they fit each other.

    Parameters
    ----------
    derivatives
        fMRIPrep's output.
    raw
        The raw dataset; its filters for ``bold`` hold here too.
    participant
        Label without ``sub-``.
    analysis
        Says which tasks, sessions and runs are wanted.
    space
        Output space, such as ``T1w``.
    sessions
        Use these sessions only; none means all.
    resolution
        fMRIPrep's ``res-``, or "native" for images without; None where there is but one.

    Raises
    ------
    InputError
        The participant, a localizer run, a file that goes with a BOLD image, or every transform is
        missing; fewer than three movie runs are there; images are cut off; or repetition times,
        numbers of volumes or grids do not fit (those of localizer runs must be one).
    """
    folder = derivatives / f"sub-{participant}"
    if not folder.is_dir():
        raise InputError(
            f"{derivatives} has nothing of sub-{participant}. "
            f"{_how_to_make(derivatives, raw.root, [participant])}"
        )
    made_by = release(derivatives)
    finder = RunFinder(derivatives, raw, participant, space, resolution, tuple(sessions), made_by)
    missing: list[str] = []
    movie = _movie_runs(finder, analysis, missing)
    localizer = _localizer_runs(finder, analysis)
    check_one_anatomy(folder, [run.session for run in (*movie, *localizer)], space)
    anatomy = find_anatomy(folder, next(iter(analysis.movie.sessions), None))
    transforms = find_transforms(anatomy)
    check_transforms(transforms, analysis, space, folder)
    t1w = find_t1w(anatomy, space)
    if t1w is None:
        missing.append(f"no preprocessed T1w image of sub-{participant} in space {space}")
    elif image_facts(t1w).n_volumes > 1:
        raise InputError(f"{t1w} holds several volumes, and a T1w image has one: make it again")
    return ParticipantInputs(
        participant=participant,
        localizer=localizer,
        movie=movie,
        movie_found=movie,
        t1w=t1w,
        transforms=transforms,
        missing=tuple(missing),
        release=made_by,
        brain_masks=find_brain_masks(anatomy),
    )


def _movie_runs(
    finder: RunFinder, analysis: Analysis, missing: list[str]
) -> tuple[PreprocessedRun, ...]:
    """Find the movie's runs; a run without BOLD is left out, and said to be."""
    movie = analysis.movie
    middle = movie.volume_time == "middle"
    runs: list[PreprocessedRun] = []
    absent: dict[str | None, list[str]] = {}
    for wanted in movie.runs:
        session = movie.session_of(wanted)
        run = finder.find(session, movie.task, wanted.run, middle)
        if run is None:
            absent.setdefault(session, []).append(wanted.run)
            continue
        if run.events is None and movie.frame_timing == "events":
            missing.append(
                f"no events of run {run.run} of task {run.task} of sub-{run.participant}"
            )
        runs.append(run)
    missing += [finder.absent(session, movie.task, its) for session, its in absent.items()]
    if len(runs) < MIN_MOVIE_RUNS:
        hint = "" if runs else f"; {finder.instead(movie.task)}"
        raise InputError(
            f"sub-{finder.participant} has {len(runs)} complete movie runs, and at least "
            f"{MIN_MOVIE_RUNS} are needed: {'; '.join(missing)}{hint}"
        )
    _check_equal_tr(runs)
    return tuple(runs)


def _localizer_runs(finder: RunFinder, analysis: Analysis) -> tuple[PreprocessedRun, ...]:
    localizer = analysis.localizer
    if localizer is None or not analysis.functional.regions:
        return ()
    runs: list[PreprocessedRun] = []
    for wanted in localizer.runs:
        run = finder.find(localizer.session, localizer.task, wanted, False)
        if run is None:
            raise InputError(
                f"{finder.absent(localizer.session, localizer.task, [wanted])}"
                f"{'' if runs else '; ' + finder.instead(localizer.task)}: functional regions "
                "need the localizer; preprocess it, or name no functional region in the analysis"
            )
        if run.events is None:
            raise InputError(
                f"{finder.raw.root} has no events.tsv for run {wanted} of task {localizer.task} of "
                f"sub-{finder.participant}: the localizer cannot be analysed without"
            )
        runs.append(run)
    _check_equal_tr(runs)
    _check_one_grid(runs)
    return tuple(runs)


def _check_one_grid(runs: Sequence[PreprocessedRun]) -> None:
    """Make sure that runs can be fitted together, voxel by voxel."""
    for run in runs[1:]:
        if not run.same_grid(runs[0]):
            raise InputError(
                f"{run.bold} lies on another grid than {runs[0].bold}, and localizer runs are "
                "fitted together: name runs of one grid in localizer.runs, or take a template's "
                "space with --output-space, in which fMRIPrep puts all runs on one grid"
            )


def _check_equal_tr(runs: Sequence[PreprocessedRun]) -> None:
    for run in runs[1:]:
        if abs(run.repetition_time - runs[0].repetition_time) > TR_TOLERANCE_S:
            raise InputError(
                f"repetition times differ: {runs[0].repetition_time:g} s in {runs[0].bold}, "
                f"{run.repetition_time:g} s in {run.bold}; leave one out of the analysis, or mend "
                "its metadata"
            )
