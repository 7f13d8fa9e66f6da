"""p of scores among those of shifted models: a region's scores at each draw, then all regions'."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from bidsapp.analysis.spec import Analysis, Fit, Mode
from bidsapp.arrays import Floats, Ints
from bidsapp.rsa.inference import finite_mean
from bidsapp.rsa.null import (
    MIN_VOLUMES,
    draw_shifts,
    fewest_draws,
    n_distinct,
    scores_at_shifts,
    shift_p,
)
from bidsapp.rsa.shifts import ShiftedCohort, ShiftedPart, ShiftedProducts, shifted_cohorts
from bidsapp.rsa.similarity import MIN_RUNS
from bidsapp.tables import notes
from bidsapp.tables.scores import layer_columns

KEYS = ["mode", "fit", "roi", "model"]
P_COLUMNS = ["p_null", "p_null_max", "p_null_fwe", "q_null"]
COLUMNS = [*KEYS, *P_COLUMNS, "note"]

_Parts = Sequence[tuple[Ints, ShiftedProducts]]  # one run: who has the region, and their circle


@dataclass(frozen=True)
class RegionNull:
    """One region, mode and fit: the scores as they are, and with models shifted.

    Attributes
    ----------
    region, mode, fit
        Which.
    scores
        Shape (1 + draws, M): mean over participants of their mean r over runs; the first as it is.
        None where models cannot be shifted, or no draw is asked for.
    note
        Why there is none, or what to know of the draws.
    """

    region: str
    mode: Mode
    fit: Fit
    scores: Floats | None
    note: str | None


def region_null(
    runs: Sequence[Sequence[ShiftedPart]],
    layers: Mapping[str, Sequence[str]],
    region: str,
    analysis: Analysis,
    seed: int,
    participants: Sequence[str] = (),
) -> list[RegionNull]:
    """Score one region with models as they are and shifted in time.

    Parameters
    ----------
    runs
        The parts of every run, of this region alone (R = 1).
    layers
        Names of each model's layers, in the order of the products' columns.
    region
        Its name.
    analysis
        Its modes, fits, penalties and ``statistics.null_draws`` are used.
    seed
        Of the shifts: these are the same for every region, model, layer, participant and fit.
    participants
        Labels that notes name them by, in the order of the products; without, notes count from 1.

    Returns
    -------
    list of RegionNull
        One a mode and fit.
    """
    cohorts = shifted_cohorts(runs)
    n_participants = sum(len(cohort.participants) for cohort in cohorts)
    people = [f"sub-{label}" for label in participants] or [
        f"participant {i + 1}" for i in range(n_participants)
    ]
    smallest = {mode: smallest_circles(runs, mode) for mode in analysis.modes}
    return [
        RegionNull(
            region,
            mode,
            fit,
            *_scored(cohorts, layers, mode, fit, analysis, seed, people, smallest[mode]),
        )
        for mode, fit in product(analysis.modes, analysis.fits)
    ]


def null_table(
    nulls: Sequence[RegionNull], models: Sequence[str], families: Mapping[str, str]
) -> pd.DataFrame:
    """Test the scores of all regions against those of shifted models.

    Parameters
    ----------
    nulls
        Of all regions, modes and fits.
    models
        Their names, in the order of the scores.
    families
        Region to the set that it is corrected with. A family is one mode and fit, all regions of a
        set, all models.

    Returns
    -------
    pandas.DataFrame
        Columns mode, fit, roi, model, p_null, p_null_max, p_null_fwe, q_null, note; see
        `bidsapp.rsa.null.ShiftP`.
    """
    members = defaultdict(list)
    for null in nulls:
        members[null.mode, null.fit, families[null.region]].append(null)
    return pd.concat([_of_family(own, models) for own in members.values()], ignore_index=True)


def _of_family(nulls: Sequence[RegionNull], models: Sequence[str]) -> pd.DataFrame:
    table = pd.DataFrame(
        [(null.mode, null.fit, null.region, model) for null, model in product(nulls, models)],
        columns=KEYS,
    )
    table[P_COLUMNS] = np.nan
    tested = [null.scores for null in nulls if null.scores is not None]
    rows = np.repeat([null.scores is not None for null in nulls], len(models))
    too_few = None
    if tested:
        p = shift_p(np.stack(tested, axis=1))
        values = (p.p, p.p_max, p.p_fwe, p.q)
        table.loc[rows, P_COLUMNS] = np.column_stack([each.ravel() for each in values])
        too_few = _too_few_draws(tested)
    reasons = [[null.note, too_few if null.scores is not None else None] for null in nulls]
    said = [notes.joined([reason for reason in own if reason]) for own in reasons]
    table["note"] = np.repeat(np.array(said, dtype=object), len(models))
    return table


def _too_few_draws(tested: Sequence[Floats]) -> str | None:
    """Say that there are too few draws for q_null, if that is so."""
    n_regions = sum(bool(np.isfinite(scores[0]).any()) for scores in tested)
    n_tests = sum(int(np.isfinite(scores[0]).sum()) for scores in tested)
    draws = len(tested[0]) - 1
    if not n_regions or draws >= fewest_draws(n_regions, n_tests):
        return None
    return f"no q_null: {draws} draws, fewer than {fewest_draws(n_regions, n_tests)}"


def _scored(
    cohorts: Sequence[ShiftedCohort],
    layers: Mapping[str, Sequence[str]],
    mode: Mode,
    fit: Fit,
    analysis: Analysis,
    seed: int,
    people: Sequence[str],
    smallest: Mapping[int, int],
) -> tuple[Floats | None, str | None]:
    """Scores of each model at each draw, and why there are none or what to know of them."""
    draws: int = getattr(analysis.statistics.null_draws, fit)
    circles = _owners_of_runs(cohorts, mode)
    why = _why_none(circles, people)
    if why is not None:
        return None, f"no p_null: {why}"
    if not draws:
        return None, notes.NULL_NOT_ASKED
    volumes = {position: smallest[position] for position in circles}
    shifts = draw_shifts(volumes, draws, seed)
    shifts = np.vstack([np.zeros_like(shifts[:1]), shifts])  # the first: models as they are
    columns, penalties = layer_columns(layers), analysis.robust.penalties
    scores = []
    for cohort in cohorts:
        runs = [cohort.runs[mode][position] for position in volumes]
        scores.append(scores_at_shifts(runs, shifts, columns, mode, fit, penalties)[:, :, 0])
    distinct = n_distinct(volumes.values())
    note = f"p_null: {draws} draws of {distinct} distinct shifts" if draws > distinct else None
    return finite_mean(np.concatenate(scores, axis=-1), -1), note


def _owners_of_runs(cohorts: Sequence[ShiftedCohort], mode: Mode) -> dict[int, _Parts]:
    """Give each run in which somebody has the region, also where none of its pairs is used."""
    circles = defaultdict(list)
    for cohort in cohorts:
        for position, run in enumerate(cohort.runs[mode]):
            if run.given.any():
                circles[position].append((cohort.participants[run.given[0]], run))
    return dict(sorted(circles.items()))


def smallest_circles(runs: Sequence[Sequence[ShiftedPart]], mode: Mode) -> dict[int, int]:
    """Give each run's smallest circle among all who have any region, so that regions share draws.

    Parameters
    ----------
    runs
        The parts of every run.
    mode
        Which.

    Returns
    -------
    dict
        Position of the run to volumes. Who has too short a circle does not count: regions that such
        a participant has are not tested.
    """
    smallest: dict[int, int] = {}
    for position, parts in enumerate(runs):
        of_mode = [part.products[mode] for part in parts]
        circles = [run.n_volumes for run in of_mode if run.in_run.any() and not too_short(run)]
        if circles:
            smallest[position] = min(circles)
    return smallest


def _why_none(circles: Mapping[int, _Parts], people: Sequence[str]) -> str | None:
    """Say why models cannot be shifted: too few runs, or the first that is too short, and whose."""
    if len(circles) < MIN_RUNS:
        return notes.TOO_FEW_RUNS
    for parts in circles.values():
        short = [part for part in parts if too_short(part[1])]
        if short:
            fewest = min((run for _, run in short), key=lambda run: run.n_volumes)
            what = f"run {fewest.unshifted.run} has {too_short(fewest)}"
            if len(short) == len(parts):
                return what
            owners = np.sort(np.concatenate([owners for owners, _ in short]))
            who = notes.some([people[i] for i in owners])
            return f"{what}, in {who} (leave out that run or participant: docs/faq.md)"
    return None


def too_short(run: ShiftedProducts) -> str | None:
    """Say what a run has that is not enough to shift models in it."""
    if run.n_volumes < MIN_VOLUMES:
        return f"{run.n_volumes} volumes to compare, fewer than {MIN_VOLUMES}"
    return None if run.unshifted.n_pairs else "no pair of volumes far enough apart"
