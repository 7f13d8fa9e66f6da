"""The page of the group."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from bidsapp.analysis.spec import Mode
from bidsapp.errors import InputError
from bidsapp.reports.between_models import comparison_blocks, component_blocks, unique_blocks
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
from bidsapp.reports.choices import choice_blocks
from bidsapp.reports.extras import CEILINGS as COMPARATOR_CEILINGS
from bidsapp.reports.extras import comparator_tables
from bidsapp.reports.facts import RunFacts
from bidsapp.reports.figures import ERROR_BARS, lag_curve
from bidsapp.reports.frame_pairs import frame_pair_blocks
from bidsapp.reports.outputs import Outputs, read_columns
from bidsapp.reports.page import Block, Facts, Notes, Section, Table, Text, listed, table_of
from bidsapp.reports.participant import mean_over_runs, region_counts
from bidsapp.reports.quality import group_quality_blocks
from bidsapp.reports.style import model_looks
from bidsapp.reports.surface import surface_blocks
from bidsapp.reports.visible import visible_blocks

CEILINGS = ("ceiling_paper", "ceiling_lower", "ceiling_upper")
SIMILARITY = (
    *("mode", "fit", "roi", "model", "n", "r_mean", "r_sd", *CEILINGS),
    *("p_null", "p_null_fwe", "visible", "note"),
)

RECOMMENDED: Mode = "robust"
_TO_READ = {
    True: " Whether a model says anything of a region is for p_null_fwe in robust to tell.",
    False: " Whether a model says anything of a region cannot be told without the mode robust.",
}


def group_sections(
    outputs: Outputs, facts: RunFacts, stimuli: Path | None = None, atlas: Path | None = None
) -> tuple[Section, ...]:
    """Return the group's page, section by section; see `report.group_report`."""
    page = _Page(outputs, facts, stimuli, atlas)
    return (
        section("Summary", page.summary),
        section("Participants", page.participants),
        section("Quality", page.quality),
        section("Similarity", page.similarity),
        section("On the cortex", page.surface),
        section("Beyond each other", page.unique),
        section("Models in pairs", page.comparisons),
        section("Components of layers", page.components, page.frame_pairs),
        section("Lag between volumes", page.lag),
        *page.extras(),
        section(
            "Tables",
            page.similarity_table,
            page.split,
            page.component_table,
            page.frame_pair_table,
            page.notes,
        ),
        section("The paper's choices and these", page.choices),
        methods_section(
            outputs.analysis, facts, n_participants=len(outputs.participants()) or None
        ),
        settings_section(facts),
    )


class _Page:
    """The group's parts; each raises InputError where its files are absent or odd."""

    def __init__(
        self, outputs: Outputs, facts: RunFacts, stimuli: Path | None, atlas: Path | None
    ) -> None:
        self.outputs = outputs
        self.stimuli = stimuli
        self.atlas = atlas
        self.facts = facts
        self.album = Album(
            outputs.tree.root, lambda name: outputs.tree.path("group_figure", name=name)
        )

    def summary(self) -> Iterator[Block]:
        analysis = self.outputs.analysis
        participants = self.outputs.participants()
        regions = (
            (f"Regions, {name}", str(len(its))) for name, its in analysis.region_sets.items()
        )
        yield Facts(
            (
                ("Participants", str(len(participants))),
                ("Movie runs", str(len(analysis.movie.runs))),
                *regions,
                ("Models", str(len(analysis.models))),
                ("Space", self.outputs.space),
            )
        )
        few = (
            ("Fewer than two participants: there are no tests and no noise ceilings.",)
            if len(participants) < 2
            else ()
        )
        yield Notes((*self.facts.warnings, *few))
        yield Text(f"Models: {listed(analysis.models)}. Modes: {listed(analysis.modes)}. "
                   f"Fits: {listed(analysis.fits)}.")  # fmt: skip

    def participants(self) -> Iterator[Block]:
        total = len(self.outputs.analysis.movie.runs)
        rows = []
        with_scores = self.outputs.participants()
        for participant in self.outputs.tree.participants():
            runs = self.outputs.rdm_files(participant)
            absent = [run.run for run in self.outputs.analysis.movie.runs if run.run not in runs]
            remarks = [f"Missing runs: {listed(absent)}."] if absent else []
            if participant not in with_scores:
                remarks.append("No similarity table: not in the group.")
            try:
                counts, sentences = region_counts(self.outputs, participant)
            except InputError as error:
                counts, sentences = {}, (str(error),)
            found = [counts.get(name, "n/a") for name in self.outputs.analysis.region_sets]
            said = " ".join([*remarks, *sentences]) or "none"
            rows.append((f"sub-{participant}", f"{len(runs)} of {total}", *found, said))
        names = tuple(f"{name} regions" for name in self.outputs.analysis.region_sets)
        yield Table(
            header=("participant", "movie runs", *names, "missing or flagged"),
            rows=tuple(rows),
            caption="Who took part, and who is missing what",
        )

    def quality(self) -> Iterator[Block]:
        yield from group_quality_blocks(self.outputs, self.album)

    def similarity(self) -> Iterator[Block]:
        path, bars = self._similarity()
        modes = self.outputs.analysis.modes
        yield Text(modes_text(modes) + _TO_READ[RECOMMENDED in modes])
        # Noise passes in replicate (docs/calibration.md): no star says otherwise.
        bars = bars.assign(p_null_fwe=bars["p_null_fwe"].where(bars["mode"] == RECOMMENDED))
        spread = ERROR_BARS[self.facts.error_bars]
        drawn = bars_legend(bars, "participants", spread, "participants")
        legend = f"{drawn}{_ceilings(bars)}{_stars(bars, modes)}"
        points, unread = self._points()
        if unread:
            yield Notes(unread)
        analysis = self.outputs.analysis
        task = analysis.movie.task
        anybodys = self.outputs.anybodys(f"sub-*_task-{task}_desc-similarity_stats.tsv")
        yield from similarity_blocks(
            self.album, analysis, bars, points, path, legend, self.facts.error_bars, [anybodys]
        )
        if not bars.empty:
            yield from mean_tables(analysis, bars, self.album.relative(path))
            yield from visible_blocks(bars, self.album.relative(path))

    def _similarity(self) -> tuple[Path, pd.DataFrame]:
        path = self.outputs.group_path("similarity")
        return path, read_columns(path, SIMILARITY)

    def _points(self) -> tuple[pd.DataFrame, tuple[str, ...]]:
        """Participants' means over runs, and sentences on tables that could not be read."""
        found, unread = [], []
        for participant in self.outputs.participants():
            path = self.outputs.participant_path(participant, "similarity")
            try:
                table = read_columns(path, ("mode", "fit", "roi", "model", "run", "r"))
            except InputError as error:
                unread.append(f"sub-{participant} has no dots: {error}")
            else:
                found.append(mean_over_runs(table).rename(columns={"r_mean": "r"}))
        empty = pd.DataFrame(columns=["mode", "fit", "roi", "model", "r"])
        filled = [table for table in found if not table.empty]
        return (pd.concat(filled) if filled else empty), tuple(unread)

    def surface(self) -> Iterator[Block]:
        path, table = self._similarity()
        yield from surface_blocks(self.outputs, self.album, table, path, self.atlas)

    def unique(self) -> Iterator[Block]:
        yield from unique_blocks(self.outputs, self.album)

    def comparisons(self) -> Iterator[Block]:
        yield from comparison_blocks(self.outputs, self.album)

    def components(self) -> Iterator[Block]:
        yield from component_blocks(self.outputs, self.album)

    def frame_pairs(self) -> Iterator[Block]:
        yield from frame_pair_blocks(self.outputs, self.album, self.stimuli)

    def lag(self) -> Iterator[Block]:
        path = self.outputs.group_path("lag")
        table = read_columns(path, ("fit", "roi", "model", "min_lag_s", "r_mean"))
        if not table["r_mean"].notna().any():
            yield Notes((f"{self.album.relative(path)} holds no values: nothing to draw.",))
            return
        analysis = self.outputs.analysis
        fits = [fit for fit in analysis.fits if (table["fit"] == fit).any()]
        for place, fit in enumerate(fits):
            yield self.album.picture(
                f"lag-{fit}",
                lag_curve(
                    table[table["fit"] == fit], analysis.region_names, model_looks(analysis.models)
                ),
                alt=f"Similarity of each model to each region, fit {fit}, against the least time "
                "between the two volumes of a pair.",
                caption="Mode replicate without pairs of volumes nearer than some time, fit "
                f"{fit}. What falls away with the near pairs is owed to slow fluctuations, not to "
                "the film.",
                source=path,
                folded="" if place == 0 else f"The same with the fit {fit}",
            )

    def extras(self) -> Iterator[Section]:
        """Return the sections of what is off unless asked for."""
        if self.outputs.analysis.comparators.methods:
            yield section("Comparators", self.comparators)

    def comparators(self) -> Iterator[Block]:
        path = self.outputs.group_path("comparators")
        names = ("mode", "method", "roi", "model", "layer", "r_mean", *COMPARATOR_CEILINGS, "note")
        table = read_columns(path, names)
        source = self.album.relative(path)
        yield from comparator_tables(self.outputs.analysis, table, "r_mean", source)

    def similarity_table(self) -> Iterator[Block]:
        path, table = self._similarity()
        caption = f"Similarity: all {len(table)} rows"
        yield table_of(table, caption, self.album.relative(path), folded=True, sortable=True)

    def split(self) -> Iterator[Block]:
        yield self._whole("split", "Each model's part of the R² of all")

    def component_table(self) -> Iterator[Block]:
        yield self._whole("components", "Components of all models' layers")

    def frame_pair_table(self) -> Iterator[Block]:
        yield self._whole("framepairs", "Pairs of moments that load most on the components")

    def _whole(self, desc: str, title: str) -> Table:
        path = self.outputs.group_path(desc)
        table = read_columns(path, ("mode",))
        caption = f"{title}: all {len(table)} rows"
        return table_of(table, caption, self.album.relative(path), folded=True, sortable=True)

    def choices(self) -> Iterator[Block]:
        yield from choice_blocks(self.outputs.analysis)

    def notes(self) -> Iterator[Block]:
        path, table = self._similarity()
        yield notes_table(table, self.outputs.analysis, self.album.relative(path))


def _ceilings(bars: pd.DataFrame) -> str:
    """Say what band and line are, as far as they are drawn."""
    band = (
        " Grey band: noise ceiling from the mean of the other (lower) to all (upper) participants."
    )
    line = " Dashed line: noise ceiling as in the paper."
    has = bars[list(CEILINGS)].notna().any()
    both = has["ceiling_lower"] and has["ceiling_upper"]
    return (band if both else "") + (line if has["ceiling_paper"] else "")


def _stars(bars: pd.DataFrame, modes: Sequence[Mode]) -> str:
    """Say what a star is, or why there is none."""
    if RECOMMENDED not in modes:
        return " No star is drawn: stars are for the mode robust."
    if bars["p_null_fwe"].notna().any():
        return (
            " A star marks p_null_fwe under .05 in robust (models shifted in time; corrected over "
            "all models and all regions of a set)."
        )
    return " No star is drawn: there is no p_null_fwe in robust; notes in the table say why."
