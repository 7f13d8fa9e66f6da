"""A movie run from file to denoised voxels, against unpacking the same file, and its memory."""

import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np

from bench.extraction import peak_anonymous
from bidsapp.arrays import Bools, Floats
from bidsapp.brain.denoise import NuisanceDesign
from bidsapp.brain.patterns import Smoothing, region_patterns

SHAPE, VOLUMES = (80, 80, 35), 450  # a run of studyforrest, int16, compressed
REGIONS, VOXELS, REGRESSORS = 22, 150, 18
ROUNDS = 3


def run() -> dict[str, float]:
    """Measure reading and denoising of one run of full size.

    Returns
    -------
    dict
        ``reading_ratio``, time of reading the regions' voxels and denoising them over that of
        ``gzip -dc > /dev/null`` of the same file (median of alternating rounds; at most 1.5 is
        wanted); ``reading_cpu_ratio``, the same in processor time; ``reading_smoothed_ratio``, with
        smoothing of 4 mm; ``reading_memory_mb``, peak anonymous memory beyond that before.
    """
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        bold, brain = _write_run(Path(folder) / "bold.nii.gz", rng)
        masks = _masks(brain, rng)
        noise = rng.normal(size=(VOLUMES, REGRESSORS))
        design = NuisanceDesign(np.column_stack([noise, np.ones(VOLUMES)]), (), {})

        def ours(smoothing: Smoothing | None = None) -> None:
            region_patterns(bold, masks, design, False, smoothing)

        def smoothed() -> None:
            ours(Smoothing(4.0, brain))

        rounds = np.array(
            [[_seconds(work) for work in (_unpack(bold), ours, smoothed)] for _ in range(ROUNDS)]
        )  # (ROUNDS, 3, wall and processor)
        ratios = np.median(rounds / rounds[:, :1], axis=0)
        before = peak_anonymous(lambda: time.sleep(0.1))
        memory = peak_anonymous(ours) - before
    return {
        "reading_ratio": ratios[1, 0],
        "reading_cpu_ratio": ratios[1, 1],
        "reading_smoothed_ratio": ratios[2, 0],
        "reading_memory_mb": memory / 1e6,
    }


def _unpack(bold: Path) -> Callable[[], object]:
    return lambda: subprocess.run(["gzip", "-dc", bold], stdout=subprocess.DEVNULL, check=True)


def _write_run(path: Path, rng: np.random.Generator) -> tuple[Path, Bools]:
    """Write a bright ball that flickers by 1%, in noise."""
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in SHAPE], indexing="ij"))
    brain = (grid**2).sum(axis=0) < 0.75
    mean: Floats = np.where(brain, rng.normal(1000, 200, SHAPE), 10.0)
    data = np.empty((*SHAPE, VOLUMES), np.int16)
    for volume in range(VOLUMES):
        data[..., volume] = mean * (1 + 0.01 * rng.standard_normal(SHAPE))
    nibabel.save(nibabel.Nifti1Image(data, np.diag([3, 3, 3.3, 1])), path)
    return path, brain


def _masks(brain: Bools, rng: np.random.Generator) -> dict[str, Bools]:
    """Make regions of neighbouring voxels in the brain."""
    voxels = np.argwhere(brain)
    masks = {}
    for region in range(REGIONS):
        distance = np.linalg.norm(voxels - rng.choice(voxels), axis=1)
        mask = np.zeros(SHAPE, np.bool_)
        mask[tuple(voxels[np.argsort(distance)[:VOXELS]].T)] = True
        masks[f"region{region}"] = mask
    return masks


def _seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor time that some work takes, in this process and those it starts."""
    wall, processor = time.perf_counter(), os.times()
    work()
    spent = [now - then for now, then in zip(os.times()[:4], processor[:4], strict=True)]
    return time.perf_counter() - wall, sum(spent)
