"""What can be wrong in a participant's tables and transforms, found before hours of computing."""

from collections.abc import Mapping
from dataclasses import replace

from bidsapp.analysis.spec import Analysis
from bidsapp.brain.denoise import check_cosines, nuisance_design, why_unusable
from bidsapp.dataset.fmriprep import MIN_MOVIE_RUNS, ParticipantInputs
from bidsapp.dataset.raw import read_events
from bidsapp.dataset.runs import TR_TOLERANCE_S
from bidsapp.errors import InputError
from bidsapp.rois.landing import points_by_space
from bidsapp.rois.localizer import design_matrix, motion_confounds
from bidsapp.settings import Settings
from bidsapp.workflows.inputs import Inputs, find_inputs
from bidsapp.workflows.landing import check_landing, participant_transforms, template_points
from bidsapp.workflows.masks import check_masks
from bidsapp.workflows.models import made_repetition_time
from bidsapp.workflows.searchlight import check_searchlight


def usable_inputs(settings: Settings, analysis: Analysis) -> Inputs:
    """Find the participants asked for, and of them all that can be found wrong early.

    Raises
    ------
    InputError
        The dataset or its derivatives are absent, or no participant can be analysed.
    UsageError
        A participant's searchlight takes more memory than is allowed.
    """
    models_tr = made_repetition_time(settings, analysis)
    points = template_points(settings, analysis)

    def check(person: ParticipantInputs) -> ParticipantInputs:
        masks = check_masks(settings, analysis, person)
        transforms = participant_transforms(settings, analysis, person, masks.spaces)
        person = replace(person, missing=(*person.missing, *masks.sentences))
        usable = check_participant(person, analysis, models_tr)
        every = points_by_space([*points.items(), *masks.points.items()])
        return check_landing(usable, transforms, every, settings.output_space)

    found = find_inputs(settings, analysis, check=check)
    check_searchlight(settings, analysis, found.participants)
    return found


def check_participant(
    inputs: ParticipantInputs, analysis: Analysis, models_tr: float | None
) -> ParticipantInputs:
    """Make the designs that the steps will make, whose tables are small; keep none of them.

    Parameters
    ----------
    inputs, analysis
        The participant, and what is asked.
    models_tr
        TR in s that existing model RDMs are for; None where they are yet to be made.

    Returns
    -------
    ParticipantInputs
        Without the movie runs of which censoring leaves too little.

    Raises
    ------
    InputError
        Confounds or events lack what the analysis asks for, the TR is another than the models', or
        fewer than three movie runs can be used.
    """
    unusable: dict[str, str] = {}
    for run in inputs.movie:
        if models_tr is not None and abs(run.repetition_time - models_tr) > TR_TOLERANCE_S:
            raise InputError(
                f"{run.bold} has a TR of {run.repetition_time:g} s, but the model RDMs in "
                f"OUTPUT_DIR are for {models_tr:g} s: mend its metadata, or analyse it into "
                "another OUTPUT_DIR"
            )
        design = nuisance_design(run.confounds, run.confounds_metadata, analysis.denoise)
        check_cosines(run.confounds, run.repetition_time, analysis.denoise)
        reason = why_unusable(design, analysis.denoise)
        if reason is not None:
            unusable[run.run] = reason
    _check_localizer(inputs, analysis)
    return _without(inputs, unusable) if unusable else inputs


def _without(inputs: ParticipantInputs, unusable: Mapping[str, str]) -> ParticipantInputs:
    """Take movie runs away, each with a sentence that says why."""
    sentences = [
        f"movie run {run} of sub-{inputs.participant} is left out: {reason}"
        for run, reason in unusable.items()
    ]
    movie = tuple(run for run in inputs.movie if run.run not in unusable)
    if len(movie) < MIN_MOVIE_RUNS:
        raise InputError(
            f"sub-{inputs.participant} has {len(movie)} usable movie runs, and at least "
            f"{MIN_MOVIE_RUNS} are needed: {'; '.join([*inputs.missing, *sentences])}"
        )
    return replace(inputs, movie=movie, missing=(*inputs.missing, *sentences))


def _check_localizer(inputs: ParticipantInputs, analysis: Analysis) -> None:
    if analysis.localizer is None:
        return
    for run in inputs.localizer:
        assert run.events is not None  # noqa: S101  # a localizer run without is not found
        design_matrix(
            read_events(run.events),
            motion_confounds(run.confounds, analysis.localizer),
            run.n_volumes,
            run.repetition_time,
            run.start_time,
            analysis.localizer,
            source=run.events,
        )
