"""What a network's RDMs are made from, as plain values: whatever changes them changes these."""

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

from bidsapp.arrays import Floats
from bidsapp.vision.catalogue import ClipInput, ModelEntry
from bidsapp.vision.film import film_facts
from bidsapp.vision.framing import Framing
from bidsapp.vision.model_recipe import Recipe
from bidsapp.vision.networks.versions import library_versions
from bidsapp.vision.runs import PlacedRun

METHOD = 2
"""Of computing RDMs from the same values: raise it when a change of the code changes numbers."""
_DECIMALS = 4  # of times in s: what is closer changes no RDM
# What the catalogue says of a model without changing what it computes.
_WORDING: Any = {"label": True, "source": True, "checkpoint": {"file", "url", "licence"}}


def made_from(
    entry: ModelEntry, film: PlacedRun, recipe: Recipe, weights_dir: Path | None
) -> dict[str, Any]:
    """Return all that decides about one network's RDMs of one run.

    That is the film's content, its frames and the volumes on the scanner's clock, what of each
    frame is seen, the response, what is approximated, the method, and the catalogue's entry with
    the digest of its checkpoint. Names of films, and frames that no window holds, are no part of
    it; nor are batches, threads and devices, which change rounding alone. Where no checkpoint fixes
    a network, the libraries that draw its weights, or compute flow, are named with their versions;
    a trained network is not made again for a new version, which its sidecar names.

    Parameters
    ----------
    entry
        The model, with the dissimilarity that is wanted of it.
    film, recipe
        The run, and how its RDMs are made.
    weights_dir
        Folder of checkpoints; None if there is none.
    """
    how = recipe.extraction
    approximated = {"autocast": how.autocast, "projection": how.projection}
    return {
        "method": METHOD,
        "film": film_facts(film.film).digest,
        "frames": _frames(film, entry.input.offsets[-1] + 1),
        "frame_index": film.frame_index.tolist(),
        "frame_times": rounded(film.frame_times),
        "framing": _framing(recipe.framing, film, entry.input),
        "weights": _weights(entry, weights_dir),
        "model": entry.model_dump(mode="json", exclude=_WORDING),
        **_libraries(entry),
    } | ({} if how.is_exact else approximated)


def rounded(times: Floats) -> list[float]:
    """Return times in seconds, shape (n,), without what changes no RDM."""
    values: list[float] = (times.round(_DECIMALS) + 0.0).tolist()  # no negative zero
    return values


def _libraries(entry: ModelEntry) -> dict[str, Any]:
    """Name the libraries whose versions decide about a model; nothing where none do."""
    versions = library_versions(entry) if entry.checkpoint is None else {}
    return {"libraries": versions} if versions else {}


def _weights(entry: ModelEntry, weights_dir: Path | None) -> str | None:
    """Digest a checkpoint whose published digest is not known whole; None where there is none."""
    checkpoint = entry.checkpoint
    if checkpoint is None or weights_dir is None or len(checkpoint.sha256 or "") == 64:
        return None
    path = weights_dir / checkpoint.file
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


def _framing(framing: Framing, film: PlacedRun, given: ClipInput) -> list[list[int]]:
    """Name what of a frame is seen, and the sizes that it is brought to."""
    facts = film_facts(film.film)
    sizes = [each for each in (framing.resize, given.resize or given.size) if each is not None]
    return [list(framing.box(facts.width, facts.height)), list(dict.fromkeys(sizes))]
