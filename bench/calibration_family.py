"""Are p and q right that are corrected over regions and models? ``--jobs 2 --studies 100``.

``python -m bench.calibration_family``: every study tests a family of 22 regions and 4 models. The
regions of a participant share a part of the noise. Counted is in how many studies each correction
errs where nothing is planted, and, with one model planted in some of the regions, how much of it
passes and how much else does.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from bench.calibration_films import MODELS, RunFilm, run_films
from bench.calibration_noise import draw_brains, nuisance
from bench.calibration_shares import LEVEL
from bench.calibration_study import (
    Brain,
    Setting,
    response,
    run_rdms,
    setting_seed,
    shift_seed,
)
from bench.chunks import chunks_of, in_processes
from bidsapp.analysis.processing import Robust
from bidsapp.arrays import Floats
from bidsapp.rsa.inference import finite_mean
from bidsapp.rsa.null import draw_shifts, scores_at_shifts, shift_p, standardised
from bidsapp.rsa.shifts import shifted_cohorts, shifted_parts
from bidsapp.rsa.study import RunRDMs
from bidsapp.tables.scores import layer_columns

COURSES = 3  # time courses of the noise that a participant's regions share
CHUNK = 5  # studies
TAIL = 0.002  # that the least p of 500 draws is under
ALL_NOISES = "all noises"
NOISES = ("ar.5", "white", "1/f1")
EFFECTS = (0.1, 0.14, 0.2)
FIRST = ("shots", "shots-5s", "table-20x30s", "walk-8")
SECOND = ("cuts-60s", "drift", "mixed", "table-20x100s")
CORRECTIONS = ("p_null", "p_null_fwe", "q_null", "unscaled", "bonferroni")
"""Columns of `corrected`; p_null is not corrected."""
PLANTED, RESPONDING, NOTHING = "planted", "responding region", "nothing"


@dataclass(frozen=True)
class Family:
    """A kind of study of many regions.

    Attributes
    ----------
    setting
        Noise, sizes of each region, and what is planted, if anything.
    sets
        Models of each family; all are tested on the same brains.
    regions, responding
        Regions, and how many of them, the first, respond where an effect is planted.
    shared
        Share of the noise's variance that is of the time courses of all regions.
    """

    setting: Setting
    sets: tuple[tuple[str, ...], ...] = (FIRST, SECOND)
    regions: int = 22
    responding: int = 4
    shared: float = 0.3

    @property
    def voxels(self) -> int:
        """Voxels of all regions."""
        return self.regions * self.setting.voxels

    @property
    def models(self) -> tuple[str, ...]:
        """Models of all sets."""
        return tuple(dict.fromkeys(model for models in self.sets for model in models))


CASES: Mapping[str, Family] = {
    **{noise: Family(Setting(noise=noise, draws=500)) for noise in NOISES},
    **{
        f"ar.5, effect {effect}": Family(Setting(effect=effect, draws=500), (FIRST,))
        for effect in EFFECTS
    },
}


def study(family: Family, seed: int) -> pd.DataFrame:
    """Test one study: region, model, kind of cell, r and each correction; a set after the other."""
    scores = family_scores(family, seed)
    parts = []
    for models in family.sets:
        at = [family.models.index(model) for model in models]
        own = scores[:, :, at]
        table = pd.DataFrame(product(range(family.regions), models), columns=["region", "model"])
        values = {name: p.ravel() for name, p in corrected(own).items()}
        table = table.assign(cell=_cells(table, family), r=own[0].ravel(), **values)
        parts.append(table.assign(models=", ".join(models), region_r=region_correlation(own)))
    return pd.concat(parts, ignore_index=True).assign(seed=seed)


def family_scores(family: Family, seed: int) -> Floats:
    """Mean scores over participants, as they are and at each draw, (1 + draws, regions, models)."""
    setting = replace(family.setting, models=family.models)
    rng = np.random.default_rng([seed, setting_seed(setting)])
    films = run_films(setting.timing, setting.runs, rng)
    series = family_series(family, films, rng)
    parts = [
        shifted_parts(_rdms(str(i), film, of_run, family), Robust().min_lag_s, ("robust",))
        for i, (film, of_run) in enumerate(zip(films, series, strict=True), 1)
    ]
    (cohort,) = shifted_cohorts(parts)
    runs = cohort.runs["robust"]
    volumes = {i: run.n_volumes for i, run in enumerate(runs)}
    shifts = draw_shifts(volumes, setting.draws, shift_seed(setting, seed))
    shifts = np.vstack([np.zeros_like(shifts[:1]), shifts])  # the first: models as they are
    columns = layer_columns({name: MODELS[name].layers for name in family.models})
    scores = scores_at_shifts(runs, shifts, columns, "robust", "ols")
    return finite_mean(scores, -1).swapaxes(1, 2)


def family_series(
    family: Family, films: Sequence[RunFilm], rng: np.random.Generator
) -> Iterator[Floats]:
    """Draw each run's series, (participants, volumes, voxels): of all regions, then of masks."""
    setting = family.setting
    sizes = setting.runs, setting.participants, setting.volumes
    layer = MODELS[setting.planted].layers[0]
    n_units, n_responding = films[0].layers[layer].shape[1], family.responding * setting.voxels
    weights = rng.standard_normal((setting.participants, COURSES, family.voxels)) / COURSES**0.5
    mixing = rng.standard_normal((setting.participants, n_units, n_responding))
    own, common = (
        draw_brains(setting.noise, setting.addition, (*sizes, n), setting.repetition_time, rng)
        for n in (family.voxels, COURSES)
    )
    for film, series, courses in zip(films, own, common, strict=True):
        regions = series[:, :, : family.voxels]
        regions *= (1 - family.shared) ** 0.5
        regions += family.shared**0.5 * courses[:, :, :COURSES] @ weights
        if setting.effect:
            regions[:, :, :n_responding] += response(film.layers[layer], mixing, setting.effect)
        yield series


def corrected(scores: Floats) -> dict[str, Floats]:
    """Give p_null, and each correction of it, of the scores of a family, (regions, models) each.

    Parameters
    ----------
    scores
        As `bidsapp.rsa.null.shift_p` takes them.

    Returns
    -------
    dict
        Beside what the app gives, "unscaled": p against each draw's highest score of all regions
        and models, as it is; "bonferroni": p among the standardised scores of the same model in all
        regions and draws, times the number of tests. That of p_null times as many would be above
        .05 at every score unless there are 20 draws a test.
    """
    p = shift_p(scores)
    highest = scores[1:].max(axis=(1, 2))[:, None, None]
    z = standardised(scores)
    pool = np.sort(z[1:].reshape(-1, z.shape[2]), axis=0)
    lower = [np.searchsorted(own, observed) for own, observed in zip(pool.T, z[0].T, strict=True)]
    pooled = (1 + len(pool) - np.array(lower).T) / (1 + len(pool))
    return {
        "p_null": p.p,
        "p_null_fwe": p.p_fwe,
        "q_null": p.q,
        "unscaled": (1 + (highest >= scores[0]).sum(axis=0)) / len(scores),
        "bonferroni": np.minimum(pooled * pooled.size, 1.0),
    }


def region_correlation(scores: Floats) -> float:
    """Mean correlation of two regions' scores over the draws, of the same model."""
    n_regions = scores.shape[1]
    upper = np.triu_indices(n_regions, 1)
    by_model = [np.corrcoef(own.T)[upper] for own in np.moveaxis(scores[1:], 2, 0)]
    return float(np.mean(by_model))


def summary(tests: pd.DataFrame) -> pd.DataFrame:
    """Count errors and what passes, a case, set of models and correction a row.

    Parameters
    ----------
    tests
        Of `study`, with a column case.

    Returns
    -------
    pandas.DataFrame
        any, any_low, any_high: share of studies with a p or q < .05 in regions where nothing is
        planted, and limits of 95%; cells: share of such cells, and tail: those under `TAIL`; power,
        power_low, power_high: share of planted cells, with the limits of as many trials as studies;
        false_share: mean share of cells of regions where nothing is planted among these and the
        planted ones, of all < .05.
    """
    rows = []
    for (case, models), own in tests.groupby(["case", "models"], sort=False):
        for name in CORRECTIONS:
            key = {"case": case, "models": models, "correction": name}
            rows.append({**key, **_counts(own, name), "region_r": own["region_r"].mean()})
    return pd.DataFrame(rows)


def with_all_noises(tests: pd.DataFrame) -> pd.DataFrame:
    """Add a case of the studies of all noises together, of which nothing is planted."""
    noise = tests[tests["case"].isin(NOISES)]
    together = noise.assign(seed=noise["case"] + noise["seed"].astype(str), case=ALL_NOISES)
    return pd.concat([tests, together], ignore_index=True)


def _counts(tests: pd.DataFrame, correction: str) -> dict[str, float]:
    low = tests[correction] < LEVEL
    at, seeds = tests["cell"], tests["seed"]
    wrong = (low & (at == NOTHING)).groupby(seeds).sum()
    right = (low & (at == PLANTED)).groupby(seeds).sum()
    n, n_any = len(wrong), float((wrong > 0).sum())
    counts = {"studies": n, "any": n_any / n, **_limits("any", n_any, n)}
    counts["cells"] = low[at == NOTHING].mean()
    counts["tail"] = (tests[correction] < TAIL)[at == NOTHING].mean()
    if (at == PLANTED).any():
        power = low[at == PLANTED].mean()
        counts |= {"power": power, **_limits("power", power * n, n)}
        counts["false_share"] = (wrong / np.maximum(wrong + right, 1)).mean()
    return counts


def _limits(name: str, passed: float, n: int) -> dict[str, float]:
    """Give the binomial limits of 95% of a share (Clopper and Pearson)."""
    low = stats.beta.ppf(0.025, passed, n - passed + 1) if passed else 0.0
    high = stats.beta.ppf(0.975, passed + 1, n - passed) if passed < n else 1.0
    return {f"{name}_low": float(low), f"{name}_high": float(high)}


def _cells(table: pd.DataFrame, family: Family) -> Sequence[str]:
    """Say of each region and model whether it is planted, or in a region that responds."""
    n_responding = family.responding if family.setting.effect else 0
    kinds = np.where(table["region"] < n_responding, RESPONDING, NOTHING).astype(object)
    kinds[(kinds == RESPONDING) & (table["model"] == family.setting.planted)] = PLANTED
    return list(kinds)


def _rdms(run: str, film: RunFilm, series: Floats, family: Family) -> RunRDMs:
    """Make the RDMs of a run, of all regions and participants."""
    setting, size = replace(family.setting, models=family.models), family.setting.voxels
    designs = [nuisance(own, setting.repetition_time) for own in series]
    brains = [
        Brain(own[:, size * region : size * (region + 1)], design)
        for region in range(family.regions)
        for own, design in zip(series, designs, strict=True)
    ]
    rdms = run_rdms(run, film, brains, setting)
    shape = family.regions, setting.participants, -1
    targets = rdms.targets.reshape(shape)
    return replace(rdms, targets=targets, robust_targets=targets)


def _study(case: str, seed: int) -> pd.DataFrame:
    return study(CASES[case], seed)


def main() -> None:
    """Write the summary of all cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", choices=list(CASES), default=list(CASES))
    parser.add_argument("--studies", type=int, default=100, help="of each noise")
    parser.add_argument("--planted-studies", type=int, default=40, help="of each effect")
    parser.add_argument("--jobs", type=int, default=1, help="processes of one thread each")
    parser.add_argument("--out", type=Path, default=Path("build/calibration_family.tsv"))
    options = parser.parse_args()
    number = {True: options.planted_studies, False: options.studies}
    chunks = [
        chunk
        for case in options.only
        for chunk in chunks_of(case, number[CASES[case].setting.effect > 0], CHUNK)
    ]
    table = summary(with_all_noises(in_processes(_study, chunks, options.jobs)))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(options.out, sep="\t", index=False, float_format="%.4f")
    sys.stdout.write(f"{table.round(3).to_string()}\n")


if __name__ == "__main__":
    main()
