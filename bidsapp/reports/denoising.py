"""Denoising on a participant's page: confounds, a few voxels before and after, autocorrelation."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from bidsapp.dataset.derivatives import read_json, sidecar
from bidsapp.errors import InputError
from bidsapp.reports.blocks import Album
from bidsapp.reports.figures import autocorrelation, carpet_plot
from bidsapp.reports.outputs import Outputs, read_columns, read_numbers
from bidsapp.reports.page import Block, Notes, Table, listed

_COSINE = re.compile("cosine_?[0-9]+", re.IGNORECASE)
_CENSORED = re.compile("censored_[0-9]+")


def confound_table(outputs: Outputs, participant: str, album: Album) -> Iterator[Block]:
    """Say what was regressed out of each run."""
    files = outputs.rdm_files(participant)
    if not files:
        yield Notes(("No run was denoised.",))
        return
    rows = []
    for run, path in files.items():
        described = read_json(sidecar(path)).get("Confounds")
        if not isinstance(described, dict):
            raise InputError(f"{sidecar(path)} does not name the confounds; run the level again")
        rows.append((run, *_kinds(described)))
    yield Table(
        header=("run", "CompCor components", "cosines", "other confounds", "censored volumes"),
        rows=tuple(rows),
        caption="What was regressed out of each run, besides the mean",
        source=album.relative(sidecar(next(iter(files.values())))),
    )


def _kinds(described: Mapping[str, Mapping[str, Any]]) -> tuple[str, str, str, str]:
    components = [name for name, facts in described.items() if facts.get("Mask")]
    cosines = [name for name in described if _COSINE.fullmatch(name)]
    censored = [name for name in described if _CENSORED.fullmatch(name)]
    others = [name for name in described if name not in (*components, *cosines, *censored)]
    return _components(described, components), str(len(cosines)), listed(others), str(len(censored))


def _components(described: Mapping[str, Mapping[str, Any]], names: list[str]) -> str:
    if not names:
        return "none"
    masks = listed(dict.fromkeys(str(described[name]["Mask"]) for name in names))
    parts = [described[name].get("VarianceExplained") for name in names]
    told = [float(part) for part in parts if isinstance(part, int | float)]
    variance = f", {sum(told):.0%} of its variance" if len(told) == len(names) else ""
    return f"{len(names)} of {masks} ({listed(names)}{variance})"


def carpet_blocks(outputs: Outputs, participant: str, album: Album) -> Iterator[Block]:
    """Draw voxels of each region before and after denoising, the first run open."""
    movie = outputs.analysis.movie
    found = outputs.run_tables(participant, movie.task, [run.run for run in movie.runs], "carpet")
    for place, (run, path) in enumerate(found.items()):
        try:
            table, voxels = _carpet(path)
        except InputError as error:
            yield Notes((str(error),))
            continue
        if not voxels:
            yield Notes((f"{album.relative(path)} holds no voxels: nothing to draw.",))
            continue
        yield album.picture(
            f"carpet-run-{run}",
            carpet_plot(table),
            alt=f"Carpet plot of run {run}: {len(voxels)} voxels over time as measured and "
            "denoised, below framewise displacement.",
            caption=f"Up to {len(voxels)} voxels of run {run}, a few of each region, as measured "
            "(less the mean) and denoised, both in standard deviations of the voxel as measured. "
            "Above, framewise displacement; orange ticks mark censored volumes. "
            "Long runs are averaged over neighbouring volumes.",
            source=path,
            folded="" if place == 0 else f"Voxels of run {run}, before and after",
        )


def _carpet(path: Path) -> tuple[pd.DataFrame, list[str]]:
    """Read a carpet's table and the names of its voxels, none where it has no rows."""
    always = ["onset", "censored"]
    table = read_numbers(path, [*always, "framewise_displacement"])
    before, after = (
        [str(name).removesuffix(end) for name in table if str(name).endswith(end)]
        for end in (" before", " after")
    )
    if before != after or table[always].isna().any(axis=None):
        raise InputError(f"{path} is cut short; run the participant level again")
    return table, [] if table.empty else after


def autocorrelation_block(outputs: Outputs, participant: str, album: Album) -> Iterator[Block]:
    """Draw how slowly the denoised signal changes."""
    path = outputs.participant_path(participant, "autocorrelation")
    table = read_columns(path, ("roi", "lag_s", "r"))
    if not table["r"].notna().any():
        yield Notes((f"{album.relative(path)} holds no values.",))
        return
    mean = table.groupby("lag_s")["r"].mean()
    inflated = (
        " The slower it falls, the more the mode replicate is inflated."
        if "replicate" in outputs.analysis.modes
        else ""
    )
    yield album.picture(
        "autocorrelation",
        autocorrelation(table, outputs.analysis.region_names),
        alt="Autocorrelation of the denoised signal against lag: on average over regions "
        f"{mean.iloc[0]:.2f} at {mean.index[0]:g} s and {mean.iloc[-1]:.2f} at "
        f"{mean.index[-1]:g} s.",
        caption="Autocorrelation of the denoised signal, mean over a region's voxels and "
        f"over runs; each line is a region.{inflated}",
        source=path,
    )
