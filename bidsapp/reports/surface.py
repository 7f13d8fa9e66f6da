"""The group's blocks of regions on the inflated cortex."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bidsapp.arrays import Floats
from bidsapp.dataset.atlas import open_atlas
from bidsapp.errors import InputError, UsageError
from bidsapp.reports.blocks import Album
from bidsapp.reports.figures import on_surface, surface_map, winners
from bidsapp.reports.outputs import Outputs
from bidsapp.reports.page import Block, Notes, listed
from bidsapp.rois.template import AFFINE, SHAPE, atlas_in_template

_LEAST_OVERLAP = 1 / 5  # of the participants, on average between white matter and pia
_LEAST_AREA = 1 / 3  # of that way, in an area of the atlas


@dataclass(frozen=True)
class _Maps:
    """Regions of one kind in MNI space, where a vertex counts as theirs, and how to say it."""

    regions: Mapping[str, Floats]
    least: float
    told: str
    files: tuple[Path, ...] = ()


def surface_blocks(
    outputs: Outputs, album: Album, similarity: pd.DataFrame, source: Path, atlas: Path | None
) -> Iterator[Block]:
    """Draw each set of regions with the highest similarity that a model has to it.

    Parameters
    ----------
    similarity
        Columns ``mode fit roi model r_mean``.
    source
        File of that table.
    atlas
        Folder of the atlas; None leaves its areas out, and says so.
    """
    analysis = outputs.analysis
    mode = "robust" if "robust" in analysis.modes else analysis.modes[0]
    fit = analysis.fits[0]
    ours = similarity[(similarity["mode"] == mode) & (similarity["fit"] == fit)]
    best = ours.groupby("roi")["r_mean"].max()
    if "functional" in analysis.region_sets:
        yield from _drawn(outputs, album, "functional", _functional(outputs), best, mode, source)
    if "atlas" in analysis.region_sets and atlas is None:
        yield Notes(("Areas of the atlas are drawn where the group level is given --atlas.",))
    elif atlas is not None and "atlas" in analysis.region_sets:
        yield from _drawn(outputs, album, "atlas", _atlas(outputs, atlas), best, mode, source)


def _functional(outputs: Outputs) -> _Maps:
    """Average the participants' masks in the template."""
    sums: dict[str, Floats] = {}
    participants = outputs.participants()
    for participant in participants:
        for name, mask in outputs.template_masks(participant).items():
            sums[name] = sums.get(name, np.zeros(SHAPE)) + mask
    overlap = {name: total / len(participants) for name, total in sums.items()}
    told = (
        "where the regions of at least a fifth of the participants overlap, carried to "
        f"{outputs.analysis.functional.template}"
    )
    name = f"*_space-{outputs.analysis.functional.template}_label-*_mask.nii.gz"
    return _Maps(overlap, _LEAST_OVERLAP, told, (outputs.anybodys(name),))


def _atlas(outputs: Outputs, folder: Path) -> _Maps:
    analysis, atlas = outputs.analysis, open_atlas(folder)
    wanted = (analysis.atlas.regions, analysis.hemispheres)
    try:
        areas = atlas_in_template(atlas.files, atlas.labels, *wanted)
    except UsageError as error:  # another atlas than the participants'
        raise InputError(f"{folder}: {error}") from error
    maps = {name: mask.astype(float) for name, mask in areas.items()}
    return _Maps(maps, _LEAST_AREA, "areas of the atlas, as published")


def _drawn(
    outputs: Outputs,
    album: Album,
    kind: str,
    maps: _Maps,
    best: "pd.Series[float]",
    mode: str,
    source: Path,
) -> Iterator[Block]:
    names = outputs.analysis.region_sets[kind]
    absent = [name for name in names if name not in maps.regions]
    if absent:
        yield Notes(
            (f"No mask in the template, and so not drawn: {listed(absent)}. Run the participant "
             "level again where its outputs are of an older version.",)
        )  # fmt: skip
    there = {name: maps.regions[name] for name in names if name in maps.regions}
    if not there:
        return
    overlap = on_surface(there, AFFINE)
    regions = {side: winners(its, maps.least) for side, its in overlap.items()}
    seen = {int(number) for its in regions.values() for number in its[np.isfinite(its)]}
    unseen = [name for number, name in enumerate(there) if number not in seen]
    if unseen:
        yield Notes((f"Too little overlap to be drawn: {listed(unseen)}.",))
    values = {name: float(best.get(name, np.nan)) for name in there}
    fit = outputs.analysis.fits[0]
    yield album.picture(
        f"surface-{kind}",
        surface_map(regions, values),
        alt=f"Inflated cortex with the {kind} regions coloured by the highest similarity of any "
        f"model, mode {mode}, fit {fit}: "
        + listed(f"{name} {value:.3f}" for name, value in values.items()) + ".",
        caption=f"The {kind} regions on the inflated surface of fsaverage5: {maps.told}. Colour: "
        f"mean r of the model with the highest, mode {mode}, fit {fit}. MNI and fsaverage part by "
        "some millimetres: for orientation only.",
        source=source,
        others=maps.files,
    )  # fmt: skip
