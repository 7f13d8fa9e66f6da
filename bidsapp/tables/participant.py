"""Tables of one participant: scores and weights of every run left out."""

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd

from bidsapp.analysis.spec import Analysis
from bidsapp.arrays import Floats
from bidsapp.rsa.study import StudyProducts
from bidsapp.rsa.unique import Unique
from bidsapp.tables import notes
from bidsapp.tables.scores import Scores, all_scores, layer_columns
from bidsapp.tables.unique import participant_unique


def participant_tables(
    study: StudyProducts,
    layers: Mapping[str, Sequence[str]],
    regions: Sequence[str],
    analysis: Analysis,
    visible: Mapping[str, Floats],
    controlled: Unique | None = None,
) -> dict[str, pd.DataFrame]:
    """Make the tables ``similarity``, ``weights`` and ``unique`` of one participant.

    Parameters
    ----------
    study
        Products of this participant alone (one participant wide).
    layers
        Names of each model's layers, in the order of the products' columns.
    regions
        Names, in the order of the products.
    analysis
        Its modes, fits and penalties are used.
    visible
        Run to how visible each layer is there, see `bidsapp.rsa.visible`; runs may be absent.
    controlled
        What models add to each other in the robust mode, see `bidsapp.rsa.controlled`.

    Returns
    -------
    dict
        ``similarity``: mode, fit, roi, model, run, r, n_pairs, n_volumes, visible, note.
        ``weights``: mode, fit, roi, model, run, layer, weight, note; ``run`` is the one left out.
        ``unique``: mode, fit, roi, control, target, n_runs, r, delta_r2, note; means over runs left
        out, since each pair of models and run would be ten times as many rows as all else.
    """
    scores = list(all_scores(study, layers, analysis, controlled))
    return {
        "similarity": pd.concat(
            [_similarity(s, layers, regions, visible) for s in scores], ignore_index=True
        ),
        "weights": pd.concat([_weights(s, layers, regions) for s in scores], ignore_index=True),
        "unique": pd.concat(
            [participant_unique(s, list(layers), regions) for s in scores], ignore_index=True
        ),
    }


def _similarity(
    scores: Scores,
    layers: Mapping[str, Sequence[str]],
    regions: Sequence[str],
    visible: Mapping[str, Floats],
) -> pd.DataFrame:
    columns = layer_columns(layers)
    most_visible = {
        (model, run.run): _most(visible, run.run, columns[model])
        for model, run in product(layers, scores.runs)
        if scores.mode == "robust"
    }
    rows = [
        (
            roi,
            model,
            run.run,
            float(scores.similarity.r[m, r, 0, i]),
            run.n_pairs,
            run.volumes.used,
            most_visible.get((model, run.run), np.nan),
            notes.joined(
                [
                    *_notes(scores, m, r, i),
                    *notes.visibility(most_visible.get((model, run.run), np.nan)),
                ]
            ),
        )
        for (r, roi), (m, model), (i, run) in product(
            enumerate(regions), enumerate(layers), enumerate(scores.runs)
        )
    ]
    names = ["roi", "model", "run", "r", "n_pairs", "n_volumes", "visible", "note"]
    table = pd.DataFrame(rows, columns=names)
    table.insert(0, "mode", scores.mode)
    table.insert(1, "fit", scores.fit)
    return table


def _most(visible: Mapping[str, Floats], run: str, columns: slice) -> float:
    """Give the visibility of a model's most visible layer; NaN where none is known.

    Of several layers the size counts, since weights learn the sign; a single one keeps its sign.
    """
    layers = visible.get(run, np.empty(0))[columns]
    known = layers[np.isfinite(layers)]
    if columns.stop - columns.start > 1:
        known = np.abs(known)
    return float(known.max()) if len(known) else np.nan


def _notes(scores: Scores, m: int, r: int, i: int) -> list[str]:
    run, result = scores.runs[i], scores.similarity
    if not run.n_pairs:
        return [notes.NO_PAIRS]
    if not run.present[r, 0]:
        return [notes.ABSENT]
    if not np.isfinite(result.r[m, r, 0, i]):
        return [notes.TOO_FEW_RUNS]
    said = [notes.CONSTANT] if result.constant[m, r, 0, i] else []
    said += notes.collinear(result.cut[m, i], scores.fit)
    return [*said, *notes.undefined([run.volumes])]


def _weights(
    scores: Scores, layers: Mapping[str, Sequence[str]], regions: Sequence[str]
) -> pd.DataFrame:
    names = [run.run for run in scores.runs]
    parts = []
    for r, roi in enumerate(regions):
        for m, (weights, (model, its_layers)) in enumerate(
            zip(scores.similarity.weights, layers.items(), strict=True)
        ):
            part = pd.DataFrame(product(names, its_layers), columns=["run", "layer"])
            part.insert(0, "roi", roi)
            part.insert(1, "model", model)
            part["weight"] = weights[r, 0].ravel()
            said = [notes.joined(_notes(scores, m, r, i)) for i in range(len(names))]
            part["note"] = np.repeat(np.array(said, dtype=object), len(its_layers))
            parts.append(part)
    table = pd.concat(parts, ignore_index=True)
    table.insert(0, "mode", scores.mode)
    table.insert(1, "fit", scores.fit)
    return table
