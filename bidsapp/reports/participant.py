"""The page of one participant."""

import re
from collections.abc import Iterator, Mapping
from functools import partial

import pandas as pd

from bidsapp.dataset.derivatives import ROBUST_RDMS
from bidsapp.reports.blocks import (
    Album,
    bars_legend,
    mean_tables,
    methods_section,
    modes_text,
    notes_table,
    section,
    settings_section,
    similarity_blocks,
)
from bidsapp.reports.denoising import autocorrelation_block, carpet_blocks, confound_table
from bidsapp.reports.extras import comparator_tables, mean_comparators, searchlight_pictures
from bidsapp.reports.facts import RunFacts
from bidsapp.reports.localizer import contrast_blocks, design_blocks
from bidsapp.reports.matrices import Matrices
from bidsapp.reports.outputs import Outputs, read_columns
from bidsapp.reports.page import Block, Facts, Listing, Notes, Section, Table, Text, cell, listed
from bidsapp.reports.quality import (
    quality_blocks,
    quality_facts,
    quality_sentences,
    region_table,
    run_table,
)
from bidsapp.reports.slices import Volume, region_slices
from bidsapp.reports.visible import visible_blocks

REGION_COLUMNS = {
    "roi": "region",
    "kind": "kind",
    "hemisphere": "hemisphere",
    "n_voxels": "voxels",
    "flags": "flags",
    "peak_x": "peak x (mm)",
    "peak_y": "y",
    "peak_z": "z",
    "peak_mni_x": "MNI x (mm)",
    "peak_mni_y": "y",
    "peak_mni_z": "z",
    "peak_t": "t",
    "peak_z_score": "z score",
    "coverage": "coverage",
    "fewest_voxels": "fewest voxels in a run",
}


def participant_sections(
    outputs: Outputs, participant: str, facts: RunFacts, background: Volume | None
) -> tuple[Section, ...]:
    """Return a participant's page, section by section."""
    page = _Page(outputs, participant, facts, background)
    return (
        section("Summary", page.summary),
        *page.failures(),
        section("Inputs", page.inputs),
        *page.localizer(),
        section("Regions", page.region_table, page.slices),
        section("Quality", page.quality),
        page.denoising(),
        section("Dissimilarity matrices", page.rdms),
        section("Similarity", page.similarity, page.notes),
        *page.extras(),
        methods_section(outputs.analysis, facts, "participant"),
        settings_section(facts),
    )


class _Page:
    """One participant's parts; each raises InputError where its files are absent or odd."""

    def __init__(
        self, outputs: Outputs, participant: str, facts: RunFacts, background: Volume | None
    ) -> None:
        self.outputs = outputs
        self.participant = participant
        self.facts = facts
        self.background = background
        tree = outputs.tree
        self.album = Album(tree.root, lambda name: tree.path("figure", sub=participant, name=name))
        self.matrices = Matrices(
            outputs,
            outputs.rdm_files(participant),
            outputs.rdm_files(participant, ROBUST_RDMS),
        )

    def failures(self) -> Iterator[Section]:
        """Return what failed, if anything did."""
        if self.facts.errors:
            yield section("Errors", self.errors)

    def localizer(self) -> Iterator[Section]:
        """Return the localizer, where regions are cut from it."""
        if self.outputs.analysis.functional.regions:
            where = (self.outputs, self.participant, self.album)
            yield section(
                "Localizer",
                partial(design_blocks, *where),
                partial(contrast_blocks, *where, self.background),
            )

    def denoising(self) -> Section:
        """Return what denoising did."""
        where = (self.outputs, self.participant, self.album)
        return section(
            "Denoising",
            partial(confound_table, *where),
            partial(carpet_blocks, *where),
            partial(autocorrelation_block, *where),
        )

    def rdms(self) -> Iterator[Block]:
        yield from self.matrices.pictures(self.album)

    def summary(self) -> Iterator[Block]:
        analysis = self.outputs.analysis
        runs = self.outputs.rdm_files(self.participant)
        total = len(analysis.movie.runs)
        facts = [("Movie runs", f"{len(runs)} of {total}")]
        found, flagged = region_counts(self.outputs, self.participant)
        facts += [(f"Regions, {name}", count) for name, count in found.items()]
        facts += [("Models", str(len(analysis.models))), ("Space", self.outputs.space)]
        quality = (
            run_table(self.outputs, self.participant),
            region_table(self.outputs, self.participant),
        )
        yield Facts((*facts, *quality_facts(*quality)))
        absent = [run.run for run in analysis.movie.runs if run.run not in runs]
        missing = (f"Movie runs without results: {listed(absent)}.",) if absent else ()
        failed = tuple(f"The step {step} failed: see Errors." for step in self.facts.errors)
        yield Notes(
            (*failed, *self.facts.warnings, *missing, *flagged, *quality_sentences(*quality))
        )

    def errors(self) -> Iterator[Block]:
        yield Notes(
            tuple(f"{step}: {_last_line(text)}" for step, text in self.facts.errors.items())
        )
        for step, text in self.facts.errors.items():
            yield Listing(f"Report of {step}", text)

    def inputs(self) -> Iterator[Block]:
        runs = self.facts.input_runs
        if runs:
            yield Table(
                header=("task", "run", "volumes", "TR (s)", "StartTime (s)", "grid", "odd", "file"),
                rows=tuple(
                    (
                        run.task, run.run, str(run.n_volumes), f"{run.repetition_time:.3f}",
                        f"{run.start_time:.3f}", _unbroken(run.grid), run.remark or "nothing",
                        run.file.rpartition("/")[2],
                    )
                    for run in runs
                ),
                caption="Preprocessed runs, in fMRIPrep's folder",
                wrapped=True,
            )  # fmt: skip
        yield from self.matrices.table()

    def region_table(self) -> Iterator[Block]:
        path = self.outputs.participant_path(self.participant, "regions")
        table = read_columns(path, ("roi", "hemisphere", "n_voxels"))
        shown = [name for name in REGION_COLUMNS if name in table]
        rows = tuple(
            tuple(_region_cell(name, value) for name, value in zip(shown, row, strict=True))
            for row in table[shown].itertuples(index=False, name=None)
        )
        yield Table(
            header=tuple(REGION_COLUMNS[name] for name in shown),
            rows=rows,
            caption=f"Regions by hemisphere; peaks in mm of {self.outputs.space} and of "
            f"{self.outputs.analysis.functional.template} (RAS)",
            source=self.album.relative(path),
        )

    def slices(self) -> Iterator[Block]:
        for kind in self.outputs.analysis.region_sets:
            masks = (
                self.outputs.atlas_masks(self.participant)
                if kind == "atlas"
                else self.outputs.masks(self.participant, kind)
            )
            yield self._slices(kind, masks)

    def _slices(self, name: str, masks: Mapping[str, Volume]) -> Block:
        shown = {region: mask for region, mask in masks.items() if mask.data.any()}
        regions = self.outputs.analysis.region_sets[name]
        absent = [region for region in regions if region not in shown]
        if not shown:
            return Notes((f"None of the {name} regions has a voxel: nothing to draw.",))
        drawn_on = (
            "the anatomical image" if self.background is not None else "white (no anatomy given)"
        )
        counts = listed(f"{region} {int(mask.data.sum())}" for region, mask in shown.items())
        return self.album.picture(
            f"regions-{name}",
            region_slices(self.background, shown),
            alt=f"Coronal and axial slices through each of the {name} regions, in voxels: "
            f"{counts}.",
            caption=f"The {name} regions on {drawn_on}, each on the coronal and the axial slice "
            f"that show most of it. L is left. Without voxels: {listed(absent)}.",
            source=self.outputs.participant_path(self.participant, "regions"),
        )

    def quality(self) -> Iterator[Block]:
        above_mm = self.outputs.analysis.denoise.censor.framewise_displacement_mm
        yield from quality_blocks(self.outputs, self.participant, self.album, above_mm)

    def similarity(self) -> Iterator[Block]:
        path = self.outputs.participant_path(self.participant, "similarity")
        points = read_columns(path, ("mode", "fit", "roi", "model", "run", "r", "visible"))
        bars = mean_over_runs(points)
        analysis = self.outputs.analysis
        both = " Robust is what to read." if len(analysis.modes) > 1 else ""
        yield Text(modes_text(analysis.modes) + both)
        legend = bars_legend(bars, "the runs left out", "SD over runs", "runs")
        yield from similarity_blocks(self.album, analysis, bars, points, path, legend)
        if not bars.empty:
            yield from mean_tables(analysis, bars, self.album.relative(path))
            yield from visible_blocks(points, self.album.relative(path))

    def notes(self) -> Iterator[Block]:
        path = self.outputs.participant_path(self.participant, "similarity")
        table = read_columns(path, ("roi", "model", "note"))
        if table["note"].notna().any():
            yield notes_table(table, self.outputs.analysis, self.album.relative(path))

    def extras(self) -> Iterator[Section]:
        """Return the sections of what is off unless asked for."""
        if self.outputs.analysis.comparators.methods:
            yield section("Comparators", self.comparators)
        if self.outputs.analysis.mapped_models:
            yield section("Searchlight", self.searchlight)

    def comparators(self) -> Iterator[Block]:
        path = self.outputs.participant_path(self.participant, "comparators")
        table = read_columns(path, ("mode", "method", "roi", "model", "layer", "r", "note"))
        source = self.album.relative(path)
        yield from comparator_tables(self.outputs.analysis, mean_comparators(table), "r", source)

    def searchlight(self) -> Iterator[Block]:
        maps = self.outputs.searchlight_maps(self.participant)
        yield from searchlight_pictures(self.album, self.outputs.analysis, maps, self.background)


def mean_over_runs(points: pd.DataFrame) -> pd.DataFrame:
    """Return each participant-level bar: ``mode fit roi model r_mean r_sd`` over runs."""
    keys = ["mode", "fit", "roi", "model"]
    return points.groupby(keys, sort=False)["r"].agg(r_mean="mean", r_sd="std").reset_index()


def region_counts(outputs: Outputs, participant: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return how many regions of each set were found, and a sentence for each region with flags."""
    path = outputs.participant_path(participant, "regions")
    table = read_columns(path, ("roi", "n_voxels"))
    voxels = table.groupby("roi")["n_voxels"].sum()
    counts, sentences = {}, []
    for name, regions in outputs.analysis.region_sets.items():
        found = [region for region in regions if voxels.get(region, 0) > 0]
        counts[name] = f"{len(found)} of {len(regions)}"
        absent = [region for region in regions if region not in found]
        if absent:
            sentences.append(f"No voxel in the {name} regions {listed(absent)}.")
    if "flags" in table:
        flagged = table[table["flags"].fillna("").astype(str) != ""]
        for region, flags in flagged.groupby("roi", sort=False)["flags"]:
            sentences.append(f"{region}: {listed(dict.fromkeys(map(str, flags)))}.")
    return counts, tuple(sentences)


def _unbroken(grid: str) -> str:
    """Let a grid break into lines between its voxels and its millimetres only."""
    return ", ".join(part.replace(" ", "\N{NO-BREAK SPACE}") for part in grid.split(", "))


def _last_line(report: str) -> str:
    """Return the error's own sentence, with which a traceback ends."""
    lines = [line.strip() for line in report.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"[\w.]*([Ee]rror|Exception)\b.*: ", line)]
    return (errors or lines or ["no report"])[-1]


def _region_cell(column: str, value: object) -> str:
    if column == "flags" and value != value:
        return ""
    if column == "hemisphere" and value != value:
        return "both"
    return cell(value, 2 if column == "coverage" else 1)
