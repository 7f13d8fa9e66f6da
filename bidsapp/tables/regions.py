"""The table of a participant's regions: where each was found and how much of it there is."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from bidsapp.analysis.spec import FunctionalRegions
from bidsapp.arrays import Bools
from bidsapp.rois.atlas import AtlasLabels
from bidsapp.rois.functional import FoundRegion
from bidsapp.tables.columns import describe

Row = dict[str, Any]


def functional_rows(found: Sequence[FoundRegion], spec: FunctionalRegions) -> list[Row]:
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
                "flags": "; ".join(region.flags),
            }
            if hemisphere in peaks:
                peak = peaks[hemisphere]
                row |= dict(zip(("peak_x", "peak_y", "peak_z"), peak.mm, strict=True))
                row |= {"peak_t": peak.t, "peak_z_score": peak.z}
            rows.append(row)
    return rows


def atlas_rows(labels: AtlasLabels, brain: Bools) -> list[Row]:
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
                "flags": "no voxel" if name in labels.empty else "",
            }
            for hemisphere, count in labels.n_voxels[name].items()
        ]
    return rows


def region_table(rows: Sequence[Row]) -> pd.DataFrame:
    """Put rows into the columns of the regions table; what a kind of region lacks is missing."""
    return pd.DataFrame(rows, columns=list(describe("regions", "participant")))
