"""What a model's RDMs were made from, in one digest: a file that has another is out of date."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bidsapp.analysis.spec import Analysis, FeatureTable
from bidsapp.dataset.derivatives import read_json, sidecar
from bidsapp.dataset.stimuli import find_film
from bidsapp.errors import InputError
from bidsapp.settings import Settings
from bidsapp.vision.catalogue import ModelEntry
from bidsapp.vision.fingerprints import made_from, rounded
from bidsapp.vision.model_recipe import Recipe
from bidsapp.vision.runs import PlacedRun
from bidsapp.workflows.film import FilmPlan, recipe_of
from bidsapp.workflows.models import model_entry, model_rdm_files


def models_to_make(
    settings: Settings, analysis: Analysis, plan: FilmPlan
) -> dict[str, dict[str, str]]:
    """Tell which models' RDMs are absent or out of date, with the fingerprint they are to have.

    Returns
    -------
    dict
        Run to model to fingerprint; complete runs are left out.

    Raises
    ------
    InputError
        A feature table is absent.
    """
    files = model_rdm_files(settings, analysis)
    wanted: dict[str, dict[str, str]] = {}
    for film in plan.runs:
        for model, path in zip(analysis.models, files[film.run], strict=True):
            due = fingerprint(settings, analysis, film, model)
            if not is_current(path, due, film, analysis.extraction.max_damaged):
                wanted.setdefault(film.run, {})[model] = due
    return wanted


def fingerprint(settings: Settings, analysis: Analysis, film: PlacedRun, model: str) -> str:
    """Return the SHA-256 of all that decides about one model's RDMs of one run.

    That is what `network_fingerprint` says; or, of a feature table, the volumes on the scanner's
    clock, the response, the table's entry and its files' content.

    Raises
    ------
    InputError
        A feature table is absent.
    """
    table = analysis.feature_table(model)
    recipe = recipe_of(analysis)
    if table is None:
        entry = model_entry(settings, analysis, model)
        return network_fingerprint(entry, film, recipe, settings.weights)
    made = {"table": table.model_dump(mode="json"), "files": _digests(settings, table)}
    return _digest(film, recipe, made)


def network_fingerprint(
    entry: ModelEntry, film: PlacedRun, recipe: Recipe, weights: Path | None
) -> str:
    """Return the SHA-256 of all that decides about one network's RDMs; see `made_from`."""
    return _digest(film, recipe, made_from(entry, film, recipe, weights))


def is_current(path: Path, due: str, film: PlacedRun, max_damaged: float) -> bool:
    """Tell whether an RDM file has a fingerprint, and no more broken frames than are allowed now.

    Parameters
    ----------
    path
        The file.
    due
        The fingerprint that it is to have.
    film
        Its run.
    max_damaged
        Share of the run's frames that may be broken.
    """
    if recorded(path) != due:
        return False
    broken: float = read_json(sidecar(path)).get("Frames", {}).get("Broken", 0)
    return broken <= max_damaged * film.stretch.n_frames


def recorded(path: Path) -> str | None:
    """Return the fingerprint of an RDM file; None where there is no such file, or no whole one."""
    if not path.is_file():
        return None
    try:
        descriptors = read_json(sidecar(path)).get("Descriptors", {})
    except InputError:
        return None
    return descriptors.get("made_from") if isinstance(descriptors, dict) else None


def _digest(film: PlacedRun, recipe: Recipe, made: Mapping[str, Any]) -> str:
    everything = {
        "run": film.run,
        "hrf_s": recipe.hrf_s,
        "volume_times": rounded(film.volume_times),
        **made,
    }
    return hashlib.sha256(json.dumps(everything, sort_keys=True).encode()).hexdigest()


def _digests(settings: Settings, table: FeatureTable) -> dict[str, str]:
    """Digest every run's file: a run's features are scaled by those of all."""
    paths = {run: find_film(settings.stimuli_dir, name) for run, name in table.files.items()}
    return {run: hashlib.sha256(path.read_bytes()).hexdigest() for run, path in paths.items()}
