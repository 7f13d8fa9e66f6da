"""A participant's transforms, checked before hours are spent on what they carry."""

from collections.abc import Mapping
from dataclasses import replace

from bidsapp.analysis.spec import Analysis
from bidsapp.arrays import Floats
from bidsapp.dataset.atlas import open_atlas
from bidsapp.dataset.fmriprep import ParticipantInputs
from bidsapp.errors import InputError
from bidsapp.rois.landing import atlas_points, land, points_by_space, search_points
from bidsapp.rois.transforms import TemplateTransforms, template_transforms
from bidsapp.settings import Settings


def template_points(settings: Settings, analysis: Analysis) -> dict[str, Floats]:
    """Return points of the regions asked for by template, (n, 3) mm.

    Raises
    ------
    InputError
        The atlas cannot be read.
    """
    parts: list[tuple[str, Floats]] = []
    if analysis.functional.regions:
        parts.append((analysis.functional.template, search_points(analysis.functional)))
    if analysis.atlas.regions and settings.atlas is not None:
        atlas = open_atlas(settings.atlas)
        areas = [atlas.labels.index(name) + 1 for name in analysis.atlas.regions]
        parts.append((analysis.atlas.template, atlas_points(atlas.files, areas)))
    return points_by_space(parts)


def participant_transforms(
    settings: Settings,
    analysis: Analysis,
    person: ParticipantInputs,
    mask_spaces: Mapping[str, str],
) -> dict[str, TemplateTransforms]:
    """Find a participant's transforms of each space that regions live in.

    Parameters
    ----------
    settings, analysis, person
        What is asked, and of whom.
    mask_spaces
        Spaces of masks, and why each is needed.

    Raises
    ------
    InputError
        There is no way to a space, or a file on it cannot be read.
    """
    asked = {part.template: "" for part in (analysis.functional, analysis.atlas) if part.regions}
    found = {}
    for template, why in sorted({**mask_spaces, **asked}.items()):
        try:
            found[template] = template_transforms(
                person.transforms,
                template,
                settings.output_space,
                settings.template_transform,
                settings.allow_template_mismatch,
            )
        except InputError as error:
            raise InputError(f"{why}: {error}" if why else str(error)) from error
    return found


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
        if not its.exact:
            names = ", ".join(path.name for path in its.files)
            flags.append(f"{names} stands in for a transform of {template}: 2 to 4 mm off")
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
