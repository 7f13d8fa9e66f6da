"""The null of shifted models: what a score would be if the film had been another one.

Models are shifted in time along each run, and the whole procedure (fits, penalties, scores in runs
left out) is repeated. What brain and models are like by themselves stays; that they belong to the
same moments of the film does not.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import prod

import numpy as np

from bidsapp.analysis.part import Fit, Mode
from bidsapp.arrays import Floats, Ints
from bidsapp.rsa.inference import finite_mean
from bidsapp.rsa.shifts import ShiftedProducts
from bidsapp.rsa.similarity import similarity

MIN_SHIFT = 20
"""Volumes from zero, and from the whole circle, that every shift keeps."""
MIN_VOLUMES = 60
"""Volumes that every run needs: a third of the circle is then far enough from either end."""
_NUMBERS_AT_ONCE = 2.5e5  # of weights of one model, whatever the penalties


def n_distinct(volumes: Iterable[int]) -> int:
    """How many different draws there are of runs with these numbers of volumes."""
    return prod(max(n - 2 * MIN_SHIFT + 1, 0) for n in volumes)


def draw_shifts(volumes: Mapping[int, int], draws: int, seed: int) -> Ints:
    """Draw how far the models are shifted in each run.

    Parameters
    ----------
    volumes
        Volumes on each run's circle, the smallest where participants differ, by the run's position
        in the study; runs that nobody has may be left out.
    draws
        How often to draw.
    seed
        With a run's position it makes a generator of the run's own: its shifts do not depend on
        which other runs there are.

    Returns
    -------
    Ints
        Shape (draws, n_runs), runs in the order of ``volumes``: uniform over those at least
        `MIN_SHIFT` from zero and from the whole circle.

    Raises
    ------
    ValueError
        A run has fewer than `MIN_VOLUMES` volumes.
    """
    fewest = min(volumes.values())
    if fewest < MIN_VOLUMES:
        raise ValueError(f"a run has {fewest} volumes, fewer than {MIN_VOLUMES}")
    columns = [
        np.random.default_rng([seed, position]).integers(MIN_SHIFT, n - MIN_SHIFT + 1, draws)
        for position, n in volumes.items()
    ]
    return np.stack(columns, axis=1)


def scores_at_shifts(
    runs: Sequence[ShiftedProducts],
    shifts: Ints,
    models: Mapping[str, slice],
    mode: Mode,
    fit: Fit,
    penalties: Sequence[float] = (),
) -> Floats:
    """Score every model as `bidsapp.rsa.similarity.similarity` does, at each draw of shifts.

    Parameters
    ----------
    runs
        Products of the runs for every shift.
    shifts
        Shape (K, n_runs), volumes; zeros give the scores as they are.
    models, mode, fit, penalties
        As in `bidsapp.rsa.similarity.similarity`.

    Returns
    -------
    Floats
        Shape (K, M, R, S): each participant's mean r over the runs left out; NaN where there is no
        score.
    """
    n_regions, s = runs[0].unshifted.present.shape
    widest = max(len(range(*columns.indices(runs[0].xy.shape[-1]))) for columns in models.values())
    n_penalties = len(penalties) if fit == "ridge" else 1
    at_once = max(1, int(_NUMBERS_AT_ONCE / (n_regions * s * widest * n_penalties)))
    parts = []
    for start in range(0, len(shifts), at_once):
        some = shifts[start : start + at_once]
        products = [run.at(some[:, i]) for i, run in enumerate(runs)]
        r = finite_mean(similarity(products, models, mode, fit, penalties).r, -1)
        parts.append(r.reshape(len(models), n_regions, len(some), s).transpose(2, 0, 1, 3))
    return np.concatenate(parts)


def shift_p(observed: Floats, null: Floats) -> tuple[Floats, Floats]:
    """One-sided p of each model's score among those of shifted models.

    Parameters
    ----------
    observed
        Shape (M, ...): the scores, in the field's use the mean over participants.
    null
        Shape (draws, M, ...): the same at each draw.

    Returns
    -------
    p : Floats
        Shape (M, ...): (1 + draws whose score is at least the observed one) / (1 + draws).
    p_max : Floats
        The same against each draw's highest score of all M models.

    Both are NaN where the score is.

    References
    ----------
    The observed one counts as a draw: Phipson and Smyth (2010), Statistical Applications in
    Genetics and Molecular Biology 9:39. Highest of all: Nichols and Holmes (2002), Human Brain
    Mapping 15:1-25.
    """
    draws = len(null)
    p = (1 + (null >= observed).sum(axis=0)) / (1 + draws)
    highest = np.fmax.reduce(null, axis=1, keepdims=True)
    p_max = (1 + (highest >= observed).sum(axis=0)) / (1 + draws)
    missing = ~np.isfinite(observed)
    p[missing] = p_max[missing] = np.nan
    return p, p_max
