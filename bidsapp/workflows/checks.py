"""What can be wrong in a participant's tables, found before anything is computed."""

from bidsapp.analysis.spec import Analysis
from bidsapp.brain.denoise import nuisance_design
from bidsapp.dataset.fmriprep import ParticipantInputs
from bidsapp.dataset.raw import read_events
from bidsapp.dataset.runs import TR_TOLERANCE_S
from bidsapp.errors import InputError
from bidsapp.rois.localizer import design_matrix, motion_confounds


def check_participant(
    inputs: ParticipantInputs, analysis: Analysis, models_tr: float | None
) -> None:
    """Make the designs that the steps will make, whose tables are small; keep none of them.

    Parameters
    ----------
    inputs, analysis
        The participant, and what is asked.
    models_tr
        TR in s that existing model RDMs are for; None where they are yet to be made.

    Raises
    ------
    InputError
        Confounds or events lack what the analysis asks for, or the TR is another than the models'.
    """
    for run in inputs.movie:
        if models_tr is not None and abs(run.repetition_time - models_tr) > TR_TOLERANCE_S:
            raise InputError(
                f"{run.bold} has a TR of {run.repetition_time:g} s, but the model RDMs in "
                f"OUTPUT_DIR are for {models_tr:g} s: mend its metadata, or analyse it into "
                "another OUTPUT_DIR"
            )
        nuisance_design(run.confounds, run.confounds_metadata, analysis.denoise)
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
