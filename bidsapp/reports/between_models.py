"""Blocks of the group's page on models among themselves: unique parts, pairs, components."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from bidsapp.analysis.spec import Analysis, Mode
from bidsapp.reports.blocks import Album
from bidsapp.reports.figures import component_paths, matrix_of, unique_matrices
from bidsapp.reports.outputs import Outputs, read_columns
from bidsapp.reports.page import Block, Notes, Table, Text, cell, listed, table_of
from bidsapp.reports.style import model_looks

UNIQUE = ("mode", "fit", "roi", "control", "target", "r_mean")
COMPARISONS = (
    *("mode", "fit", "roi", "model_a", "model_b", "n", "n_runs", "diff_z", "t", "df", "p"),
    *("p_bonferroni", "q_fdr", "p_signflip"),
)
_FITS = ("ols", "nnls")  # drawn: the first that there is
_TESTED: Mode = "robust"
_ONE_MODEL = "There is only one model: nothing to compare it with."


def unique_blocks(outputs: Outputs, album: Album) -> Iterator[Block]:
    """Draw what each model explains beyond each other, and give the same as folded tables."""
    analysis, path = outputs.analysis, outputs.group_path("unique")
    table = read_columns(path, UNIQUE)
    if len(analysis.models) < 2 or table.empty:
        yield Notes((_ONE_MODEL,))
        return
    fit = next((name for name in _FITS if name in analysis.fits), analysis.fits[0])
    yield Text(_unique_text(analysis.modes))
    for mode in analysis.modes:
        ours = table[(table["fit"] == fit) & (table["mode"] == mode)]
        if mode != _TESTED:
            ours = ours.drop(columns="p_null_fwe", errors="ignore")
        if not ours["r_mean"].notna().any():
            yield Notes((f"{album.relative(path)} holds no values of {mode}, fit {fit}.",))
            continue
        yield album.picture(
            f"unique-{mode}-{fit}",
            unique_matrices(ours, analysis.region_names, analysis.models),
            alt=_described(analysis, ours, mode),
            caption=f"Unique similarity, mode {mode}, fit {fit}: mean over participants of the "
            "correlation of the target model (column) with what the control model (row) leaves of "
            "the region. All regions on one scale; columns are numbered as rows are."
            f"{_marks(ours, mode)}",
            source=path,
        )
    for mode in analysis.modes:
        yield _unique_table(analysis, table[(table["fit"] == fit) & (table["mode"] == mode)],
                            f"The same as numbers, mode {mode}, fit {fit}",
                            album.relative(path))  # fmt: skip


def _unique_text(modes: Sequence[Mode]) -> str:
    """Say what the matrices hold, and what p means."""
    said = (
        "Correlation of the column's model, the target, with what the row's model, the control, "
        "leaves of each region."
    )
    if _TESTED in modes:
        said += (
            " In robust the control brings, beside the RDM of each of its layers, the RDMs that a "
            "brain which follows the layer's features would have after the nuisance regression, "
            "without noise and with much of it. p_null_fwe says how often r is as high when what "
            "the control leaves of the region is shifted in time. A small one says that the "
            "target's RDM adds to the control's RDM and to what the control's features predict; it "
            "does not prove that the target has features that the control lacks."
        )
    if "replicate" in modes:
        said += " Replicate follows the paper; its values are not tested against shifts."
    return said + " Controls fitted by ridge or nnls leave a part of themselves to the target."


def _marks(table: pd.DataFrame, mode: Mode) -> str:
    """Say what a dot is, or why there is none; nothing of a mode that has no marks."""
    if mode != _TESTED:
        return ""
    if "p_null_fwe" not in table or not table["p_null_fwe"].notna().any():
        return " No cell is marked: the table has no p_null_fwe."
    return (
        " A dot marks p_null_fwe under .05 (what the control leaves, shifted in time; corrected "
        "over all pairs of models and all regions of a set)."
    )


def _described(analysis: Analysis, table: pd.DataFrame, mode: Mode) -> str:
    best = table.iloc[int(table["r_mean"].fillna(float("-inf")).to_numpy(float).argmax())]
    return (
        f"Matrices of {len(analysis.models)} control by {len(analysis.models)} target models "
        f"({listed(analysis.models)}) for {len(analysis.region_names)} regions, mode {mode}. The "
        f"highest unique similarity is {best['target']} beyond {best['control']} in {best['roi']}, "
        f"r = {best['r_mean']:.3f}."
    )


def _unique_table(analysis: Analysis, table: pd.DataFrame, caption: str, source: str) -> Table:
    models = analysis.models
    rows = []
    for region in analysis.region_names:
        for i, values in enumerate(matrix_of(table, region, models)):
            cells = ["" if i == j else cell(float(value)) for j, value in enumerate(values)]
            rows.append((region, models[i], *cells))
    return Table(
        header=("region", "control", *(f"target {name}" for name in models)),
        rows=tuple(rows),
        caption=caption,
        source=source,
        folded=True,
    )


def comparison_blocks(outputs: Outputs, album: Album) -> Iterator[Block]:
    """Return the table of all pairs of models, to be sorted and filtered."""
    path = outputs.group_path("comparisons")
    table = read_columns(path, COMPARISONS)
    if table.empty:
        yield Notes((_ONE_MODEL,))
        return
    yield Text(
        "Difference of two models' similarity to a region (Fisher z, model_a less model_b): t is "
        "for other participants and other runs of film, p_signflip for other participants alone. "
        "A model of many layers learns weights, one of a single layer has none to learn in robust: "
        "mind that where two such models are compared. "
        "Click a heading to sort; choose values above the table to filter."
    )
    caption = f"Models compared in pairs: all {len(table)} rows"
    source = album.relative(path)
    yield table_of(table, caption, source, folded=True, sortable=True)


def component_blocks(outputs: Outputs, album: Album) -> Iterator[Block]:
    """Draw the models' paths through the first two components of all layers."""
    analysis, path = outputs.analysis, outputs.group_path("components")
    table = read_columns(path, ("mode", "model", "layer", "pc1", "pc2"))
    absent = [name for name in analysis.models if name not in set(table["model"])]
    if absent:
        yield Notes((f"{album.relative(path)} has no layers of {listed(absent)}.",))
    if not table[["pc1", "pc2"]].notna().all(axis=1).any():
        yield Notes((f"{album.relative(path)} holds no two components: nothing to draw.",))
        return
    sidecar = path.with_suffix(".json")
    explained = _explained(sidecar)
    if not explained:
        yield Notes((f"{album.relative(sidecar)} does not say what the components explain.",))
    yield album.picture(
        "components",
        component_paths(table, model_looks(analysis.models), analysis.modes, explained),
        alt=f"Layers of {listed(analysis.models)} as paths on the first two principal components "
        f"of all layers' dissimilarities, mode {listed(analysis.modes)}.",
        caption="Each model's layers, joined in their order from the large open mark on, on the "
        "first two principal components of all models' layers. The film alone makes them: no brain "
        "data enter. The two axes have scales of their own.",
        source=path,
    )


def _explained(sidecar: Path) -> dict[str, Mapping[str, float]]:
    """Read what each component explains, by mode; nothing where the sidecar does not say it."""
    try:
        columns = json.loads(sidecar.read_text(encoding="utf-8"))
        return {
            name: {
                mode: float(part)
                for mode, part in its["VarianceExplained"].items()
                if part != "n/a"
            }
            for name, its in columns.items()
            if "VarianceExplained" in its
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
