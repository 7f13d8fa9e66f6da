"""The localizer on a participant's page: designs, and maps with the regions cut from them."""

from collections.abc import Iterator

import numpy as np

from bidsapp.analysis.spec import Contrast
from bidsapp.dataset.textfiles import read_tsv
from bidsapp.errors import InputError
from bidsapp.reports.blocks import Album
from bidsapp.reports.figures import design_figure
from bidsapp.reports.outputs import Outputs
from bidsapp.reports.page import Block, Notes, listed
from bidsapp.reports.slices import Volume, contrast_slices

LEAST_T = 3.0  # of what is coloured; regions do not depend on it


def design_blocks(outputs: Outputs, participant: str, album: Album) -> Iterator[Block]:
    """Draw the design matrix of each localizer run, the first open and the others folded."""
    spec = outputs.analysis.localizer
    if spec is None:
        return
    found = outputs.run_tables(participant, spec.task, spec.runs, "design")
    if not found:
        yield Notes((f"There is no design matrix of the task {spec.task}.",))
    weights = {name: contrast.condition_weights for name, contrast in spec.contrasts.items()}
    for place, (run, path) in enumerate(found.items()):
        design = read_tsv(path)
        unlike = design.select_dtypes(exclude="number").columns
        if len(unlike) or design.empty:
            raise InputError(f"{path} is no design matrix; run the participant level again")
        yield album.picture(
            f"design-{spec.task}-run-{run}",
            design_figure(design, weights),
            alt=f"Design matrix of run {run}: {len(design)} volumes by {design.shape[1]} "
            f"regressors ({listed(map(str, design))}); weights of {len(weights)} contrasts.",
            caption=f"Design of run {run} of the task {spec.task}: each regressor in units of its "
            "highest absolute value, black -1 and white 1. Below, the contrasts' weights.",
            source=path,
            folded="" if place == 0 else f"Design of run {run}",
        )


def contrast_blocks(
    outputs: Outputs, participant: str, album: Album, background: Volume | None
) -> Iterator[Block]:
    """Draw the t map of each contrast with its regions outlined."""
    spec = outputs.analysis.localizer
    if spec is None:
        return
    masks = outputs.masks(participant, "functional")
    maps = outputs.t_maps(participant)
    absent = [name for name in spec.contrasts if name not in maps]
    if absent:
        yield Notes((f"There is no map of the contrasts {listed(absent)}.",))
    where = "the anatomical image" if background is not None else "white (no anatomy given)"
    for contrast, (path, volume) in maps.items():
        if not volume.data.any():
            yield Notes((f"{album.relative(path)} is zero everywhere.",))
            continue
        own = {
            region.name: masks[region.name]
            for region in outputs.analysis.regions["functional"]
            if region.name in masks and _contrast_of(outputs, region.label) == contrast
        }
        peak = np.unravel_index(int(volume.data.argmax()), volume.data.shape)
        x, y, z = volume.affine[:3, :3] @ peak + volume.affine[:3, 3]
        highest = f"the highest t is {volume.data.max():.1f} at ({x:.0f}, {y:.0f}, {z:.0f}) mm"
        sides = _sides(spec.contrasts[contrast])
        figure, outlined = contrast_slices(background, volume, own, LEAST_T)
        unseen = [name for name in own if name not in outlined]
        beside = f" (on none of these slices: {listed(unseen)})" if unseen else ""
        yield album.picture(
            f"contrast-{contrast}",
            figure,
            alt=f"Axial slices of the t map {contrast} ({sides}) with outlines of "
            f"{listed(outlined, 'no region')}; {highest}.",
            caption=f"Contrast {contrast} ({sides}) on {where}, with its regions outlined: "
            f"{listed(outlined)}{beside}. Coloured where t is over {LEAST_T:g} or "
            f"under -{LEAST_T:g}; {highest}.",
            source=path,
        )


def _contrast_of(outputs: Outputs, region: str) -> str:
    """Return the contrast that a region, or its half, is cut from."""
    return next(its.contrast for its in outputs.analysis.functional.regions if its.name == region)


def _sides(contrast: Contrast) -> str:
    weights = contrast.condition_weights
    plus = [name for name, weight in weights.items() if weight > 0]
    minus = [name for name, weight in weights.items() if weight < 0]
    return f"{listed(plus)} against {listed(minus, 'baseline')}"
