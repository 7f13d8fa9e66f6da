"""When the film was seen and whether its models can be made, known before anything is computed."""

from collections.abc import Collection
from dataclasses import replace

from bidsapp.analysis.spec import Analysis, FeatureTable
from bidsapp.dataset.stimuli import find_film
from bidsapp.settings import Settings
from bidsapp.vision.catalogue import find_model
from bidsapp.vision.feature_tables import check_table, read_features, table_span
from bidsapp.vision.odd_films import odd_windows
from bidsapp.vision.runs import check_span, check_windows
from bidsapp.workflows.film import FilmPlan, plan_film
from bidsapp.workflows.fingerprints import models_to_make
from bidsapp.workflows.inputs import Inputs


def plan_models(settings: Settings, analysis: Analysis, everyone: Inputs) -> FilmPlan:
    """Place the film on the scanner's clock; make sure that what is missing can be made.

    Raises
    ------
    InputError, UsageError
        A film, checkpoint or feature table is absent or does not fit, or memory is too little.
    """
    plan = plan_film(analysis, everyone.participants, settings.stimuli_dir)
    plan = with_models(settings, analysis, plan)
    missing = models_to_make(settings, analysis, plan)
    check_makeable(settings, analysis, {model for models in missing.values() for model in models})
    for film in plan.runs:
        models = [name for name in missing.get(film.run, ()) if not analysis.feature_table(name)]
        check_windows([find_model(name, settings.model_catalogue) for name in models], film)
    return plan


def with_models(settings: Settings, analysis: Analysis, plan: FilmPlan) -> FilmPlan:
    """Add what is odd about the film with these models to the warnings about it.

    Raises
    ------
    InputError, UsageError
        A model is unknown; or a feature table is absent, broken, or leaves volumes without it.
    """
    networks = [
        find_model(model, settings.model_catalogue)
        for model in analysis.models
        if analysis.feature_table(model) is None
    ]
    tables = [table for table in map(analysis.feature_table, analysis.models) if table is not None]
    said = odd_windows(networks, plan.runs)
    for table in tables:
        said += _volumes_without_table(settings, analysis, plan, table)
    return replace(plan, warnings=(*plan.warnings, *said))


def _volumes_without_table(
    settings: Settings, analysis: Analysis, plan: FilmPlan, table: FeatureTable
) -> list[str]:
    """Treat a table that begins late or ends early as a film that does."""
    said: list[str] = []
    for film in plan.runs:
        path = find_film(settings.stimuli_dir, table.files[film.run])
        span = table_span(path, table.columns)
        said += check_span(span, str(path), film, plan.repetition_time, analysis.movie.hrf_s)
    return said


def memory_bytes(settings: Settings) -> int:
    """Return the memory that responses may take; networks and a batch may take as much again."""
    return int(settings.mem_gb / 2 * 1e9)


def check_makeable(settings: Settings, analysis: Analysis, models: Collection[str]) -> None:
    """Look for checkpoints, feature tables, device and memory before hours of computing.

    Raises
    ------
    InputError, UsageError
        One of them is absent or does not fit.
    """
    networks = []
    for model in sorted(models):
        table = analysis.feature_table(model)
        if table is None:
            networks.append(find_model(model, settings.model_catalogue))
        else:
            _check_table(settings, table)
    if not networks:
        return
    # Imported late: these bring torch.
    from bidsapp.vision.devices import Machine, batch_size, find_device
    from bidsapp.vision.networks.loading import load_network

    here = settings.nipype_plugin_file is None  # else another machine has device and memory
    if here:
        find_device(settings.device, analysis.extraction.autocast)
    machine = Machine(settings.work_dir, memory_bytes(settings), settings.device)
    for entry in networks:
        if here:
            batch_size([entry], machine)
        if entry.checkpoint is not None:
            load_network(entry, settings.weights)  # whole, and of this architecture


def _check_table(settings: Settings, table: FeatureTable) -> None:
    for pattern in table.files.values():
        path = find_film(settings.stimuli_dir, pattern)
        n_columns = len(read_features(path, table.columns).columns) - 2
        check_table(table.name, n_columns, table.dissimilarity)
