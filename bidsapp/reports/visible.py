"""How much of each model can be seen at all: a table for participants' and the group's pages."""

from collections.abc import Iterator

import pandas as pd

from bidsapp.reports.page import Block, Table, cell
from bidsapp.rsa.visible import BARELY_VISIBLE, NOT_VISIBLE
from bidsapp.tables.notes import visibility

_CAPTION = (
    "How visible each model is in robust: the correlation of its RDM with that of a brain that "
    "follows the model, with noise as large, after the nuisance regression. Under "
    f"{NOT_VISIBLE:g} a model cannot be found at any size of effect, under "
    f"{BARELY_VISIBLE:g} only a large effect can; n/a: robust has no matrices, or the model's hold "
    "no moments of its units and must be made anew for it"
)


def visible_blocks(table: pd.DataFrame, source: str) -> Iterator[Block]:
    """Show the visibility of each model, mean over the rows of robust.

    Parameters
    ----------
    table
        A table ``similarity``, with its columns ``mode``, ``model`` and ``visible``.
    source
        Where it is, relative to the page.
    """
    robust = table[table["mode"] == "robust"]
    if robust.empty:
        return
    means = robust.groupby("model", sort=False)["visible"].mean()
    rows = tuple(
        (str(model), cell(float(mean), 2), "; ".join(visibility(float(mean))))
        for model, mean in means.items()
    )
    yield Table(("model", "visible", "what can be found"), rows, _CAPTION, source)
