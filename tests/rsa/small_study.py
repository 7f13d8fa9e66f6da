"""A small study with real structure: models that partly explain brains, gaps and all."""

from dataclasses import replace

import numpy as np
from scipy.spatial.distance import pdist

from bidsapp.rsa.rdm import correlation_distance
from bidsapp.rsa.study import RunRDMs
from bidsapp.rsa.volumes import FilmVolumes

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
    film = FilmVolumes.whole(n, n_repeated=3)
    return RunRDMs(name, models, np.array(targets, dtype=np.float32), REPETITION_TIME, film)


def undefine(rdms, volume, n):
    rows, columns = np.triu_indices(n, 1)
    rdms[..., (rows == volume) | (columns == volume)] = np.nan


def autoregressive(rng, n, width, rho):
    series = rng.normal(size=(n, width))
    for i in range(1, n):
        series[i] = rho * series[i - 1] + np.sqrt(1 - rho**2) * series[i]
    return series


def noise_runs():
    """Brains of pure autocorrelated noise, and a model of smooth features that are not in them."""
    rng = np.random.default_rng(2024)
    kernel = np.array([0.2, 0.5, 1.0, 0.8, 0.5, 0.3])

    def layer(n):
        features = rng.normal(size=(n + 5, 60))
        smoothed = np.apply_along_axis(np.convolve, 0, features, kernel, mode="valid")
        return correlation_distance(smoothed)

    def brain(n):
        series = autoregressive(rng, n, 60, 0.5)
        return correlation_distance(series - series.mean(axis=0))

    return [
        RunRDMs(
            str(i),
            np.array([layer(120) for _ in range(3)]),
            np.array([[brain(120) for _ in range(8)]]),
            repetition_time=2.0,
        )
        for i in range(3)
    ]


def planted_in(noise):
    """The same with other brains, which hold the features of a layer that comes first."""
    rng = np.random.default_rng(5)
    planted = []
    for run in noise:
        features = autoregressive(rng, 120, 60, 0.3)
        layers = np.array([correlation_distance(features), *run.models[:2]])
        brains = [
            correlation_distance(features + 1.5 * autoregressive(rng, 120, 60, 0.5))
            for _ in range(4)
        ]
        planted.append(replace(run, models=layers, targets=np.array([brains])))
    return planted
