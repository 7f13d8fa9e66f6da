"""Tables of data quality: of every region in every run, of every run, and of the group's runs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from bidsapp.brain.censoring import motion
from bidsapp.brain.denoise import NuisanceDesign
from bidsapp.brain.patterns import RegionPatterns, autocorrelation
from bidsapp.rsa.rdm import LEAST_VOXELS
from bidsapp.rsa.volumes import VolumeCount
from bidsapp.tables.columns import describe
from bidsapp.tables.regions import coverage_table

Row = dict[str, Any]

# What is worse is flagged in tables and reports; nothing is left out for it.
LOW_TSNR = 20.0
FEW_VOXELS = 20
HIGH_MEAN_FD_MM = 0.5

TSNR_FLAG = f"tSNR under {LOW_TSNR:g}"
VOXELS_FLAG = f"fewer than {FEW_VOXELS} voxels"
COVERAGE_FLAG = "coverage under the region's min_coverage"
MOTION_FLAG = f"mean FD over {HIGH_MEAN_FD_MM:g} mm"
ROBUST_FLAG = "robust has no volumes to compare"
CONSTANT_FLAG = "over half of the regions' voxels never change"
LEFT_OUT = "left out"
NO_TABLE = "no quality tables: run the participant level again"


def region_rows(patterns: RegionPatterns, run: str) -> list[Row]:
    """Say of each region of a run how many voxels its RDM rests on, and how good they are.

    The rows become the tables' and, under other names, the sidecar's of the run's RDMs.
    """
    return [
        {
            "roi": name,
            "run": run,
            "n_voxels": series.shape[1],
            "constant_voxels": patterns.dropped[name],
            "tsnr": patterns.tsnr[name],
            "lag1_r": float(autocorrelation(series, [1])[0]),
        }
        for name, series in patterns.replicate.series.items()
    ]


def run_row(
    run: str,
    confounds: pd.DataFrame,
    design: NuisanceDesign,
    left_out: str | None,
    regions: Sequence[Row],
    in_robust: VolumeCount | None,
) -> Row:
    """Say of a run how much the head moved, what denoising leaves of it, and whether it has signal.

    Parameters
    ----------
    confounds
        fMRIPrep's table, (n_volumes, k).
    design
        The run's nuisance regressors.
    left_out
        Why the run is not used; None where it is.
    regions
        Of `region_rows`, this run's; none where the run is left out.
    in_robust
        Volumes that the robust mode compares, and those that it does not; None for a run that is
        left out.
    """
    moved = motion(confounds)
    flags = [] if left_out is None else [f"{LEFT_OUT}: {left_out}"]
    if moved.fd_mean > HIGH_MEAN_FD_MM:
        flags.append(MOTION_FLAG)
    if in_robust is not None and not in_robust.used:
        flags.append(ROBUST_FLAG)
    constant = sum(row["constant_voxels"] for row in regions)
    if constant > sum(row["n_voxels"] for row in regions):
        flags.append(CONSTANT_FLAG)
    return {
        "run": run,
        "n_volumes": len(design.matrix),
        "n_censored": int(np.count_nonzero(design.censored)),
        **_in_robust(in_robust),
        "n_confounds": design.n_confounds,
        "df_left": design.degrees_of_freedom,
        **asdict(moved),
        "flags": _joined(flags),
    }


def _in_robust(count: VolumeCount | None) -> Row:
    names = ("used", "repeated", "uncovered", "undefined")
    columns = ("n_robust", "n_repeated", "n_uncovered", "n_undefined")
    return {c: getattr(count, name, None) for c, name in zip(columns, names, strict=True)}


def runs_table(rows: Sequence[Row]) -> pd.DataFrame:
    """Put rows of `run_row` into the columns of the runs table."""
    table = pd.DataFrame(rows, columns=list(describe("runs", "participant")))
    counts = ["n_robust", "n_repeated", "n_uncovered", "n_undefined"]
    return table.astype(dict.fromkeys(counts, "Int64"))  # whole numbers, even beside a missing one


def quality_table(
    rows: Sequence[Row],
    runs: pd.DataFrame,
    coverage: Sequence[Row],
) -> pd.DataFrame:
    """Join what is known of each region in each run.

    Parameters
    ----------
    rows
        Of `region_rows`, all runs.
    runs
        The runs table, whose columns are repeated for each region.
    coverage
        Of `RunCounts.rows`, all regions; of a region without a voxel there is none.
    """
    columns = list(describe("quality", "participant"))
    table = pd.DataFrame(rows).merge(coverage_table(coverage), on=["roi", "run"], how="left")
    table["flags"] = [_joined(_region_flags(row)) for row in table.to_dict("records")]
    return table.merge(runs.drop(columns="flags"), on="run", how="left")[columns]


def _region_flags(row: Mapping[Any, Any]) -> list[str]:
    """Flag what is poor; a comparison with NaN is false, so the unknown is not flagged."""
    worse = {
        VOXELS_FLAG: row["n_voxels"] < FEW_VOXELS,
        TSNR_FLAG: row["tsnr"] < LOW_TSNR,
        COVERAGE_FLAG: row["coverage"] < row["min_coverage"],
    }
    return [flag for flag, is_worse in worse.items() if is_worse]


def group_quality_table(
    tables: Mapping[str, tuple[pd.DataFrame, pd.DataFrame] | None],
) -> pd.DataFrame:
    """One row per participant and run.

    Parameters
    ----------
    tables
        Participant to the tables ``runs`` and ``quality``; None where they are absent.
    """
    rows: list[Row] = []
    for participant, known in tables.items():
        if known is None:
            rows.append({"participant": participant, "flags": NO_TABLE})
            continue
        runs, quality = known
        for run in runs.to_dict("records"):
            its = quality[quality["run"] == run["run"]]
            found = its[its["n_voxels"] >= LEAST_VOXELS]
            absent = [str(roi) for roi in its["roi"] if roi not in set(found["roi"])]
            row = {
                "participant": participant,
                "n_regions": len(found),
                "tsnr_median": found["tsnr"].median() if len(found) else np.nan,
                "regions_absent": _joined(absent),
            }
            rows.append(row | {str(name): value for name, value in run.items()})
    table = pd.DataFrame(rows, columns=list(describe("quality")))
    counts = ["n_volumes", "n_censored", "n_robust", "n_regions"]
    return table.astype(dict.fromkeys(counts, "Int64"))  # whole numbers, even beside a missing one


def _joined(flags: Sequence[str]) -> str | None:
    """Join flags into one cell; None, which is written as n/a, where there is none."""
    return "; ".join(flags) or None
