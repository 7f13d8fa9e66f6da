"""Which volumes are left out for the head's motion, and how much of it a run has."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bidsapp.analysis.spec import Censor
from bidsapp.arrays import Bools, Floats
from bidsapp.errors import InputError

HIGH_DISPLACEMENT_MM = 0.5  # of which each run's share of volumes is reported (Power et al. 2012)


@dataclass(frozen=True)
class Motion:
    """A run's motion, over all its volumes; NaN where fMRIPrep's table says nothing of it.

    Attributes
    ----------
    fd_mean, fd_max
        Framewise displacement, mm.
    fd_over_half_mm
        Part of the volumes whose framewise displacement is over 0.5 mm; 0 to 1.
    dvars_mean, dvars_max
        Standardised DVARS; 1 where a volume differs from the one before as chance has it.
    """

    fd_mean: float
    fd_max: float
    fd_over_half_mm: float
    dvars_mean: float
    dvars_max: float


def censored_volumes(table: pd.DataFrame, censor: Censor, path: Path) -> Bools:
    """Flag the volumes above a threshold, and their neighbours in time as the analysis asks.

    Framewise displacement is that of Power et al. (2012, NeuroImage 59:2142), as fMRIPrep gives it.
    It and DVARS compare a volume with the one before, so the first has none and is kept.

    Parameters
    ----------
    table
        fMRIPrep's confounds, one row a volume.
    censor
        What the analysis asks for.
    path
        File of the table, named in errors.

    Returns
    -------
    Bools
        (n_volumes,); True is left out.

    Raises
    ------
    InputError
        A column is missing, or lacks a value after its first row.
    """
    above = np.zeros(len(table), np.bool_)
    for key, (column, threshold) in censor.thresholds.items():
        above |= _measure(table, column, key, path) > threshold
    flagged = above.copy()
    for step in range(1, censor.before + 1):
        flagged[:-step] |= above[step:]
    for step in range(1, censor.after + 1):
        flagged[step:] |= above[:-step]
    return flagged


def _measure(table: pd.DataFrame, column: str, key: str, path: Path) -> Floats:
    """Return a column (n_volumes,) whose first row may be n/a, which is read as no motion."""
    if column not in table:
        raise InputError(
            f"{path} has no column {column!r}, which denoise.censor.{key} needs: "
            "take that key out of the analysis, or run fMRIPrep again"
        )
    values = _numbers(table, column)
    if not np.isfinite(values[1:]).all():
        raise InputError(
            f"{path}: {column}, which denoise.censor.{key} needs, has missing or infinite values "
            "after its first row: run fMRIPrep again"
        )
    values[:1] = np.nan_to_num(values[:1])
    return values


def motion(table: pd.DataFrame) -> Motion:
    """Summarise framewise displacement and DVARS of a run, (n_volumes,) rows of confounds."""
    displacement = _finite(table, "framewise_displacement")
    dvars = _finite(table, "std_dvars")
    share = float((displacement > HIGH_DISPLACEMENT_MM).mean()) if displacement.size else np.nan
    return Motion(*_mean_and_max(displacement), share, *_mean_and_max(dvars))


def _finite(table: pd.DataFrame, column: str) -> Floats:
    values = _numbers(table, column) if column in table else np.empty(0)
    return values[np.isfinite(values)]


def _mean_and_max(values: Floats) -> tuple[float, float]:
    return (float(values.mean()), float(values.max())) if values.size else (np.nan, np.nan)


def _numbers(table: pd.DataFrame, column: str) -> Floats:
    return np.array(pd.to_numeric(table[column], errors="coerce"), dtype=np.float64)
