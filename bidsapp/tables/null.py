"""p of each region's scores among those of shifted models."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from time import perf_counter

import numpy as np
import pandas as pd

from bidsapp.analysis.spec import Analysis, Fit, Mode
from bidsapp.arrays import Floats
from bidsapp.rsa.gram import defined_volumes
from bidsapp.rsa.inference import finite_mean
from bidsapp.rsa.null import (
    MIN_VOLUMES,
    draw_shifts,
    n_distinct,
    scores_at_shifts,
    shift_p,
)
from bidsapp.rsa.pairs import all_pairs, lag_in_volumes, lagged_pairs
from bidsapp.rsa.shifts import ShiftedProducts, shifted_products
from bidsapp.rsa.similarity import MIN_RUNS
from bidsapp.rsa.study import RunRDMs
from bidsapp.tables import notes
from bidsapp.tables.scores import layer_columns

LOGGER = logging.getLogger(__name__)
KEYS = ["mode", "fit", "roi", "model"]
COLUMNS = [*KEYS, "p_null", "p_null_max", "note"]


def null_table(
    runs: Iterable[RunRDMs],
    layers: Mapping[str, Sequence[str]],
    region: str,
    analysis: Analysis,
    seed: int,
) -> pd.DataFrame:
    """Test one region's scores against those of models shifted in time.

    Parameters
    ----------
    runs
        RDMs of the region alone (R = 1) and all participants, a run at a time.
    layers
        Names of each model's layers, in the order of the RDMs.
    region
        Name of the region.
    analysis
        Its modes, fits, penalties and ``statistics.null_draws`` are used.
    seed
        Of the shifts: equal for every region, model, layer, participant and fit.

    Returns
    -------
    pandas.DataFrame
        Columns mode, fit, roi, model, p_null, p_null_max, note. The statistic is the mean over
        participants of their mean r over runs. p_null_max compares it with the highest of all
        models of this region, in the same mode and fit, at each draw.
    """
    began = perf_counter()
    products: dict[Mode, list[ShiftedProducts]] = {mode: [] for mode in analysis.modes}
    for run in runs:
        for mode in analysis.modes:
            products[mode].append(_shifted(run, mode, analysis.robust.min_lag_s))
    parts = []
    for mode in analysis.modes:
        here = [run for run in products[mode] if run.unshifted.present.any()]
        for fit in analysis.fits:
            p, p_max, note = _tested(here, layers, mode, fit, analysis, seed)
            part = pd.DataFrame({"model": list(layers), "p_null": p, "p_null_max": p_max})
            parts.append(part.assign(mode=mode, fit=fit, roi=region, note=note)[COLUMNS])
    LOGGER.info("p_null of %s in %.0f s", region, perf_counter() - began)
    return pd.concat(parts, ignore_index=True)


def _shifted(run: RunRDMs, mode: Mode, min_lag_s: float) -> ShiftedProducts:
    defined = defined_volumes(run.models, run.targets)
    if mode == "replicate":
        pairs = all_pairs(len(defined), defined)
        return shifted_products(run.models, run.targets, pairs, "centred", run.run)
    min_lag = lag_in_volumes(min_lag_s, run.repetition_time)
    pairs = lagged_pairs(len(defined), min_lag, run.trim_end, defined)
    return shifted_products(run.models, run.targets, pairs, "lag-centred", run.run)


def _tested(
    runs: Sequence[ShiftedProducts],
    layers: Mapping[str, Sequence[str]],
    mode: Mode,
    fit: Fit,
    analysis: Analysis,
    seed: int,
) -> tuple[Floats, Floats, str | None]:
    """p_null and p_null_max of each model, and why there is none or what to know of them."""
    draws: int = getattr(analysis.statistics.null_draws, fit)
    none = np.full(len(layers), np.nan)
    if not draws:
        return none, none, notes.NULL_NOT_ASKED
    if len(runs) < MIN_RUNS:
        return none, none, f"no p_null: {notes.TOO_FEW_RUNS}"
    volumes = [run.n_volumes for run in runs]
    for run in runs:
        if run.n_volumes < MIN_VOLUMES:
            return none, none, (
                f"no p_null: run {run.unshifted.run} has {run.n_volumes} volumes, "
                f"fewer than {MIN_VOLUMES}"
            )
    shifts = draw_shifts(volumes, draws, seed)
    shifts = np.vstack([np.zeros_like(shifts[:1]), shifts])  # the first: models as they are
    scores = scores_at_shifts(
        runs, shifts, layer_columns(layers), mode, fit, analysis.robust.penalties
    )
    means = finite_mean(scores[:, :, 0], -1)
    distinct = n_distinct(volumes)
    note = f"p_null: {draws} draws of {distinct} distinct shifts" if draws > distinct else None
    return *shift_p(means[0], means[1:]), note
