"""What there is to work on, found and checked before anything is computed."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bidsapp.analysis.spec import Analysis
from bidsapp.dataset.atlas import open_atlas
from bidsapp.dataset.description import check_output
from bidsapp.dataset.fmriprep import ParticipantInputs, check_derivatives, find_participant
from bidsapp.dataset.raw import RawDataset, has_task, open_raw
from bidsapp.dataset.textfiles import read_json
from bidsapp.errors import InputError, UsageError
from bidsapp.rois.atlas import area_number
from bidsapp.settings import Settings
from bidsapp.workflows.masks import check_mask_dataset

LOGGER = logging.getLogger(__name__)

Check = Callable[[ParticipantInputs], ParticipantInputs]


@dataclass(frozen=True)
class Inputs:
    """The raw dataset, the participants that can be analysed, and why others cannot."""

    raw: RawDataset
    participants: tuple[ParticipantInputs, ...]
    unusable: Mapping[str, str]
    outside: tuple[str, ...] = ()  # participants without the movie, when none was named

    @property
    def movie_runs(self) -> list[str]:
        """Movie runs that any participant has."""
        return sorted({run.run for person in self.participants for run in person.movie})


def find_inputs(
    settings: Settings,
    analysis: Analysis,
    everyone: bool = False,
    check: Check | None = None,
) -> Inputs:
    """Find and check the data of the participants asked for, or of ``everyone`` in the dataset.

    ``check`` returns what of a participant can be used; where it raises an InputError, nothing can.

    Raises
    ------
    InputError
        The dataset or its derivatives are absent, or no participant can be analysed.
    """
    asked = () if everyone else settings.participant_label
    filters = read_json(settings.bids_filter_file) if settings.bids_filter_file else {}
    raw = open_raw(settings.bids_dir, asked, settings.bids_database_dir, filters)
    check_derivatives(settings.derivatives_dir, settings.bids_dir, asked)
    outside = () if asked else tuple(_without_movie(raw, settings, analysis))
    found, unusable = [], {}
    for label in raw.participants:
        if label in outside:
            continue
        try:
            inputs = find_participant(
                settings.derivatives_dir,
                raw,
                label,
                analysis,
                settings.output_space,
                settings.session_label,
                settings.output_resolution,
            )
            found.append(inputs if check is None else check(inputs))
        except InputError as error:
            unusable[label] = str(error)
    if not found:
        reasons = "; ".join(f"sub-{label}: {why}" for label, why in unusable.items())
        if not unusable:
            reasons = f"None has BOLD of the task {analysis.movie.task}: check movie.task"
        raise InputError(f"no participant can be analysed. {reasons}")
    return Inputs(raw, tuple(found), unusable, outside)


def _without_movie(raw: RawDataset, settings: Settings, analysis: Analysis) -> Iterator[str]:
    """Name who was never shown the film: a dataset may hold other studies' participants too."""
    task = analysis.movie.task
    for label in raw.participants:
        made = settings.derivatives_dir / f"sub-{label}"
        if not has_task(raw, label, task) and not any(made.rglob(f"*_task-{task}_*")):
            yield label


def check_folders(settings: Settings, analysis: Analysis) -> None:
    """Check the folders of the command line before anything is read.

    Raises
    ------
    InputError, UsageError
        A folder is absent, or the output lies where only input may be.
    """
    if not settings.bids_dir.is_dir():
        raise InputError(f"there is no folder {settings.bids_dir}; BIDS_DIR is the raw dataset")
    read_only = [
        *(settings.derivatives_dir, *settings.further_datasets.values()),
        *(settings.stimuli_dir, settings.atlas, settings.weights),
    ]
    inputs = [path for path in read_only if path is not None and path.is_dir()]
    check_output(settings.output_dir, settings.bids_dir, inputs)
    _check_work_dir(settings, inputs)
    _check_atlas(settings, analysis)
    check_mask_dataset(settings, analysis)


def _check_work_dir(settings: Settings, inputs: Sequence[Path]) -> None:
    """Keep scratch out of the input; and cleaning it away from everything else."""
    work, raw = settings.work_dir.resolve(), settings.bids_dir.resolve()
    read_only = inputs if raw / "derivatives" in work.parents else (settings.bids_dir, *inputs)
    for folder in read_only:
        if work.is_relative_to(folder.resolve()):
            raise UsageError(
                f"--work-dir {settings.work_dir} lies in the input {folder}: choose another"
            )
    for folder in (settings.bids_dir, settings.output_dir, *inputs):
        if settings.clean_workdir and folder.resolve().is_relative_to(work):
            raise UsageError(
                f"--clean-workdir would empty {settings.work_dir}, which holds {folder}: "
                "choose a --work-dir of its own"
            )


def _check_atlas(settings: Settings, analysis: Analysis) -> None:
    if settings.level != "participant" or not analysis.atlas.regions:
        return
    if settings.atlas is None:
        raise UsageError(
            f"the analysis asks for regions of {analysis.atlas.name}: say where it is with --atlas"
        )
    labels = open_atlas(settings.atlas).labels
    for area in analysis.atlas.regions:
        area_number(labels, area)
