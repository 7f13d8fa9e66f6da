"""Brains for the calibration: noise of many kinds, and what is regressed out of it."""

from collections.abc import Iterator, Mapping

import numpy as np
from scipy.ndimage import gaussian_filter, gaussian_filter1d
from scipy.signal import lfilter

from bidsapp.arrays import Floats
from bidsapp.brain.denoise import residuals

HIGH_PASS_S = 128.0
COMPONENTS = 5
_PLANE = (4, 3)  # voxels of one plane of the grid
_MASKS = 50  # voxels, the last of the grid: white matter and fluid
_BETWEEN = 10  # voxels at least that part them from the region
_BURN_IN = 50
_TRANSIENT_SD = 3.0
_SHARED_DRIFT_S = 40.0

AUTOREGRESSIVE: Mapping[str, tuple[float, ...]] = {
    "white": (),
    "ar.3": (0.3,),
    "ar.5": (0.5,),
    "ar.8": (0.8,),
    "ar2": (1.456, -0.81),  # swings with a period of ten volumes
    "spatial": (0.4,),
}
FALLING: Mapping[str, float] = {"1/f.7": 0.7, "1/f1": 1.0, "1/f1.5": 1.5}
ADDITIONS = ("shared-drift", "growing", "transient-20s", "transient-60s")


def draw_brains(
    kind: str,
    addition: str,
    shape: tuple[int, int, int, int],
    repetition_time: float,
    rng: np.random.Generator,
) -> Iterator[Floats]:
    """Draw the series of all participants, a run at a time.

    Parameters
    ----------
    kind
        Name of the noise: of `AUTOREGRESSIVE` or `FALLING`; "spatial" is smooth over voxels too.
    addition
        What else is in the region: of `ADDITIONS`, or "" for nothing.
    shape
        Runs, participants, volumes, voxels of the region.
    repetition_time
        Seconds.
    rng
        Draws.

    Yields
    ------
    Floats
        (participants, volumes, voxels): the region's first, then others, and at last those of white
        matter and fluid.
    """
    runs, participants, volumes, voxels = shape
    grid = (-(-(voxels + _BETWEEN + _MASKS) // np.prod(_PLANE)), *_PLANE)
    patterns = rng.standard_normal((participants, 3, voxels))
    for _ in range(runs):
        series = np.array([_noise(kind, volumes, grid, rng) for _ in range(participants)])
        region = series[:, :, :voxels]
        if addition == "growing":
            region *= np.linspace(0.5, 1.5, volumes)[:, None]
        elif addition:
            region += _courses(addition, volumes, repetition_time, rng) @ patterns
        yield series


def nuisance(series: Floats, repetition_time: float) -> Floats:
    """Give what is regressed out of a run: fMRIPrep's aCompCor, its cosines, and an intercept.

    Parameters
    ----------
    series
        (volumes, voxels), as `draw_brains` gives.
    repetition_time
        Seconds.
    """
    waves = high_pass(len(series), repetition_time)
    masks = residuals(series[:, -_MASKS:], waves)
    left, _, _ = np.linalg.svd(masks, full_matrices=False)
    return np.column_stack([left[:, :COMPONENTS], waves])


def high_pass(volumes: int, repetition_time: float) -> Floats:
    """Give the cosines that fMRIPrep takes for a high-pass at 128 s, and an intercept."""
    count = max(int(2 * volumes * repetition_time / HIGH_PASS_S), 1)
    angles = np.pi * (np.arange(volumes)[:, None] + 0.5) * np.arange(count) / volumes
    waves: Floats = np.cos(angles)
    return waves


def _noise(kind: str, volumes: int, grid: tuple[int, ...], rng: np.random.Generator) -> Floats:
    if kind in FALLING:
        long = _falling((4 * volumes, *grid), FALLING[kind], rng)
    else:
        long = rng.standard_normal((volumes + _BURN_IN, *grid))
        if kind == "spatial":
            long = gaussian_filter(long, (0, 1.5, 1.5, 1.5))
        long = lfilter([1.0], [1.0, *(-c for c in AUTOREGRESSIVE[kind])], long, axis=0)
    series = long[-volumes:].reshape(volumes, -1)
    scaled: Floats = series / series.std()
    return scaled


def _falling(shape: tuple[int, ...], slope: float, rng: np.random.Generator) -> Floats:
    """Noise whose power falls with frequency; it is circular, so only a part should be taken."""
    frequency = np.fft.rfftfreq(shape[0])
    amplitude = np.zeros_like(frequency)
    amplitude[1:] = frequency[1:] ** (-slope / 2)
    waves = np.fft.rfft(rng.standard_normal(shape), axis=0) * amplitude[:, None, None, None]
    falling: Floats = np.fft.irfft(waves, n=shape[0], axis=0)
    return falling


def _courses(
    addition: str, volumes: int, repetition_time: float, rng: np.random.Generator
) -> Floats:
    """Draw three time courses, (volumes, 3), that all participants have in this run."""
    if addition == "shared-drift":
        fresh = rng.standard_normal((3 * volumes, 3))
        slow = gaussian_filter1d(fresh, _SHARED_DRIFT_S / repetition_time, axis=0)
        return slow[volumes : 2 * volumes] / slow.std() / 3**0.5
    seconds = float(addition.removeprefix("transient-").removesuffix("s"))
    times = repetition_time * np.arange(volumes)
    return _TRANSIENT_SD * np.exp(-times / seconds)[:, None] * [1.0, 0.0, 0.0]
