"""The table of a participant's regions: where each was found and how much of it there is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bidsapp.analysis.spec import Hemisphere
from bidsapp.arrays import Floats
from bidsapp.rois.functional import FoundRegion
from bidsapp.rsa.rdm import LEAST_VOXELS
from bidsapp.tables.columns import describe

Row = dict[str, Any]
SIDES = {"L": "left", "R": "right"}


@dataclass(frozen=True)
class RunCounts:
    """Voxels of the regions in each movie run, on one grid a run or (functional) on one for all.

    Attributes
    ----------
    runs
        The runs, by name.
    inside
        Per run, region to its voxels inside the brain mask.
    whole
        Per run, region to all of its voxels, those that the run's image cuts off too.
    """

    runs: Sequence[str]
    inside: Sequence[Mapping[str, int]]
    whole: Sequence[Mapping[str, int]]

    def fewest(self, region: str) -> int:
        """Return the region's voxels in the run where it has fewest."""
        return min(counts[region] for counts in self.inside)

    def shares(self, region: str) -> dict[str, float]:
        """Return the part of a region inside the brain of each run that it has a voxel in."""
        return {
            run: inside[region] / whole[region]
            for run, inside, whole in zip(self.runs, self.inside, self.whole, strict=True)
            if whole[region]
        }

    def coverage(self, region: str) -> tuple[float | None, str]:
        """Return the least part of a region inside the brain over runs, and that run."""
        shares = [(share, run) for run, share in self.shares(region).items()]
        return min(shares, default=(None, ""), key=lambda share: share[0])

    def rows(self, min_coverage: float) -> list[Row]:
        """One row per region and run, for the table of quality.

        Parameters
        ----------
        min_coverage
            What the analysis flags a lower part than.
        """
        return [
            {"roi": region, "run": run, "coverage": share, "min_coverage": min_coverage}
            for region in self.inside[0]
            for run, share in self.shares(region).items()
        ]


def functional_rows(
    found: Sequence[FoundRegion],
    fewest: Mapping[str, int],
    to_template: Callable[[Floats], Floats],
) -> list[Row]:
    """One row per functional region and hemisphere: peak in RAS mm, its t and z, voxels.

    Coverage is that of the hemisphere's search sphere by the localizer.

    Parameters
    ----------
    fewest
        Region to its voxels in the movie run where it has fewest.
    to_template
        Carries points, (n, 3) RAS mm, from the output space to that of the search centres.
    """
    rows = []
    for region in found:
        peaks = {peak.hemisphere: peak for peak in region.peaks}
        for hemisphere, count in region.n_voxels.items():
            row: Row = {
                "roi": region.name,
                "kind": "functional",
                "hemisphere": hemisphere,
                "n_voxels": count,
                "coverage": region.coverage[hemisphere],
                "fewest_voxels": fewest[region.name],
                "flags": "; ".join(
                    [*region.flags, *_movie_flags(fewest[region.name], region.wanted)]
                ),
            }
            if hemisphere in peaks:
                peak = peaks[hemisphere]
                row |= dict(zip(("peak_x", "peak_y", "peak_z"), peak.mm, strict=True))
                there = to_template(np.array([peak.mm]))[0]
                row |= dict(zip(("peak_mni_x", "peak_mni_y", "peak_mni_z"), there, strict=True))
                row |= {"peak_t": peak.t, "peak_z_score": peak.z}
            rows.append(row)
    return rows


def whole_rows(
    kind: str,
    n_voxels: Mapping[str, Mapping[Hemisphere, int] | Mapping[Hemisphere | None, int]],
    counts: RunCounts,
    min_coverage: float,
    flags: Mapping[str, Sequence[str]] | None = None,
) -> list[Row]:
    """One row per region and hemisphere of regions that are given as a whole: atlas and masks.

    Parameters
    ----------
    kind
        ``atlas`` or ``mask``.
    n_voxels
        Region to hemisphere to voxels on the first run's grid; hemisphere None is both.
    counts
        What of the regions lies inside the brain of each run.
    min_coverage
        A region of which less lies inside is flagged.
    flags
        What else is to be said of a region.
    """
    rows = []
    for name, sides in n_voxels.items():
        fewest = counts.fewest(name)
        coverage, run = counts.coverage(name)
        said = [
            *(flags or {}).get(name, ()),
            *(
                f"no voxel in the {SIDES[side]} hemisphere"
                for side, n in sides.items()
                if side and not n
            ),
            *_movie_flags(fewest, LEAST_VOXELS),
        ]
        if coverage is not None and coverage < min_coverage:
            said.append(
                f"{coverage:.0%} of it lies inside the brain mask of run {run}, "
                f"under {min_coverage:.0%}"
            )
        rows += [
            {
                "roi": name,
                "kind": kind,
                "hemisphere": side,
                "n_voxels": count,
                "coverage": coverage,
                "fewest_voxels": fewest,
                "flags": "; ".join(said),
            }
            for side, count in sides.items()
        ]
    return rows


def _movie_flags(fewest: int, wanted: int) -> list[str]:
    if fewest < LEAST_VOXELS:
        return [f"{fewest} voxels in a movie run: no RDM"]
    return [f"{fewest} voxels in a movie run"] if fewest < wanted else []


def region_table(rows: Sequence[Row]) -> pd.DataFrame:
    """Put rows into the columns of the regions table; what a kind of region lacks is missing."""
    return pd.DataFrame(rows, columns=list(describe("regions", "participant")))


def coverage_table(rows: Sequence[Row]) -> pd.DataFrame:
    """Put `RunCounts.rows` into a table, which has its columns where there is no row too."""
    return pd.DataFrame(rows, columns=["roi", "run", "coverage", "min_coverage"])
