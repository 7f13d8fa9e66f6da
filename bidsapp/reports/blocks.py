"""Parts that the participants' page and the group's page have in common."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from bidsapp.analysis.spec import Analysis, Fit, Mode
from bidsapp.errors import InputError
from bidsapp.files import write_text
from bidsapp.reports.facts import RunFacts
from bidsapp.reports.figures import similarity_bars
from bidsapp.reports.methods import methods, plain, references
from bidsapp.reports.page import (
    Block,
    Listing,
    Notes,
    Picture,
    References,
    Section,
    Table,
    Text,
    cell,
    listed,
)
from bidsapp.reports.style import described, model_looks, svg_text
from bidsapp.settings import ErrorBars, Level

_MODES: dict[Mode, str] = {
    "replicate": "replicate takes the paper's choices and is inflated by slow fluctuations of the "
    "signal",
    "robust": "robust guards against what slow fluctuations of the signal add",
}
XML = '<?xml version="1.0" encoding="utf-8"?>\n'


@dataclass(frozen=True)
class Album:
    """Where a page's figures are saved; files are named relative to the root of the outputs."""

    root: Path
    place: Callable[[str], Path]

    def picture(
        self,
        name: str,
        figure: Figure,
        *,
        alt: str,
        caption: str,
        source: Path,
        others: Sequence[Path] = (),
        folded: str = "",
    ) -> Picture:
        """Save a figure as SVG, which says itself what it shows, and return it for the page.

        ``source`` and ``others`` are what it is drawn from; a ``*`` in one stands for several.
        """
        svg = svg_text(figure, name)
        path = self.place(name)
        sources = tuple(map(self.relative, (source, *others)))
        told = f"{caption} Drawn from {listed(sources)}."
        write_text(path, XML + described(svg, alt, told))
        return Picture(svg, alt, caption, self.relative(path), sources, folded)

    def relative(self, path: Path) -> str:
        """Return a path as the pages name it."""
        return path.relative_to(self.root).as_posix()


def section(title: str, *parts: Callable[[], Iterable[Block]]) -> Section:
    """Return a section; a part whose files are absent or odd says so in its place."""
    blocks: list[Block] = []
    for part in parts:
        try:
            blocks.extend(part())
        except InputError as error:
            blocks.append(Notes((str(error),)))
    return Section(title, tuple(blocks))


def modes_text(modes: Sequence[Mode]) -> str:
    """Say what the analysis's modes are, and how to take their values."""
    told = [_MODES[mode] for mode in modes]
    if len(told) == 1:
        return f"One mode: {told[0]}."
    return f"Two modes side by side: {'; '.join(told)}. Their scales differ."


def similarity_blocks(
    album: Album,
    analysis: Analysis,
    bars: pd.DataFrame,
    points: pd.DataFrame,
    source: Path,
    legend: str,
    error_bars: ErrorBars = "sd",
    of_points: Sequence[Path] = (),
) -> Iterator[Block]:
    """Draw similarity for each set of regions and fit, the first fit open and the others folded.

    Parameters
    ----------
    bars
        ``mode fit roi model r_mean r_sd`` and, for the group, ceilings and ``p_null_fwe``.
    points
        ``mode fit roi model r``.
    legend
        What bars, error bars and dots are.
    error_bars
        Standard deviation or standard error.
    of_points
        Files of the points, where they are others than ``source``.
    """
    if not bars["r_mean"].notna().any():
        yield Notes((f"{album.relative(source)} holds no similarity: nothing to draw.",))
        return
    absent = tuple(_without_values(bars, analysis))
    if absent:
        yield Notes(absent)
    for place, fit in enumerate(analysis.fits):
        for name, regions in analysis.region_sets.items():
            ours = bars[(bars["fit"] == fit) & bars["roi"].isin(regions)]
            figure = similarity_bars(
                ours,
                points[points["fit"] == fit],
                regions,
                model_looks(analysis.models),
                analysis.modes,
                error_bars,
            )
            yield album.picture(
                f"similarity-{name}-{fit}",
                figure,
                alt=_described(analysis, ours, name, regions, fit),
                caption=f"Similarity of each model to the {name} regions, fit {fit}. {legend}",
                source=source,
                others=of_points,
                folded="" if place == 0 else f"The same with the fit {fit}: {name} regions",
            )


def bars_legend(bars: pd.DataFrame, over: str, spread: str, dots: str) -> str:
    """Say what bars, error bars and dots are; error bars only where there are any."""
    said = [f"Bars: mean over {over}", f"error bars: {spread}", f"dots: {dots}"]
    if not bars["r_sd"].notna().any():
        del said[1]
    return f"{'; '.join(said)}."


def _without_values(bars: pd.DataFrame, analysis: Analysis) -> Iterator[str]:
    """Name regions and models that have no similarity at all: nobody's region, a failed model."""
    there = bars[bars["r_mean"].notna()]
    for what, column, names in (
        ("region", "roi", analysis.region_names),
        ("model", "model", analysis.models),
    ):
        absent = [name for name in names if name not in set(there[column])]
        if absent:
            yield f"Without any similarity, and so not drawn: {what} {listed(absent)}."


def notes_table(table: pd.DataFrame, analysis: Analysis, source: str) -> Table:
    """Return each note of a table of similarity, the most frequent first, and what has it."""
    groups = [its for _, its in table.groupby("note", sort=False)]
    return Table(
        header=("note", "rows", "regions", "models"),
        rows=tuple(
            (
                str(its["note"].iloc[0]),
                str(len(its)),
                _which(its["roi"], analysis.region_names),
                _which(its["model"], analysis.models),
            )
            for its in sorted(groups, key=len, reverse=True)
        ),
        caption="Notes in the similarity table",
        source=source,
    )


def _which(there: Iterable[str], names: Sequence[str]) -> str:
    known = set(there)
    return "all" if known.issuperset(names) else listed(name for name in names if name in known)


def _described(
    analysis: Analysis, bars: pd.DataFrame, name: str, regions: Sequence[str], fit: Fit
) -> str:
    parts = [
        f"Bar chart of the similarity of {len(analysis.models)} models ({listed(analysis.models)}) "
        f"to {len(regions)} {name} regions ({listed(regions)}), fit {fit}."
    ]
    for mode in analysis.modes:
        ours = bars[(bars["mode"] == mode) & bars["r_mean"].notna()]
        if not ours.empty:
            best = ours.iloc[int(ours["r_mean"].to_numpy(float).argmax())]
            parts.append(
                f"In the mode {mode} the highest is {best['model']} in {best['roi']}, "
                f"r = {best['r_mean']:.3f}."
            )
    return " ".join(parts)


def mean_tables(analysis: Analysis, bars: pd.DataFrame, source: str) -> Iterator[Block]:
    """Return mean similarity, regions by models, per fit and mode; the highest is strong."""
    for place, fit in enumerate(analysis.fits):
        for mode in analysis.modes:
            ours = bars[(bars["fit"] == fit) & (bars["mode"] == mode)]
            grid = ours.pivot_table(index="roi", columns="model", values="r_mean", dropna=False)
            grid = grid.reindex(index=list(analysis.region_names), columns=list(analysis.models))
            best = {
                (row, int(values.to_numpy().argmax()) + 1)
                for row, (_, values) in enumerate(grid.fillna(float("-inf")).iterrows())
                if grid.iloc[row].notna().any()
            }
            rows = tuple(
                (str(region), *(cell(float(value)) for value in values))
                for region, values in zip(grid.index, grid.to_numpy(float), strict=True)
            )
            yield Table(
                header=("region", *map(str, grid.columns)),
                rows=rows,
                caption=f"Mean r, mode {mode}, fit {fit}; the highest of each region is bold",
                source=source,
                folded=place > 0,
                strong=frozenset(best),
            )


def methods_section(
    analysis: Analysis,
    facts: RunFacts,
    level: Level = "group",
    n_participants: int | None = None,
) -> Section:
    """Return the methods of this run, with the works cited."""
    text = methods(
        analysis,
        facts.versions,
        facts.networks,
        level,
        space=facts.space,
        n_participants=n_participants,
    )
    paragraphs = [Text(plain(body), title) for title, body in text.paragraphs]
    return Section("Methods", (*paragraphs, References(references(text))))


def settings_section(facts: RunFacts) -> Section:
    """Return command, settings and versions."""
    versions = tuple(sorted(facts.versions.items()))
    return Section(
        "Settings and versions",
        (
            Listing("Command", facts.command),
            Listing("Settings (TOML)", facts.settings),
            Table(("software", "version"), versions, "Versions of the software", folded=True),
        ),
    )
