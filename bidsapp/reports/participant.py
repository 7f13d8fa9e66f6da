"""The page of one participant."""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from bidsapp.arrays import Floats
from bidsapp.dataset.derivatives import RDMFile, read_rdms
from bidsapp.reports.blocks import (
    Album,
    RunFacts,
    mean_tables,
    methods_section,
    modes_text,
    section,
    settings_section,
    similarity_blocks,
)
from bidsapp.reports.extras import comparator_tables, mean_comparators, searchlight_pictures
from bidsapp.reports.figures import autocorrelation, rdm_grid
from bidsapp.reports.outputs import Outputs, read_columns
from bidsapp.reports.page import Block, Facts, Notes, Section, Table, Text, cell, listed
from bidsapp.reports.quality import (
    quality_blocks,
    quality_facts,
    quality_sentences,
    region_table,
    run_table,
)
from bidsapp.reports.slices import Volume, region_slices

REGION_COLUMNS = {
    "roi": "region",
    "kind": "kind",
    "hemisphere": "hemisphere",
    "n_voxels": "voxels",
    "peak_x": "peak x (mm)",
    "peak_y": "y",
    "peak_z": "z",
    "peak_t": "t",
    "peak_z_score": "z score",
    "coverage": "coverage",
    "fewest_voxels": "fewest voxels in a run",
    "flags": "flags",
}

MEASURES = {"correlation": "1 − r", "euclidean": "Euclidean distance", "cosine": "1 − cosine"}


def participant_sections(
    outputs: Outputs, participant: str, facts: RunFacts, background: Volume | None
) -> tuple[Section, ...]:
    """Return a participant's page, section by section."""
    page = _Page(outputs, participant, facts, background)
    return (
        section("Summary", page.summary),
        section("Inputs", page.inputs),
        section("Regions", page.region_table, page.slices),
        section("Quality", page.quality),
        section("Dissimilarity matrices", page.rdms),
        section("Denoising", page.autocorrelation),
        section("Similarity", page.similarity),
        *page.extras(),
        methods_section(outputs.analysis, facts),
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
        yield Notes((*self.facts.warnings, *missing, *flagged, *quality_sentences(*quality)))

    def inputs(self) -> Iterator[Block]:
        files = self.outputs.rdm_files(self.participant)
        rows = []
        for run in self.outputs.analysis.movie.runs:
            shared = f"{run.shared_with_next_s:g} s" if run.shared_with_next_s else "none"
            if run.run in files:
                rdms = read_rdms(files[run.run])
                measured = (
                    str(len(rdms.onsets_s)),
                    f"{_spacing(rdms.onsets_s):.3f}",
                    f"{rdms.onsets_s[0]:.2f}",
                    str(len(rdms.names)),
                    _undefined(rdms),
                )
            else:
                measured = ("missing", "n/a", "n/a", "n/a", "n/a")
            rows.append((run.run, run.film, *measured, shared))
        yield Table(
            header=(
                "run", "film", "volumes", "TR (s)", "first volume (s)", "regions",
                "undefined volumes", "film shared with next run",
            ),
            rows=tuple(rows),
            caption=f"Runs of the movie task {self.outputs.analysis.movie.task}",
        )  # fmt: skip

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
            caption=f"Regions by hemisphere; peaks in mm of {self.outputs.space} (RAS)",
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

    def rdms(self) -> Iterator[Block]:
        files = self.outputs.rdm_files(self.participant)
        if not files:
            yield Notes(("No run has dissimilarity matrices.",))
            return
        run = next(run for run in self.outputs.analysis.movie.runs if run.run in files)
        content = read_rdms(files[run.run])
        known = dict(zip(content.names, content.rdms, strict=True))
        regions = [name for name in self.outputs.analysis.region_names if name in known]
        shared = _shared_from(content.onsets_s, run.shared_with_next_s)
        absent = [name for name in self.outputs.analysis.region_names if name not in known]
        cross = " The dashed cross marks the film that the next run shows again." if shared else ""
        analysis = self.outputs.analysis
        lag = analysis.robust.min_lag_s if "robust" in analysis.modes else None
        near = (
            f" Pairs between the white lines are nearer than {lag:g} s and left out of the mode "
            "robust."
            if lag
            else ""
        )
        measure = MEASURES[analysis.dissimilarity.brain]
        yield self.album.picture(
            f"rdms-run-{run.run}",
            rdm_grid(
                {name: known[name] for name in regions}, content.onsets_s, lag, shared, measure
            ),
            alt=f"Dissimilarity matrices of run {run.run}, one for each of {len(regions)} regions: "
            f"{listed(regions)}.",
            caption=f"Dissimilarity ({measure}) of the volumes of run {run.run}, one matrix per "
            f"region, on one colour scale.{near}{cross} Without a matrix: {listed(absent)}.",
            source=files[run.run],
        )

    def autocorrelation(self) -> Iterator[Block]:
        path = self.outputs.participant_path(self.participant, "autocorrelation")
        table = read_columns(path, ("roi", "lag_s", "r"))
        if not table["r"].notna().any():
            yield Notes((f"{self.album.relative(path)} holds no values.",))
            return
        mean = table.groupby("lag_s")["r"].mean()
        inflated = (
            " The slower it falls, the more the mode replicate is inflated."
            if "replicate" in self.outputs.analysis.modes
            else ""
        )
        yield self.album.picture(
            "autocorrelation",
            autocorrelation(table, self.outputs.analysis.region_names),
            alt="Autocorrelation of the denoised signal against lag: on average over regions "
            f"{mean.iloc[0]:.2f} at {mean.index[0]:g} s and {mean.iloc[-1]:.2f} at "
            f"{mean.index[-1]:g} s.",
            caption="Autocorrelation of the denoised signal, mean over a region's voxels and "
            f"over runs; each line is a region.{inflated}",
            source=path,
        )

    def similarity(self) -> Iterator[Block]:
        path = self.outputs.participant_path(self.participant, "similarity")
        points = read_columns(path, ("mode", "fit", "roi", "model", "run", "r"))
        bars = mean_over_runs(points)
        analysis = self.outputs.analysis
        both = " Robust is what to read." if len(analysis.modes) > 1 else ""
        yield Text(modes_text(analysis.modes) + both)
        legend = "Bars: mean over the runs left out; error bars: SD over runs; dots: runs."
        yield from similarity_blocks(self.album, analysis, bars, points, path, legend)
        if not bars.empty:
            yield from mean_tables(analysis, bars, self.album.relative(path))

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


def _region_cell(column: str, value: object) -> str:
    if column == "flags" and value != value:
        return ""
    if column == "hemisphere" and value != value:
        return "both"
    return cell(value, 2 if column == "coverage" else 1)


def _spacing(onsets_s: Floats) -> float:
    return float(np.median(np.diff(onsets_s))) if len(onsets_s) > 1 else float("nan")


def _undefined(rdms: RDMFile) -> str:
    """Count volumes without a pattern, most over regions that have any."""
    n = len(rdms.onsets_s)
    rows, columns = np.triu_indices(n, 1)
    counts = []
    for rdm in rdms.rdms:
        defined = np.isfinite(rdm)
        seen = np.zeros(n, dtype=bool)
        seen[rows[defined]] = seen[columns[defined]] = True
        counts.append(int(n - seen.sum()))
    partly = [count for count in counts if count < n]
    return str(max(partly, default=0))


def _shared_from(onsets_s: Floats, shared_s: float) -> float | None:
    """Return the onset of the first volume whose film the next run shows again, s."""
    volumes = round(shared_s / _spacing(onsets_s)) if shared_s and len(onsets_s) > 1 else 0
    return float(onsets_s[-volumes]) if 0 < volumes < len(onsets_s) else None
