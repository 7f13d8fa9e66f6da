"""The tables of the components of all models' layers, and of the moments that drive them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import pandas as pd

from bidsapp.analysis.spec import Analysis, Mode
from bidsapp.arrays import Floats
from bidsapp.rsa.components import N_COMPONENTS, Components, components, model_products
from bidsapp.rsa.frame_pairs import FramePair, frame_pairs
from bidsapp.rsa.study import RunRDMs
from bidsapp.tables import notes
from bidsapp.tables.columns import describe


@dataclass(frozen=True)
class ComponentTables:
    """Tables ``components`` and ``framepairs``, and the former's columns with what they explain."""

    components: pd.DataFrame
    frame_pairs: pd.DataFrame
    columns: Mapping[str, Mapping[str, object]]


def component_tables(
    runs: Callable[[], Iterable[RunRDMs]],
    layers: Mapping[str, Sequence[str]],
    onsets_s: Mapping[str, Floats],
    analysis: Analysis,
) -> ComponentTables:
    """Find the components of all layers, and the pairs of volumes that load most on them.

    Parameters
    ----------
    runs
        Gives all runs, one in memory at a time; called twice. Participants are not looked at, so
        the components are those of the film alone.
    layers
        Names of each model's layers, in the order of the RDMs.
    onsets_s
        Time of each volume after the run's start, StartTime included, in seconds, by run.
    analysis
        Its modes, films and least lag are used.
    """
    min_lag_s = analysis.robust.min_lag_s
    products = [[model_products(run, mode, min_lag_s) for mode in analysis.modes] for run in runs()]
    found: dict[Mode, Components] = {
        mode: components([run[i] for run in products], mode)
        for i, mode in enumerate(analysis.modes)
    }
    return ComponentTables(
        components=pd.concat(
            [_scores(mode, its, layers) for mode, its in found.items()], ignore_index=True
        ),
        frame_pairs=_pairs(frame_pairs(runs(), found, min_lag_s), onsets_s, analysis),
        columns=_columns(found),
    )


def _scores(mode: Mode, found: Components, layers: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    rows = [(mode, model, layer) for model, names in layers.items() for layer in names]
    table = pd.DataFrame(rows, columns=["mode", "model", "layer"])
    names = [f"pc{i + 1}" for i in range(N_COMPONENTS)]
    table[names] = found.scores
    table["note"] = [
        notes.NO_VARIANCE if absent else notes.NO_COMPONENT if missing else None
        for absent, missing in zip(found.absent, table[names].isna().any(axis=1), strict=True)
    ]
    return table


def _pairs(
    pairs: Sequence[FramePair], onsets_s: Mapping[str, Floats], analysis: Analysis
) -> pd.DataFrame:
    starts = {run.run: run.start_s for run in analysis.movie.runs}
    rows = []
    for _, its in groupby(pairs, key=lambda pair: (pair.mode, pair.component, pair.sign)):
        for rank, pair in enumerate(its, start=1):
            times = [float(onsets_s[pair.run][volume]) for volume in (pair.a, pair.b)]
            # In the film as it was shown, not frames of the file.
            film = [starts[pair.run] + time for time in times]
            head = (pair.mode, f"pc{pair.component + 1}", pair.sign, rank, pair.run)
            rows.append((*head, *times, *film, pair.loading))
    return pd.DataFrame(rows, columns=list(describe("framepairs")))


def _columns(found: Mapping[Mode, Components]) -> dict[str, dict[str, object]]:
    """Describe the columns, with each component's part of the variance over layers by mode."""
    columns: dict[str, dict[str, object]] = {
        name: dict(its) for name, its in describe("components").items()
    }
    for i in range(N_COMPONENTS):
        columns[f"pc{i + 1}"]["VarianceExplained"] = {
            mode: round(float(its.explained[i]), 6) if its.explained[i] >= 0 else "n/a"
            for mode, its in found.items()
        }
    return columns
