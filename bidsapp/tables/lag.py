"""The lag curve: what is left of each score when volumes close in time are not compared."""

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd

from bidsapp.analysis.spec import Analysis
from bidsapp.rsa.inference import finite_mean, finite_sd
from bidsapp.rsa.similarity import joined, similarity
from bidsapp.rsa.study import StudyProducts
from bidsapp.tables import notes
from bidsapp.tables.columns import describe
from bidsapp.tables.scores import layer_columns


def lag_table(
    study: StudyProducts,
    layers: Mapping[str, Sequence[str]],
    regions: Sequence[str],
    analysis: Analysis,
) -> pd.DataFrame:
    """Repeat the replicate mode on pairs of volumes at least some seconds apart.

    Parameters
    ----------
    study
        Products, with those of the lag curve.
    layers, regions, analysis
        As in `bidsapp.tables.group.group_tables`.

    Returns
    -------
    pandas.DataFrame
        Columns fit, roi, model, min_lag_s, n, r_mean, r_sd, note; over participants of their means
        over runs.
    """
    columns = layer_columns(layers)
    parts = []
    for fit, (i, lag) in product(analysis.fits, enumerate(study.lags)):
        scored = [
            (
                cohort.participants,
                similarity(
                    cohort.lags[i].runs, columns, "replicate", fit, analysis.robust.penalties
                ),
            )
            for cohort in study.cohorts
        ]
        r = finite_mean(joined(scored).r, -1).swapaxes(0, 1)  # (R, M, S)
        part = pd.DataFrame(product([fit], regions, layers), columns=["fit", "roi", "model"])
        part["min_lag_s"] = lag.min_lag_s
        part["n"] = np.isfinite(r).sum(axis=-1).ravel()
        part["r_mean"] = finite_mean(r, -1).ravel()
        part["r_sd"] = finite_sd(r, -1).ravel()
        part["note"] = [None if n else notes.NOBODY for n in part["n"]]
        parts.append(part)
    if not parts:
        return pd.DataFrame(columns=list(describe("lag")))
    return pd.concat(parts, ignore_index=True)
