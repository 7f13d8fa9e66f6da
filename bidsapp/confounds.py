"""fMRIPrep's table of confounds, read and checked alike for the localizer and for denoising."""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import pandas as pd

from bidsapp.arrays import Floats
from bidsapp.errors import InputError

# What compares a volume with the one before has no value in the first.
_NO_FIRST_VALUE = re.compile(r".*_derivative1.*|framewise_displacement|rmsd|(std_)?dvars")


def read_confounds(path: Path) -> pd.DataFrame:
    """Read a table of confounds, one row a volume.

    Raises
    ------
    InputError
        The file is absent or no table.
    """
    try:
        return pd.read_csv(path, sep="\t", na_values=["n/a"])
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} is no readable table of confounds ({error}): run fMRIPrep again"
        ) from error


def finite_columns(table: pd.DataFrame, names: Sequence[str], path: Path, key: str) -> Floats:
    """Return columns of a table of confounds, all of whose values must be numbers.

    A missing value counts as zero where one is expected: in the first row of temporal derivatives,
    framewise displacement, DVARS and RMS displacement.

    Parameters
    ----------
    table
        One row a volume.
    names
        The k columns wanted.
    path
        The table's file, named in errors.
    key
        The key of the analysis file that asks for the columns, named in errors.

    Returns
    -------
    Floats
        (n_volumes, k), in the units of the file (mm, radians, ...).

    Raises
    ------
    InputError
        A column is absent, or a value is missing, infinite or no number.
    """
    for name in names:
        if name not in table:
            near = get_close_matches(name, [str(column) for column in table], 3)
            hint = f" (near: {', '.join(near)})" if near else ""
            raise InputError(
                f"{path} has no column {name!r}{hint}: change {key} in the analysis file, or run "
                "fMRIPrep again"
            )
    if not names:
        return np.empty((len(table), 0))
    numbers = table[list(names)].apply(pd.to_numeric, errors="coerce")
    values = np.array(numbers, dtype=np.float64)
    expected = np.array([_NO_FIRST_VALUE.fullmatch(name) is not None for name in names])
    if len(values):
        values[0, np.isnan(values[0]) & expected] = 0.0
    wrong = np.argwhere(~np.isfinite(values))
    if len(wrong):
        row, column = wrong[0]
        found = table[names[column]].iloc[row]
        raise InputError(
            f"{path}: column {names[column]!r} has {found!s} in line {row + 2} (volume "
            f"{row + 1}), where a number is needed: run fMRIPrep again, or change {key} in the "
            "analysis file"
        )
    return values
