"""The user's own masks: found and read before anything is computed."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bidsapp.analysis.regions import Side
from bidsapp.analysis.spec import Analysis
from bidsapp.arrays import Floats
from bidsapp.dataset.derivatives import bids_uri
from bidsapp.dataset.fmriprep import ParticipantInputs
from bidsapp.dataset.masks import GivenFiles, find_given, in_nobody
from bidsapp.dataset.raw import participants_of
from bidsapp.errors import InputError, UsageError
from bidsapp.rois.landing import points_by_space, region_points
from bidsapp.rois.masks import read_region
from bidsapp.rois.transforms import FMRIPREP_TEMPLATE
from bidsapp.settings import Settings


def check_mask_dataset(settings: Settings, analysis: Analysis) -> None:
    """Make sure that the dataset of masks is given, and that each mask is there for someone.

    Raises
    ------
    InputError, UsageError
        The dataset is not given or no folder, or nobody has a mask.
    """
    if settings.level != "participant" or not analysis.masks.regions:
        return
    root = _root(settings, analysis)
    nobody = in_nobody(root, analysis.masks, participants_of(settings.bids_dir))
    if nobody:
        raise InputError(
            f"no file in {root} fits {nobody[0]!r} for any participant of {settings.bids_dir}: "
            "mend masks.regions, or the names of the files"
        )


@dataclass(frozen=True)
class CheckedMasks:
    """What a participant's masks ask for, and what is odd about them.

    Attributes
    ----------
    spaces
        Each space but the output's that masks are in, or are parted in, and why: a clause.
    points
        The same spaces to some points of the masks in them, (n, 3) in RAS mm.
    sentences
        On regions that will be absent.
    """

    spaces: Mapping[str, str]
    points: Mapping[str, Floats]
    sentences: tuple[str, ...]


def check_masks(settings: Settings, analysis: Analysis, person: ParticipantInputs) -> CheckedMasks:
    """Read a participant's masks, keeping none.

    Raises
    ------
    InputError
        A file is broken or no region, or there is none at all.
    """
    if not analysis.masks.regions:
        return CheckedMasks({}, {}, ())
    given = _find(settings, analysis, person)
    sentences = list(given.missing)
    spaces: dict[str, str] = {}
    points: list[tuple[str, Floats]] = []
    for region in analysis.masks.regions:
        for file in given.files[region.name].values():
            image = read_region(file.path, file.label, region.threshold)
            if not image.inside.any():
                sentences.append(f"region {region.name}: {file.path} has no voxel of it")
            if file.space != settings.output_space:
                spaces.setdefault(file.space, f"{file.path} is in the space {file.space}")
                points.append((file.space, region_points(image)))
    if len(analysis.regions) == 1 and not any(given.files.values()):
        raise InputError("; ".join(given.missing))
    if analysis.hemispheres == "separate" and not all(r.sides for r in analysis.masks.regions):
        why = f"the hemispheres of masks are parted in {FMRIPREP_TEMPLATE}"
        spaces.setdefault(FMRIPREP_TEMPLATE, why)
    return CheckedMasks(spaces, points_by_space(points), tuple(sentences))


def mask_inputs(
    settings: Settings, analysis: Analysis, person: ParticipantInputs
) -> dict[str, dict[Side, dict[str, Any]]]:
    """Return a participant's files as the step takes them: region, side, then what is known."""
    root = _root(settings, analysis)
    found = _find(settings, analysis, person).files
    return {
        name: {
            side: {
                "path": str(file.path),
                "space": file.space,
                "label": file.label,
                "source": bids_uri(analysis.masks.dataset, root, file.path),
            }
            for side, file in files.items()
        }
        for name, files in found.items()
    }


def _root(settings: Settings, analysis: Analysis) -> Path:
    name = analysis.masks.dataset
    root = settings.dataset_dir(name)
    if root is None:
        raise UsageError(
            f"the analysis takes masks from the dataset {name}: say where it is with -d {name}=PATH"
        )
    if not root.is_dir():
        raise InputError(f"there is no folder {root}, which -d {name}=PATH names")
    return root


def _find(settings: Settings, analysis: Analysis, person: ParticipantInputs) -> GivenFiles:
    return find_given(
        _root(settings, analysis),
        analysis.masks,
        person.participant,
        person.movie_found[0].session,
        settings.output_space,
    )
