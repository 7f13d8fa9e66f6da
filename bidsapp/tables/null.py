"""p of each region's scores among those of shifted models."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd

from bidsapp.analysis.spec import Analysis, Fit, Mode
from bidsapp.arrays import Floats, Ints
from bidsapp.rsa.inference import finite_mean
from bidsapp.rsa.null import MIN_VOLUMES, draw_shifts, n_distinct, scores_at_shifts, shift_p
from bidsapp.rsa.shifts import ShiftedCohort, ShiftedProducts, shifted_study
from bidsapp.rsa.similarity import MIN_RUNS
from bidsapp.rsa.study import RunRDMs
from bidsapp.tables import notes
from bidsapp.tables.scores import layer_columns

KEYS = ["mode", "fit", "roi", "model"]
COLUMNS = [*KEYS, "p_null", "p_null_max", "note"]

_Parts = Sequence[tuple[Ints, ShiftedProducts]]  # one run: who has the region, and their circle


def null_table(
    runs: Iterable[RunRDMs],
    layers: Mapping[str, Sequence[str]],
    regions: Sequence[str],
    region: str,
    analysis: Analysis,
    seed: int,
    participants: Sequence[str] = (),
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
    participants
        Labels that notes name them by, in the order of the RDMs; without, notes count from 1.

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
    people = [f"sub-{label}" for label in participants] or [
        f"participant {i + 1}" for i in range(sum(len(cohort.participants) for cohort in cohorts))
    ]
    parts = []
    for mode, fit in product(analysis.modes, analysis.fits):
        p, p_max, note = _tested(cohorts, layers, mode, fit, analysis, seed, people)
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
    people: Sequence[str],
) -> tuple[Floats, Floats, str | None]:
    """p_null and p_null_max of each model, and why there is none or what to know of them."""
    draws: int = getattr(analysis.statistics.null_draws, fit)
    none = np.full(len(layers), np.nan)
    if not draws:
        return none, none, notes.NULL_NOT_ASKED
    circles = _circles(cohorts, mode)
    why = _why_none(circles, people)
    if why is not None:
        return none, none, f"no p_null: {why}"
    volumes = {i: min(run.n_volumes for _, run in parts) for i, parts in circles.items()}
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


def _circles(cohorts: Sequence[ShiftedCohort], mode: Mode) -> dict[int, _Parts]:
    """Give each run that somebody has, by its position, also where none of its pairs is used."""
    found = defaultdict(list)
    for cohort in cohorts:
        for position, run in enumerate(cohort.runs[mode]):
            if run.given.any():
                found[position].append((cohort.participants[run.given[0]], run))
    return dict(sorted(found.items()))


def _why_none(circles: Mapping[int, _Parts], people: Sequence[str]) -> str | None:
    """Say why models cannot be shifted: too few runs, or the first that is too short, and whose."""
    if len(circles) < MIN_RUNS:
        return notes.TOO_FEW_RUNS
    for parts in circles.values():
        short = [part for part in parts if _too_short(part[1])]
        if short:
            fewest = min((run for _, run in short), key=lambda run: run.n_volumes)
            what = f"run {fewest.unshifted.run} has {_too_short(fewest)}"
            if len(short) == len(parts):
                return what
            owners = np.sort(np.concatenate([its for its, _ in short]))
            who = notes.some([people[i] for i in owners])
            return f"{what}, in {who} (leave out that run or participant: docs/faq.md)"
    return None


def _too_short(run: ShiftedProducts) -> str | None:
    """Say what a run has that is not enough to shift models in it."""
    if run.n_volumes < MIN_VOLUMES:
        return f"{run.n_volumes} volumes to compare, fewer than {MIN_VOLUMES}"
    return None if run.unshifted.n_pairs else "no pair of volumes far enough apart"
