"""Data quality on the pages: each run's motion, each region's signal, and what is flagged."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from bidsapp.arrays import Bools
from bidsapp.reports.blocks import Album
from bidsapp.reports.outputs import Outputs, read_columns
from bidsapp.reports.page import Block, Table, Text, cell, listed, table_of
from bidsapp.reports.style import ACCENT, COLOURS, INK, STYLE, new_figure
from bidsapp.rsa.rdm import LEAST_VOXELS
from bidsapp.tables.quality import (
    CONSTANT_FLAG,
    COVERAGE_FLAG,
    HIGH_MEAN_FD_MM,
    LEFT_OUT,
    LOW_TSNR,
    MOTION_FLAG,
    ROBUST_FLAG,
    TSNR_FLAG,
    VOXELS_FLAG,
)

REGION_FLAGS = (VOXELS_FLAG, TSNR_FLAG, COVERAGE_FLAG)
RUN_FLAGS = (MOTION_FLAG, CONSTANT_FLAG, ROBUST_FLAG)
LEGEND = f"Flagged: {listed((*REGION_FLAGS, *RUN_FLAGS))}. Nothing is left out for a flag."
RUN_COLUMNS = {
    "run": "run",
    "n_volumes": "volumes",
    "n_censored": "censored",
    "n_robust": "in robust",
    "n_uncovered": "response not covered",
    "n_repeated": "shown again",
    "n_undefined": "undefined",
    "fd_mean": "FD mean",
    "fd_max": "max",
    "fd_over_half_mm": "over 0.5",
    "dvars_mean": "DVARS mean",
    "df_left": "df left",
    "flags": "flags",
}
_SHARES = ("fd_over_half_mm",)


def run_table(outputs: Outputs, participant: str) -> pd.DataFrame:
    """Read a participant's table of runs."""
    return read_columns(outputs.participant_path(participant, "runs"), tuple(RUN_COLUMNS))


def region_table(outputs: Outputs, participant: str) -> pd.DataFrame:
    """Read a participant's table of the quality of each region in each run."""
    names = ("roi", "run", "n_voxels", "tsnr", "flags")
    return read_columns(outputs.participant_path(participant, "quality"), names)


def quality_facts(runs: pd.DataFrame, regions: pd.DataFrame) -> tuple[tuple[str, str], ...]:
    """Return what the head of a page says of the runs that were used."""
    used = runs[~_has(runs["flags"], LEFT_OUT)]
    return (
        ("Mean FD (mm)", cell(float(used["fd_mean"].mean()), 2)),
        ("Censored volumes", f"{used['n_censored'].sum():g} of {used['n_volumes'].sum():g}"),
        ("Volumes in robust", f"{used['n_robust'].sum():g} of {used['n_volumes'].sum():g}"),
        ("Median tSNR", cell(float(_with_rdm(regions)["tsnr"].median()), 0)),
    )


def quality_sentences(runs: pd.DataFrame, regions: pd.DataFrame) -> tuple[str, ...]:
    """Say what is flagged: one sentence a kind of flag, naming regions and runs."""
    sentences = []
    for flag in REGION_FLAGS:
        flagged = regions[_has(regions["flags"], flag)]
        said = [
            f"{roi}{_in_runs(list(its), regions['run'].nunique())}"
            for roi, its in flagged.groupby("roi", sort=False)["run"]
        ]
        if said:
            sentences.append(f"With {flag}: {listed(said)}.")
    for flag in RUN_FLAGS:
        its = runs[_has(runs["flags"], flag)]
        if len(its):
            sentences.append(f"{flag[0].upper()}{flag[1:]}: run {listed(its['run'])}.")
    return tuple(sentences)


def _in_runs(runs: Sequence[str], n_runs: int) -> str:
    return "" if len(runs) == n_runs else f" (run {listed(runs)})"


def _has(flags: "pd.Series[str]", flag: str) -> Bools:
    """Tell which rows have a flag; a column without any is read as numbers, all missing."""
    return np.array([isinstance(said, str) and flag in said for said in flags], np.bool_)


def _with_rdm(regions: pd.DataFrame) -> pd.DataFrame:
    return regions[regions["n_voxels"] >= LEAST_VOXELS]


def quality_blocks(
    outputs: Outputs, participant: str, album: Album, censored_above_mm: float | None
) -> Iterator[Block]:
    """Show a participant's runs and regions: a table, a figure, and all rows folded."""
    runs, regions = run_table(outputs, participant), region_table(outputs, participant)
    source = outputs.participant_path(participant, "quality")
    yield Text(
        "FD is framewise displacement, and DVARS how much the whole image changes from volume to "
        "volume (standardised; 1 is chance); both are fMRIPrep's, censored volumes included. tSNR "
        f"is a voxel's mean over the standard deviation of its denoised signal. {LEGEND}"
    )
    yield _runs(runs, album.relative(outputs.participant_path(participant, "runs")))
    if runs.empty:
        return
    found = _with_rdm(regions)
    worst = found.loc[[found["tsnr"].idxmin()]] if found["tsnr"].notna().any() else found[:0]
    lowest = "".join(
        f" The lowest tSNR is {row.tsnr:.0f}, in {row.roi}, run {row.run}."
        for row in worst.itertuples()
    )
    line = (
        f"; the dotted line is the threshold of censoring, {censored_above_mm:g} mm"
        if censored_above_mm is not None
        else ""
    )
    yield album.picture(
        "quality",
        quality_figure(runs, regions, outputs.analysis.region_names, censored_above_mm),
        alt=f"Above, framewise displacement of {len(runs)} runs; below, a grid of the temporal "
        f"signal-to-noise ratio of {found['roi'].nunique()} regions in each run.{lowest}",
        caption="Above: mean (dots) and highest (open triangles) framewise displacement of each "
        f"run; the dashed line is at {HIGH_MEAN_FD_MM:g} mm{line}. Below: tSNR of each region, "
        f"mean over its voxels; framed in orange where it is under {LOW_TSNR:g}, a dash where a "
        "region has no matrix in a run or the run is left out.",
        source=source,
        others=[outputs.participant_path(participant, "runs")],
    )
    yield table_of(
        regions, f"Quality of each region in each run: all {len(regions)} rows",
        album.relative(source), folded=True,
    )  # fmt: skip


def _runs(runs: pd.DataFrame, source: str) -> Table:
    shown = [name for name in RUN_COLUMNS if name in runs]
    rows = tuple(
        tuple(_run_cell(name, value) for name, value in zip(shown, row, strict=True))
        for row in runs[shown].itertuples(index=False, name=None)
    )
    header = tuple(RUN_COLUMNS[name] for name in shown)
    caption = (
        "Motion of each run (FD in mm), what denoising leaves (df: degrees of freedom), the "
        "volumes that robust compares, and why it leaves out the others: the film covers too "
        "little of their response, the next run shows their film again, or they are undefined "
        "(censored, or without a pattern in a model)"
    )
    return Table(header, rows, caption, source)


def _run_cell(name: str, value: object) -> str:
    if name == "flags":
        return "" if value != value else str(value)
    if name in _SHARES and isinstance(value, float) and value == value:
        return f"{100 * value:.1f}%"
    return cell(value, 2)


@rc_context(STYLE)
def quality_figure(
    runs: pd.DataFrame,
    regions: pd.DataFrame,
    names: Sequence[str],
    censored_above_mm: float | None = None,
) -> Figure:
    """Draw each run's motion above the signal of each region in it.

    Parameters
    ----------
    runs
        Columns ``run``, ``n_censored``, ``fd_mean`` and ``fd_max`` (mm).
    regions
        Columns ``roi``, ``run``, ``n_voxels`` and ``tsnr``.
    names
        Regions in the order in which they are drawn.
    censored_above_mm
        Framewise displacement above which volumes are censored, drawn as a line.
    """
    columns = list(runs["run"])
    grid = _with_rdm(regions).pivot_table(index="roi", columns="run", values="tsnr")
    grid = grid.reindex(index=list(names), columns=columns)
    height = 0.2 * max(len(names), 1)
    figure = new_figure(1.6 + 0.62 * max(len(columns), 4), 2.3 + height)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1.3, height))
    _draw_motion(above, runs, censored_above_mm)
    _draw_grid(below, grid.to_numpy(float))
    below.set_xticks(range(len(columns)), labels=columns)
    below.set_yticks(range(len(names)), labels=list(names))
    below.set(xlabel="run", xlim=(-0.5, len(columns) - 0.5))
    return figure


def _draw_motion(axis: Axes, runs: pd.DataFrame, censored_above_mm: float | None) -> None:
    x = np.arange(len(runs))
    mean, highest = runs["fd_mean"].to_numpy(float), runs["fd_max"].to_numpy(float)
    axis.vlines(x, mean, highest, color=INK, linewidth=0.6)
    axis.scatter(x, highest, s=16, marker="^", facecolor="white", edgecolor=INK, linewidth=0.8)
    axis.scatter(x, mean, s=18, color=COLOURS[0], zorder=3)
    axis.axhline(HIGH_MEAN_FD_MM, color=INK, linewidth=0.7, linestyle=(0, (5, 3)))
    if censored_above_mm is not None:
        axis.axhline(censored_above_mm, color=ACCENT, linewidth=0.9, linestyle=":")
    known = np.r_[highest[np.isfinite(highest)], HIGH_MEAN_FD_MM, censored_above_mm or 0.0]
    axis.set(ylim=(0, 1.3 * known.max()), ylabel="FD (mm)")
    for place, count in zip(x, runs["n_censored"], strict=True):
        if count:
            axis.annotate(
                f"{count:g} censored", (place, 0.98), xycoords=("data", "axes fraction"),
                ha="center", va="top", fontsize=6.5,
            )  # fmt: skip
    if not np.isfinite(mean).any():
        axis.text(0.5, 0.5, "not in fMRIPrep's confounds", transform=axis.transAxes, ha="center")
    axis.tick_params(axis="x", length=0)


def _draw_grid(axis: Axes, tsnr: np.ndarray) -> None:
    """Draw values in coloured cells, the lighter the lower, so that figures can be read on all."""
    known = tsnr[np.isfinite(tsnr)]
    highest = max(float(known.max(initial=0.0)), 2 * LOW_TSNR)
    colours = colormaps["Blues"].with_extremes(bad="white")
    axis.imshow(tsnr, cmap=colours, vmin=0, vmax=1.8 * highest, aspect="auto", interpolation="none")
    for (row, column), value in np.ndenumerate(tsnr):
        poor = value < LOW_TSNR
        axis.text(
            column, row, f"{value:.0f}" if np.isfinite(value) else "–", ha="center", va="center",
            fontsize=7, color=INK, fontweight="bold" if poor else "normal",
        )  # fmt: skip
        if poor:
            frame = Rectangle((column - 0.46, row - 0.44), 0.92, 0.88, fill=False)
            frame.set(edgecolor=ACCENT, linewidth=1.4)
            axis.add_patch(frame)
    axis.set_title("tSNR")
    axis.tick_params(length=0)
    for spine in axis.spines.values():
        spine.set_visible(False)


def group_quality_blocks(outputs: Outputs, album: Album) -> Iterator[Block]:
    """Show the quality of each participant's data, and all rows folded."""
    path = outputs.group_path("quality")
    names = (
        "participant", "run", "n_volumes", "n_censored", "fd_mean", "tsnr_median", "regions_absent",
        "flags",
    )  # fmt: skip
    table = read_columns(path, names)
    yield Text(LEGEND)
    yield Table(
        header=(
            "participant", "runs used", "FD mean", "worst run", "censored volumes", "tSNR median",
            "worst run", "missing or flagged",
        ),
        rows=tuple(
            _participant_row(str(participant), its)
            for participant, its in table.groupby("participant", sort=False)
        ),
        caption="Motion (FD in mm) and signal of each participant",
        source=album.relative(path),
    )  # fmt: skip
    caption = f"Quality of each run: all {len(table)} rows"
    yield table_of(table, caption, album.relative(path), folded=True)


def _participant_row(participant: str, runs: pd.DataFrame) -> tuple[str, ...]:
    """Sum up one participant's rows of the group's table, over the runs used."""
    used = runs[runs["n_volumes"].notna() & ~_has(runs["flags"], LEFT_OUT)]
    return (
        f"sub-{participant}",
        str(len(used)),
        cell(float(used["fd_mean"].mean()), 2),
        cell(float(used["fd_mean"].max()), 2),
        f"{used['n_censored'].sum():g} of {used['n_volumes'].sum():g}",
        cell(float(used["tsnr_median"].median()), 0),
        cell(float(used["tsnr_median"].min()), 0),
        " ".join(_remarks(runs)),
    )


def _remarks(runs: pd.DataFrame) -> Iterator[str]:
    """Say, run by run, what is flagged and which regions are absent."""
    for row in runs.to_dict("records"):
        where = "" if pd.isna(row["n_volumes"]) else f"run {row['run']}: "
        if not pd.isna(row["flags"]):
            yield f"{where}{row['flags']}."
        if not pd.isna(row["regions_absent"]):
            yield f"{where}no {row['regions_absent']}."
