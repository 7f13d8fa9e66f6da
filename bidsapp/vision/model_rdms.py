"""From a run of the film to the RDMs of several models, in one decoding."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bidsapp.analysis.part import Dissimilarity
from bidsapp.analysis.processing import Extraction
from bidsapp.arrays import Floats
from bidsapp.errors import UsageError
from bidsapp.rsa.rdm import UnitMoments, rdm_with_moments, to_square
from bidsapp.vision.catalogue import ModelEntry
from bidsapp.vision.decoding import Damage
from bidsapp.vision.devices import Machine, batch_size, footprint
from bidsapp.vision.features import Projections, extract, scratch_bytes
from bidsapp.vision.model_recipe import Recipe
from bidsapp.vision.networks.loading import load_network
from bidsapp.vision.networks.network import Network, layer_units
from bidsapp.vision.networks.versions import library_versions
from bidsapp.vision.progress import Progress
from bidsapp.vision.projection import sparse_projection
from bidsapp.vision.runs import PlacedRun

logger = logging.getLogger(__name__)
_COMPARED_S = 60.0
_FEWEST_VOLUMES = 3  # whose RDM has pairs enough to correlate
_Layers = Mapping[str, tuple[Floats, UnitMoments]]


@dataclass(frozen=True)
class ModelRDMs:
    """RDMs of one model for one run.

    Attributes
    ----------
    entry
        The model.
    layers
        Layer to its RDM, float32 (n_pairs,), the upper triangle row by row, and to the moments of
        its patterns.
    notes
        For the sidecar: frames, libraries, and how far an approximation is off.
    """

    entry: ModelEntry
    layers: _Layers
    notes: Mapping[str, object]


def model_rdms(
    entries: Sequence[ModelEntry],
    film: PlacedRun,
    recipe: Recipe,
    machine: Machine,
    weights: Path | None,
) -> Iterator[ModelRDMs]:
    """Make the RDMs of models that share one decoding; see `share_decoding`.

    Where the recipe approximates, the run's first minute is computed exactly too and both are
    compared.

    Parameters
    ----------
    entries
        The models, with the dissimilarity that is wanted of each.
    film, recipe, machine
        The run, what is computed, and with what.
    weights
        Folder of checkpoints; None if there is none.

    Yields
    ------
    ModelRDMs
        In the order of the entries.

    Raises
    ------
    InputError, UsageError
        As `load_network` and `extract`.
    """
    how = recipe.extraction
    machine = replace(machine, batch=batch_size(entries, machine), autocast=how.autocast)
    networks = [load_network(entry, weights) for entry in entries]
    projections = _projections(entries, how.projection)
    exact = {} if how.is_exact else _beginning(networks, film, recipe, machine)
    damage = Damage(how.max_damaged)
    what = f"run {film.run}: {', '.join(entry.name for entry in entries)}"
    with Progress(what, len(film.frame_index)) as tell:
        responses = extract(
            networks, film, recipe.framing, machine, recipe.hrf_s, projections, damage, tell
        )
    notes = _frames(film, damage)
    for entry in entries:
        layers = _layers(entry, responses.pop(entry.name), projections)
        compared = {"Approximation": _compare(how, layers, exact[entry.name])} if exact else {}
        libraries = {"Libraries": library_versions(entry)}
        yield ModelRDMs(entry, layers, {**notes, **libraries, **compared})


def share_decoding(
    entries: Sequence[ModelEntry],
    n_volumes: int,
    scratch_bytes_allowed: float,
    memory_bytes: float = np.inf,
    n_dimensions: int | None = None,
) -> Iterator[list[ModelEntry]]:
    """Group models that decode the film together: their results fit on scratch, they into memory.

    A model that is too large alone is a group of its own.
    """
    group: list[ModelEntry] = []
    taken = weights = window = 0
    for entry in entries:
        size, need = scratch_bytes(entry, n_volumes, n_dimensions), footprint(entry)
        window = max(window, need.window)
        crowded = weights + need.weights + window > memory_bytes
        if group and (taken + size > scratch_bytes_allowed or crowded):
            yield group
            group, taken, weights, window = [], 0, 0, need.window
        group.append(entry)
        taken += size
        weights += need.weights
    if group:
        yield group


def _projections(entries: Sequence[ModelEntry], n_dimensions: int | None) -> Projections:
    if n_dimensions is None:
        return {}
    return {
        entry.name: {
            layer: sparse_projection(units, n_dimensions, entry.dissimilarity == "correlation")
            for layer, units in layer_units(entry).items()
            if units > n_dimensions
        }
        for entry in entries
    }


def _layers(entry: ModelEntry, responses: dict[str, Floats], projections: Projections) -> _Layers:
    """RDM and moments of each layer; its responses are let go."""
    projected = projections.get(entry.name, {})
    layers = {}
    for layer in list(responses):
        projection = projected.get(layer)
        centred = projection is not None and projection.centred
        # Centred before they were projected: between those, correlation is the cosine.
        dissimilarity: Dissimilarity = "cosine" if centred else entry.dissimilarity
        n_units = projection.matrix.shape[1] if projection is not None else None
        layers[layer] = rdm_with_moments(responses.pop(layer), dissimilarity, n_units)
    return layers


def _beginning(
    networks: Sequence[Network], film: PlacedRun, recipe: Recipe, machine: Machine
) -> dict[str, _Layers]:
    """RDMs of the run's first volumes, by model, with nothing approximated."""
    until = max(film.volume_times[0] + _COMPARED_S, film.volume_times[:_FEWEST_VOLUMES][-1])
    volumes = film.volume_times[film.volume_times <= until]
    seen = film.frame_times < volumes[-1]
    if len(volumes) < _FEWEST_VOLUMES or not seen.any():
        raise UsageError(
            f"run {film.run} is too short to measure what autocast or projection changes; leave "
            "them out"
        )
    first = replace(
        film,
        frame_index=film.frame_index[seen],
        frame_times=film.frame_times[seen],
        volume_times=volumes,
    )
    plain = replace(machine, autocast=None)
    damage = Damage(recipe.extraction.max_damaged)
    exact = extract(networks, first, recipe.framing, plain, recipe.hrf_s, damage=damage)
    return {
        network.entry.name: _layers(network.entry, exact.pop(network.entry.name), {})
        for network in networks
    }


def _compare(how: Extraction, made: _Layers, exact: _Layers) -> dict[str, object]:
    """Describe an approximation, with its error over the run's first volumes."""
    layers = {}
    for layer, (wanted, _) in exact.items():
        n = len(to_square(wanted))
        found = to_square(made[layer][0])[:n, :n][np.triu_indices(n, 1)]
        defined = np.isfinite(found) & np.isfinite(wanted)
        layers[layer] = {
            "Correlation": _correlation(found[defined], wanted[defined]),
            "LargestDifference": float(np.abs(found - wanted)[defined].max(initial=0.0)),
        }
    return {
        "Autocast": how.autocast or "none",
        "Projection": how.projection or "none",
        "Description": (
            f"RDMs of the first {n} volumes against the exact ones: Pearson's r over their pairs, "
            "and the largest difference of a pair"
        ),
        "Layers": layers,
    }


def _correlation(found: Floats, wanted: Floats) -> float:
    """Pearson's r; not a number where there is nothing to correlate."""
    if len(found) < _FEWEST_VOLUMES or np.ptp(found) == 0 or np.ptp(wanted) == 0:
        return float("nan")
    return float(np.corrcoef(found.astype(np.float64), wanted.astype(np.float64))[0, 1])


def _frames(film: PlacedRun, damage: Damage) -> dict[str, object]:
    """Tell how many frames were taken and broken; a warning where some were."""
    notes: dict[str, object] = {
        "Frames": {"Taken": len(film.frame_index), "Broken": damage.n_frames}
    }
    if damage.n_frames:
        warning = (
            f"run {film.run}: {damage.n_frames} of {film.stretch.n_frames} frames of "
            f"{film.film.name} cannot be decoded; the ones before them are held"
        )
        logger.warning("%s", warning)
        notes["FilmWarnings"] = [warning]
    return notes
