"""How often two models differ where they do not: ``python -m bench.comparisons``.

Studies are those of the calibration (`bench.calibration_study`), scored by ols. In noise, and where
brains respond equally to two models of one kind whose features are independent, no model is closer
to the brain than another. Where one model is planted, the true difference from another is taken to
be the mean over all studies, and counted is how often a study's interval holds it.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from bench.calibration_films import MODELS, RunFilm, run_films
from bench.calibration_shares import LEVEL
from bench.calibration_study import Setting, make_brains, make_study, run_rdms, setting_seed
from bidsapp.analysis.part import Mode
from bidsapp.analysis.processing import Robust
from bidsapp.rsa.inference import (
    finite_mean,
    fisher_z,
    interval,
    one_sample_t,
    two_factor,
    two_factor_t,
)
from bidsapp.rsa.similarity import similarity
from bidsapp.rsa.study import RunRDMs, study_products
from bidsapp.tables.scores import layer_columns, runs_of

FAST = ("shots", "shots-5s", "mixed", "drift", "cuts-60s")
SLOW = ("drift-60s", "table-8x30s", "table-20x60s", "walk-8", "walk-40", "tables", "walks")
KINDS = ("both fast", "fast and slow", "both slow")
PAIR = ["model_a", "model_b"]
MIDDLE = Setting(models=(*FAST, *SLOW))

NOISES: Mapping[str, Setting] = {
    **{noise: replace(MIDDLE, noise=noise) for noise in ("white", "ar.5", "1/f1")},
    "ar.5, shared-drift": replace(MIDDLE, addition="shared-drift"),
    "ar.5, 8 runs": replace(MIDDLE, runs=8),
    "ar.5, 15 participants": replace(MIDDLE, participants=15),
    "ar.5, replicate": replace(MIDDLE, modes=("replicate",)),
}
BOTH = Setting(effect=0.4)
TWIN_WALKS = replace(BOTH, planted="walk-8")
TWINS = (
    replace(BOTH, effect=0.2),
    BOTH,
    replace(BOTH, noise="white"),
    replace(BOTH, noise="1/f1"),
    replace(BOTH, runs=8),
    replace(BOTH, participants=15),
    *(replace(BOTH, planted=name) for name in ("shots", "drift", "cuts-60s")),
    replace(BOTH, planted="table-8x30s", effect=0.8),
    TWIN_WALKS,
)
PLANTED = (
    replace(MIDDLE, effect=0.2),
    replace(MIDDLE, effect=0.4),
    replace(MIDDLE, planted="drift", effect=0.4),
)


@dataclass(frozen=True)
class Study:
    """RDMs of all runs, and which columns each model's layers are."""

    runs: Sequence[RunRDMs]
    columns: Mapping[str, slice]

    def differences(self, mode: Mode) -> pd.DataFrame:
        """Compare the models in pairs, as the table ``comparisons`` does.

        Returns
        -------
        pandas.DataFrame
            Columns model_a, model_b, difference (of Fisher's z), low and high (its 95% interval),
            p, and p_paired of a t test over participants, which takes the film as fixed.
        """
        products = runs_of(study_products(self.runs, Robust().min_lag_s), mode)
        z = fisher_z(similarity(products, self.columns, mode, "ols").r[:, 0])
        pairs = np.array(list(combinations(range(len(z)), 2)))
        of_runs = z[pairs[:, 0]] - z[pairs[:, 1]]
        estimate = two_factor(of_runs)
        low, high = interval(estimate)
        names = np.array(list(self.columns))[pairs]
        return pd.DataFrame(
            {
                "model_a": names[:, 0],
                "model_b": names[:, 1],
                "difference": estimate.mean,
                "low": low,
                "high": high,
                "p": two_factor_t(estimate).p,
                "p_paired": one_sample_t(finite_mean(of_runs, -1)).p,
            }
        )


def plain(setting: Setting, seed: int) -> Study:
    """Make a study of the calibration; nothing, or one of its models, is planted."""
    columns = layer_columns({name: MODELS[name].layers for name in setting.models})
    return Study(make_study(setting, seed), columns)


def twins(setting: Setting, seed: int, *, in_each_run: bool = False) -> Study:
    """Make a study in which brains respond equally to two models of the planted one's kind.

    Parameters
    ----------
    setting, seed
        As of `make_study`; ``effect`` is that of each of the two.
    in_each_run
        Whether responses are equally large in each run; else they are on average over films.
    """
    rng = np.random.default_rng([seed, setting_seed(setting)])
    films = [run_films(setting.timing, setting.runs, rng) for _ in range(2)]
    layers = MODELS[setting.planted].layers
    by_run = list(zip(*films, strict=True))
    of_both = []
    for pair in by_run:
        features = [np.hstack([film.layers[name] for name in layers]) for film in pair]
        if in_each_run:
            features = [values / values.var(axis=0).mean() ** 0.5 for values in features]
        of_both.append(RunFilm({layers[0]: np.hstack(features)}, pair[0].coverage))
    brains = make_brains(replace(setting, effect=2**0.5 * setting.effect), of_both, rng)
    runs = []
    for i, (pair, brain) in enumerate(zip(by_run, brains, strict=True), 1):
        one, other = (run_rdms(str(i), film, brain, setting) for film in pair)
        runs.append(replace(one, models=np.vstack([one.models, other.models])))
    return Study(runs, layer_columns({"one": layers, "other": layers}))


def twins_in_each_run(setting: Setting, seed: int) -> Study:
    """Make `twins` whose responses are equally large in each run."""
    return twins(setting, seed, in_each_run=True)


def compared(make: Callable[[Setting, int], Study], setting: Setting, studies: int) -> pd.DataFrame:
    """Compare the models of so many studies in pairs.

    Returns
    -------
    pandas.DataFrame
        As `Study.differences`; and t and paired, whether p and p_paired are under .05.
    """
    with threadpool_limits(1):  # matrices are small: more threads only wait for each other
        parts = [make(setting, seed).differences(setting.modes[0]) for seed in range(studies)]
    tests = pd.concat(parts, ignore_index=True)
    return tests.assign(t=tests["p"] < LEVEL, paired=tests["p_paired"] < LEVEL)


def kinds_of(pairs: pd.DataFrame) -> pd.Series:
    """Say how many of two models are slow."""
    slow = pairs["model_a"].isin(SLOW).astype(int) + pairs["model_b"].isin(SLOW)
    return slow.map(dict(enumerate(KINDS)))


def noise_rows(studies: int) -> Iterator[str]:
    """Count differences in noise, in Markdown: the mean over pairs, and the highest."""
    yield f"| noise | {' | '.join(KINDS)} | paired t over participants |"
    yield "|---" * (2 + len(KINDS)) + "|"
    for name, setting in NOISES.items():
        tests = compared(plain, setting, studies)
        shares = tests.groupby(PAIR)[["t", "paired"]].mean().reset_index()
        kind = kinds_of(shares)
        cells = [_mean_and(shares["t"][kind == of], "max") for of in KINDS]
        yield f"| {name} | {' | '.join(cells)} | {_mean_and(shares['paired'], 'max')} |"


def twin_rows(studies: int) -> Iterator[str]:
    """Count differences between two models that the brain responds to equally, in Markdown."""
    yield "| both models | size | noise | t | paired t over participants |"
    yield "|---" * 5 + "|"
    for make, setting in (*((twins, s) for s in TWINS), (twins_in_each_run, TWIN_WALKS)):
        tests = compared(make, replace(setting, models=(setting.planted,)), studies)
        shares = f"{tests['t'].mean():.3f} | {tests['paired'].mean():.3f}"
        equal = ", equal in each run" if make is twins_in_each_run else ""
        yield f"| {setting.planted} | {setting.effect}{equal} | {_varied(setting)} | {shares} |"


def difference_rows(studies: int) -> Iterator[str]:
    """Say how often an interval holds the difference from a planted model, in Markdown.

    Coverage is the mean over the other models, and the lowest.
    """
    yield "| planted | size | coverage | t | paired t over participants |"
    yield "|---" * 5 + "|"
    for setting in PLANTED:
        tests = compared(plain, setting, studies)
        tests = tests[(tests[PAIR] == setting.planted).any(axis=1)]
        true = tests.groupby(PAIR)["difference"].transform("mean")
        holds = (tests["low"] <= true) & (true <= tests["high"])
        covered = _mean_and(tests.assign(holds=holds).groupby(PAIR)["holds"].mean(), "min")
        shares = f"{tests['t'].mean():.3f} | {tests['paired'].mean():.3f}"
        yield f"| {setting.planted} | {setting.effect} | {covered} | {shares} |"


def _mean_and(shares: pd.Series, extreme: str) -> str:
    return f"{shares.mean():.3f} ({shares.agg(extreme):.3f})"


def _varied(setting: Setting) -> str:
    """Say what of a setting is not the middle one's, the noise always."""
    middle = Setting()
    sizes = {"runs": setting.runs, "participants": setting.participants}
    changed = [f"{n} {what}" for what, n in sizes.items() if n != getattr(middle, what)]
    return ", ".join([setting.noise, *changed])


TABLES: Mapping[str, Callable[[int], Iterator[str]]] = {
    "noise": noise_rows,
    "equal": twin_rows,
    "different": difference_rows,
}


def main() -> None:
    """Print the tables in Markdown, a row as soon as it is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", choices=list(TABLES), help="tables; default: all")
    parser.add_argument("--studies", type=int, default=200, help="of each row")
    options = parser.parse_args()
    for name in options.only or TABLES:
        for row in TABLES[name](options.studies):
            sys.stdout.write(f"{row}\n")
            sys.stdout.flush()
        sys.stdout.write("\n")


if __name__ == "__main__":
    main()
