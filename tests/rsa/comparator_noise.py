"""What comparators find in brains and models that have nothing to do with each other.

``python tests/rsa/comparator_noise.py`` prints the figures of docs/methods.md.
"""

import sys

import numpy as np
from scipy.signal import lfilter

from bidsapp.rsa.comparators import columns, compare
from bidsapp.rsa.pairs import all_pairs, lagged_pairs
from bidsapp.rsa.rdm import correlation_distance

METHODS = {
    "replicate": ("pearson", "spearman", "whitened", "cka", "cka-debiased"),
    "robust": ("pearson", "spearman"),
}


def autoregressive(rng, n, width, strength):
    """AR(1) noise, (n, width)."""
    return lfilter([1], [1, -strength], rng.normal(size=(n + 50, width)), axis=0)[50:]


def found_in_noise(strength, n=450, draws=20, seed=0):
    """Mean over draws of each mode and method; 80 voxels, 200 units of an AR(1) .7 model."""
    rng = np.random.default_rng(seed)
    values = {(mode, method): [] for mode, methods in METHODS.items() for method in methods}
    for _ in range(draws):
        brain = correlation_distance(autoregressive(rng, n, 80, strength))[None]
        model = correlation_distance(autoregressive(rng, n, 200, 0.7))[None]
        for mode, methods in METHODS.items():
            pairs = all_pairs(n) if mode == "replicate" else lagged_pairs(n, 10)
            (x, _), (y, _) = (columns(rdm, pairs, mode) for rdm in (model, brain))
            for method in methods:
                values[mode, method].append(compare(method, x, y)[0, 0])
    return {key: float(np.mean(found)) for key, found in values.items()}


if __name__ == "__main__":
    for strength in (0.0, 0.3, 0.5):
        for (mode, method), mean in found_in_noise(strength).items():
            sys.stdout.write(f"AR(1) {strength:g} {mode} {method} {mean:.3f}\n")
