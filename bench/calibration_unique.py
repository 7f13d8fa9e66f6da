"""Is p of unique contributions right? ``python -m bench.calibration_unique --jobs 2``.

Brains respond to one control's features. Targets are made of these features alone (mixed, smoothed
over time, blurred over units, a part of them, rectified), contain them beside others that are not
in the brain, or have nothing to do with them. Counted is how often the test of what a target adds
says p < .05, with the control's further columns and without; where the target's own features are
in the brain too, that is power.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter1d

from bench.calibration_films import RunFilm, run_films
from bench.calibration_shares import LEVEL
from bench.calibration_study import (
    Brain,
    Setting,
    denoised,
    make_brains,
    response,
    setting_seed,
    shift_seed,
)
from bench.chunks import chunks_of, in_processes
from bidsapp.analysis.part import Dissimilarity
from bidsapp.analysis.processing import Robust
from bidsapp.arrays import Bools, Floats
from bidsapp.brain.denoise import NuisanceDesign
from bidsapp.brain.patterns import autocorrelation
from bidsapp.rsa.controlled import controlled_unique
from bidsapp.rsa.controlled_run import ControlledRun, Removed, controlled_run
from bidsapp.rsa.expected_noise import noise_template
from bidsapp.rsa.null import draw_shifts, shift_p
from bidsapp.rsa.pairs import lag_in_volumes, lagged_pairs
from bidsapp.rsa.rdm import rdm_with_moments
from bidsapp.rsa.unique import pairs_of
from bidsapp.rsa.volumes import film_volumes

CONTROL, OWN = "shots-5s", "frames"  # layers of `bench.calibration_films`
TARGETS = (
    *("unrelated", "mixed", "reweighted", "smoothed", "blurred", "part", "rectified", "containing"),
    *("mixed, Euclidean", "smoothed, Euclidean", "containing, Euclidean"),
)
ADDING = ("unrelated", "containing", "containing, Euclidean")
"""Targets with features of their own, which power is about."""


@dataclass(frozen=True)
class Case:
    """A kind of study.

    Attributes
    ----------
    setting
        Noise and sizes; its effect is that of the control.
    own_effect
        Size of the targets' own features in the brain; 0 where no target adds anything.
    control
        Layer that is the control.
    """

    setting: Setting
    own_effect: float = 0.0
    control: str = CONTROL

    @property
    def planted(self) -> Setting:
        """The setting with the control planted."""
        return replace(self.setting, planted=self.control)


_large = partial(Setting, voxels=300, participants=15)
CASES = {
    **{
        f"{noise}, {size}, control {effect}": Case(make(noise, effect=effect))
        for noise in ("ar.5", "1/f1")
        for size, make in (("60 x 8", Setting), ("300 x 15", _large))
        for effect in (0.2, 0.6)
    },
    "ar.5, 60 x 8, control 0.0": Case(Setting()),
    **{
        f"ar.5, {size}, slow control 0.6": Case(make(effect=0.6), control="cuts-60s")
        for size, make in (("60 x 8", Setting), ("300 x 15", _large))
    },
    **{
        f"ar.5, 60 x 8, control {effect}, own features {own}": Case(Setting(effect=effect), own)
        for effect in (0.2, 0.6)
        for own in (0.1, 0.2, 0.4)
    },
}


Layer = tuple[Floats, Dissimilarity]  # responses, and what their RDM holds


def features_of(film: RunFilm, control: str, mixing: Floats) -> dict[str, Layer]:
    """Responses of the control and of each target, (volumes, units), and what their RDMs hold.

    Responses are linear in features, so mixtures of these are made of responses.
    """
    first, own = film.layers[control], film.layers[OWN]
    targets: dict[str, Floats] = {
        "unrelated": own,
        "mixed": first @ mixing,
        "reweighted": first @ mixing[:, :40],
        "smoothed": gaussian_filter1d(first, 2.0, axis=0),
        "blurred": gaussian_filter1d(first, 1.5, axis=1),
        "part": first[:, :20],
        "rectified": np.maximum(first, 0.0),
        "containing": np.hstack([first, own]),
    }
    euclidean = {
        f"{name}, Euclidean": targets[name] for name in ("mixed", "smoothed", "containing")
    }
    return {
        "control": (first, "correlation"),
        **{name: (values, "correlation") for name, values in targets.items()},
        **{f"{name}, Euclidean": (values, "euclidean") for name, values in euclidean.items()},
    }


def study(case: Case, seed: int) -> pd.DataFrame:
    """Test what each target adds to the control in one study: target, columns, r, p."""
    setting = case.planted
    rng = np.random.default_rng([seed, setting_seed(setting)])
    films = run_films(setting.timing, setting.runs, rng)
    mixing = rng.standard_normal((40, 1000)) / 1000**0.5
    brains = list(make_brains(setting, films, rng))
    if case.own_effect:
        brains = _with_own(brains, films, case.own_effect, rng)
    models = [features_of(film, case.control, mixing) for film in films]
    prepared = [
        list(_prepared(film, layers, own, setting))
        for film, layers, own in zip(films, models, brains, strict=True)
    ]
    volumes = {i: len(own[0].pairs.kept) for i, own in enumerate(prepared)}
    shifts = draw_shifts(volumes, setting.draws, shift_seed(setting, seed))
    rows = []
    for columns in ("further columns", "RDM alone"):
        scores = np.mean(
            [
                _shifted([own[s] for own in prepared], list(models[0]), shifts, columns)
                for s in range(setting.participants)
            ],
            axis=0,
        )
        p = shift_p(scores)
        for place, target in enumerate(TARGETS):
            row = {"target": target, "columns": columns, "r": scores[0, 0, place]}
            rows.append({**row, "p_null": p.p[0, place], "p_null_fwe": p.p_fwe[0, place]})
    return pd.DataFrame(rows).assign(seed=seed)


def _shifted(
    runs: Sequence[ControlledRun], names: Sequence[str], shifts: Floats, columns: str
) -> Floats:
    """Scores of one participant beyond the control, (1 + draws, 1, targets)."""
    if columns == "RDM alone":
        p = len(runs[0].known)
        runs = [
            replace(
                run, columns=np.vstack([run.columns[:p], run.columns[:p], 0 * run.columns[2 * p :]])
            )
            for run in runs
        ]
    models = {name: slice(i, i + 1) for i, name in enumerate(names)}
    scores = controlled_unique(lambda: runs, models, shifts, controls=("control",)).at_draws
    at = [pairs_of(len(names)).index((0, t)) for t in range(1, len(names))]
    return scores[:, :, at].astype(np.float64)


def _prepared(
    film: RunFilm,
    models: dict[str, Layer],
    brains: Sequence[Brain],
    setting: Setting,
) -> Iterator[ControlledRun]:
    fitted: Bools = film_volumes(film.coverage, setting.min_coverage, 0).used & film.defined
    min_lag = lag_in_volumes(Robust().min_lag_s, setting.repetition_time)
    pairs = lagged_pairs(setting.volumes, min_lag, defined=fitted)
    distances = [distance for _, distance in models.values()]
    rdms, moments = zip(*(rdm_with_moments(*layer) for layer in models.values()), strict=True)
    for brain in brains:
        basis = NuisanceDesign(brain.design, (), {}).basis(fitted)
        (lag1_r,) = autocorrelation(denoised(brain.series, brain.design, fitted), [1])
        template = noise_template(pairs, basis, lag1_r, "correlation")
        target = brain.rdm(fitted, pairs)[None]
        removed = Removed(basis, template.astype(np.float32), "correlation")
        yield controlled_run(np.array(rdms), distances, moments, target, pairs, removed)


def _with_own(
    brains: Sequence[Sequence[Brain]],
    films: Sequence[RunFilm],
    effect: float,
    rng: np.random.Generator,
) -> list[list[Brain]]:
    """Add responses to the targets' own features, of some size relative to the noise."""
    n_voxels = brains[0][0].series.shape[1]
    mixing = rng.standard_normal((len(brains[0]), 40, n_voxels))
    added = []
    for film, own in zip(films, brains, strict=True):
        responses = response(film.layers[OWN], mixing, effect)
        added.append(
            [
                Brain(brain.series + more, brain.design)
                for brain, more in zip(own, responses, strict=True)
            ]
        )
    return added


def _study(case: str, seed: int) -> pd.DataFrame:
    return study(CASES[case], seed)


def main() -> None:
    """Write the shares of p < .05, a case, target and kind of columns a row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", choices=list(CASES), default=list(CASES))
    parser.add_argument("--studies", type=int, default=100, help="of each case")
    parser.add_argument("--jobs", type=int, default=1, help="processes of one thread each")
    parser.add_argument("--out", type=Path, default=Path("build/calibration_unique.tsv"))
    options = parser.parse_args()
    chunks = [chunk for name in options.only for chunk in chunks_of(name, options.studies)]
    tests = in_processes(_study, chunks, options.jobs)
    for test in ("p_null", "p_null_fwe"):
        tests[test] = (tests[test] < LEVEL).astype(float)
    by = tests.groupby(["case", "columns", "target"], sort=False)
    table = by[["p_null", "p_null_fwe", "r"]].mean().assign(studies=by.size()).reset_index()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(options.out, sep="\t", index=False, float_format="%.4f")
    shares = table.pivot_table("p_null", ["case", "columns"], "target", sort=False)
    sys.stdout.write(f"{shares.round(3).to_string()}\n")


if __name__ == "__main__":
    main()
