"""The group stage at the paper's size, against bare products and a fit-by-fit library route.

Every fit counts: ordinary least squares and ridge, each run left out in turn, with the ceilings, in
both modes, and what each model explains beyond each other (all ordered pairs, by ordinary least
squares) in replicate; `bench.unique` has that of robust. Non-negative least squares are timed
apart. RDMs
are made up (structure shared by layers and regions, plus noise) and making them is not timed. All
of it, the products for comparison too, runs on one thread, so that the ratios do not depend on how
a machine's cores are shared, and processor time is what is compared.

The library route makes one rsatoolbox call for each fit and for each comparison of a prediction
with a measured RDM. Its time for one call of each is measured on the first run's volumes, one
target and one model, and multiplied by the calls that replicate needs when each run's fits are kept
for all folds; robust is counted like replicate, though its fits of several runs would be more.
"""

from dataclasses import dataclass, replace
from resource import RUSAGE_SELF, getrusage
from time import process_time

import numpy as np
from threadpoolctl import threadpool_limits

from bidsapp.analysis.part import Fit, Mode
from bidsapp.analysis.spec import Robust
from bidsapp.arrays import Floats
from bidsapp.rsa.ceiling import ceilings
from bidsapp.rsa.gram import BLOCK_PAIRS, RunProducts
from bidsapp.rsa.similarity import similarity
from bidsapp.rsa.study import RunRDMs, study_products
from bidsapp.rsa.unique import split, unique
from bidsapp.rsa.volumes import FilmVolumes
from bidsapp.tables.scores import UNIQUE_FROM_PRODUCTS

REPETITION_TIME = 2.0
MIN_LAG_S = 20.0
OVERLAP_VOLUMES = 8
UNCOVERED_VOLUMES = 10


@dataclass(frozen=True)
class Size:
    """How much there is of everything."""

    volumes: tuple[int, ...] = (451, 441, 438, 488, 462, 439, 542, 338)
    layers: tuple[int, ...] = (11, 11, 12, 12, 12, 12, 12, 12, 12, 11, 11, 11)
    regions: int = 22
    participants: int = 15


PAPER = Size()
SCALED = Size(volumes=(319,) * 4, layers=(12,) * 4, regions=8)
"""Small enough to be made four times as large in either way."""
FITS: tuple[Fit, ...] = ("ols", "ridge", "nnls")
CORE = ("ceilings_split", "ols", "ols_pairs", "ridge")


def run(size: Size = PAPER) -> dict[str, float]:
    """Time the group stage, the same matrices' bare products, and the library route.

    Parameters
    ----------
    size
        The paper's, unless a smaller one is tried.

    Returns
    -------
    dict
        Seconds of processor time, ratios, and gigabytes.
    """
    with threadpool_limits(1):
        return _timed(size)


def _timed(size: Size) -> dict[str, float]:
    products: dict[Mode, list[RunProducts]] = {"replicate": [], "robust": []}
    reduce_s = bare_s = 0.0
    for i, n in enumerate(size.volumes):
        rdms = made_up(size, str(i + 1), n, OVERLAP_VOLUMES if i + 1 < len(size.volumes) else 0)
        start = process_time()
        study = study_products([rdms], MIN_LAG_S)
        reduce_s += process_time() - start
        products["replicate"] += study.replicate
        products["robust"] += study.robust
        n_pairs = [study.replicate[0].n_pairs, study.robust[0].n_pairs]
        bare_s += sum(_bare_products(rdms, n) for n in n_pairs)
    parts_s = _score(size, products)
    core_s = reduce_s + sum(parts_s[name] for name in CORE)
    library_s = _library_route(size)
    return {
        "group_stage_products_s": reduce_s,
        "group_stage_bare_products_s": bare_s,
        **{f"group_stage_{name}_s": seconds for name, seconds in parts_s.items()},
        "group_stage_over_bare_products": core_s / bare_s,
        "group_stage_everything_over_bare_products": (reduce_s + sum(parts_s.values())) / bare_s,
        "group_stage_library_route_s": library_s,
        "group_stage_library_over_ours": library_s / core_s,
        "group_stage_peak_gb": getrusage(RUSAGE_SELF).ru_maxrss / 1e6,
        **_scaling(),
    }


def _scaling() -> dict[str, float]:
    """Processor time at two and four times the pairs, and the targets, relative to once."""
    times = {}
    for what, sizes in (
        ("pairs", [replace(SCALED, volumes=(n,) * 4) for n in (226, 319, 451)]),
        ("targets", [replace(SCALED, regions=n) for n in (4, 8, 16)]),
    ):
        seconds = []
        for size in sizes:
            rdms = [made_up(size, str(i), n, 0) for i, n in enumerate(size.volumes)]
            start = process_time()
            study = study_products(rdms, MIN_LAG_S)
            _score(size, {"replicate": [*study.replicate], "robust": [*study.robust]})
            seconds.append(process_time() - start)
        for times_as_many, its in zip((2, 4), seconds[1:], strict=True):
            times[f"group_stage_{times_as_many}x_{what}_over_1x"] = its / seconds[0]
    return times


def made_up(size: Size, name: str, n: int, n_repeated: int) -> RunRDMs:
    """Make up a run's RDMs: structure that layers and regions share, and noise."""
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
    film = FilmVolumes(np.arange(n) >= UNCOVERED_VOLUMES, FilmVolumes.whole(n, n_repeated).repeated)
    models = rdms(sum(size.layers))
    return RunRDMs(name, models, targets, REPETITION_TIME, film, robust_targets=targets)


def _bare_products(rdms: RunRDMs, n_pairs: int) -> float:
    """Seconds of the products alone, in the same blocks."""
    regions, participants, _ = rdms.targets.shape
    x, y = rdms.models, rdms.targets.reshape(regions * participants, -1)
    start = process_time()
    for first in range(0, n_pairs, BLOCK_PAIRS):
        part = slice(first, min(first + BLOCK_PAIRS, n_pairs))
        x_block, y_block = x[:, part], y[:, part]
        by_region = y_block.reshape(regions, participants, -1)
        _ = x_block @ x_block.T
        _ = y_block @ x_block.T
        _ = by_region @ by_region.swapaxes(1, 2)
    return process_time() - start


def models_of(size: Size) -> dict[str, slice]:
    """Say which layers are each model's."""
    edges = np.cumsum([0, *size.layers]).tolist()
    return {str(m): slice(edges[m], edges[m + 1]) for m in range(len(size.layers))}


def _score(size: Size, products: dict[Mode, list[RunProducts]]) -> dict[str, float]:
    """Seconds of each part, over both modes."""
    models = models_of(size)
    seconds: dict[str, float] = {}

    def add(name: str, start: float) -> None:
        seconds[name] = seconds.get(name, 0.0) + process_time() - start

    for mode, runs in products.items():
        start = process_time()
        ceilings(runs)
        split(runs, models, mode)
        add("ceilings_split", start)
        for fit in FITS:
            start = process_time()
            alone = similarity(runs, models, mode, fit, Robust().penalties)
            add(fit, start)
            if (mode, fit) in UNIQUE_FROM_PRODUCTS:
                start = process_time()
                unique(runs, models, mode, fit, alone)
                add(f"{fit}_pairs", start)
    return seconds


def _library_route(size: Size, repeats: int = 3) -> float:
    """Seconds that the same fits and comparisons would take one by one, scaled."""
    from rsatoolbox.model import ModelWeighted
    from rsatoolbox.model.fitter import fit_regress
    from rsatoolbox.rdm import RDMs, compare

    few = Size(size.volumes, size.layers[:1], regions=1, participants=1)
    rdms = made_up(few, "1", size.volumes[0], 0)
    brain = RDMs(rdms.targets[0].astype(np.float64))
    model = ModelWeighted("one", RDMs(rdms.models.astype(np.float64)))
    start = process_time()
    for _ in range(repeats):
        weights = fit_regress(model, brain, method="corr")
    fit_s = (process_time() - start) / repeats
    start = process_time()
    for _ in range(repeats):
        compare(model.predict_rdm(weights), brain, method="corr")
    compare_s = (process_time() - start) / repeats
    n_runs, n_penalties = len(size.volumes), len(Robust().penalties)
    n_fits = n_runs * (1 + n_penalties)
    n_compared = n_runs * (1 + (n_runs - 1) * n_penalties + 1)
    n_targets = 2 * len(size.layers) * size.regions * size.participants
    return n_targets * (n_fits * fit_s + n_compared * compare_s)
