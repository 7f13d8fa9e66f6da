"""Tables of what models explain beyond each other, of one participant and of the group."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pandas as pd

from bidsapp.arrays import Bools, Floats, Ints
from bidsapp.rsa import inference
from bidsapp.rsa.controlled import Controlled
from bidsapp.rsa.null import draw_shifts, shift_p
from bidsapp.rsa.shifts import ShiftedPart
from bidsapp.rsa.unique import Unique, joined, pairs_of
from bidsapp.tables import notes
from bidsapp.tables.columns import describe
from bidsapp.tables.group_tests import add_tests, rows_of
from bidsapp.tables.null import smallest_circles, too_short
from bidsapp.tables.scores import UNIQUE_CONTROLLED, Scores


@dataclass(frozen=True)
class JoinedScores:
    """What models add to each other in the robust mode, of all participants.

    Attributes
    ----------
    unique
        Scores as they are.
    means
        Shape (1 + draws, R, pairs): mean over participants of their mean r over runs, as it is and
        at each draw; NaN throughout where somebody's models cannot be shifted.
    """

    unique: Unique
    means: Floats


def joined_scores(participants: Iterable[Controlled]) -> JoinedScores | None:
    """Put participants' scores together, in their order; None if there are none."""
    scores = list(participants)
    if not scores:
        return None
    there = np.array([own.at_draws[:1] for own in scores])
    present = np.isfinite(there)
    total = np.zeros(scores[0].at_draws.shape)
    for here, own in zip(present, scores, strict=True):
        total += np.where(here, own.at_draws, 0.0)
    count = present.sum(axis=0)
    means = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    means[:, ~np.isfinite(means).all(axis=0)] = np.nan
    parts = [(np.array([i]), own.unique) for i, own in enumerate(scores)]
    return JoinedScores(joined(parts), means)


def shifts_of(
    runs: Sequence[Sequence[ShiftedPart]], participant: int, draws: int, seed: int
) -> tuple[Ints, Bools]:
    """Draw the shifts of all runs, which every participant shares.

    Parameters
    ----------
    runs
        The parts of every run, of the robust mode.
    participant
        By position.
    draws, seed
        As in `bidsapp.rsa.null.draw_shifts`.

    Returns
    -------
    shifts : Ints
        Shape (draws, n_runs), volumes.
    usable : Bools
        Shape (n_runs,): whether models can be shifted on the participant's circle.
    """
    smallest = smallest_circles(runs, "robust")
    shifts = np.zeros((draws, len(runs)), np.int64)
    if smallest:
        shifts[:, list(smallest)] = draw_shifts(smallest, draws, seed)
    own = [
        next(part for part in parts if participant in part.participants).products["robust"]
        for parts in runs
    ]
    return shifts, np.array([too_short(run) is None for run in own])


def scored_at_draws(scores: Controlled, usable: Bools) -> Controlled:
    """Take away the draws of regions with a score in a run whose models cannot be shifted."""
    scored = np.isfinite(scores.unique.r[:, :, 0]).any(axis=0)  # (R, n_runs)
    at_draws = scores.at_draws.copy()
    at_draws[1:, (scored & ~usable).any(axis=1)] = np.nan
    return replace(scores, at_draws=at_draws)


def unique_table(
    scores: Scores,
    models: Sequence[str],
    regions: Sequence[str],
    families: Sequence[str],
    controlled: JoinedScores | None,
    seed: int,
) -> pd.DataFrame:
    """Make the group's table ``unique`` of one mode and fit.

    Parameters
    ----------
    scores
        Of all participants.
    models, regions, families
        Names, and the set that each region is corrected with: a family is one mode and fit, all
        regions of a set, all pairs of models.
    controlled
        With the scores at draws, of the robust mode.
    seed
        Of random sign flips.
    """
    table = _rows(scores, models, regions)
    if scores.unique is None:
        return table.reindex(columns=list(describe("unique")))
    pairs = pairs_of(len(models))
    r = inference.finite_mean(scores.unique.r, -1).swapaxes(0, 1)  # (R, pairs, S): as the rows
    test = inference.one_sample_t(inference.fisher_z(r))
    table["n"] = test.n.ravel().astype(int)
    table["r_mean"] = inference.finite_mean(r, -1).ravel()
    table["r_sd"] = inference.finite_sd(r, -1).ravel()
    delta = inference.finite_mean(scores.unique.delta_r2, -1).swapaxes(0, 1)
    table["delta_r2_mean"] = inference.finite_mean(delta, -1).ravel()
    table["delta_r2_sd"] = inference.finite_sd(delta, -1).ravel()
    add_tests(table, test, inference.fisher_z(r), families, len(pairs), seed)
    table["p_null"] = table["p_null_fwe"] = np.nan
    if (scores.mode, scores.fit) == UNIQUE_CONTROLLED and controlled is not None:
        _add_shift_p(table, controlled.means, families, len(pairs))
    table["n_runs"], of_rows = _counts_and_notes(scores, scores.unique, regions)
    no_p = _why_no_p(scores, controlled)
    table["note"] = [
        notes.joined(_group_notes(scores, n, own, no_p if np.isnan(p) else None))
        for n, own, p in zip(table["n"], of_rows, table["p_null"], strict=True)
    ]
    return table[list(describe("unique"))]


def participant_unique(
    scores: Scores, models: Sequence[str], regions: Sequence[str]
) -> pd.DataFrame:
    """Make a participant's table ``unique`` of one mode and fit; means over the runs left out."""
    table = _rows(scores, models, regions)
    if scores.unique is None:
        return table.reindex(columns=list(describe("unique", "participant")))
    table["n_runs"], of_rows = _counts_and_notes(scores, scores.unique, regions)
    table["r"] = inference.finite_mean(scores.unique.r[:, :, 0], -1).T.ravel()
    table["delta_r2"] = inference.finite_mean(scores.unique.delta_r2[:, :, 0], -1).T.ravel()
    table["note"] = [
        notes.joined(
            [
                *notes.short_runs(scores.too_short),
                *([] if n or own else [notes.TOO_FEW_RUNS]),
                *own,
            ]
        )
        for n, own in zip(table["n_runs"], of_rows, strict=True)
    ]
    return table[list(describe("unique", "participant"))]


def _rows(scores: Scores, models: Sequence[str], regions: Sequence[str]) -> pd.DataFrame:
    """Make the rows, with a note why there is nothing in them."""
    names = [(models[control], models[target]) for control, target in pairs_of(len(models))]
    table = rows_of(scores, regions, ("control", "target"), names)
    why = notes.RIDGE_CONTROL if scores.fit == "ridge" else notes.NNLS_CONTROL
    return table.assign(note=why)


def _add_shift_p(table: pd.DataFrame, means: Floats, families: Sequence[str], n_pairs: int) -> None:
    """Add p among the scores with residuals shifted in time, corrected within each family."""
    p, p_fwe = np.full((2, len(families), n_pairs), np.nan)
    for family in set(families) if len(means) > 1 and n_pairs else ():
        members = np.flatnonzero([name == family for name in families])
        of_family = shift_p(means[:, members])
        p[members], p_fwe[members] = of_family.p, of_family.p_fwe
    table["p_null"], table["p_null_fwe"] = p.ravel(), p_fwe.ravel()


def _why_no_p(scores: Scores, controlled: JoinedScores | None) -> str | None:
    """Say why rows with scores have no p among shifted ones; None where no row should have one."""
    if (scores.mode, scores.fit) != UNIQUE_CONTROLLED or controlled is None:
        return None
    asked = len(controlled.means) > 1
    return notes.UNIQUE_NOT_SHIFTED if asked else notes.UNIQUE_NULL_NOT_ASKED


def _group_notes(scores: Scores, n: int, of_row: list[str], no_p: str | None) -> list[str]:
    """Say what to know of a row of n participants."""
    if not n and of_row:  # it says why nobody has a score
        return of_row
    undefined = notes.undefined(scores.volumes) if n else []
    return [*notes.few(n, scores.too_short), *of_row, *undefined, *([no_p] if n and no_p else [])]


def _counts_and_notes(
    scores: Scores, unique: Unique, regions: Sequence[str]
) -> tuple[Ints, list[list[str]]]:
    """Count the scores of each row, and say what to know of them."""
    counts = [
        array.sum(axis=(2, 3)).T.ravel()
        for array in (np.isfinite(unique.r), unique.constant, unique.exhausted)
    ]
    cut = np.tile(unique.cut.any(axis=-1), len(regions))
    of_rows = [
        notes.beyond(scored, constant, exhausted, own_cut, scores.fit)
        for scored, constant, exhausted, own_cut in zip(*counts, cut, strict=True)
    ]
    has_score = np.isfinite(scores.similarity.r[0]).any(axis=(-2, -1)).tolist()  # of any model
    n_pairs = len(unique.r)
    for row, (region, _) in enumerate(product(range(len(regions)), range(n_pairs))):
        if has_score[region] and not counts[0][row]:
            of_rows[row] = [notes.NO_FEATURES]
    return counts[0], of_rows
