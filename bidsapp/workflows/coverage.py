"""How much of each volume's response the film covers: planned, added to files, in words."""

import logging

import numpy as np

from bidsapp.analysis.spec import Analysis
from bidsapp.arrays import Bools, Floats
from bidsapp.dataset.derivatives import update_film_coverage
from bidsapp.dataset.film_coverage import rounded
from bidsapp.dataset.stimuli import find_film
from bidsapp.interfaces.film_volumes import PlainVolumes, volumes_to_plain
from bidsapp.rsa.pairs import lag_in_volumes
from bidsapp.rsa.volumes import count_volumes, film_volumes
from bidsapp.settings import Settings
from bidsapp.vision.feature_tables import table_coverage
from bidsapp.vision.runs import PlacedRun
from bidsapp.workflows.film import FilmPlan
from bidsapp.workflows.models import model_rdm_files, run_coverage

LOGGER = logging.getLogger(__name__)


def planned_coverage(settings: Settings, analysis: Analysis, film: PlacedRun) -> Floats:
    """Give the least coverage of each volume by any model of the analysis, (n_volumes,).

    Raises
    ------
    InputError
        A feature table is absent or broken.
    """
    models = [_model_coverage(settings, analysis, film, model) for model in analysis.models]
    return rounded(np.minimum.reduce(models))


def add_coverage(settings: Settings, analysis: Analysis, plan: FilmPlan) -> None:
    """Make sure that the sidecars of all model RDMs say what the film covers; no network is run.

    Raises
    ------
    InputError
        An RDM file or a feature table is absent or broken.
    """
    files = model_rdm_files(settings, analysis)
    n_written = 0
    for film in plan.runs:
        for model, path in zip(analysis.models, files[film.run], strict=True):
            coverage = _model_coverage(settings, analysis, film, model)
            n_written += update_film_coverage(path, coverage)
    if n_written:
        LOGGER.info("model RDMs: film coverage added to %d sidecars", n_written)


def plain_volumes(
    settings: Settings, analysis: Analysis, run: str, repetition_time: float
) -> PlainVolumes:
    """Say which volumes of a run the robust mode uses, as steps take it.

    Parameters
    ----------
    run
        Name of the run, whose model RDMs are there.
    repetition_time
        In seconds.

    Raises
    ------
    InputError
        As `run_coverage`.
    """
    n_repeated = lag_in_volumes(_repeated_s(analysis, run), repetition_time)
    film = run_coverage(settings, analysis, run)
    return volumes_to_plain(film, analysis.robust.min_coverage, n_repeated)


def describe_volumes(
    analysis: Analysis,
    run: str,
    coverage: Floats,
    repetition_time: float,
    undefined: Bools | None = None,
) -> str:
    """Say how many volumes of a run the robust mode uses, and why the others are left out.

    Parameters
    ----------
    run
        Name of the run.
    coverage
        Shape (n_volumes,): share of each volume's response that the film covers.
    repetition_time
        In seconds.
    undefined
        Shape (n_volumes,): volumes that some model leaves undefined; None where this is not known.
    """
    robust = analysis.robust
    n_repeated = lag_in_volumes(_repeated_s(analysis, run), repetition_time)
    film = film_volumes(coverage, robust.min_coverage, n_repeated)
    defined = np.ones(len(coverage), dtype=np.bool_) if undefined is None else ~undefined
    count = count_volumes(film, defined)
    left_out = {
        "whose response the film does not fully cover": count.uncovered,
        "whose film the next run shows again": count.repeated,
        "without a pattern in some model": count.undefined,
    }
    reasons = [f"{n} {reason}" for reason, n in left_out.items() if n]
    without = f"; left out: {', '.join(reasons)}" if reasons else ""
    return f"robust uses {count.used} of {len(coverage)} volumes{without}"


def _repeated_s(analysis: Analysis, run: str) -> float:
    if not analysis.robust.trim_shared_film:
        return 0.0
    return next(each.shared_with_next_s for each in analysis.movie.runs if each.run == run)


def _model_coverage(settings: Settings, analysis: Analysis, film: PlacedRun, model: str) -> Floats:
    table, hrf_s = analysis.feature_table(model), analysis.movie.hrf_s
    if table is None:
        return film.coverage(hrf_s)
    path = find_film(settings.stimuli_dir, table.files[film.run])
    return table_coverage(path, table.columns, film.volume_times, hrf_s)
