"""Comparators at a run's full size: milliseconds of one core for a layer and a region.

450 volumes, 12 layers, 22 regions; tau-a, which goes through pairs of RDMs one by one, with fewer.
Ceilings are of one region of 15 participants.
"""

from time import process_time
from typing import get_args

import numpy as np
from threadpoolctl import threadpool_limits

from bidsapp.analysis.part import Comparator
from bidsapp.rsa.comparator_ceilings import noise_ceilings
from bidsapp.rsa.comparators import compare

VOLUMES, LAYERS, REGIONS, PARTICIPANTS = 450, 12, 22, 15


def run() -> dict[str, float]:
    """Time every method."""
    rng = np.random.default_rng(0)
    n_pairs = VOLUMES * (VOLUMES - 1) // 2
    layers, regions = (rng.random((k, n_pairs)) for k in (LAYERS, REGIONS))
    found: dict[str, float] = {}
    with threadpool_limits(1):
        for method in get_args(Comparator):
            few = regions[:2] if method == "tau-a" else regions
            start = process_time()
            compare(method, layers, few)
            seconds = (process_time() - start) / (LAYERS * len(few))
            found[f"comparator_{method}_ms"] = 1000 * seconds
            start = process_time()
            noise_ceilings(method, regions[:PARTICIPANTS])
            found[f"comparator_ceiling_{method}_ms"] = 1000 * (process_time() - start)
    return found
