"""What a scanner and a body add: autocorrelated noise, drift, motion and its traces."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.signal import lfilter

from bidsapp.arrays import Floats
from bidsapp.demo.size import REPETITION_TIME

MOTION = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")
MIXTURE = ((0.3, 0.85), (0.7, 0.55))  # AR(1) coefficient, SD: about .42 at a lag of one volume
BURN_IN = 30
HIGH_PASS_S = 128.0


@dataclass(frozen=True)
class Nuisance:
    """Time courses that many voxels share: ``motion`` (n, 6) mm and rad, ``shared`` (n, 4)."""

    motion: Floats
    shared: Floats


def draw_nuisance(rng: np.random.Generator, volumes: int) -> Nuisance:
    """Draw a run's motion and shared time courses: two follow the motion, two the body."""
    steps = rng.standard_normal((volumes, 6)) * [0.03, 0.03, 0.05, 5e-4, 3e-4, 3e-4]
    motion = np.cumsum(steps, axis=0) + steps
    body = autocorrelated(rng, (2, 1, 1), volumes, ((0.6, 1.0),)).reshape(2, volumes).T
    standard = (motion - motion.mean(axis=0)) / motion.std(axis=0)
    moved = np.diff(standard, axis=0, prepend=standard[:1]) @ rng.standard_normal((6, 2))
    shared = np.column_stack([moved, body])
    return Nuisance(motion, (shared - shared.mean(axis=0)) / shared.std(axis=0))


def autocorrelated(
    rng: np.random.Generator,
    shape: tuple[int, int, int],
    volumes: int,
    mixture: tuple[tuple[float, float], ...] = MIXTURE,
    blur_voxels: float = 0.0,
) -> Floats:
    """Sum of AR(1) processes in each voxel, (x, y, z, volumes), of unit variance."""
    total = np.zeros((*shape, volumes), dtype=np.float32)
    for coefficient, spread in mixture:
        fresh = rng.standard_normal((*shape, volumes + BURN_IN), dtype=np.float32)
        scale = np.float32(spread * np.sqrt(1 - coefficient**2))
        filtered = lfilter([scale], np.array([1, -coefficient], np.float32), fresh, axis=-1)
        total += filtered[..., BURN_IN:]
    if blur_voxels:
        total = gaussian_filter(total, (blur_voxels,) * 3 + (0,))
    scaled: Floats = total / total.std()
    return scaled


def smooth_fields(rng: np.random.Generator, shape: tuple[int, int, int], count: int) -> Floats:
    """Smooth random maps of unit variance, (voxels, count)."""
    fields = gaussian_filter(
        rng.standard_normal((*shape, count), dtype=np.float32), (2.5, 2.5, 2.5, 0)
    )
    flat = fields.reshape(-1, count)
    scaled: Floats = flat / flat.std(axis=0)
    return scaled


def slow_waves(volumes: int, cutoff_s: float = HIGH_PASS_S) -> Floats:
    """Cosines of periods down to the cut-off, (volumes, k), each of unit length."""
    count = int(2 * volumes * REPETITION_TIME / cutoff_s)
    angles = np.pi * (np.arange(volumes)[:, None] + 0.5) * np.arange(1, count + 1) / volumes
    waves: Floats = np.sqrt(2 / volumes) * np.cos(angles)
    return waves
