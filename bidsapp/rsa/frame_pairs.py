"""The pairs of moments that say most about the components of the models' layers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np

from bidsapp.analysis.part import Mode
from bidsapp.arrays import Floats, Ints
from bidsapp.rsa.components import Components, layer_pairs, pair_loadings
from bidsapp.rsa.pairs import lag_in_volumes
from bidsapp.rsa.study import RunRDMs

Sign = Literal["high", "low"]

SIGNS: tuple[Sign, ...] = ("high", "low")
LISTED_COMPONENTS = 2
N_PAIRS = 8
APART_S = 20.0
"""Least time between the volumes of two chosen pairs, so that not one scene fills the table."""


@dataclass(frozen=True)
class FramePair:
    """A pair of volumes of one run (``a`` before ``b``) and its loading on a component (from 0)."""

    mode: Mode
    component: int
    sign: Sign
    run: str
    a: int
    b: int
    loading: float


def frame_pairs(
    runs: Iterable[RunRDMs], found: Mapping[Mode, Components], min_lag_s: float
) -> list[FramePair]:
    """Choose the pairs of highest and lowest loading on each of the first components.

    Of each mode, component and sign, the best `N_PAIRS` pairs that the mode compares, taken
    greedily: a pair is passed over when one of its volumes is nearer than `APART_S` to a volume of
    a pair already taken from the same run. Volumes whose film the next run shows again are left
    out in both modes, so that no two moments are listed twice.

    Parameters
    ----------
    runs
        The runs, one in memory at a time; only their models are looked at, and the volumes that all
        layers define.
    found
        The components of each mode.
    min_lag_s
        Least circular lag of the robust mode's pairs, in seconds.

    Returns
    -------
    list of FramePair
        By mode, component and sign, best first.
    """
    kept: dict[tuple[Mode, int, Sign], list[FramePair]] = {
        key: [] for key in product(found, range(LISTED_COMPONENTS), SIGNS)
    }
    for run in runs:
        for mode, its in found.items():
            pairs = layer_pairs(run, mode, min_lag_s)
            if not pairs.n_pairs:
                continue
            first, second = (pairs.kept[place] for place in pairs.places)
            apart = lag_in_volumes(APART_S, run.repetition_time)
            loadings = pair_loadings(run.models, pairs, mode, its, LISTED_COMPONENTS)
            if run.film is not None:
                again = run.film.repeated
                loadings[:, again[first] | again[second]] = np.nan
            for component, sign in product(range(LISTED_COMPONENTS), SIGNS):
                own = loadings[component] * (1 if sign == "high" else -1)
                for i in _apart(own, first, second, apart):
                    value = float(loadings[component, i])
                    pair = (run.run, int(first[i]), int(second[i]), value)
                    kept[mode, component, sign].append(FramePair(mode, component, sign, *pair))
    best: list[FramePair] = []
    for (_, _, sign), its_pairs in kept.items():
        # Runs share no film, so none hinders another: the best of all are those of each, merged.
        its_pairs.sort(key=lambda pair: pair.loading, reverse=sign == "high")
        best += its_pairs[:N_PAIRS]
    return best


def _apart(loading: Floats, first: Ints, second: Ints, apart: int) -> Sequence[int]:
    """Take the highest loadings, each pair at least ``apart`` volumes from those before."""
    left = np.where(np.isfinite(loading), loading, -np.inf)
    taken: list[int] = []
    while len(taken) < N_PAIRS and len(left):
        best = int(left.argmax())
        if left[best] == -np.inf:
            break
        taken.append(best)
        for volume in (first[best], second[best]):
            near = (np.abs(first - volume) < apart) | (np.abs(second - volume) < apart)
            left[near] = -np.inf
        left[best] = -np.inf
    return taken
