"""One study of the calibration: brains and films that have nothing to do with each other, tested.

The app's own code denoises the brains, makes RDMs of brain and models, fits, and tests. All models
are tested on the same brains.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from zlib import crc32

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from bench import calibration_bold as bold
from bench.calibration_films import MODELS, RunFilm, Timing, model_rdms, run_films
from bench.calibration_noise import draw_brains, high_pass, nuisance
from bidsapp.analysis.part import Fit, Mode
from bidsapp.analysis.processing import Robust
from bidsapp.arrays import Bools, Floats
from bidsapp.brain.denoise import NuisanceDesign, residuals
from bidsapp.brain.patterns import autocorrelation
from bidsapp.rsa.expected_noise import noise_template, remove_noise_template
from bidsapp.rsa.inference import finite_mean, fisher_z, one_sample_t
from bidsapp.rsa.null import draw_shifts, scores_at_shifts, shift_p
from bidsapp.rsa.pairs import PairSet, lag_in_volumes, lagged_pairs
from bidsapp.rsa.rdm import correlation_distance
from bidsapp.rsa.shifts import shifted_cohorts, shifted_parts
from bidsapp.rsa.study import RunRDMs
from bidsapp.rsa.volumes import film_volumes
from bidsapp.tables.scores import layer_columns


@dataclass(frozen=True)
class Setting:
    """One kind of study; what is given here is the middle one.

    Attributes
    ----------
    noise, addition
        Of the brains, see `bench.calibration_noise.draw_brains`;
        noise "bold" is real.
    one_film
        Whether runs are pieces of one film; else each has a film of its own.
    undefined
        Share of volumes that the film leaves undefined (a black screen), in short stretches.
    gaps
        Stretches of a run, 20 s each, of which there is no film.
    participants, runs, volumes, voxels, repetition_time, draws
        Sizes.
    repeated
        Volumes at each run's end whose film the next run shows again.
    planted, effect
        Model whose first layer the brains respond to, and the SD of the response over that of the
        noise, in each voxel; 0 for none.
    models, modes, fits
        What is tested; ridge only of models of several layers, as with one it scores as ols does.
    min_coverage
        As in an analysis file, ``robust.min_coverage``.
    regressed_on
        Volumes on which robust's nuisance regression is fitted.
    noise_removed
        Whether what noise alone is expected to have is regressed out of the brains' RDMs.
    filtered
        Whether models are high-passed like the brain, which is a mistake.
    """

    noise: str = "ar.5"
    addition: str = ""
    one_film: bool = True
    undefined: float = 0.0
    gaps: int = 0
    participants: int = 8
    runs: int = 4
    volumes: int = 150
    voxels: int = 60
    repetition_time: float = 2.0
    draws: int = 200
    repeated: int = 0
    planted: str = "shots-5s"
    effect: float = 0.0
    models: tuple[str, ...] = tuple(MODELS)
    modes: tuple[Mode, ...] = ("robust",)
    fits: tuple[Fit, ...] = ("ols",)
    min_coverage: float = Robust().min_coverage
    regressed_on: str = "used"
    noise_removed: bool = True
    filtered: bool = False

    @property
    def timing(self) -> Timing:
        """When volumes and frames are."""
        return Timing(self.volumes, self.repetition_time, self.repeated)


@dataclass(frozen=True)
class Brain:
    """A region of one participant in one run: voxels, and what is regressed out of them.

    Attributes
    ----------
    series
        (volumes, voxels).
    design
        (volumes, regressors).
    """

    series: Floats
    design: Floats
    _made: dict[tuple[bytes, bool], Floats] = field(default_factory=dict, repr=False)

    def rdm(self, fitted: Bools, pairs: PairSet | None = None) -> Floats:
        """RDM of the residuals of a regression on some volumes; NaN at the others.

        With ``pairs`` what noise alone is expected to have is removed, as `BrainRDMs` does it. Real
        brains are the same for every film, so that RDMs are kept.
        """
        key = fitted.tobytes(), pairs is None
        if key not in self._made:
            self._made[key] = self._rdm(fitted, pairs)
        return self._made[key]

    def _rdm(self, fitted: Bools, pairs: PairSet | None) -> Floats:
        residual = denoised(self.series, self.design, fitted)
        rdm = correlation_distance(residual)
        if pairs is None:
            return rdm
        design = NuisanceDesign(self.design, (), {})
        (lag1_r,) = autocorrelation(residual, [1])
        template = noise_template(pairs, design.basis(fitted), lag1_r, "correlation")
        remove_noise_template(rdm, pairs, template)
        return rdm


def denoised(series: Floats, design: Floats, fitted: Bools) -> Floats:
    """Residuals of a regression on some volumes; NaN at the others."""
    values = np.full(series.shape, np.nan, np.float32)
    values[fitted] = residuals(series[fitted], design[fitted])
    return values


def make_study(setting: Setting, seed: int, bold: Path | None = None) -> list[RunRDMs]:
    """Make all RDMs of a study; every participant sees the same film.

    Parameters
    ----------
    setting, seed
        What kind of study, and which of them.
    bold
        Folder of real BOLD, whose regions stand in for participants.
    """
    rng = np.random.default_rng([seed, setting_seed(setting)])
    films = run_films(
        setting.timing,
        setting.runs,
        rng,
        one_film=setting.one_film,
        undefined=setting.undefined,
        gaps=setting.gaps,
    )
    brains = _bold(bold) if setting.noise == "bold" else make_brains(setting, films, rng)
    return [
        run_rdms(str(i + 1), film, brain, setting)
        for i, (film, brain) in enumerate(zip(films, brains, strict=True))
    ]


def setting_seed(setting: Setting) -> int:
    """Give each setting films, noise and shifts of its own: their shares are then independent."""
    return crc32(repr(setting).encode())


def shift_seed(setting: Setting, seed: int) -> int:
    """Seed of a study's shifts."""
    return int(np.random.SeedSequence([seed, setting_seed(setting)]).generate_state(1)[0])


def p_values(runs: Sequence[RunRDMs], setting: Setting, seed: int) -> pd.DataFrame:
    """Every test of one study: mode, fit, model, region, r, p_null, p_null_max, p_t.

    The mean over participants is tested, as in `bidsapp.tables.null.null_table`; of real BOLD each
    region alone.
    """
    parts = [shifted_parts(run, Robust().min_lag_s, setting.modes) for run in runs]
    (cohort,) = shifted_cohorts(parts)
    parts = []
    for mode in setting.modes:
        products = cohort.runs[mode]
        volumes = {i: run.n_volumes for i, run in enumerate(products)}
        shifts = draw_shifts(volumes, setting.draws, shift_seed(setting, seed))
        shifts = np.vstack([np.zeros_like(shifts[:1]), shifts])  # the first: models as they are
        for fit in setting.fits:
            columns = _columns_of(setting.models, fit)
            scores = scores_at_shifts(products, shifts, columns, mode, fit, Robust().penalties)
            scores = scores[:, :, 0]
            table = _p_of_regions(scores) if setting.noise == "bold" else _p_of_mean(scores)
            table["model"] = np.tile(list(columns), len(table) // len(columns))
            parts.append(table.assign(mode=mode, fit=fit))
    return pd.concat(parts, ignore_index=True)


def studies(setting: Setting, seeds: range, bold: Path | None = None) -> pd.DataFrame:
    """Test one study a seed."""
    with threadpool_limits(1):  # matrices are small: more threads only wait for each other
        parts = [
            p_values(make_study(setting, seed, bold), setting, seed).assign(seed=seed)
            for seed in seeds
        ]
    return pd.concat(parts, ignore_index=True)


def make_brains(
    setting: Setting, films: Sequence[RunFilm], rng: np.random.Generator
) -> Iterator[list[Brain]]:
    """Draw each run's brains, with a response to the film where one is planted."""
    shape = (setting.runs, setting.participants, setting.volumes, setting.voxels)
    layer = MODELS[setting.planted].layers[0]
    mixing = rng.standard_normal((setting.participants, films[0].layers[layer].shape[1], shape[-1]))
    drawn = draw_brains(setting.noise, setting.addition, shape, setting.repetition_time, rng)
    for film, series in zip(films, drawn, strict=True):
        if setting.effect:
            series[:, :, : setting.voxels] += response(film.layers[layer], mixing, setting.effect)
        yield [
            Brain(own[:, : setting.voxels], nuisance(own, setting.repetition_time))
            for own in series
        ]


def response(features: Floats, mixing: Floats, effect: float) -> Floats:
    """Responses of participants' voxels to features, each voxel a mixture of them.

    Parameters
    ----------
    features
        (volumes, units); volumes without a pattern have no response.
    mixing
        (participants, units, voxels).
    effect
        SD over a participant's volumes and voxels.
    """
    mixed = np.nan_to_num(features) @ mixing
    mixed -= mixed.mean(axis=1, keepdims=True)
    scaled: Floats = mixed * (effect / mixed.std(axis=(1, 2), keepdims=True))
    return scaled


@cache
def _bold(folder: Path | None) -> list[list[Brain]]:
    """Give each run's regions; cosines are all there is to regress out of a single slice."""
    if folder is None:
        raise ValueError("real BOLD needs its folder")
    design = high_pass(bold.VOLUMES, bold.REPETITION_TIME)
    return [[Brain(region, design) for region in regions] for regions in bold.series(folder)]


def run_rdms(run: str, film: RunFilm, brains: Sequence[Brain], setting: Setting) -> RunRDMs:
    """Make the RDMs of a run: of its brains, in each mode of the setting, and of the models."""
    volumes = film_volumes(film.coverage, setting.min_coverage, setting.repeated)
    every = np.ones(setting.volumes, dtype=np.bool_)
    fitted = volumes.used & film.defined if setting.regressed_on == "used" else every
    layers = film.layers
    if setting.filtered:
        design = high_pass(setting.volumes, setting.repetition_time)
        layers = {name: denoised(values, design, fitted) for name, values in layers.items()}
    min_lag = lag_in_volumes(Robust().min_lag_s, setting.repetition_time)
    pairs = lagged_pairs(setting.volumes, min_lag, defined=fitted)
    robust = np.array(
        [[brain.rdm(fitted, pairs if setting.noise_removed else None) for brain in brains]]
    )
    replicate = robust
    if "replicate" in setting.modes:
        replicate = np.array([[brain.rdm(every) for brain in brains]])
    models = model_rdms(layers, setting.models)
    return RunRDMs(run, models, replicate, setting.repetition_time, volumes, robust)


def _columns_of(models: Sequence[str], fit: Fit) -> dict[str, slice]:
    """Say which columns each model's layers are; ridge of one layer scores as ols does."""
    columns = layer_columns({name: MODELS[name].layers for name in models})
    return {
        name: layers
        for name, layers in columns.items()
        if fit != "ridge" or len(MODELS[name].layers) > 1
    }


def _p_of_mean(scores: Floats) -> pd.DataFrame:
    """Test the mean over participants of scores, (1 + draws, models, participants)."""
    means = finite_mean(scores, -1)
    p = shift_p(means[:, None])
    t_test = one_sample_t(fisher_z(scores[0]))
    return pd.DataFrame(
        {
            "region": "all",
            "r": means[0],
            "p_null": p.p[0],
            "p_null_max": p.p_max[0],
            "p_t": t_test.p,
        }
    )


def _p_of_regions(scores: Floats) -> pd.DataFrame:
    """Test each of some regions, (1 + draws, models, regions), which come one after the other."""
    p = shift_p(scores.swapaxes(1, 2))
    regions, models = p.p.shape
    return pd.DataFrame(
        {
            "region": np.repeat(np.arange(regions), models).astype(str),
            "r": scores[0].T.ravel(),
            "p_null": p.p.ravel(),
            "p_null_max": p.p_max.ravel(),
            "p_t": np.nan,
        }
    )
