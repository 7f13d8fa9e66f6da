"""How visible a model is, and how often it is found: ``python -m bench.visible_power``.

Each model of one layer in turn is planted in the middle setting of the calibration: brains respond
to its features, at several sizes. Beside the share of studies in which ``p_null`` is under .05
stands how visible the model is, which needs no brain but its nuisance regressors.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from bench.calibration_films import MODELS, run_films
from bench.calibration_shares import LEVEL
from bench.calibration_study import Setting, make_brains, setting_seed, studies
from bidsapp.analysis.processing import Robust
from bidsapp.brain.denoise import NuisanceDesign
from bidsapp.rsa.pairs import lag_in_volumes, lagged_pairs
from bidsapp.rsa.rdm import rdm_with_moments
from bidsapp.rsa.visible import visibility
from bidsapp.rsa.volumes import film_volumes

SIZES = (0.2, 0.4, 0.8)
SEEN = 5  # studies that tell how visible a model is
ALONE = tuple(name for name, model in MODELS.items() if len(model.layers) == 1)


def visible_of(setting: Setting, seed: int) -> dict[str, float]:
    """Say how visible each model of one layer is, mean over runs and participants of a study."""
    rng = np.random.default_rng([seed, setting_seed(setting)])
    films = run_films(setting.timing, setting.runs, rng)
    min_lag = lag_in_volumes(Robust().min_lag_s, setting.repetition_time)
    sizes = []
    for film, brains in zip(films, make_brains(setting, films, rng), strict=True):
        used = film_volumes(film.coverage, setting.min_coverage, setting.repeated).used
        pairs = lagged_pairs(setting.volumes, min_lag, defined=used & film.defined)
        distances = [MODELS[name].distance for name in ALONE]
        rdms, moments = zip(
            *(
                rdm_with_moments(film.layers[MODELS[name].layers[0]], distance)
                for name, distance in zip(ALONE, distances, strict=True)
            ),
            strict=True,
        )
        for brain in brains:
            basis = NuisanceDesign(brain.design, (), {}).basis(used & film.defined)
            sizes.append(np.abs(visibility(np.array(rdms), distances, moments, pairs, basis)))
    return dict(zip(ALONE, np.mean(sizes, axis=0).tolist(), strict=True))


def power(model: str, effect: float, n: int) -> float:
    """Share of n studies in which the planted model passes."""
    setting = Setting(planted=model, effect=effect, models=(model,))
    return float((studies(setting, range(n))["p_null"] < LEVEL).mean())


def main() -> None:
    """Write the table, a model a row, from the least visible to the most."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=40, help="of each model and size")
    parser.add_argument("--out", type=Path, default=Path("build/visible_power.tsv"))
    options = parser.parse_args()
    seen = pd.DataFrame([visible_of(Setting(), seed) for seed in range(SEEN)]).mean()
    rows = []
    for model in seen.sort_values().index:
        shares = {f"power_{size}": power(model, size, options.studies) for size in SIZES}
        rows.append({"model": model, "visible": seen[model], **shares})
        options.out.parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame(rows).to_csv(options.out, sep="\t", index=False, float_format="%.3f")
        print("  ".join(str(value) for value in rows[-1].values()), flush=True)
    table = pd.DataFrame(rows)
    for size in SIZES:
        r = table["visible"].corr(table[f"power_{size}"], method="spearman")
        print(f"visible_power_rank_correlation_{size} {r:.3f}")


if __name__ == "__main__":
    main()
