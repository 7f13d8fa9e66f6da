"""One region against shifted models at the paper's size: 12 models of 139 layers, 15 participants.

RDMs are made up, as in `bench.group_stage`; making them is not timed. All on one thread. Products
for every shift are made once for all fits; each fit is then timed at its default number of draws.
"""

from time import process_time

from threadpoolctl import threadpool_limits

from bench.group_stage import MIN_LAG_S, OVERLAP_VOLUMES, PAPER, Size, made_up, models_of
from bidsapp.analysis.part import Mode
from bidsapp.analysis.processing import NullDraws, Robust
from bidsapp.rsa.null import draw_shifts, scores_at_shifts
from bidsapp.rsa.shifts import shifted_study

MODES: tuple[Mode, ...] = ("replicate", "robust")
DRAWS = NullDraws()


def run(size: Size = PAPER, draws: NullDraws = DRAWS) -> dict[str, float]:
    """Time one region's test in both modes together.

    Parameters
    ----------
    size
        Of the study; its regions are taken as one.
    draws
        Of each fit.

    Returns
    -------
    dict
        Seconds of the products for all shifts, of each fit's draws, and of ols with its products
        (``null_s_per_region``).
    """
    with threadpool_limits(1):
        return _timed(Size(size.volumes, size.layers, 1, size.participants), draws)


def _timed(size: Size, draws: NullDraws) -> dict[str, float]:
    last = len(size.volumes) - 1
    products_s = 0.0
    runs: dict[Mode, list] = {mode: [] for mode in MODES}
    for i, n in enumerate(size.volumes):
        rdms = made_up(size, str(i + 1), n, OVERLAP_VOLUMES if i < last else 0)
        start = process_time()
        (cohort,) = shifted_study([rdms], 0, MIN_LAG_S, MODES)
        products_s += process_time() - start
        for mode in MODES:
            runs[mode] += cohort.runs[mode]
    found = {"null_products_s": products_s}
    for fit in ("ols", "ridge", "nnls"):
        start = process_time()
        for mode in MODES:
            volumes = {i: run.n_volumes for i, run in enumerate(runs[mode])}
            shifts = draw_shifts(volumes, getattr(draws, fit), 0)
            scores_at_shifts(runs[mode], shifts, models_of(size), mode, fit, Robust().penalties)
        found[f"null_{fit}_s"] = process_time() - start
    return {"null_s_per_region": products_s + found["null_ols_s"], **found}
