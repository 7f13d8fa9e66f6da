"""What a model's RDMs were made from, in one digest: a file that has another is out of date."""

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from bidsapp.analysis.spec import Analysis, FeatureTable
from bidsapp.arrays import Floats
from bidsapp.dataset.derivatives import read_json, sidecar
from bidsapp.dataset.stimuli import find_film
from bidsapp.errors import InputError
from bidsapp.settings import Settings
from bidsapp.vision.catalogue import ModelEntry, find_model
from bidsapp.vision.film import film_facts
from bidsapp.vision.framing import Framing
from bidsapp.vision.runs import PlacedRun
from bidsapp.workflows.film import FilmPlan, framing_of
from bidsapp.workflows.models import dissimilarity, model_rdm_files

_DECIMALS = 4  # of times in s: what is closer changes no RDM
# What the catalogue says of a model without changing what it computes.
_WORDING: Any = {"label": True, "source": True, "checkpoint": {"file", "url", "licence"}}


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
            made_from = fingerprint(settings, analysis, film, model)
            if not path.is_file() or _recorded(sidecar(path)) != made_from:
                wanted.setdefault(film.run, {})[model] = made_from
    return wanted


def fingerprint(settings: Settings, analysis: Analysis, film: PlacedRun, model: str) -> str:
    """Return the SHA-256 of all that decides about one model's RDMs of one run.

    That is the film's content, its frames and the volumes on the scanner's clock, what of each
    frame is seen, the response, and the catalogue's entry with the digest of its checkpoint; or, of
    a feature table, its entry and its files' content. Names of films, and frames that no window
    holds, are no part of it.

    Raises
    ------
    InputError
        A feature table is absent.
    """
    table = analysis.feature_table(model)
    made_from: dict[str, Any] = {
        "run": film.run,
        "hrf_s": analysis.movie.hrf_s,
        "volume_times": _rounded(film.volume_times),
    }
    if table is not None:
        made_from |= {"table": table.model_dump(mode="json"), "files": _digests(settings, table)}
    else:
        entry = find_model(model, settings.model_catalogue)
        made_from |= {
            "film": film_facts(film.film).digest,
            "frames": _frames(film, entry.input.offsets[-1] + 1),
            "frame_index": film.frame_index.tolist(),
            "frame_times": _rounded(film.frame_times),
            "framing": _framing(framing_of(analysis.movie), film, entry.input.size),
            "weights": _weights(settings, entry),
            "model": entry.model_dump(mode="json", exclude=_WORDING)
            | {"dissimilarity": dissimilarity(settings, analysis, model)},
        }
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()


def _weights(settings: Settings, entry: ModelEntry) -> str | None:
    """Digest a checkpoint whose published digest is not known whole; None where there is none."""
    checkpoint = entry.checkpoint
    if checkpoint is None or settings.weights is None or len(checkpoint.sha256 or "") == 64:
        return None
    path = settings.weights / checkpoint.file
    if not path.is_file():
        return None
    status = path.stat()
    return _file_digest(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=64)
def _file_digest(path: Path, _size: int, _changed: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _frames(film: PlacedRun, window: int) -> list[int | str]:
    """Name the frames of the file that windows are made of."""
    stretch = film.stretch
    reach = min(stretch.n_frames, int(film.frame_index[-1]) + window)
    return [stretch.first, reach, str(stretch.step)]


def _framing(framing: Framing, film: PlacedRun, size: int) -> list[list[int]]:
    """Name what of a frame is seen, and the sizes that it is brought to."""
    facts = film_facts(film.film)
    sizes = [each for each in (framing.resize, size) if each is not None]
    return [list(framing.box(facts.width, facts.height)), list(dict.fromkeys(sizes))]


def _digests(settings: Settings, table: FeatureTable) -> dict[str, str]:
    """Digest every run's file: a run's features are scaled by those of all."""
    paths = {run: find_film(settings.stimuli_dir, name) for run, name in table.files.items()}
    return {run: hashlib.sha256(path.read_bytes()).hexdigest() for run, path in paths.items()}


def _rounded(times: Floats) -> list[float]:
    values: list[float] = (times.round(_DECIMALS) + 0.0).tolist()  # no negative zero
    return values


def _recorded(path: Path) -> str | None:
    try:
        descriptors = read_json(path).get("Descriptors", {})
    except InputError:
        return None
    return descriptors.get("made_from") if isinstance(descriptors, dict) else None
