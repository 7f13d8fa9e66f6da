"""The group stage at the paper's size, against bare products and a fit-by-fit library route.

Every fit counts: ordinary least squares and ridge, each run left out in turn, with the ceilings,
in both modes. RDMs are made up (structure shared by layers and regions, plus noise) and making them
is not timed. All of it, the products for comparison too, runs on one thread, so that the ratios do
not depend on how a machine's cores are shared.

The library route makes one rsatoolbox call for each fit and for each comparison of a prediction
with a measured RDM. Its time for one call of each is measured on the first run's volumes, one
target and one model, and multiplied by the calls that replicate needs when each run's fits are kept
for all folds; robust is counted like replicate, though its fits of several runs would be more.
"""

from dataclasses import dataclass
from time import perf_counter

import numpy as np
from threadpoolctl import threadpool_limits

from bidsapp.analysis.spec import Robust
from bidsapp.arrays import Floats
from bidsapp.rsa.ceiling import ceilings
from bidsapp.rsa.gram import BLOCK_PAIRS, RunProducts
from bidsapp.rsa.similarity import Fit, Mode, similarity
from bidsapp.rsa.study import RunRDMs, study_products

REPETITION_TIME = 2.0
MIN_LAG_S = 20.0
OVERLAP_VOLUMES = 8


@dataclass(frozen=True)
class Size:
    """How much there is of everything."""

    volumes: tuple[int, ...] = (451, 441, 438, 488, 462, 439, 542, 338)
    layers: tuple[int, ...] = (11, 11, 12, 12, 12, 12, 12, 12, 12, 11, 11, 11)
    regions: int = 22
    participants: int = 15


PAPER = Size()


def run(size: Size = PAPER) -> dict[str, float]:
    """Time the group stage, the same matrices' bare products, and the library route.

    Parameters
    ----------
    size
        The paper's, unless a smaller one is tried.

    Returns
    -------
    dict
        Seconds, and the two ratios that the design bounds.
    """
    with threadpool_limits(1):
        return _timed(size)


def _timed(size: Size) -> dict[str, float]:
    products: dict[Mode, list[RunProducts]] = {"replicate": [], "robust": []}
    reduce_s = bare_s = 0.0
    for i, n in enumerate(size.volumes):
        rdms = _made_up(size, str(i + 1), n, OVERLAP_VOLUMES if i + 1 < len(size.volumes) else 0)
        start = perf_counter()
        study = study_products([rdms], MIN_LAG_S)
        reduce_s += perf_counter() - start
        products["replicate"] += study.replicate
        products["robust"] += study.robust
        n_pairs = [study.replicate[0].n_pairs, study.robust[0].n_pairs]
        bare_s += sum(_bare_products(rdms, n) for n in n_pairs)
    start = perf_counter()
    _score(size, products)
    score_s = perf_counter() - start
    library_s = _library_route(size)
    return {
        "group_stage_products_s": reduce_s,
        "group_stage_fits_s": score_s,
        "group_stage_bare_products_s": bare_s,
        "group_stage_over_bare_products": (reduce_s + score_s) / bare_s,
        "group_stage_library_route_s": library_s,
        "group_stage_library_over_ours": library_s / (reduce_s + score_s),
    }


def _made_up(size: Size, name: str, n: int, trim_end: int) -> RunRDMs:
    rng = np.random.default_rng(n)
    n_pairs = n * (n - 1) // 2
    shared = rng.standard_normal((20, n_pairs), dtype=np.float32)

    def rdms(k: int) -> Floats:
        mixing = rng.standard_normal((k, 20), dtype=np.float32)
        out = mixing @ shared
        for row in out:
            row += 4 * rng.standard_normal(n_pairs, dtype=np.float32)
        out *= 0.02
        out += 1
        return out

    targets = rdms(size.regions * size.participants)
    targets = targets.reshape(size.regions, size.participants, n_pairs)
    return RunRDMs(name, rdms(sum(size.layers)), targets, REPETITION_TIME, trim_end)


def _bare_products(rdms: RunRDMs, n_pairs: int) -> float:
    """Seconds of the products alone, in the same blocks."""
    regions, participants, _ = rdms.targets.shape
    x, y = rdms.models, rdms.targets.reshape(regions * participants, -1)
    start = perf_counter()
    for first in range(0, n_pairs, BLOCK_PAIRS):
        part = slice(first, min(first + BLOCK_PAIRS, n_pairs))
        x_block, y_block = x[:, part], y[:, part]
        by_region = y_block.reshape(regions, participants, -1)
        _ = x_block @ x_block.T
        _ = y_block @ x_block.T
        _ = by_region @ by_region.swapaxes(1, 2)
    return perf_counter() - start


def _score(size: Size, products: dict[Mode, list[RunProducts]]) -> None:
    edges = np.cumsum([0, *size.layers]).tolist()
    models = {str(m): slice(edges[m], edges[m + 1]) for m in range(len(size.layers))}
    fits: tuple[Fit, ...] = ("ols", "ridge")
    for mode, runs in products.items():
        ceilings(runs)
        for fit in fits:
            similarity(runs, models, mode, fit, Robust().penalties)


def _library_route(size: Size, repeats: int = 3) -> float:
    """Seconds that the same fits and comparisons would take one by one, scaled."""
    from rsatoolbox.model import ModelWeighted
    from rsatoolbox.model.fitter import fit_regress
    from rsatoolbox.rdm import RDMs, compare

    few = Size(size.volumes, size.layers[:1], regions=1, participants=1)
    rdms = _made_up(few, "1", size.volumes[0], 0)
    brain = RDMs(rdms.targets[0].astype(np.float64))
    model = ModelWeighted("one", RDMs(rdms.models.astype(np.float64)))
    start = perf_counter()
    for _ in range(repeats):
        weights = fit_regress(model, brain, method="corr")
    fit_s = (perf_counter() - start) / repeats
    start = perf_counter()
    for _ in range(repeats):
        compare(model.predict_rdm(weights), brain, method="corr")
    compare_s = (perf_counter() - start) / repeats
    n_runs, n_penalties = len(size.volumes), len(Robust().penalties)
    n_fits = n_runs * (1 + n_penalties)
    n_compared = n_runs * (1 + (n_runs - 1) * n_penalties + 1)
    n_targets = 2 * len(size.layers) * size.regions * size.participants
    return n_targets * (n_fits * fit_s + n_compared * compare_s)
