"""Is p right where nothing is planted? ``python -m bench.calibration --studies 200``.

Each study is made of noise and a film that have nothing to do with each other: fMRIPrep-like
confounds are computed from the noise, the app's own code denoises it, makes RDMs of brain and
models, fits and tests. Counted is how often each test of each model says p < .05. The same with an
effect planted says how often it is found.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from zlib import crc32

import numpy as np
import pandas as pd
from scipy import stats
from scipy.ndimage import gaussian_filter, gaussian_filter1d
from scipy.signal import lfilter

from bidsapp.analysis.processing import Denoise
from bidsapp.analysis.spec import Analysis
from bidsapp.arrays import Bools, Floats
from bidsapp.brain.denoise import nuisance_design, residuals
from bidsapp.demo.confounds import make_confounds
from bidsapp.rsa.inference import finite_mean, fisher_z, one_sample_t
from bidsapp.rsa.rdm import correlation_distance
from bidsapp.rsa.study import RunRDMs, study_products
from bidsapp.tables.null import null_table
from bidsapp.tables.scores import all_scores
from bidsapp.vision.hemodynamics import hrf_weights

REPETITION_TIME = 2.0
FRAME_S = 1.0
UNITS = 40
GRID = (10, 4, 3)  # voxels: 60 of the region, 25 of white matter, 25 of fluid, 10 between them
REGION, WHITE_MATTER, FLUID = slice(0, 60), slice(70, 95), slice(95, 120)
TESTS = ("p_null", "p_null_max", "p_t", "p_t_one_sided")
LAYERS = {
    "shots": ("shots", "long-shots"),
    "drift": ("slow", "slower"),
    "mixed": ("frames", "shots-and-frames", "slow-and-shots"),
}
PLANTED = "shots"


@dataclass(frozen=True)
class Setting:
    """One kind of study.

    Attributes
    ----------
    noise
        Name of the noise, see `noise_series`.
    effect
        SD of the planted response over that of the noise, in each voxel; 0 for none.
    undefined
        Share of volumes that the film leaves undefined (a black screen), in stretches.
    participants, runs, volumes, draws
        Sizes.
    """

    noise: str
    effect: float = 0.0
    undefined: float = 0.0
    participants: int = 8
    runs: int = 4
    volumes: int = 150
    draws: int = 200


NOISES = ("white", "ar.3", "ar.5", "ar.8", "1/f", "spatial")
NULL_SETTINGS = {
    **{noise: Setting(noise) for noise in NOISES},
    "ar.5, 10% undefined": Setting("ar.5", undefined=0.1),
}
EFFECTS = (0.05, 0.1, 0.14, 0.2, 0.4)
POWER_SETTINGS = {f"effect {effect}": Setting("ar.5", effect) for effect in EFFECTS}


def noise_series(kind: str, volumes: int, rng: np.random.Generator) -> Floats:
    """Draw the noise of all voxels, (volumes, voxels): temporally and spatially as named."""
    burn_in = 50
    fresh = rng.standard_normal((volumes + burn_in, *GRID))
    if kind == "spatial":
        fresh = gaussian_filter(fresh, (0, 1.5, 1.5, 1.5))
        fresh = lfilter([1.0], [1.0, -0.4], fresh, axis=0)
    elif kind.startswith("ar"):
        fresh = lfilter([1.0], [1.0, -float(kind[2:])], fresh, axis=0)
    elif kind == "1/f":
        frequency = np.fft.rfftfreq(2 * len(fresh))
        amplitude = np.zeros_like(frequency)
        amplitude[1:] = frequency[1:] ** -0.5
        waves = np.fft.rfft(rng.standard_normal((2 * len(fresh), *GRID)), axis=0)
        fresh = np.fft.irfft(waves * amplitude[:, None, None, None], axis=0)  # cut: no circle
    elif kind != "white":
        raise ValueError(f"no noise is named {kind}")
    series = fresh[burn_in : burn_in + volumes].reshape(volumes, -1)
    scaled: Floats = series / series.std()
    return scaled


@cache
def response_weights(volumes: int) -> Floats:
    """Weigh frames in each volume by the app's response, (volumes, frames)."""
    frames = FRAME_S * np.arange(int(volumes * REPETITION_TIME / FRAME_S))
    return hrf_weights(frames, REPETITION_TIME * (np.arange(volumes) + 0.5))


def film_responses(volumes: int, rng: np.random.Generator) -> dict[str, Floats]:
    """Draw a film's features and see them through the canonical response: layer to (volumes, u)."""
    n = int(volumes * REPETITION_TIME / FRAME_S)

    def shots(mean_s: float) -> Floats:
        cuts = rng.random(n) < FRAME_S / mean_s
        each: Floats = rng.standard_normal((cuts.sum() + 1, UNITS))[np.cumsum(cuts)]
        return each

    def drift(width_s: float) -> Floats:
        width = width_s / FRAME_S
        margin = round(3 * width)  # cut from a longer film, which knows nothing of the run's ends
        fresh = rng.standard_normal((n + 2 * margin, UNITS))
        slow = gaussian_filter1d(fresh, width, axis=0, truncate=3)[margin : margin + n]
        return slow / slow.std()

    frames, short = rng.standard_normal((n, UNITS)), shots(4)
    features = {
        "shots": short,
        "long-shots": shots(15),
        "slow": drift(10),
        "slower": drift(40),
        "frames": frames,
        "shots-and-frames": short @ rng.standard_normal((UNITS, UNITS)) / UNITS**0.5 + frames,
        "slow-and-shots": drift(20) + shots(6),
    }
    weights = response_weights(volumes)
    return {name: weights @ values for name, values in features.items()}


def denoised(series: Floats, rng: np.random.Generator, folder: Path) -> Floats:
    """Denoise the region's voxels with confounds computed from the noise, by the app's own code."""
    where: dict[str, Bools] = {}
    for name, voxels in (("CSF", FLUID), ("WM", WHITE_MATTER)):
        where[name] = np.zeros(series.shape[1], dtype=np.bool_)
        where[name][voxels] = True
    motion = np.cumsum(rng.standard_normal((len(series), 6)) * 0.03, axis=0)
    confounds = make_confounds(series, motion, where)
    table, metadata = folder / "confounds.tsv", folder / "confounds.json"
    mask = {name: facts.get("Mask") for name, facts in confounds.metadata.items()}
    wanted = [n for n in confounds.table if n.startswith("cosine") or mask.get(n) == "combined"]
    values = confounds.table[wanted].to_numpy()
    np.savetxt(table, values, "%.9g", "\t", header="\t".join(wanted), comments="")
    metadata.write_text(json.dumps(confounds.metadata), encoding="utf-8")
    return residuals(series[:, REGION], nuisance_design(table, metadata, Denoise()).matrix)


def make_study(setting: Setting, seed: int) -> list[RunRDMs]:
    """Make all RDMs of a study; every participant sees the same film."""
    rng = np.random.default_rng([seed, _own_seed(setting)])
    runs = []
    mixing = rng.standard_normal((setting.participants, UNITS, 60)) / UNITS**0.5
    with TemporaryDirectory() as folder:
        for run in range(setting.runs):
            layers = film_responses(setting.volumes, rng)
            planted = layers[PLANTED] / layers[PLANTED].std()
            brains = []
            for weights in mixing:
                series = noise_series(setting.noise, setting.volumes, rng)
                series[:, REGION] += setting.effect * planted @ weights
                brains.append(correlation_distance(denoised(series, rng, Path(folder))))
            order = [layer for names in LAYERS.values() for layer in names]
            for start in rng.integers(setting.volumes, size=_n_black(setting)):
                for layer in order:
                    layers[layer][start : start + 3] = np.nan
            models = np.array([correlation_distance(layers[layer]) for layer in order])
            targets = np.array(brains)[None]
            runs.append(RunRDMs(str(run + 1), models, targets, REPETITION_TIME))
    return runs


def _own_seed(setting: Setting) -> int:
    """Give each setting its own films, noise and shifts: their shares are then independent."""
    return crc32(repr(setting).encode())


def _n_black(setting: Setting) -> int:
    return round(setting.undefined * setting.volumes / 3)


def analysis_of(setting: Setting, fits: tuple[str, ...] = ("ols", "ridge")) -> Analysis:
    """Say what is computed: both modes, with the app's defaults but for the draws."""
    return Analysis.model_validate(
        {
            "name": "calibration",
            "movie": {
                "task": "movie",
                "runs": [{"run": str(i + 1), "film": f"{i}.mkv"} for i in range(setting.runs)],
            },
            "atlas": {"regions": ["hV4"]},
            "models": list(LAYERS),
            "feature_tables": [
                {"name": name, "files": {str(i + 1): "x" for i in range(setting.runs)}}
                for name in LAYERS
            ],
            "fits": list(fits),
            "statistics": {"null_draws": dict.fromkeys(("ols", "nnls", "ridge"), setting.draws)},
        }
    )


def tested(runs: list[RunRDMs], setting: Setting, seed: int) -> pd.DataFrame:
    """Every p of one study: mode, fit, model, r, p_null, p_null_max, p_t, p_t_one_sided."""
    analysis = analysis_of(setting)
    shift_seed = int(np.random.SeedSequence([seed, _own_seed(setting)]).generate_state(1)[0])
    table = null_table(iter(runs), LAYERS, ["hV4"], "hV4", analysis, shift_seed).drop(
        columns=["roi", "note"]
    )
    parts = []
    for scores in all_scores(study_products(runs, analysis.robust.min_lag_s), LAYERS, analysis):
        participants = scores.participants[:, 0]
        test = one_sample_t(fisher_z(participants))
        part = pd.DataFrame({"model": list(LAYERS), "r": finite_mean(participants, -1)})
        part = part.assign(p_t=test.p, p_t_one_sided=stats.t.sf(test.t, test.df))
        parts.append(part.assign(mode=scores.mode, fit=scores.fit))
    return table.merge(pd.concat(parts), on=["mode", "fit", "model"], validate="1:1")


def studies(setting: Setting, seeds: range) -> pd.DataFrame:
    """Test one study a seed."""
    return pd.concat(
        [tested(make_study(setting, seed), setting, seed).assign(seed=seed) for seed in seeds],
        ignore_index=True,
    )


def shares(found: pd.DataFrame) -> pd.DataFrame:
    """Share of studies with p < .05 of each test, for each mode, fit and model; and mean r."""
    said = found.assign(**{test: found[test] < 0.05 for test in TESTS})
    by = said.groupby(["mode", "fit", "model"], sort=False)
    return by[[*TESTS, "r"]].mean().assign(studies=by.size()).reset_index()


def interval(n: int, level: float = 0.95) -> tuple[float, float]:
    """Shares of n studies within which .05 lies, by the binomial distribution."""
    low, high = stats.binom.interval(level, n, 0.05)
    return float(low) / n, float(high) / n


def summary(found: pd.DataFrame, fit: str = "ols") -> str:
    """Say in Markdown, for each setting, the shares of p < .05 of the three models of one fit."""
    wanted = (
        ("robust", "p_null"),
        ("robust", "p_t"),
        ("replicate", "p_null"),
        ("replicate", "p_t"),
    )
    heads = " | ".join(f"{mode} {test}" for mode, test in wanted)
    lines = [f"| setting | studies | {heads} |", "|---" * (2 + len(wanted)) + "|"]
    for setting, its in found[found["fit"] == fit].groupby("setting", sort=False):
        by_mode = its.set_index(["mode", "model"])
        cells = [
            " ".join(f"{by_mode.loc[(mode, model), test]:.3f}" for model in LAYERS)
            for mode, test in wanted
        ]
        lines.append(f"| {setting} | {its['studies'].iloc[0]} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Run the settings and write shares of p < .05 as they come."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=200, help="of noise alone, each noise")
    parser.add_argument("--power-studies", type=int, default=50, help="for each size of effect")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=None, help="names of settings")
    parser.add_argument("--out", type=Path, default=Path("build/calibration.tsv"))
    options = parser.parse_args()
    parts = []
    for name, setting in _chosen(options.only).items():
        start = perf_counter()
        n = options.power_studies if setting.effect else options.studies
        found = studies(setting, range(options.first_seed, options.first_seed + n))
        part = shares(found)
        part.insert(0, "setting", name)
        parts.append(part)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        pd.concat(parts).to_csv(options.out, sep="\t", index=False, float_format="%.4f")
        sys.stdout.write(f"{name}: {n} studies in {perf_counter() - start:.0f} s\n")
        sys.stdout.write(summary(part))
        sys.stdout.flush()


def _chosen(names: list[str] | None) -> Mapping[str, Setting]:
    every = {**NULL_SETTINGS, **POWER_SETTINGS}
    return every if names is None else {name: every[name] for name in names}


if __name__ == "__main__":
    main()
