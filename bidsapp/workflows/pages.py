"""The participants' pages, and all pages drawn again from what OUTPUT_DIR holds."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from nibabel.affines import voxel_sizes

from bidsapp.analysis.spec import Analysis
from bidsapp.dataset.anatomy import find_anatomy, find_t1w
from bidsapp.dataset.derivatives import OutputTree
from bidsapp.dataset.description import check_same_analysis, recorded
from bidsapp.dataset.fmriprep import ParticipantInputs, PreprocessedRun
from bidsapp.errors import InputError, UsageError
from bidsapp.reports.facts import InputRun, RunFacts, read_facts
from bidsapp.reports.report import group_report, participant_report
from bidsapp.settings import Settings
from bidsapp.workflows.bookkeeping import end

LOGGER = logging.getLogger(__name__)


def draw_participant(
    settings: Settings,
    analysis: Analysis,
    person: ParticipantInputs,
    facts: RunFacts,
    reports: Mapping[str, str],
) -> None:
    """Write a participant's page, of one whose steps failed too.

    Parameters
    ----------
    facts
        What holds for all participants.
    reports
        Crash report of each step of the participant that failed.

    Raises
    ------
    InputError
        The anatomical image cannot be read.
    """
    ours = replace(
        facts,
        warnings=(*person.missing, *facts.warnings),
        input_runs=tuple(_input_runs(person, settings.derivatives_dir)),
        errors=reports,
    )
    picture = _background(settings.derivatives_dir, person.participant, analysis, facts.space)
    tree = OutputTree(settings.output_dir)
    participant_report(tree, person.participant, analysis, ours, picture)


def _input_runs(person: ParticipantInputs, root: Path) -> Iterator[InputRun]:
    used = {run.bold for run in (*person.localizer, *person.movie)}
    first = person.movie[0]
    for run in (*person.localizer, *person.movie_found):
        odd = [] if run.bold in used else ["left out"]
        if run is not first and not _one_grid(run, first):
            odd.append(f"another grid than run {first.run} of {first.task}")
        size, mm = (
            " x ".join(f"{length:.3g}" for length in its)
            for its in (run.shape, voxel_sizes(run.affine))
        )
        yield InputRun(
            task=run.task,
            run=run.run,
            file=run.bold.relative_to(root).as_posix(),
            n_volumes=run.n_volumes,
            repetition_time=run.repetition_time,
            start_time=run.start_time,
            grid=f"{size}, {mm} mm",
            remark="; ".join(odd),
        )


def _one_grid(run: PreprocessedRun, other: PreprocessedRun) -> bool:
    return run.shape == other.shape and np.allclose(run.affine, other.affine, rtol=0, atol=1e-3)


def _background(derivatives: Path, participant: str, analysis: Analysis, space: str) -> Path | None:
    """Find what regions are drawn on: the T1w image, else the reference of a movie run."""
    folder = derivatives / f"sub-{participant}"
    movie = analysis.movie
    anatomical = find_t1w(find_anatomy(folder, next(iter(movie.sessions), None)), space)
    references = folder.rglob(f"*_task-{movie.task}_*space-{space}_*boldref.nii*")
    return anatomical or next(iter(sorted(references)), None)


def redraw(settings: Settings, given: Analysis | None) -> int:
    """Draw figures and pages again from tables, images and facts in OUTPUT_DIR alone.

    The participant level draws those of the participants asked for, or of all that have results,
    wherever they were made; the group level that of the group, with the error bars, film and atlas
    of this command line. Anatomical images are fMRIPrep's; where they are not at hand, regions are
    drawn on white.

    Parameters
    ----------
    settings
        Of the command line.
    given
        The analysis file named there, if any; it must be the one of OUTPUT_DIR.

    Returns
    -------
    int
        0 when every page was drawn.

    Raises
    ------
    UsageError
        OUTPUT_DIR holds no results or another analysis's, or the level has no page.
    """
    analysis, space = recorded(settings.output_dir)
    if given is not None:
        check_same_analysis(settings.output_dir, given, space)
    tree = OutputTree(settings.output_dir)
    if settings.level == "stimulus":
        raise UsageError("--reports-only is for the levels participant and group, which have pages")
    if settings.level == "group":
        kept = read_facts(tree.path("group_facts"))
        facts = replace(kept, error_bars=settings.error_bars)
        group_report(tree, analysis, facts, settings.stimuli, settings.atlas)
        return end({})
    asked: Sequence[str] = settings.participant_label or tree.participants()
    if not asked:
        raise UsageError(f"{settings.output_dir} holds no participant: run that level first")
    failed = {}
    for label in asked:
        try:
            facts = read_facts(tree.path("participant_facts", sub=label))
            picture = _background(settings.derivatives_dir, label, analysis, facts.space)
            if picture is None:
                LOGGER.warning(
                    "sub-%s: no anatomical image in %s: regions are drawn on white",
                    label,
                    settings.derivatives_dir,
                )
            participant_report(tree, label, analysis, facts, picture)
        except InputError as error:
            failed[f"sub-{label}"] = str(error)
    return end(failed)
