"""The check of a participant's transforms, before hours are spent on what they carry."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from bidsapp.analysis.spec import Analysis
from bidsapp.arrays import Floats
from bidsapp.dataset.atlas import open_atlas
from bidsapp.dataset.fmriprep import ParticipantInputs
from bidsapp.errors import InputError
from bidsapp.rois.landing import atlas_points, land, search_points
from bidsapp.rois.transforms import TemplateTransforms
from bidsapp.settings import Settings


def template_points(settings: Settings, analysis: Analysis) -> dict[str, Floats]:
    """Return points of the regions asked for by template, (n, 3) mm.

    Raises
    ------
    InputError
        The atlas cannot be read.
    """
    parts: dict[str, list[Floats]] = {}
    if analysis.functional.regions:
        points = search_points(analysis.functional)
        parts.setdefault(analysis.functional.template, []).append(points)
    if analysis.atlas.regions and settings.atlas is not None:
        atlas = open_atlas(settings.atlas)
        areas = [atlas.labels.index(name) + 1 for name in analysis.atlas.regions]
        points = atlas_points(atlas.files, areas)
        parts.setdefault(analysis.atlas.template, []).append(points)
    return {template: np.vstack(points) for template, points in parts.items()}


def check_landing(
    person: ParticipantInputs,
    transforms: Mapping[str, TemplateTransforms],
    points: Mapping[str, Floats],
    space: str,
) -> ParticipantInputs:
    """Carry the regions' points to a participant; return what was found with the participant.

    Parameters
    ----------
    person
        The participant.
    transforms
        Template to its transforms.
    points
        Template to points, see `template_points`.
    space
        Space of the output.

    Raises
    ------
    InputError
        The transforms cannot be the participant's, or are exchanged.
    """
    landings, flags = [], []
    for template, its in transforms.items():
        if not len(points.get(template, ())):
            continue
        masks = person.brain_masks
        both = its.exact and its.files and space in masks and template in masks
        anatomy = (masks[space], masks[template]) if both else None
        mask = person.movie[0].mask
        landing = land(template, points[template], its, mask, anatomy)
        for fault in landing.faults():
            files = ", ".join(str(path) for path in its.files) or "no transform was needed"
            raise InputError(
                f"the transforms between {template} and {space} do not fit {mask}: {fault}. "
                f"Compare {files} with their source, or run fMRIPrep again"
            )
        landings.append(str(landing))
        flags += [f"{flag}, see the figures of regions" for flag in landing.flags()]
    return replace(person, landing=tuple(landings), missing=(*person.missing, *flags))
