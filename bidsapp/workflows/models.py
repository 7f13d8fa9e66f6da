"""Which models are compared, and where their RDMs lie."""

from collections.abc import Callable, Sequence
from pathlib import Path

from bidsapp.analysis.spec import Analysis, Dissimilarity
from bidsapp.dataset.derivatives import (
    FilmCoverage,
    OutputTree,
    desc_labels,
    read_film_coverage,
    read_json,
    read_rdms,
    sidecar,
    stimulus_rdms_path,
    write_json,
)
from bidsapp.dataset.film_coverage import of_all
from bidsapp.errors import InputError, UsageError
from bidsapp.settings import Settings
from bidsapp.vision.catalogue import ModelEntry, find_model


def check_models(settings: Settings, analysis: Analysis) -> None:
    """Make sure that every model is known.

    Raises
    ------
    UsageError
        A name is neither in the catalogue nor among the analysis file's feature tables; or a layer
        of the searchlight is none of its model's.
    """
    for model in analysis.models:
        if analysis.feature_table(model) is None:
            find_model(model, settings.model_catalogue)
    for model, layers in analysis.searchlight.layers.items():
        known = layers_of(settings, analysis, model)
        for layer in layers:
            if layer not in known:
                raise UsageError(
                    f"searchlight.layers: {model} has no layer {layer!r}; it has {', '.join(known)}"
                )
    desc_labels((*analysis.models, *analysis.searchlight.names))


def layers_of(settings: Settings, analysis: Analysis, model: str) -> tuple[str, ...]:
    """Name a model's layers; a feature table is one."""
    if analysis.feature_table(model) is not None:
        return (model,)
    entry = find_model(model, settings.model_catalogue)
    if not entry.has_patterns:
        return entry.layers
    from bidsapp.vision.networks.network import layer_units  # brings torch: only the network knows

    return tuple(layer_units(entry))


def model_rdm_files(settings: Settings, analysis: Analysis) -> dict[str, list[Path]]:
    """Name the RDM file of every run and model: run to files in the order of the models."""
    tree, labels = OutputTree(settings.output_dir), desc_labels(analysis.models)
    by = {model: dissimilarity(settings, analysis, model) for model in analysis.models}
    task = analysis.movie.task
    return {
        run.run: [
            stimulus_rdms_path(tree, task, run.run, label, by[model])
            for model, label in labels.items()
        ]
        for run in analysis.movie.runs
    }


def missing_models(
    settings: Settings, analysis: Analysis, runs: Sequence[str]
) -> dict[str, list[str]]:
    """Tell which models lack their RDM file, or what the film covers: run to models.

    Complete runs are left out. A file that is there is trusted: whether it is up to date takes the
    film and everyone's events, and is checked where these are read anyway
    (`fingerprints.models_to_make`).
    """
    return _models_where(
        settings, analysis, runs, lambda path: not path.is_file() or _lacks_coverage(path)
    )


def absent_models(
    settings: Settings, analysis: Analysis, runs: Sequence[str]
) -> dict[str, list[str]]:
    """Tell which models lack their RDM file: run to models; complete runs are left out."""
    return _models_where(settings, analysis, runs, lambda path: not path.is_file())


def without_coverage(
    settings: Settings, analysis: Analysis, runs: Sequence[str]
) -> dict[str, list[str]]:
    """Tell whose RDM files do not say what the film covers, as those of earlier releases do not.

    The stimulus level adds it to their sidecars; no network is run.

    Returns
    -------
    dict
        Run to models; runs without such a file are left out.
    """
    return _models_where(
        settings, analysis, runs, lambda path: path.is_file() and _lacks_coverage(path)
    )


def _models_where(
    settings: Settings, analysis: Analysis, runs: Sequence[str], is_due: Callable[[Path], bool]
) -> dict[str, list[str]]:
    files = model_rdm_files(settings, analysis)
    due = {
        run: [
            model for model, path in zip(analysis.models, files[run], strict=True) if is_due(path)
        ]
        for run in runs
    }
    return {run: models for run, models in due.items() if models}


def _lacks_coverage(path: Path) -> bool:
    try:
        return read_film_coverage(path) is None
    except InputError:
        return True


def run_coverage(settings: Settings, analysis: Analysis, run: str) -> FilmCoverage:
    """Give the film coverage of a run's volumes, for all models of the analysis together.

    Returns
    -------
    FilmCoverage
        The least coverage of any model, and the volumes that any model leaves undefined.

    Raises
    ------
    InputError
        A model's file is absent, or its sidecar does not say what the film covers.
    """
    files = model_rdm_files(settings, analysis)[run]
    models = [_film_coverage(path) for path in files]
    lengths = {len(model.coverage) for model in models}
    if len(lengths) > 1:
        raise InputError(
            f"{files[0].parent}: the model RDMs of run {run} are of {min(lengths)} and of "
            f"{max(lengths)} volumes: run the stimulus level again"
        )
    return of_all(models)


def _film_coverage(path: Path) -> FilmCoverage:
    film = read_film_coverage(path)
    if film is None:
        raise InputError(
            f"{path} was made by an earlier release and does not say how much of each volume's "
            "response the film covers: run the stimulus level again (no network is run)"
        )
    return film


def plan_warnings(settings: Settings, analysis: Analysis) -> tuple[str, ...]:
    """Return what was worth a warning when the model RDMs in OUTPUT_DIR were made or checked."""
    noted = [
        text
        for path in _made(settings, analysis)
        for text in (*_noted(sidecar(path)), *_noted(sidecar(path), "FilmWarnings"))
    ]
    return tuple(dict.fromkeys(noted))


def note_warnings(settings: Settings, analysis: Analysis, warnings: Sequence[str]) -> None:
    """Keep warnings about the film beside all model RDMs, for the levels that only read these."""
    for path in map(sidecar, _made(settings, analysis)):
        if _noted(path) != list(warnings):
            write_json(path, {**read_json(path), "Warnings": list(warnings)})


def _made(settings: Settings, analysis: Analysis) -> list[Path]:
    paths = [path for files in model_rdm_files(settings, analysis).values() for path in files]
    return [path for path in paths if path.is_file()]


def _noted(path: Path, key: str = "Warnings") -> list[str]:
    try:
        noted = read_json(path).get(key, [])
    except InputError:
        return []
    return [str(text) for text in noted] if isinstance(noted, list) else []


def made_repetition_time(settings: Settings, analysis: Analysis) -> float | None:
    """Return the TR in s that the model RDMs in OUTPUT_DIR are for; None where there are none."""
    made = _made(settings, analysis)
    if not made:
        return None
    onsets = read_rdms(made[0]).onsets_s
    return float(onsets[1] - onsets[0])


def model_entry(settings: Settings, analysis: Analysis, model: str) -> ModelEntry:
    """Return a network's entry, with the dissimilarity that the analysis wants of it."""
    entry = find_model(model, settings.model_catalogue)
    return entry.model_copy(update={"dissimilarity": dissimilarity(settings, analysis, model)})


def dissimilarity(settings: Settings, analysis: Analysis, model: str) -> Dissimilarity:
    """Tell how unlike two volumes' responses of a model are said to be.

    The analysis file's word goes before the catalogue's; a feature table has its own.
    """
    if model in analysis.dissimilarity.models:
        return analysis.dissimilarity.models[model]
    table = analysis.feature_table(model)
    return (table or find_model(model, settings.model_catalogue)).dissimilarity
