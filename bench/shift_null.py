"""One region against shifted models at the paper's size: 12 models of 139 layers, 15 participants.

RDMs are made up, as in `bench.group_stage`; making them is not timed. All on one thread. Products
for every shift are made once for all fits and regions, and a region's share of them counts; each
fit is then timed at its default number of draws.
"""

from dataclasses import replace
from time import process_time

from threadpoolctl import threadpool_limits

from bench.group_stage import MIN_LAG_S, OVERLAP_VOLUMES, PAPER, Size, made_up, models_of
from bidsapp.analysis.part import Mode
from bidsapp.analysis.processing import NullDraws, Robust
from bidsapp.rsa.null import draw_shifts, scores_at_shifts
from bidsapp.rsa.shifts import shifted_parts

MODES: tuple[Mode, ...] = ("replicate", "robust")
DRAWS = NullDraws()


def run(size: Size = PAPER, draws: NullDraws = DRAWS) -> dict[str, float]:
    """Time one region's test in both modes together.

    Parameters
    ----------
    size
        Of the study.
    draws
        Of each fit.

    Returns
    -------
    dict
        Seconds of the products for all shifts, of each fit's draws, and of all of these; of one
        region.
    """
    with threadpool_limits(1):
        return _timed(size, draws)


def _timed(size: Size, draws: NullDraws) -> dict[str, float]:
    last = len(size.volumes) - 1
    products_s = 0.0
    runs: dict[Mode, list] = {mode: [] for mode in MODES}
    for i, n in enumerate(size.volumes):
        rdms = made_up(size, str(i + 1), n, OVERLAP_VOLUMES if i < last else 0)
        start = process_time()
        (part,) = shifted_parts(rdms, MIN_LAG_S, MODES)
        products_s += process_time() - start
        for mode in MODES:
            own = part.of_region(0).products[mode]
            runs[mode].append(replace(own, xy=own.xy.copy()))  # let go of the other regions
    seconds = {"null_products_s": products_s / size.regions}
    for fit in ("ols", "ridge", "nnls"):
        start = process_time()
        for mode in MODES:
            volumes = {i: run.n_volumes for i, run in enumerate(runs[mode])}
            shifts = draw_shifts(volumes, getattr(draws, fit), 0)
            scores_at_shifts(runs[mode], shifts, models_of(size), mode, fit, Robust().penalties)
        seconds[f"null_{fit}_s"] = process_time() - start
    return {"null_s_per_region": sum(seconds.values()), **seconds}
