"""Tables of one participant: scores and weights of every run left out."""

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd

from bidsapp.analysis.spec import Analysis
from bidsapp.rsa.study import StudyProducts
from bidsapp.tables import notes
from bidsapp.tables.scores import Scores, all_scores


def participant_tables(
    study: StudyProducts,
    layers: Mapping[str, Sequence[str]],
    regions: Sequence[str],
    analysis: Analysis,
) -> dict[str, pd.DataFrame]:
    """Make the tables ``similarity`` and ``weights`` of one participant.

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

    Returns
    -------
    dict
        ``similarity``: mode, fit, roi, model, run, r, n_pairs, note. ``weights``: mode, fit, roi,
        model, run, layer, weight; ``run`` is the one left out.
    """
    scores = list(all_scores(study, layers, analysis))
    return {
        "similarity": pd.concat(
            [_similarity(s, layers, regions) for s in scores], ignore_index=True
        ),
        "weights": pd.concat([_weights(s, layers, regions) for s in scores], ignore_index=True),
    }


def _similarity(
    scores: Scores, layers: Mapping[str, Sequence[str]], regions: Sequence[str]
) -> pd.DataFrame:
    rows = [
        (
            roi,
            model,
            run.run,
            float(scores.similarity.r[m, r, 0, i]),
            run.n_pairs,
            notes.joined(_notes(scores, m, r, i)),
        )
        for (r, roi), (m, model), (i, run) in product(
            enumerate(regions), enumerate(layers), enumerate(scores.runs)
        )
    ]
    table = pd.DataFrame(rows, columns=["roi", "model", "run", "r", "n_pairs", "note"])
    table.insert(0, "mode", scores.mode)
    table.insert(1, "fit", scores.fit)
    return table


def _notes(scores: Scores, m: int, r: int, i: int) -> list[str]:
    run, result = scores.runs[i], scores.similarity
    if not run.n_pairs:
        return [notes.NO_PAIRS]
    if not run.present[r, 0]:
        return [notes.ABSENT]
    if not np.isfinite(result.r[m, r, 0, i]):
        return [notes.TOO_FEW_RUNS]
    said = [notes.CONSTANT] if result.constant[m, r, 0, i] else []
    if result.cut[m, i]:
        said.append(notes.COLLINEAR)
    if run.n_dropped:
        said.append(f"{run.n_dropped} undefined volumes left out")
    return said


def _weights(
    scores: Scores, layers: Mapping[str, Sequence[str]], regions: Sequence[str]
) -> pd.DataFrame:
    names = [run.run for run in scores.runs]
    parts = []
    for r, roi in enumerate(regions):
        for weights, (model, its_layers) in zip(
            scores.similarity.weights, layers.items(), strict=True
        ):
            part = pd.DataFrame(product(names, its_layers), columns=["run", "layer"])
            part.insert(0, "roi", roi)
            part.insert(1, "model", model)
            part["weight"] = weights[r, 0].ravel()
            parts.append(part)
    table = pd.concat(parts, ignore_index=True)
    table.insert(0, "mode", scores.mode)
    table.insert(1, "fit", scores.fit)
    return table
