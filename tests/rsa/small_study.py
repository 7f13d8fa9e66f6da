"""A small study with real structure: models that partly explain brains, gaps and all."""

import numpy as np
from scipy.spatial.distance import pdist

from bidsapp.rsa.study import RunRDMs

LENGTHS = (40, 36, 44, 38)
REPETITION_TIME = 2.0
MIN_LAG_S = 6.0


def smooth(rng, n, width):
    """Patterns that change slowly, so that RDMs depend on lag as those of films do."""
    noise = rng.normal(size=(n + 2, width))
    return noise[2:] + noise[1:-1] + 0.5 * noise[:-2]


def one_run(rng, name, n, *, layers=4, regions=2, participants=3):
    features = [smooth(rng, n, 30) for _ in range(layers)]
    features[1] = features[0][:, :20] + 0.5 * smooth(rng, n, 20)  # layers resemble each other
    models = np.array([pdist(f, "correlation") for f in features], dtype=np.float32)
    mixing = [rng.normal(size=(features[r].shape[1], 25)) for r in range(regions)]
    targets = [
        [
            pdist(features[r] @ mixing[r] * 0.3 + smooth(rng, n, 25), "correlation")
            for _ in range(participants)
        ]
        for r in range(regions)
    ]
    return RunRDMs(name, models, np.array(targets, dtype=np.float32), REPETITION_TIME, trim_end=3)


def undefine(rdms, volume, n):
    rows, columns = np.triu_indices(n, 1)
    rdms[..., (rows == volume) | (columns == volume)] = np.nan
