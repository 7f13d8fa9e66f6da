"""The table of each model's part in the R² of all models together."""

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd

from bidsapp.analysis.spec import Analysis
from bidsapp.rsa.inference import finite_mean
from bidsapp.rsa.study import StudyProducts
from bidsapp.rsa.unique import split
from bidsapp.tables import notes
from bidsapp.tables.scores import layer_columns, runs_of, too_short


def split_table(
    study: StudyProducts,
    layers: Mapping[str, Sequence[str]],
    regions: Sequence[str],
    analysis: Analysis,
) -> pd.DataFrame:
    """Share the R² of all models, fitted jointly by least squares, among them.

    Parameters
    ----------
    study, layers, regions, analysis
        As in `bidsapp.tables.group.group_tables`.

    Returns
    -------
    pandas.DataFrame
        Columns mode, roi, model, r2_part, note; means over participants of means over runs. The
        parts of a mode and region sum to R².
    """
    columns, tables = layer_columns(layers), []
    for mode in analysis.modes:
        found = [
            (cohort.participants, *split(runs_of(cohort, mode), columns, mode))
            for cohort in study.cohorts
        ]
        parts = np.concatenate([its for _, its, _ in found], axis=2)
        table = pd.DataFrame(product([mode], regions, layers), columns=["mode", "roi", "model"])
        table["r2_part"] = finite_mean(finite_mean(parts, -1), -1).T.ravel()
        cut = any(its.any() for _, _, its in found)
        short, collinear = too_short(study, mode), notes.collinear(cut, "ols")
        table["note"] = [
            notes.joined(
                [*notes.short_runs(short), *(collinear if there else [notes.no_score(short)])]
            )
            for there in table["r2_part"].notna()
        ]
        tables.append(table)
    return pd.concat(tables, ignore_index=True)
