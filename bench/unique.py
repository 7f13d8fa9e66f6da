"""What models add to each other in robust, of one participant at the paper's size.

RDMs are made up, as in `bench.group_stage`, with moments and twenty nuisance regressors; making
them is not timed. All on one thread.
"""

from time import process_time

import numpy as np
from threadpoolctl import threadpool_limits

from bench.group_stage import MIN_LAG_S, OVERLAP_VOLUMES, PAPER, Size, made_up, models_of
from bidsapp.analysis.processing import NullDraws
from bidsapp.rsa.controlled import controlled_unique
from bidsapp.rsa.controlled_run import ControlledRun, Removed, controlled_run
from bidsapp.rsa.modes import mode_pairs
from bidsapp.rsa.null import draw_shifts
from bidsapp.rsa.rdm import UnitMoments

REGRESSORS = 20
DRAWS = NullDraws().unique


def run(size: Size = PAPER, draws: int = DRAWS) -> dict[str, float]:
    """Time one participant.

    Parameters
    ----------
    size
        Of the study.
    draws
        Of residuals.

    Returns
    -------
    dict
        Seconds of processor time: of the columns, of the scores as they are, and of all with draws.
    """
    with threadpool_limits(1):
        return _timed(Size(size.volumes, size.layers, size.regions, 1), draws)


def _timed(size: Size, draws: int) -> dict[str, float]:
    seconds, runs = 0.0, []
    for i, n in enumerate(size.volumes):
        run, spent = _prepared(size, i, n)
        seconds += spent
        runs.append(run)
    volumes = {i: len(run.pairs.kept) for i, run in enumerate(runs)}
    shifts = draw_shifts(volumes, draws, 0)
    times = {"unique_columns_s": seconds}
    for name, some in (("unique_scores_s", shifts[:0]), ("unique_with_draws_s", shifts)):
        start = process_time()
        controlled_unique(lambda: runs, models_of(size), some)
        times[name] = process_time() - start
    # The columns of a run are made twice: for its products, and for its residuals.
    whole = 2 * seconds + times["unique_with_draws_s"]
    return {"unique_s_per_participant": whole, **times}


def _prepared(size: Size, i: int, n: int) -> tuple[ControlledRun, float]:
    """Make up a run and prepare it; also say what the latter took."""
    rng = np.random.default_rng(n)
    rdms = made_up(size, str(i + 1), n, OVERLAP_VOLUMES if i + 1 < len(size.volumes) else 0)
    n_layers = len(rdms.models)
    moments = [UnitMoments(rng.random(n), 1 + rng.random(n), 1000) for _ in range(n_layers)]
    pairs = mode_pairs(rdms, "robust", MIN_LAG_S, np.ones(n, np.bool_))
    basis, _ = np.linalg.qr(rng.standard_normal((len(pairs.kept), REGRESSORS)))
    template = rng.standard_normal(pairs.n_pairs).astype(np.float32)
    removed = Removed(basis, template / np.linalg.norm(template), "correlation")
    start = process_time()
    run = controlled_run(
        rdms.models, ["correlation"] * n_layers, moments, rdms.targets[:, 0], pairs, removed
    )
    return run, process_time() - start
