"""JSON files and tables of tab-separated values, as BIDS has them."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bidsapp.errors import InputError
from bidsapp.files import write_text

_TEXT_COLUMNS = ("participant", "session", "task", "run", "roi", "model", "layer")


def sidecar(path: Path) -> Path:
    """Return the JSON file that belongs to ``path``: same name, all suffixes replaced."""
    return path.with_name(path.name.split(".")[0] + ".json")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write ``content`` as JSON, whole or not at all; arrays become lists, NaN becomes null."""
    text = json.dumps(_plain(content), indent=2, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    InputError
        The file is absent, is not JSON, or holds something other than an object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} must hold a JSON object")
    return content


def _plain(value: Any) -> Any:  # noqa: ANN401
    """Turn NumPy values, paths and mappings into what JSON knows."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return value.as_posix()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def write_table(path: Path, table: pd.DataFrame, columns: Mapping[str, Mapping[str, Any]]) -> None:
    """Write a TSV and the JSON that says what each column means.

    Parameters
    ----------
    path
        The TSV; missing values become ``n/a`` and floats keep six significant digits.
    table
        The rows; an empty table with the right columns is valid.
    columns
        For each column of ``table``, in any order, its BIDS description: ``Description`` and,
        where it has one, ``Units``.

    Raises
    ------
    ValueError
        A column is described but absent, or present but not described.
    """
    write_tsv(path, table, columns)
    write_json(sidecar(path), {name: columns[name] for name in table.columns})


def write_tsv(path: Path, table: pd.DataFrame, columns: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the table of `write_table` without its JSON, where another file describes it."""
    unlike = set(columns) ^ set(table.columns)
    if unlike:
        raise ValueError(f"{path.name}: columns and their descriptions differ in {sorted(unlike)}")
    text = table.to_csv(
        sep="\t", index=False, na_rep="n/a", float_format="%.6g", lineterminator="\n"
    )
    write_text(path, text)


def read_table(path: Path) -> pd.DataFrame:
    """Read a TSV that the app wrote; ``n/a`` becomes NaN, and participants and runs stay text.

    Raises
    ------
    InputError
        The file is absent or is no table.
    """
    return read_tsv(path, text_columns=_TEXT_COLUMNS)


def read_tsv(path: Path, text_columns: Sequence[str] = ()) -> pd.DataFrame:
    """Read any BIDS table; only ``n/a`` is a missing value.

    Raises
    ------
    InputError
        The file is absent, empty or no table.
    """
    try:
        return pd.read_csv(
            path,
            sep="\t",
            na_values=["n/a"],
            keep_default_na=False,
            dtype=dict.fromkeys(text_columns, str),
        )
    except OSError as error:
        raise InputError(f"cannot read the table {path}: {error.strerror}") from error
    except ValueError as error:  # pandas' parser errors are ValueErrors
        raise InputError(f"{path} is no table of tab-separated values: {error}") from error
