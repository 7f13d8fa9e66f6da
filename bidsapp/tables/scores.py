"""Every mode and fit of an analysis, scored: what the tables are filled from."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bidsapp.analysis.spec import Analysis, Fit, Mode
from bidsapp.arrays import Floats
from bidsapp.rsa.gram import RunProducts
from bidsapp.rsa.inference import finite_mean
from bidsapp.rsa.similarity import Similarity, joined, similarity
from bidsapp.rsa.study import Products, StudyProducts
from bidsapp.rsa.unique import Unique, unique
from bidsapp.rsa.unique import joined as joined_unique
from bidsapp.rsa.volumes import VolumeCount

UNIQUE_FROM_PRODUCTS: frozenset[tuple[Mode, Fit]] = frozenset(
    {("replicate", "ols"), ("replicate", "nnls")}
)
"""As in the paper, whose text and scripts have these; ridge shrinks a control, which then leaves a
part of itself to the target."""
UNIQUE_CONTROLLED: tuple[Mode, Fit] = ("robust", "ols")
"""A control has columns that depend on the participant: see `bidsapp.rsa.controlled`."""


def asks_controlled(analysis: Analysis) -> bool:
    """Tell whether what models add to each other in robust is wanted, and can be said."""
    mode, fit = UNIQUE_CONTROLLED
    return mode in analysis.modes and fit in analysis.fits and len(analysis.models) > 1


@dataclass(frozen=True)
class Scores:
    """One mode and fit: the scores of every model and target, and what they rest on.

    Attributes
    ----------
    mode, fit, similarity
        What was scored, and how.
    unique
        What each model explains beyond each other; None where this fit does not tell.
    runs
        Products on the volumes that all participants define.
    volumes
        Of each participant: volumes that the fits compare and those left out, over all runs.
    too_short
        Runs in which somebody has no pair of volumes to compare.
    """

    mode: Mode
    fit: Fit
    runs: tuple[RunProducts, ...]
    similarity: Similarity
    unique: Unique | None
    volumes: tuple[VolumeCount, ...]
    too_short: tuple[str, ...]

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
    study: StudyProducts,
    layers: Mapping[str, Sequence[str]],
    analysis: Analysis,
    controlled: Unique | None = None,
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
    controlled
        What each model adds to each other by ordinary least squares in the robust mode, where a
        control brings columns that depend on the participant (see `bidsapp.rsa.controlled`).

    Raises
    ------
    ValueError
        The layers named are not as many as the products' columns.
    """
    columns = layer_columns(layers)
    for mode in analysis.modes:
        runs = runs_of(study, mode)
        n_named, n_columns = sum(map(len, layers.values())), len(runs[0].xx)
        if n_named != n_columns:
            raise ValueError(f"{n_named} layers are named, but there are RDMs of {n_columns}")
        volumes = volumes_of(study, mode)
        for fit in analysis.fits:
            alone, beyond = [], []
            for cohort in study.cohorts:
                given = (runs_of(cohort, mode), columns, mode, fit)
                scored = similarity(*given, analysis.robust.penalties)
                alone.append((cohort.participants, scored))
                if (mode, fit) in UNIQUE_FROM_PRODUCTS:
                    beyond.append((cohort.participants, unique(*given, scored)))
            explained = joined_unique(beyond) if beyond else None
            if (mode, fit) == UNIQUE_CONTROLLED:
                explained = controlled
            yield Scores(mode, fit, runs, joined(alone), explained, volumes, too_short(study, mode))


def volumes_of(study: StudyProducts, mode: Mode) -> tuple[VolumeCount, ...]:
    """Count each participant's volumes that a mode compares and those left out, over its runs."""
    counts = [VolumeCount(0)] * study.n_participants
    for cohort in study.cohorts:
        for i, participant in enumerate(cohort.participants):
            own = [run.volumes for run in runs_of(cohort, mode) if run.present[:, i].any()]
            counts[participant] = sum(own, VolumeCount(0))
    return tuple(counts)


def too_short(study: StudyProducts, mode: Mode) -> tuple[str, ...]:
    """Name the runs in which somebody has no pair of volumes that a mode compares."""
    short = {
        run.run for cohort in study.cohorts for run in runs_of(cohort, mode) if not run.n_pairs
    }
    return tuple(run.run for run in runs_of(study, mode) if run.run in short)


def runs_of(products: Products, mode: Mode) -> tuple[RunProducts, ...]:
    """Give the products of a mode."""
    return products.replicate if mode == "replicate" else products.robust
