"""What a control leaves when its fit cannot reach its own part.

``python -m bench.underfitted_control`` prints it; it is no part of ``python -m bench``.

Brain RDMs are model A's layers, mixed with weights of both signs, and noise. Model B shares nothing
with the brain but what its layers share with half of A's. What B predicts of the residual should be
zero. It is for ordinary least squares, which takes all of A's part away. Ridge shrinks A's weights
and non-negative least squares cannot give them their sign; what they leave of A, B then explains
through what it shares with A. RDMs are made up directly, so the truth is exact; r is the mean over
participants and studies, with twice its standard error over studies.
"""

from itertools import product

import numpy as np

from bidsapp.analysis.part import Fit, Mode
from bidsapp.arrays import Floats
from bidsapp.rsa.inference import finite_mean, one_sample_t
from bidsapp.rsa.similarity import similarity
from bidsapp.rsa.study import RunRDMs, study_products
from bidsapp.rsa.unique import Unique, pairs_of, unique

LAYERS = 6
PARTICIPANTS = 12
RUNS = 6
STUDIES = 8
VOLUMES = 150
PENALTIES = tuple(10 ** (-4 + 0.5 * i) for i in range(17))
MIN_LAG_S = 20.0
NOISE_SD = 25.0
SOURCES = np.array([[1.0, 1.0]] * 3 + [[0.0, 1.0]] * 3 + [[1.0, 0.0]] * 6)
"""What each layer (of A, then of B) holds of two RDMs that layers share, beside one of its own."""
MODELS = {"A": slice(0, LAYERS), "B": slice(LAYERS, 2 * LAYERS)}


def run_of(rng: np.random.Generator, name: str, weights_a: Floats, weights_b: Floats) -> RunRDMs:
    """Make one run's RDMs.

    Parameters
    ----------
    weights_a, weights_b
        Shape (LAYERS,): of the models' layers in the brain.
    """
    n_pairs = VOLUMES * (VOLUMES - 1) // 2
    layers = SOURCES @ rng.standard_normal((2, n_pairs))
    layers += 0.5 * rng.standard_normal((2 * LAYERS, n_pairs))
    signal = weights_a @ layers[:LAYERS] + weights_b @ layers[LAYERS:]
    noise = NOISE_SD * rng.standard_normal((PARTICIPANTS, n_pairs))
    models = (1 + 0.05 * layers).astype(np.float32)
    brains = (1 + 0.05 * (signal + noise)).astype(np.float32)
    return RunRDMs(name, models, brains[None], repetition_time=2.0)


def contributions(
    seed: int, modes_fits: list[tuple[Mode, Fit]], *, plant_b: bool
) -> dict[tuple[Mode, Fit], Unique]:
    """Compute both models' unique contributions; A is always in the brain, B where asked for."""
    rng = np.random.default_rng(seed)
    weights_a = np.repeat([1.0, -1.0], LAYERS // 2) * rng.uniform(0.8, 1.2, LAYERS)
    weights_b = rng.uniform(0.8, 1.2, LAYERS) * plant_b
    runs = [run_of(rng, str(i + 1), weights_a, weights_b) for i in range(RUNS)]
    study = study_products(runs, MIN_LAG_S)
    found = {}
    for mode, fit in modes_fits:
        products = study.replicate if mode == "replicate" else study.robust
        alone = similarity(products, MODELS, mode, fit, PENALTIES)
        found[mode, fit] = unique(products, MODELS, mode, fit, alone, PENALTIES)
    return found


def main() -> None:
    """Print B's unique contribution with A alone planted, and both models' with both."""
    modes: tuple[Mode, ...] = ("replicate", "robust")
    fits: tuple[Fit, ...] = ("ols", "ridge", "nnls")
    which = list(product(modes, fits))
    a_then_b, b_then_a = (pairs_of(2).index(pair) for pair in ((0, 1), (1, 0)))
    for plant_b, pairs in ((False, {"B beyond A": a_then_b}),
                           (True, {"B beyond A": a_then_b, "A beyond B": b_then_a})):  # fmt: skip
        print("planted:", "A and B" if plant_b else "A alone")
        studies = [contributions(seed, which, plant_b=plant_b) for seed in range(STUDIES)]
        for (mode, fit), (name, pair) in product(which, pairs.items()):
            r, delta = (
                np.array([finite_mean(getattr(study[mode, fit], what)[pair, 0], -1)
                          for study in studies])
                for what in ("r", "delta_r2")
            )  # fmt: skip
            error = 2 * r.mean(axis=1).std(ddof=1) / np.sqrt(STUDIES)
            low = sum(one_sample_t(own).p < 0.05 for own in r)
            print(f"  {mode:9} {fit:5} {name}: r {r.mean():+.4f} +- {error:.4f}, delta R2 "
                  f"{delta.mean():+.5f}, t-test p < .05 in {low} of {STUDIES}")  # fmt: skip


if __name__ == "__main__":
    main()
