"""What was found of a participant, as a block of lines for ``--dry-run``."""

from collections.abc import Iterator, Sequence

import numpy as np

from bidsapp.dataset.fmriprep import ParticipantInputs
from bidsapp.dataset.runs import PreprocessedRun


def describe_participant(person: ParticipantInputs, space: str) -> Iterator[str]:
    """Say what a participant has, line by line, and what is missing.

    Parameters
    ----------
    person
        The participant.
    space
        The space of the output, with its resolution if one is asked for.
    """
    yield f"  sub-{person.participant}"
    yield f"    movie: {_runs(person.movie)}"
    if person.localizer:
        yield f"    localizer: {_runs(person.localizer)}"
    yield f"    space: {space}; {'; '.join(_grids([*person.movie, *person.localizer]))}"
    yield f"    anatomy: {person.t1w.name if person.t1w else 'no image in this space'}"
    yield f"    transforms: {', '.join(sorted(person.transforms)) or 'none'}"
    for sentence in person.landing:
        yield f"    landing: {sentence}"
    confounds = person.movie[0].confounds.name.rpartition("_desc-")[2]
    made_by = person.release or "of a version that it does not tell"
    yield f"    fMRIPrep: {made_by}; confounds in desc-{confounds}"
    for sentence in person.missing:
        yield f"    {'missing' if sentence.startswith('no ') else 'note'}: {sentence}"


def _runs(runs: Sequence[PreprocessedRun]) -> str:
    """Say which runs there are and how they are timed."""
    named = ", ".join(f"run {run.run} ({run.n_volumes} volumes)" for run in runs)
    first = runs[0]
    starts = sorted({run.start_time for run in runs})
    taken = " or ".join(f"{start:g}" for start in starts)
    return f"{named}; TR {first.repetition_time:g} s, volumes taken {taken} s after their onset"


def _grids(runs: Sequence[PreprocessedRun]) -> Iterator[str]:
    """Say on how many grids the runs lie, and which."""
    left = list(runs)
    while left:
        first = left[0]
        alike = [run for run in left if run.same_grid(first)]
        left = [run for run in left if not any(run is other for other in alike)]
        sizes = np.linalg.norm(first.affine[:3, :3], axis=0)
        shape = " x ".join(map(str, first.shape))
        size = " x ".join(f"{mm:.3g}" for mm in sizes)
        names = ", ".join(f"{run.task} {run.run}" for run in alike)
        yield f"{shape} voxels of {size} mm ({names})"
