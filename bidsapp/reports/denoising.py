"""Denoising on a participant's page: confounds, a few voxels before and after, autocorrelation."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from bidsapp.dataset.derivatives import read_json, sidecar
from bidsapp.dataset.textfiles import read_tsv
from bidsapp.errors import InputError
from bidsapp.reports.blocks import Album
from bidsapp.reports.figures import autocorrelation, carpet_plot
from bidsapp.reports.outputs import Outputs, read_columns
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
        table = read_tsv(path)
        voxels = [str(name) for name in table if str(name).endswith(" after")]
        if not voxels or "onset" not in table or table.empty:
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
