"""Sentences on where the regions come from; empty for a kind that is not used."""

from collections.abc import Mapping

from bidsapp.analysis.spec import Analysis, Contrast, Localizer
from bidsapp.reports.methods.wording import (
    between,
    called,
    cite,
    counted,
    place,
    runs,
    were,
    words,
)

_HRF = {
    "glover": "the double-gamma response ({glover})",
    "glover + derivative": "the double-gamma response ({glover}) and its temporal derivative",
    "spm": "the double-gamma response ({spm})",
    "spm + derivative": "the double-gamma response ({spm}) and its temporal derivative",
}
_NOISE = {"ar1": "a first-order autoregressive noise model", "ols": "ordinary least squares"}


def functional_regions(analysis: Analysis, versions: Mapping[str, str], space: str) -> str:
    """Say how regions were found by the localizer."""
    functional, localizer = analysis.functional, analysis.localizer
    if localizer is None or not functional.regions:
        return ""
    contested = (
        "A voxel could belong to several regions."
        if functional.allow_overlap
        else "A voxel claimed by several regions went to the one with the higher t in its own "
        "contrast, ties to the nearer peak, and the others were filled up from their spheres."
    )
    radii = sorted(
        {sphere.radius_mm for region in functional.regions for sphere in region.search.values()}
    )
    names = [region.name for region in functional.regions]
    carried = "taken" if space == functional.template else f"carried into {place(space)} as a point"
    return (
        f"{_glm(localizer, versions)} The functional {'regions' if len(names) > 1 else 'region'} "
        f"{were(names)} {words(names)}. For each region and hemisphere a published centre in "
        f"{functional.template} was {carried}; the voxel of highest t within {between(radii)} mm "
        f"of it became the centre of a sphere. {_sizes(analysis)} {contested} "
        f"A region whose peak lay under z = {functional.min_peak_z:g}, or that had "
        "fewer voxels, was kept and flagged."
    )


def _sizes(analysis: Analysis) -> str:
    functional = analysis.functional
    text = (
        f"The spheres, of {functional.sphere_mm:g} mm radius, of both hemispheres were joined and "
        f"their {functional.voxels} voxels of highest t taken."
        if analysis.hemispheres == "joined"
        else f"Of each hemisphere's sphere, of {functional.sphere_mm:g} mm radius, the "
        f"{functional.voxels} voxels of highest t were taken, the hemispheres being separate "
        "regions."
    )
    own = [
        f"{region.name}: {functional.voxels_of(region.name)} voxels, "
        f"{functional.sphere_of(region.name):g} mm"
        for region in functional.regions
        if region.voxels is not None or region.sphere_mm is not None
    ]
    return f"{text} Of other size were {words(own)}." if own else text


def _glm(localizer: Localizer, versions: Mapping[str, str]) -> str:
    hrf = _HRF[localizer.hrf_model].format(glover=cite("glover"), spm=cite("spm"))
    confounds = words([*localizer.confounds, "non-steady-state volumes"])
    contrasts = "; ".join(f"{name}: {_sides(its)}" for name, its in localizer.contrasts.items())
    smoothing = (
        f"smoothed with a kernel of {localizer.smoothing_fwhm_mm:g} mm full width at half maximum"
        if localizer.smoothing_fwhm_mm
        else "left unsmoothed"
    )
    return (
        f"The localizer (task {localizer.task}, {runs(localizer.runs)}) was {smoothing} and "
        f"modelled with {called('nilearn', versions)} ({cite('nilearn')}) as blocks convolved "
        f"with {hrf}, with cosine drifts up to a period of {localizer.high_pass_s:g} s, "
        f"{_NOISE[localizer.noise_model]}, and the confounds {confounds}. Contrasts weighed "
        f"conditions against each other ({contrasts})."
    )


def atlas_regions(analysis: Analysis, versions: Mapping[str, str], space: str) -> str:
    """Say how regions were taken from the atlas."""
    atlas = analysis.atlas
    if not atlas.regions:
        return ""
    source = f" ({cite('wang')})" if atlas.name == "Wang2015" else ""
    carried = (
        f"resampled in {atlas.template}"
        if space == atlas.template
        else f"carried from {atlas.template} into {place(space)}"
    )
    return (
        f"The atlas {counted('region', atlas.regions)} {were(atlas.regions)} taken from the "
        f"probability maps of {atlas.name}{source}, {carried} by linear interpolation with "
        f"{called('SimpleITK', versions)} ({cite('simpleitk')}). A "
        "voxel was left out where lying outside all areas of its hemisphere was at least as "
        "probable as lying in one; otherwise it went to its most probable area."
        f"{' Hemispheres were kept apart.' if analysis.hemispheres == 'separate' else ''}"
    )


def mask_regions(analysis: Analysis) -> str:
    """Say how regions were taken from the user's own files."""
    masks = analysis.masks
    if not masks.regions:
        return ""
    names = [region.name for region in masks.regions]
    cut = [region.name for region in masks.regions if region.threshold is not None]
    whole = [region.name for region in masks.regions if region.threshold is None]
    carried = []
    if whole:
        carried.append(
            f"Masks and labels ({words(whole)}) were carried to each run's grid by nearest "
            "neighbour."
        )
    if cut:
        carried.append(
            f"Maps ({words(cut)}) were carried to each run's grid linearly and cut at their "
            "thresholds after that."
        )
    halves = (
        " Masks that held both hemispheres were parted at the midline of the template."
        if analysis.hemispheres == "separate" and not all(r.sides for r in masks.regions)
        else ""
    )
    return (
        f"The {counted('region', names)} {were(names)} given as files of "
        f"the dataset {masks.dataset}. {' '.join(carried)}{halves} Voxels outside of the run's "
        "brain mask were left out."
    )


def _sides(contrast: Contrast) -> str:
    if contrast.weights is None:
        return f"{words(contrast.plus)} against {words(contrast.minus)}"
    return words([f"{name} {weight:+g}" for name, weight in contrast.weights.items() if weight])
