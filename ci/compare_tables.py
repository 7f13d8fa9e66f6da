"""Compare all tables of two output trees: ``compare_tables.py ONE OTHER``.

Exits 1 unless both hold the same tables with the same rows and columns, equal words, and numbers
that are equal to 1e-6.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

TOLERANCE = 1e-6


def tables(root: Path) -> dict[str, Path]:
    """Find the tables of an output tree by their path in it."""
    return {str(path.relative_to(root)): path for path in sorted(root.rglob("*.tsv"))}


def differences(one: Path, other: Path) -> Iterator[str]:
    """Say what of one table differs in another."""
    first, second = (pd.read_csv(path, sep="\t", na_values="n/a") for path in (one, other))
    if list(first.columns) != list(second.columns) or len(first) != len(second):
        yield f"{first.shape} rows and columns against {second.shape}, or other columns"
        return
    for name in first.columns:
        a, b = first[name], second[name]
        if pd.api.types.is_numeric_dtype(a) and pd.api.types.is_numeric_dtype(b):
            unequal = ~np.isclose(a, b, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
        else:
            words, others = (column.astype(object).fillna("n/a").astype(str) for column in (a, b))
            unequal = (words != others).to_numpy()
        if unequal.any():
            row = int(np.flatnonzero(unequal)[0])
            yield f"{name}: {unequal.sum()} rows differ, first row {row}: {a[row]} and {b[row]}"


def main(one: Path, other: Path) -> None:
    """Compare, say what differs, and exit."""
    first, second = tables(one), tables(other)
    wrong = [f"{name}: in one tree only" for name in sorted(first.keys() ^ second.keys())]
    for name in sorted(first.keys() & second.keys()):
        wrong += [f"{name}: {what}" for what in differences(first[name], second[name])]
    if not first or not second:
        wrong.append(f"no tables in {other if first else one}")
    for line in wrong:
        print(line)
    if wrong:
        sys.exit(1)
    print(f"{len(first)} tables of {one} and {other} are equal to {TOLERANCE:g}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
