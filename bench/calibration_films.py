"""Films for the calibration: random features, and the responses that a scanner would see to them.

Slow features are cut from films that are longer than the runs, so nothing of them knows where a run
begins; walks and fades that begin with the run are there to know it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.ndimage import gaussian_filter1d

from bidsapp.analysis.part import Dissimilarity
from bidsapp.arrays import Bools, Floats
from bidsapp.rsa.rdm import DISTANCES
from bidsapp.vision.hemodynamics import interval_weights, response_coverage

FRAME_S = 1.0
UNITS = 40
FADE_S = 20.0
GAP_S = 20.0
_STRONG = 3.0  # SDs of a fade at its start, and of an offset
_SLOW_S = 60.0

Layers = dict[str, Floats]  # (frames, units) or (volumes, units) each


@dataclass(frozen=True)
class Model:
    """A model: its layers, and how unlike their patterns are."""

    layers: tuple[str, ...]
    distance: Dissimilarity


def _alone(distance: Dissimilarity, *layers: str) -> dict[str, Model]:
    return {layer: Model((layer,), distance) for layer in layers}


TABLE_SIZES = tuple((columns, width) for columns in (8, 20) for width in (30, 60, 100))
TABLES = tuple(f"table-{columns}x{width}s" for columns, width in TABLE_SIZES)
WALKS = ("walk-8", "walk-40")
MODELS: Mapping[str, Model] = {
    "shots": Model(("shots-4s", "shots-15s"), "correlation"),
    "drift": Model(("drift-10s", "drift-40s"), "correlation"),
    "mixed": Model(("frames", "shots-and-frames", "drift-and-shots"), "correlation"),
    **_alone("correlation", "shots-5s", "cuts-60s", "drift-60s", "drift-100s"),
    **_alone("euclidean", *TABLES, *WALKS),
    "tables": Model(TABLES[:3], "euclidean"),
    "walks": Model(WALKS, "euclidean"),
    **_alone("euclidean", *(f"{walk}-anew" for walk in WALKS)),
    "fade": Model(("fade",), "correlation"),
    "fade-euclidean": Model(("fade",), "euclidean"),
    "never-negative": Model(("never-negative",), "correlation"),
    "never-negative-euclidean": Model(("never-negative",), "euclidean"),
    "offset": Model(("offset",), "correlation"),
    "offset-euclidean": Model(("offset",), "euclidean"),
}
"""Every model that is tested, by name."""


@dataclass(frozen=True)
class Timing:
    """When a run's volumes and frames are.

    Attributes
    ----------
    volumes
        Number of volumes.
    repetition_time
        Seconds.
    repeated
        Volumes at the run's end whose film the next run shows again.
    """

    volumes: int
    repetition_time: float
    repeated: int = 0

    @property
    def volume_times(self) -> Floats:
        """Seconds since the run's start, at the middle of each volume."""
        times: Floats = self.repetition_time * (np.arange(self.volumes) + 0.5)
        return times

    @property
    def frames(self) -> int:
        """Frames shown in a run."""
        return int(self.volumes * self.repetition_time / FRAME_S)

    @property
    def step(self) -> int:
        """Frames between the starts of two runs of one film."""
        return self.frames - round(self.repeated * self.repetition_time / FRAME_S)


@dataclass(frozen=True)
class RunFilm:
    """What a run's volumes would see of its film.

    Attributes
    ----------
    layers
        Layer to expected responses, (volumes, units); NaN where a volume is undefined.
    coverage
        Shape (volumes,): share of each volume's response that the film covers.
    """

    layers: Layers
    coverage: Floats

    @property
    def defined(self) -> Bools:
        """Shape (volumes,): whether there is a response, in all layers alike."""
        defined: Bools = np.isfinite(next(iter(self.layers.values()))).all(axis=1)
        return defined


def run_films(
    timing: Timing,
    runs: int,
    rng: np.random.Generator,
    *,
    one_film: bool = True,
    undefined: float = 0.0,
    gaps: int = 0,
) -> list[RunFilm]:
    """Draw the films of all runs.

    Parameters
    ----------
    timing, runs
        When volumes are, and how many runs.
    rng
        Draws.
    one_film
        Whether the runs are pieces of one film; else each has a film of its own.
    undefined
        Share of volumes that are undefined (a black screen), in stretches of 3.
    gaps
        Stretches of 20 s in each run of which there is no film.
    """
    films = []
    for features in _features(timing, runs, one_film, rng):
        shown = _shown(timing.frames, gaps, rng)
        weights = _response_weights(timing) * shown
        layers = {layer: weights @ values for layer, values in features.items()}
        for start in rng.integers(timing.volumes, size=round(undefined * timing.volumes / 3)):
            for values in layers.values():
                values[start : start + 3] = np.nan
        onsets = FRAME_S * np.flatnonzero(shown)
        durations = np.full(len(onsets), FRAME_S)
        covered = response_coverage(onsets, durations, timing.volume_times)
        films.append(RunFilm(layers, covered))
    return films


def model_rdms(layers: Layers, models: Sequence[str]) -> Floats:
    """RDMs of all layers of some models, model after model, (layers, pairs)."""
    return np.array(
        [
            DISTANCES[MODELS[model].distance](layers[layer])
            for model in models
            for layer in MODELS[model].layers
        ]
    )


def _features(timing: Timing, runs: int, one_film: bool, rng: np.random.Generator) -> list[Layers]:
    """Draw the features of every run: for each, layer to (frames, units)."""
    first = {name: rng.standard_normal(UNITS) for name in ("fade", "offset", *WALKS)}
    if one_film:
        starts = range(0, runs * timing.step, timing.step)
        film = _film(starts[-1] + timing.frames, first["offset"], rng)
        pieces = [
            {layer: values[start : start + timing.frames] for layer, values in film.items()}
            for start in starts
        ]
    else:
        pieces = [_film(timing.frames, first["offset"], rng) for _ in range(runs)]
    return [{**piece, **_locked(timing.frames, first, rng)} for piece in pieces]


def _shown(frames: int, gaps: int, rng: np.random.Generator) -> Bools:
    """Tell which frames there are; gaps lie one in each equal part of the run."""
    shown = np.ones(frames, dtype=np.bool_)
    length, part = round(GAP_S / FRAME_S), frames // max(gaps, 1)
    for gap in range(gaps):
        start = gap * part + rng.integers(part - length)
        shown[start : start + length] = False
    return shown


@cache
def _response_weights(timing: Timing) -> Floats:
    onsets = FRAME_S * np.arange(timing.frames)
    return interval_weights(onsets, np.full(len(onsets), FRAME_S), timing.volume_times)


def _film(n: int, offset: Floats, rng: np.random.Generator) -> Layers:
    """Draw features of a film's n frames."""
    frames, short = rng.standard_normal((n, UNITS)), _shots(n, 4.0, rng)
    slow = _drift(n, _SLOW_S, UNITS, rng)
    return {
        "shots-4s": short,
        "shots-15s": _shots(n, 15.0, rng),
        "shots-5s": _shots(n, 5.0, rng),
        "cuts-60s": _shots(n, 60.0, rng),
        "drift-10s": _drift(n, 10.0, UNITS, rng),
        "drift-40s": _drift(n, 40.0, UNITS, rng),
        "drift-60s": slow,
        "drift-100s": _drift(n, 100.0, UNITS, rng),
        "frames": frames,
        "shots-and-frames": short @ rng.standard_normal((UNITS, UNITS)) / UNITS**0.5 + frames,
        "drift-and-shots": _drift(n, 20.0, UNITS, rng) + _shots(n, 6.0, rng),
        "never-negative": np.maximum(slow, 0.0),
        "offset": slow + _STRONG * offset,
        "walk-8": _walk(n, 8, rng),
        "walk-40": _walk(n, 40, rng),
        **{
            f"table-{columns}x{width}s": _drift(n, width, columns, rng)
            for columns, width in TABLE_SIZES
        },
    }


def _locked(n: int, first: Mapping[str, Floats], rng: np.random.Generator) -> Layers:
    """Draw features that know where the run begins; what they begin with is that of every run."""
    fade = np.exp(-FRAME_S * np.arange(n) / FADE_S)[:, None]
    walks = {walk: int(walk.removeprefix("walk-")) for walk in WALKS}
    return {
        "fade": _shots(n, 5.0, rng) + _STRONG * fade * first["fade"],
        **{
            f"{walk}-anew": first[walk][:columns] + _walk(n, columns, rng)
            for walk, columns in walks.items()
        },
    }


def _shots(n: int, mean_s: float, rng: np.random.Generator) -> Floats:
    """Features that are constant between cuts."""
    cuts = rng.random(n) < FRAME_S / mean_s
    shots: Floats = rng.standard_normal((cuts.sum() + 1, UNITS))[np.cumsum(cuts)]
    return shots


def _drift(n: int, width_s: float, columns: int, rng: np.random.Generator) -> Floats:
    """White noise under a Gaussian of this SD, cut from a film that is longer at both ends."""
    width = width_s / FRAME_S
    margin = round(3 * width)
    fresh = rng.standard_normal((n + 2 * margin, columns))
    drift: Floats = gaussian_filter1d(fresh, width, axis=0, truncate=3)[margin : margin + n]
    return drift / drift.std()


def _walk(n: int, columns: int, rng: np.random.Generator) -> Floats:
    """Draw random walks from zero."""
    walk: Floats = np.cumsum(rng.standard_normal((n, columns)), axis=0)
    return walk / walk.std()
