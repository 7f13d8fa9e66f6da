"""Feature tables as models: annotated features of a film, at each volume."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from bidsapp.arrays import Floats
from bidsapp.errors import InputError, UsageError
from bidsapp.vision.hemodynamics import HRF_S, interval_weights, response_coverage
from bidsapp.vision.runs import Span

MIN_COLUMNS_FOR_ANGLES = 10
_TIMES = ("onset", "duration")
_BLOCK = 2048  # rows at a time
_SEAM_S = 0.02  # half a frame: what rounded or measured times may leave between rows


def table_features(
    path: Path,
    columns: Sequence[str],
    volume_times: Floats,
    film_tables: Sequence[Path] = (),
    hrf_s: float = HRF_S,
) -> Floats:
    """Compute the expected response to each feature of a table at each volume.

    Each column is z-scored over the film, every row counting by its duration, and is taken as
    constant within a row.

    Parameters
    ----------
    path
        TSV with the columns ``onset`` and ``duration`` in seconds, on the clock of the volumes.
    columns
        Features that are taken; none: all but the times.
    volume_times
        Shape (n_volumes,), in seconds, increasing.
    film_tables
        Tables of all the film's runs, which give mean and SD; none: this run's alone.
    hrf_s
        Length of the haemodynamic response in seconds.

    Returns
    -------
    Floats
        Shape (n_volumes, n_columns), float64. A volume that no row reaches is NaN.

    Raises
    ------
    InputError
        A table or one of its columns is absent, a value is not a finite number, a duration is not
        positive, rows overlap or leave gaps, or a column is constant over the film.
    """
    table = read_features(path, columns)
    names = [name for name in table.columns if name not in _TIMES]
    film = [read_features(other, names) for other in film_tables] or [table]
    values = np.concatenate([part[names].to_numpy(np.float64) for part in film])
    durations = np.concatenate([part["duration"].to_numpy(np.float64) for part in film])
    mean = np.average(values, axis=0, weights=durations)
    sd = np.sqrt(np.average((values - mean) ** 2, axis=0, weights=durations))
    for name, column in zip(names, values.T, strict=True):
        if np.all(column == column[0]):
            raise InputError(f"{path}: column '{name}' is constant over the film; leave it out")
    scores = (table[names].to_numpy(np.float64) - mean) / sd
    times = table[list(_TIMES)].to_numpy(np.float64)
    return _responses(times, scores, np.asarray(volume_times), hrf_s)


def table_span(path: Path, columns: Sequence[str]) -> Span:
    """Tell from when to when a table has features; see `read_features`."""
    table = read_features(path, columns)
    first, last = table.iloc[0], table.iloc[-1]
    ends_s = float(last["onset"] + last["duration"])
    piece = f"row of {path.name}"
    return Span(float(first["onset"]), ends_s, piece, "which begins", "which ends")


def table_coverage(
    path: Path, columns: Sequence[str], volume_times: Floats, hrf_s: float = HRF_S
) -> Floats:
    """Share of each volume's response, by absolute weight, that falls on a table's rows.

    Parameters
    ----------
    path, columns, volume_times, hrf_s
        As for `table_features`.

    Returns
    -------
    Floats
        Shape (n_volumes,), from 0 to 1; see `response_coverage`.

    Raises
    ------
    InputError
        As `read_features`.
    """
    span = table_span(path, columns)  # rows follow each other without gaps
    onset, duration = np.array([span.first_s]), np.array([span.last_s - span.first_s])
    return response_coverage(onset, duration, volume_times, hrf_s)


def check_table(name: str, n_columns: int, dissimilarity: str) -> None:
    """Refuse correlation and cosine between patterns of few columns.

    With few columns angles take only values that say little: with two, 1 - r is 0 or 2.

    Raises
    ------
    UsageError
        Correlation or cosine is asked for with fewer than 10 columns.
    """
    if dissimilarity != "euclidean" and n_columns < MIN_COLUMNS_FOR_ANGLES:
        raise UsageError(
            f"feature table '{name}' has {n_columns} columns, too few for dissimilarity: "
            f"{dissimilarity} (at least {MIN_COLUMNS_FOR_ANGLES}); use dissimilarity: euclidean"
        )


def _responses(times: Floats, scores: Floats, volume_times: Floats, hrf_s: float) -> Floats:
    """Weight the rows' scores, a block of rows at a time, for the volumes that it reaches."""
    responses = np.zeros((len(volume_times), scores.shape[1]))
    reached = np.zeros(len(volume_times), dtype=np.bool_)
    for start in range(0, len(times), _BLOCK):
        onsets, durations = times[start : start + _BLOCK].T
        latest = (onsets + durations).max() + hrf_s
        first, stop = np.searchsorted(volume_times, [onsets.min(), latest])
        weights = interval_weights(onsets, durations, volume_times[first:stop], hrf_s)
        responses[first:stop] += weights @ scores[start : start + _BLOCK]
        reached[first:stop] |= np.any(weights != 0, axis=1)
    responses[~reached] = np.nan
    return responses


def read_features(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read times and features, checked.

    Parameters
    ----------
    path, columns
        As for `table_features`.

    Returns
    -------
    DataFrame
        ``onset``, ``duration`` and the features, float64; each row begins where another ends.

    Raises
    ------
    InputError
        As `table_features`, but for columns that are constant.
    """
    try:
        table = pd.read_csv(path, sep="\t", na_values="n/a")
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read the feature table {path}: {error}") from error
    features = list(columns) or [name for name in table.columns if name not in _TIMES]
    for name in (*_TIMES, *features):
        if name not in table.columns:
            raise InputError(f"{path} has no column '{name}'; it has {', '.join(table.columns)}")
        column = pd.to_numeric(table[name], errors="coerce").to_numpy(np.float64)
        if not np.isfinite(column).all():
            row = int(np.flatnonzero(~np.isfinite(column))[0]) + 2
            raise InputError(
                f"{path}: column '{name}' holds no finite number in line {row}; mend it, or "
                "name the columns to use in the analysis file"
            )
    if not features or table.empty:
        raise InputError(f"{path} has no features: it needs rows, and columns beside the times")
    if (table["duration"] <= 0).any():
        raise InputError(f"{path}: durations must be above 0 s, since a feature lasts")
    _check_seamless(path, table)
    return table[[*_TIMES, *features]].astype(np.float64)


def _check_seamless(path: Path, table: pd.DataFrame) -> None:
    """Make sure that each row begins where the one before it ends."""
    onset, end = table["onset"], table["onset"] + table["duration"]
    apart = (onset.to_numpy()[1:] - end.to_numpy()[:-1]).astype(np.float64)
    if (apart < -_SEAM_S).any():
        row = int(np.flatnonzero(apart < -_SEAM_S)[0])
        raise InputError(
            f"{path}: line {row + 3} begins {-apart[row]:.3g} s before line {row + 2} ends, so "
            "that a feature has two values at once: sort the rows and shorten those that overlap"
        )
    if (apart > _SEAM_S).any():
        row = int(np.flatnonzero(apart > _SEAM_S)[0])
        raise InputError(
            f"{path}: nothing is said of {apart[row]:.3g} s between lines {row + 2} and {row + 3}, "
            "and a feature has no value there: add a row, or lengthen the one before"
        )
