"""The null of shifted models: what a score would be if the film had been another one.

Models are shifted in time along each run, and the whole procedure (fits, penalties, scores in runs
left out) is repeated. What brain and models are like by themselves stays; that they belong to the
same moments of the film does not.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, prod

import numpy as np

from bidsapp.analysis.part import Fit, Mode
from bidsapp.arrays import Bools, Floats, Ints
from bidsapp.rsa.inference import benjamini_hochberg, finite_mean
from bidsapp.rsa.shifts import ShiftedProducts
from bidsapp.rsa.similarity import similarity

MIN_SHIFT = 20
"""Volumes from zero, and from the whole circle, that every shift keeps."""
MIN_VOLUMES = 60
"""Volumes that every run needs: a third of the circle is then far enough from either end."""
_NUMBERS_AT_ONCE = 2.5e5  # of weights of one model, whatever the penalties
_ROUNDING = 1e-9  # spread of scores, relative to the largest, that float32 products may leave


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


@dataclass(frozen=True)
class ShiftP:
    """One-sided p of scores among those of shifted models, each of shape (R, M); NaN without score.

    Attributes
    ----------
    p
        (1 + draws whose score is at least the observed one) / (1 + draws).
    p_max
        The same against each draw's highest score of all models in the region.
    p_fwe
        That of the standardised score (see `standardised`) against each draw's highest standardised
        score of all regions and models: corrected for all of them.
    q
        False discovery rate (Benjamini and Hochberg) of the standardised scores' p among those of
        the same model in all regions and draws; NaN throughout where these are too few to tell.
    """

    p: Floats
    p_max: Floats
    p_fwe: Floats
    q: Floats


def shift_p(scores: Floats) -> ShiftP:
    """Compare scores with those of shifted models.

    Parameters
    ----------
    scores
        Shape (1 + draws, R, M), of all regions and models of a family: the scores as they are, in
        the field's use means over participants, then those at each draw. All regions and models
        share the draws. NaN throughout where a region or model has no score.

    References
    ----------
    The observed one counts as a draw: Phipson and Smyth (2010), Statistical Applications in
    Genetics and Molecular Biology 9:39. Highest of all: Nichols and Holmes (2002), Human Brain
    Mapping 15:1-25; standardised, so that scores of unlike spread count alike.
    """
    z = standardised(scores)
    missing = ~np.isfinite(scores[0])
    return ShiftP(
        p=_share_as_high(scores, scores[1:], missing),
        p_max=_share_as_high(scores, np.fmax.reduce(scores[1:], 2, keepdims=True), missing),
        p_fwe=_share_as_high(z, np.fmax.reduce(z[1:], (1, 2), keepdims=True), missing),
        q=_false_discovery_rate(z, missing),
    )


def standardised(scores: Floats) -> Floats:
    """Give (score - mean) / SD of each region's and model's scores over all draws.

    The observed score counts as a draw here too, so that it and the others are treated alike.

    Parameters
    ----------
    scores
        As in `shift_p`.

    Returns
    -------
    Floats
        Same shape; 0 where a score is the same at all draws but for rounding.
    """
    deviation = scores - scores.mean(axis=0)
    spread = deviation.std(axis=0)
    varies = spread > _ROUNDING * np.abs(scores).max(axis=0)
    constant = np.where(np.isnan(scores), np.nan, 0.0)
    z: Floats = np.divide(deviation, spread, out=constant, where=varies)
    return z


def fewest_draws(n_regions: int, n_tests: int) -> int:
    """Say how many draws ``q`` of `ShiftP` needs to be able to fall below .05 in a single test."""
    return ceil(n_tests / (0.05 * n_regions))


def _share_as_high(scores: Floats, null: Floats, missing: Bools) -> Floats:
    """Give p of the first of scores, which counts as a draw."""
    as_high: Ints = (null >= scores[0]).sum(axis=0)
    return np.where(missing, np.nan, (1 + as_high) / (1 + len(null)))


def _false_discovery_rate(z: Floats, missing: Bools) -> Floats:
    n_regions = (~missing).any(axis=1).sum()
    if not n_regions or len(z) - 1 < fewest_draws(n_regions, (~missing).sum()):
        return np.full(missing.shape, np.nan)
    p = np.full(missing.shape, np.nan)
    for m in range(missing.shape[1]):
        there = ~missing[:, m]
        pool = np.sort(z[1:, there, m], axis=None)
        lower = np.searchsorted(pool, z[0, there, m], side="left")
        p[there, m] = (1 + len(pool) - lower) / (1 + len(pool))
    return benjamini_hochberg(p)
