"""Every mode and fit of an analysis, scored: what the tables are filled from."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bidsapp.analysis.spec import Analysis, Fit, Mode
from bidsapp.arrays import Floats
from bidsapp.rsa.gram import RunProducts
from bidsapp.rsa.inference import finite_mean
from bidsapp.rsa.similarity import Similarity, similarity
from bidsapp.rsa.study import StudyProducts


@dataclass(frozen=True)
class Scores:
    """One mode and fit: the products it rests on, and the scores of every model and target."""

    mode: Mode
    fit: Fit
    runs: tuple[RunProducts, ...]
    similarity: Similarity

    @property
    def participants(self) -> Floats:
        """Each participant's mean r over runs, shape (M, R, S); NaN where there is none."""
        return finite_mean(self.similarity.r, -1)


def layer_columns(layers: Mapping[str, Sequence[str]]) -> dict[str, slice]:
    """Say which columns of the products are each model's layers, one model after the other."""
    columns, start = {}, 0
    for model, names in layers.items():
        columns[model] = slice(start, start + len(names))
        start += len(names)
    return columns


def all_scores(
    study: StudyProducts, layers: Mapping[str, Sequence[str]], analysis: Analysis
) -> Iterator[Scores]:
    """Score every mode and fit that the analysis asks for.

    Parameters
    ----------
    study
        Products of the participants' runs.
    layers
        Names of each model's layers, models and layers in the order of the products' columns.
    analysis
        Its modes, fits and penalties are used.

    Raises
    ------
    ValueError
        The layers named are not as many as the products' columns.
    """
    columns = layer_columns(layers)
    for mode in analysis.modes:
        runs = study.replicate if mode == "replicate" else study.robust
        n_named, n_columns = sum(map(len, layers.values())), len(runs[0].xx)
        if n_named != n_columns:
            raise ValueError(f"{n_named} layers are named, but there are RDMs of {n_columns}")
        for fit in analysis.fits:
            scored = similarity(runs, columns, mode, fit, analysis.robust.penalties)
            yield Scores(mode, fit, runs, scored)
