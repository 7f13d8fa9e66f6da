"""Tables whose values this version does not compute: every row is there, and says so."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import permutations, product
from typing import Any

import numpy as np
import pandas as pd

from bidsapp.analysis.spec import Analysis
from bidsapp.tables import notes
from bidsapp.tables.columns import describe


def unique_table(models: Sequence[str], regions: Sequence[str], analysis: Analysis) -> pd.DataFrame:
    """Rows for what each target model explains beyond each control model."""
    pairs = list(permutations(models, 2))
    return _table(
        "unique",
        ((*key, *pair) for *key, pair in product(analysis.modes, analysis.fits, regions, pairs)),
    )


def components_table(layers: Mapping[str, Sequence[str]], analysis: Analysis) -> pd.DataFrame:
    """Rows for each layer's loadings on the principal components of its model's RDMs."""
    pairs = [(model, layer) for model, names in layers.items() for layer in names]
    return _table("components", ((mode, *pair) for mode, pair in product(analysis.modes, pairs)))


def split_table(models: Sequence[str], regions: Sequence[str], analysis: Analysis) -> pd.DataFrame:
    """Rows for each model's part of the R² of all models together."""
    return _table("split", product(analysis.modes, regions, models))


def _table(desc: str, keys: Iterable[tuple[Any, ...]]) -> pd.DataFrame:
    """Make a table with the given first cells of each row, no values, and the note."""
    names = list(describe(desc))
    rows = list(keys)
    width = len(rows[0]) if rows else 0
    table = pd.DataFrame(rows, columns=names[:width]) if rows else pd.DataFrame(columns=names)
    for name in names[width:]:
        table[name] = notes.NOT_COMPUTED if name == "note" else np.nan
    return table
