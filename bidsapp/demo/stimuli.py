"""The stimuli folder: one film file and one table of ratings per run, and what is in them."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from bidsapp.arrays import Floats
from bidsapp.demo import responses
from bidsapp.demo.film import FILM_SEED, FRAME_RATE, make_timeline, write_film
from bidsapp.demo.size import REPETITION_TIME, START_TIME, THREADS, DemoSize
from bidsapp.files import write_text


@dataclass(frozen=True)
class Stimuli:
    """What the film offers to the brains, run by run.

    Attributes
    ----------
    features
        One mapping per run: model to (n, k) features of every fifth frame.
    model_correlations
        "a, b" to Pearson r of the two models' RDMs at the volumes, mean over runs.
    """

    features: tuple[Mapping[str, Floats], ...]
    model_correlations: Mapping[str, float]


def write_stimuli(directory: Path, size: DemoSize) -> Stimuli:
    """Write ``directory/stimuli`` and return its features; no brain's seed matters here.

    Parameters
    ----------
    directory
        Folder of the dataset.
    size
        Numbers of runs and volumes.
    """
    folder = directory / "stimuli"
    timeline = make_timeline(size.film_s)
    ratings = responses.make_annotations(size.film_s, FILM_SEED)
    network = responses.planted_layer()

    def write_run(index: int) -> tuple[dict[str, Floats], dict[str, float]]:
        volumes = size.volumes[index]
        start, duration = size.film_starts_s[index], volumes * REPETITION_TIME
        film = folder / f"seg_{index}.mkv"
        write_film(film, timeline, start, duration)
        rows = responses.annotations_of_run(ratings, start, duration)
        table = rows.to_csv(sep="\t", index=False, float_format="%.4f")
        write_text(folder / f"annotations_run-{size.runs[index]}.tsv", table)
        features = responses.frame_features(film, network)
        features[responses.TABLE] = responses.annotation_features(
            rows, len(features[responses.PIXELS])
        )
        return responses.project(features), _correlate_models(features, volumes)

    with ThreadPoolExecutor(THREADS) as pool:
        runs = list(pool.map(write_run, range(len(size.runs))))
    pairs = runs[0][1]
    mean = {
        pair: float(np.mean([correlations[pair] for _, correlations in runs])) for pair in pairs
    }
    return Stimuli(tuple(features for features, _ in runs), mean)


def _correlate_models(features: Mapping[str, Floats], volumes: int) -> dict[str, float]:
    """Correlate the planted models' RDMs over all pairs of volumes of one run."""
    times = np.arange(volumes) * REPETITION_TIME + START_TIME
    onsets = np.arange(volumes * REPETITION_TIME * FRAME_RATE) / FRAME_RATE
    weights = responses.frame_weights(onsets, times).astype(np.float32)
    pairs = np.triu_indices(volumes, 1)
    rdms = {
        name: _distances(weights @ values, euclidean=name == responses.TABLE)[pairs]
        for name, values in features.items()
    }
    return {
        f"{one}, {other}": float(np.corrcoef(rdms[one], rdms[other])[0, 1])
        for one, other in combinations(rdms, 2)
    }


def _distances(patterns: Floats, *, euclidean: bool) -> Floats:
    """All distances between rows: Euclidean, or one less Pearson's r."""
    if not euclidean:
        return np.asarray(1.0 - np.corrcoef(patterns))
    squared = ((patterns[:, None] - patterns[None]) ** 2).sum(axis=-1)
    root: Floats = np.sqrt(squared)
    return root
