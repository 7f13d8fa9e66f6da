"""When the film was seen and whether its models can be made, known before anything is computed."""

from collections.abc import Collection

from bidsapp.analysis.spec import Analysis, FeatureTable
from bidsapp.dataset.raw import read_events
from bidsapp.dataset.stimuli import find_film
from bidsapp.settings import Settings
from bidsapp.vision.catalogue import find_model
from bidsapp.vision.feature_tables import check_table
from bidsapp.workflows.film import FilmPlan, plan_film
from bidsapp.workflows.fingerprints import models_to_make
from bidsapp.workflows.inputs import Inputs


def plan_models(settings: Settings, analysis: Analysis, everyone: Inputs) -> FilmPlan:
    """Place the film on the scanner's clock; make sure that what is missing can be made.

    Raises
    ------
    InputError, UsageError
        A film, checkpoint or feature table is absent or does not fit.
    """
    plan = plan_film(analysis, everyone.participants, settings.stimuli_dir)
    missing = models_to_make(settings, analysis, plan)
    check_makeable(settings, analysis, {model for models in missing.values() for model in models})
    return plan


def check_makeable(settings: Settings, analysis: Analysis, models: Collection[str]) -> None:
    """Look for checkpoints, feature tables and the device before hours of computing.

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
    from bidsapp.vision.features import find_device
    from bidsapp.vision.networks.loading import find_checkpoint

    if settings.nipype_plugin_file is None:  # else another machine has it
        find_device(settings.device)
    for entry in networks:
        if entry.checkpoint is not None:
            find_checkpoint(entry.name, entry.checkpoint, settings.weights)


def _check_table(settings: Settings, table: FeatureTable) -> None:
    for pattern in table.files.values():
        path = find_film(settings.stimuli_dir, pattern)
        n_columns = len(table.columns) or len(read_events(path).columns) - 2
        check_table(table.name, n_columns, table.dissimilarity)
