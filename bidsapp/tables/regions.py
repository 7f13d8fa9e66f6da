"""The table of a participant's regions: where each was found and how much of it there is."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from bidsapp.analysis.spec import FunctionalRegions
from bidsapp.arrays import Bools
from bidsapp.rois.atlas import AtlasLabels
from bidsapp.rois.functional import FoundRegion
from bidsapp.tables.columns import describe

Row = dict[str, Any]
LEAST_VOXELS = 3  # fewer give no pattern to correlate


def fewest_voxels(by_run: Sequence[Mapping[str, Bools]]) -> dict[str, int]:
    """Count each region's voxels in the movie run where it has fewest, hemispheres together."""
    return {name: min(int(masks[name].sum()) for masks in by_run) for name in by_run[0]}


def functional_rows(
    found: Sequence[FoundRegion], spec: FunctionalRegions, fewest: Mapping[str, int]
) -> list[Row]:
    """One row per functional region and hemisphere: peak in native RAS mm, its t and z, voxels."""
    searched = {region.name: tuple(region.search) for region in spec.regions}
    rows = []
    for region in found:
        peaks = {peak.hemisphere: peak for peak in region.peaks}
        for hemisphere in searched[region.name]:
            row: Row = {
                "roi": region.name,
                "kind": "functional",
                "hemisphere": hemisphere,
                "n_voxels": region.n_voxels.get(hemisphere, 0),
                "fewest_voxels": fewest[region.name],
                "flags": "; ".join(
                    [*region.flags, *_movie_flags(fewest[region.name], spec.voxels)]
                ),
            }
            if hemisphere in peaks:
                peak = peaks[hemisphere]
                row |= dict(zip(("peak_x", "peak_y", "peak_z"), peak.mm, strict=True))
                row |= {"peak_t": peak.t, "peak_z_score": peak.z}
            rows.append(row)
    return rows


def atlas_rows(labels: AtlasLabels, brain: Bools, fewest: Mapping[str, int]) -> list[Row]:
    """One row per atlas region and hemisphere; coverage is its share inside the brain mask."""
    rows = []
    for name in labels.regions:
        mask = labels.mask(name)
        coverage = (mask & brain).sum() / mask.sum() if mask.any() else None
        rows += [
            {
                "roi": name,
                "kind": "atlas",
                "hemisphere": hemisphere,
                "n_voxels": count,
                "coverage": coverage,
                "fewest_voxels": fewest[name],
                "flags": "; ".join(_movie_flags(fewest[name], LEAST_VOXELS)),
            }
            for hemisphere, count in labels.n_voxels[name].items()
        ]
    return rows


def _movie_flags(fewest: int, wanted: int) -> list[str]:
    if fewest < LEAST_VOXELS:
        return [f"{fewest} voxels in a movie run: no RDM"]
    return [f"{fewest} voxels in a movie run"] if fewest < wanted else []


def region_table(rows: Sequence[Row]) -> pd.DataFrame:
    """Put rows into the columns of the regions table; what a kind of region lacks is missing."""
    return pd.DataFrame(rows, columns=list(describe("regions", "participant")))
