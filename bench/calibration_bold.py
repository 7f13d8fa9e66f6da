"""Real BOLD for the calibration: haxby2001's subject 1, the one slice of its twelve runs."""

from functools import cache
from pathlib import Path

import nibabel as nib
import numpy as np

from bidsapp.arrays import Floats

RUNS, VOLUMES, REPETITION_TIME = 12, 121, 2.5
REGIONS = 8
_SHARE_OF_MAXIMUM = 0.2  # of the mean image, above which a voxel lies in the brain


def is_there(folder: Path) -> bool:
    """Tell whether the folder (``sub001/BOLD``) holds all runs."""
    return all(_path(folder, run).is_file() for run in range(RUNS))


@cache
def series(folder: Path) -> tuple[tuple[Floats, ...], ...]:
    """Read all runs, each as regions of about 60 neighbouring voxels, (volumes, voxels)."""
    images = [np.asarray(nib.load(_path(folder, run)).dataobj, np.float64) for run in range(RUNS)]
    mean = np.mean([image.mean(axis=-1) for image in images], axis=0)
    brain = mean > _SHARE_OF_MAXIMUM * mean.max()
    return tuple(tuple(np.array_split(image[brain].T, REGIONS, axis=1)) for image in images)


def _path(folder: Path, run: int) -> Path:
    return folder / f"task001_run{run + 1:03d}" / "bold_1slice.nii.gz"
