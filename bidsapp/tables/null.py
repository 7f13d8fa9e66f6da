"""p of each region's scores among those of shifted models."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd

from bidsapp.analysis.spec import Analysis, Fit, Mode
from bidsapp.arrays import Floats
from bidsapp.rsa.inference import finite_mean
from bidsapp.rsa.null import MIN_VOLUMES, draw_shifts, n_distinct, scores_at_shifts, shift_p
from bidsapp.rsa.shifts import ShiftedCohort, shifted_study
from bidsapp.rsa.similarity import MIN_RUNS
from bidsapp.rsa.study import RunRDMs
from bidsapp.tables import notes
from bidsapp.tables.scores import layer_columns

KEYS = ["mode", "fit", "roi", "model"]
COLUMNS = [*KEYS, "p_null", "p_null_max", "note"]


def null_table(
    runs: Iterable[RunRDMs],
    layers: Mapping[str, Sequence[str]],
    regions: Sequence[str],
    region: str,
    analysis: Analysis,
    seed: int,
) -> pd.DataFrame:
    """Test one region's scores against those of models shifted in time.

    Parameters
    ----------
    runs
        RDMs of all regions and participants, a run at a time.
    layers
        Names of each model's layers, in the order of the RDMs.
    regions
        Names, in the order of the RDMs.
    region
        The one to test.
    analysis
        Its modes, fits, penalties and ``statistics.null_draws`` are used.
    seed
        Of the shifts: equal for every region, model, layer, participant and fit.

    Returns
    -------
    pandas.DataFrame
        Columns mode, fit, roi, model, p_null, p_null_max, note. The statistic is the mean over
        participants (one is enough) of their mean r over runs. p_null_max compares it with the
        highest of all models of this region, in the same mode and fit, at each draw.
    """
    cohorts = shifted_study(
        runs,
        regions.index(region),
        analysis.robust.min_lag_s,
        analysis.modes,
        analysis.replicate.lag_regressors_s,
    )
    parts = []
    for mode, fit in product(analysis.modes, analysis.fits):
        p, p_max, note = _tested(cohorts, layers, mode, fit, analysis, seed)
        part = pd.DataFrame({"model": list(layers), "p_null": p, "p_null_max": p_max})
        parts.append(part.assign(mode=mode, fit=fit, roi=region, note=note)[COLUMNS])
    return pd.concat(parts, ignore_index=True)


def _tested(
    cohorts: Sequence[ShiftedCohort],
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
    volumes = _volumes(cohorts, mode)
    if len(volumes) < MIN_RUNS:
        return none, none, f"no p_null: {notes.TOO_FEW_RUNS}"
    for position, n in volumes.items():
        if n < MIN_VOLUMES:
            name = cohorts[0].runs[mode][position].unshifted.run
            why = f"no p_null: run {name} has {n} volumes, fewer than {MIN_VOLUMES}"
            return none, none, why
    shifts = draw_shifts(volumes, draws, seed)
    shifts = np.vstack([np.zeros_like(shifts[:1]), shifts])  # the first: models as they are
    columns, penalties = layer_columns(layers), analysis.robust.penalties
    scores = []
    for cohort in cohorts:
        runs = [cohort.runs[mode][position] for position in volumes]
        scores.append(scores_at_shifts(runs, shifts, columns, mode, fit, penalties)[:, :, 0])
    means = finite_mean(np.concatenate(scores, axis=-1), -1)
    distinct = n_distinct(volumes.values())
    note = f"p_null: {draws} draws of {distinct} distinct shifts" if draws > distinct else None
    return *shift_p(means[0], means[1:]), note


def _volumes(cohorts: Sequence[ShiftedCohort], mode: Mode) -> dict[int, int]:
    """Volumes of each run that somebody has, by its position; the fewest where people differ."""
    fewest: dict[int, int] = {}
    for cohort in cohorts:
        for position, run in enumerate(cohort.runs[mode]):
            if run.unshifted.present.any():
                fewest[position] = min(run.n_volumes, fewest.get(position, run.n_volumes))
    return fewest
