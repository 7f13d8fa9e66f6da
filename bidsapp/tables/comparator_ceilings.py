"""Noise ceilings of comparators: how alike participants' RDMs of a region are by each method."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from bidsapp.analysis.spec import Analysis, Comparator, Mode
from bidsapp.arrays import Bools, Floats
from bidsapp.rsa import inference
from bidsapp.rsa.comparator_ceilings import noise_ceilings
from bidsapp.rsa.comparators import columns, problem
from bidsapp.rsa.modes import mode_pairs
from bidsapp.rsa.pairs import PairSet
from bidsapp.rsa.study import RunRDMs, defined_by_all
from bidsapp.tables import notes
from bidsapp.tables.comparators import FEWEST_PAIRS, compared_regions

KEYS = ["mode", "method", "roi"]


def comparator_ceilings(runs: Iterable[RunRDMs], analysis: Analysis) -> pd.DataFrame:
    """Lower and upper ceiling of each mode, method and region.

    Run by run, on the volumes that the participants who have the region define in common; then
    the mean over each participant's runs, and over participants, as ``r_mean`` is.

    Parameters
    ----------
    runs
        All runs with all participants, one after the other.
    analysis
        Its comparators, modes and regions are used.

    Returns
    -------
    pandas.DataFrame
        mode, method, roi, ceiling_lower, ceiling_upper, note; every combination has its row. The
        note, empty where there is nothing to say, tells why values are NaN.
    """
    keys = list(product(analysis.modes, analysis.comparators.methods, compared_regions(analysis)))
    parts = [_of_run(run, analysis) for run in runs]
    each = inference.finite_mean(np.array([part.scores for part in parts]), 0)
    bounds = inference.finite_mean(each, -1)  # (modes, methods, R, 2)
    short = np.logical_or.reduce([part.short for part in parts])
    apart = np.broadcast_to(short[:, None], bounds.shape[:-1])
    table = pd.DataFrame(keys, columns=KEYS)
    table[["ceiling_lower", "ceiling_upper"]] = bounds.reshape(-1, 2)
    table["note"] = [
        _why_none(method, mode, too_short) if lacking else ""
        for (mode, method, _), too_short, lacking in zip(
            keys, apart.ravel(), table["ceiling_lower"].isna(), strict=True
        )
    ]
    return table


def _why_none(method: Comparator, mode: Mode, too_short: bool) -> str:
    few = notes.FEW_COMMON_VOLUMES if too_short else notes.NO_COMMON_RUN
    return problem(method, mode, "layer") or few


@dataclass(frozen=True)
class _Part:
    """One run's ceilings, and the regions of which participants share too few volumes."""

    scores: Floats  # (modes, methods, R, 2, S)
    short: Bools  # (modes, R)


def _of_run(run: RunRDMs, analysis: Analysis) -> _Part:
    methods, regions = analysis.comparators.methods, compared_regions(analysis)
    shape = (len(analysis.modes), len(methods), len(regions), 2, run.targets.shape[1])
    scores, short = np.full(shape, np.nan), np.zeros((shape[0], shape[2]), dtype=np.bool_)
    defined = run.defined()
    for i, mode in enumerate(analysis.modes):
        common = _CommonPairs(run, mode, analysis.robust.min_lag_s, defined[mode], {})
        applied = [m for m, method in enumerate(methods) if problem(method, mode, "layer") is None]
        for j, region in enumerate(regions):
            targets = run.targets_of(mode)[analysis.region_names.index(region)]
            there = np.isfinite(targets).any(axis=1)
            pairs = common.of(there)
            short[i, j] = there.sum() > 1 and pairs.n_pairs < FEWEST_PAIRS
            rdms, constant = columns(targets[there], pairs, mode)
            compared = np.flatnonzero(there)[~constant]
            if pairs.n_pairs < FEWEST_PAIRS or len(compared) < 2:
                continue
            for m in applied:
                scores[i, m, j][:, compared] = noise_ceilings(
                    methods[m], rdms[~constant], analysis.dissimilarity.brain
                )
    return _Part(scores, short)


@dataclass(frozen=True)
class _CommonPairs:
    """The pairs that participants share, which are made once for the regions of the same ones."""

    run: RunRDMs
    mode: Mode
    min_lag_s: float
    defined: Bools  # (S, n_volumes)
    made: dict[bytes, PairSet]

    def of(self, there: Bools) -> PairSet:
        """Give the pairs of volumes that some participants, (S,), define in common."""
        key = there.tobytes()
        if key not in self.made:
            volumes = defined_by_all(self.defined, np.flatnonzero(there))
            self.made[key] = mode_pairs(self.run, self.mode, self.min_lag_s, volumes)
        return self.made[key]
