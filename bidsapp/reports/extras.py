"""Parts of the pages for what is off unless asked for: comparators and searchlight."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from bidsapp.analysis.spec import Analysis
from bidsapp.reports.blocks import Album
from bidsapp.reports.page import Block, Notes, Table, Text, cell
from bidsapp.reports.slices import Volume, map_slices

CEILINGS = {"ceiling_upper": "upper", "ceiling_lower": "lower"}


def comparator_tables(
    analysis: Analysis, table: pd.DataFrame, value: str, source: str
) -> Iterator[Block]:
    """Return one table a mode and method: models and layers by regions.

    Parameters
    ----------
    table
        ``mode method roi model layer`` and values, one row each, and ``note``; of a group also
        ``ceiling_lower ceiling_upper``, which make the last two rows of each table.
    value
        Column of the values.
    source
        File of the table, relative to the outputs.
    """
    inflated = (
        " In the mode replicate slow fluctuations of the signal inflate every one of these values."
        if "replicate" in analysis.modes
        else ""
    )
    ceilings = (
        " Noise ceilings are the mean similarity, by the same method, of a participant's RDM with "
        "the pooled RDM of the others (lower) and of all (upper)."
        if CEILINGS.keys() <= set(table)
        else ""
    )
    yield Text(
        "RDMs of single layers, and the prediction from all layers of a model, compared with each "
        f"region's RDM otherwise than by regression.{ceilings}{inflated}"
    )
    lacking = []
    for (mode, method), rows in table.groupby(["mode", "method"], sort=False):
        if not rows[value].notna().any():
            reasons = "; ".join(dict.fromkeys(rows["note"].dropna().astype(str)))
            lacking.append(f"{method}, mode {mode}: {reasons or 'no values'}.")
            continue
        grid = rows.pivot_table(
            index=["model", "layer"], columns="roi", values=value, dropna=False, sort=False
        )
        pairs = rows[["model", "layer"]].drop_duplicates()
        grid = grid.reindex(pd.MultiIndex.from_frame(pairs))  # not every model with every layer
        regions = [name for name in analysis.region_names if name in grid]
        yield Table(
            header=("model", "layer", *regions),
            rows=(
                *(
                    (*map(str, key), *(cell(float(number)) for number in numbers))
                    for key, numbers in zip(grid.index, grid[regions].to_numpy(float), strict=True)
                ),
                *_ceiling_rows(rows, regions),
            ),
            caption=f"{method}, mode {mode}",
            source=source,
            folded=True,
        )
    if lacking:
        yield Notes(tuple(lacking))


def _ceiling_rows(rows: pd.DataFrame, regions: list[str]) -> Iterator[tuple[str, ...]]:
    """Return a row a ceiling, where there are any; a region has the same in all rows that do."""
    of_region = rows.groupby("roi", sort=False)
    for column, which in CEILINGS.items():
        if column in rows:
            numbers = of_region[column].first().reindex(regions)
            yield ("noise ceiling", which, *(cell(float(number)) for number in numbers))


def mean_comparators(table: pd.DataFrame) -> pd.DataFrame:
    """Average a participant's comparators over runs; ``r`` and the first ``note`` of each row."""
    keys = ["mode", "method", "roi", "model", "layer"]
    of_rows = table.groupby(keys, sort=False)
    return of_rows.agg(r=("r", "mean"), note=("note", "first")).reset_index()


def searchlight_pictures(
    album: Album,
    analysis: Analysis,
    maps: Mapping[str, tuple[Path, Volume]],
    background: Volume | None,
) -> Iterator[Block]:
    """Draw each map on axial slices.

    Parameters
    ----------
    maps
        Of a model, or of a model and its layer: file, and values of r, NaN where there is none.
    background
        Anatomy; None leaves maps on white.
    """
    spec = analysis.searchlight
    absent = [name for name in spec.names if name not in maps]
    if absent:
        yield Notes(tuple(f"There is no searchlight map of {name}." for name in absent))
    for place, (name, (path, volume)) in enumerate(maps.items()):
        found = volume.data[np.isfinite(volume.data)]
        if not found.size:
            yield Notes((f"{album.relative(path)} holds no sphere with a score.",))
            continue
        peak = np.unravel_index(int(np.nanargmax(volume.data)), volume.data.shape)
        x, y, z = volume.affine[:3, :3] @ peak + volume.affine[:3, 3]
        highest = f"the highest r is {found.max():.3f} at ({x:.0f}, {y:.0f}, {z:.0f}) mm"
        yield album.picture(
            f"searchlight-{path.name.split('_desc-')[1].split('_')[0]}",
            map_slices(background, volume),
            alt=f"Axial slices of the searchlight of {name}; {highest}.",
            caption=f"Searchlight of {name}: mean r over runs, mode {spec.mode}, fit {spec.fit}, "
            f"in spheres of {spec.radius_mm:g} mm round {found.size} voxels. One participant, no "
            f"threshold; {highest}. L is left.",
            source=path,
            folded="" if place == 0 else f"Searchlight of {name}",
        )
