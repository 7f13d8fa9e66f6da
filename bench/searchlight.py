"""Searchlight at the paper's size: spheres scored in a second by one core.

One participant's eight runs, 11 layers, spheres of 9 mm on a grid of 3 mm (123 voxels inside the
brain), in the mode robust. A sphere's cost depends on the runs' pairs, not on how many spheres
there are, so some hundred are timed; with 60 layers too, since models of many layers cost more.
"""

from time import process_time

import numpy as np
from threadpoolctl import threadpool_limits

from bench.group_stage import MIN_LAG_S, OVERLAP_VOLUMES, PAPER, REPETITION_TIME
from bidsapp.rsa.searchlight import Sphering, VoxelRun, expected_seconds, searchlight
from bidsapp.rsa.volumes import FilmVolumes

SPHERES = 128
GRID_MM = 3.0
N_REGRESSORS = 13
HOW = Sphering(9.0, "correlation", "robust", "ols", (), MIN_LAG_S)


def run() -> dict[str, float]:
    """Time spheres, and compare with what a dry run says."""
    with threadpool_limits(1):
        return _timed(11) | _timed(60)


def _timed(layers: int) -> dict[str, float]:
    rng = np.random.default_rng(0)
    axis = np.arange(16) * GRID_MM
    voxels = np.stack(np.meshgrid(axis, axis, axis), -1).reshape(-1, 3)
    runs = [
        VoxelRun(
            run=str(i),
            series=rng.standard_normal((len(voxels), n), dtype=np.float32),
            positions_mm=voxels,
            models=1 + rng.standard_normal((layers, n * (n - 1) // 2), dtype=np.float32),
            repetition_time=REPETITION_TIME,
            film=FilmVolumes.whole(n, OVERLAP_VOLUMES),
            basis=np.linalg.qr(rng.standard_normal((n, N_REGRESSORS)))[0],
            lag1_r=0.4,
        )
        for i, n in enumerate(PAPER.volumes)
    ]
    inner = voxels[((voxels >= 9) & (voxels <= axis[-1] - 9)).all(axis=1)][:SPHERES]
    start = process_time()
    searchlight(runs, inner, {"model": slice(0, layers)}, HOW)
    seconds = process_time() - start
    told = expected_seconds(len(inner), PAPER.volumes, layers)
    return {
        f"searchlight_spheres_per_s_{layers}_layers": len(inner) / seconds,
        f"searchlight_over_dry_run_{layers}_layers": seconds / told,
    }
