"""What a model would make the scanner see: its layers' responses to a film, at each volume.

The expected BOLD response is linear in the features, so no feature is kept: while a batch of frames
runs through a network, each layer's response meets the response weights of the volumes it still
reaches in one matrix product, and is forgotten. Memory is volumes by units, for a film of any
length.
"""

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from bidsapp.analysis.part import Autocast
from bidsapp.arrays import Floats
from bidsapp.errors import InputError, UsageError
from bidsapp.vision.catalogue import ModelEntry
from bidsapp.vision.clips import ClipShape, clips
from bidsapp.vision.decoding import Damage
from bidsapp.vision.devices import Machine, find_device
from bidsapp.vision.framing import Framing, Sizing
from bidsapp.vision.hemodynamics import HRF_S, hrf_weights
from bidsapp.vision.networks.masking import go_to
from bidsapp.vision.networks.network import Network, layer_units
from bidsapp.vision.projection import Projection
from bidsapp.vision.runs import PlacedRun

Projections = Mapping[str, Mapping[str, Projection]]
"""Of the layers that are projected, by model and layer."""


def extract(
    networks: Sequence[Network],
    film: PlacedRun,
    framing: Framing,
    machine: Machine,
    hrf_s: float = HRF_S,
    projections: Projections | None = None,
    damage: Damage | None = None,
    tell: Callable[[int], None] = lambda _: None,
) -> dict[str, dict[str, Floats]]:
    """Compute the expected response of every unit of every layer at each volume, decoding once.

    Parameters
    ----------
    networks
        Of different names.
    film
        The run.
    framing
        How frames are cut.
    machine
        What may be used.
    hrf_s
        Length of the haemodynamic response in seconds.
    projections
        Layers whose units are projected to fewer dimensions; None: none.
    damage
        Counts the film's broken frames; None: none are allowed.
    tell
        Told how many frames more are done.

    Returns
    -------
    dict of dict of Floats
        Model and layer to float32 (n_volumes, n_units), in the order of the networks and of their
        layers. A volume that no frame reaches is NaN in every unit.

    Raises
    ------
    InputError
        The film cannot be decoded or is too short, or scratch has no room.
    UsageError
        The device is unknown or absent, cannot autocast, or has too little memory.
    """
    device = find_device(machine.device, machine.autocast)
    projections = projections or {}
    n_volumes = len(film.volume_times)
    widths = {
        network.entry.name: _widths(network.entry, projections.get(network.entry.name, {}))
        for network in networks
    }
    size = 4 * n_volumes * sum(sum(layers.values()) for layers in widths.values())
    folder = machine.scratch if size > machine.memory_bytes else None
    responses = {
        name: {layer: _zeros((n_volumes, width), folder) for layer, width in layers.items()}
        for name, layers in widths.items()
    }
    reached = np.zeros(n_volumes, dtype=np.bool_)
    for network in networks:
        network.module.to(device)
    shapes = list(dict.fromkeys(clip_shape(network.entry) for network in networks))
    # The same result in every run: no algorithm is chosen by timing, nothing is rounded to TF32.
    with torch.backends.cudnn.flags(deterministic=True, benchmark=False, allow_tf32=False):
        for positions, windows in clips(film, shapes, framing, machine.batch, damage):
            times = film.frame_times[positions]
            rows, weights = _open_volumes(times, film.volume_times, hrf_s)
            reached[rows] |= weights.any(dim=1).numpy()
            if rows.stop > rows.start:
                on_device = {shape: window.to(device) for shape, window in windows.items()}
                for network in networks:
                    name = network.entry.name
                    go_to(network.module, positions.start)
                    opened = {layer: sums[rows] for layer, sums in responses[name].items()}
                    seen = on_device[clip_shape(network.entry)]
                    projected = projections.get(name, {})
                    _add(network, seen, weights.to(device), opened, projected, machine.autocast)
            tell(len(times))
    for layers in responses.values():
        for sums in layers.values():
            sums[~reached] = np.nan
    return responses


def scratch_bytes(entry: ModelEntry, n_volumes: int, n_dimensions: int | None = None) -> int:
    """Bytes that a model's result takes for a run of ``n_volumes``; nothing is computed.

    With ``n_dimensions`` layers with more units are projected to so many.
    """
    units = layer_units(entry).values()
    return 4 * n_volumes * sum(min(n, n_dimensions or n) for n in units)


def clip_shape(entry: ModelEntry) -> ClipShape:
    """Shape of the windows that a model looks at."""
    given = entry.input
    return ClipShape(given.offsets, Sizing(given.size, given.resize, given.interpolation))


def _widths(entry: ModelEntry, projected: Mapping[str, Projection]) -> dict[str, int]:
    """Columns of each layer's result."""
    return {
        layer: projected[layer].matrix.shape[0] if layer in projected else units
        for layer, units in layer_units(entry).items()
    }


def _add(
    network: Network,
    windows: torch.Tensor,
    weights: torch.Tensor,
    sums: Mapping[str, Floats],
    projected: Mapping[str, Projection],
    autocast: Autocast | None,
) -> None:
    """Run a batch and add its share to the open volumes (n_open, width) of every layer."""
    kind = windows.device.type

    def listen(layer: str, response: torch.Tensor) -> None:
        with torch.autocast(kind, enabled=False):  # what is summed is summed in float32
            if kind == "cpu" and layer not in projected:
                torch.from_numpy(sums[layer]).addmm_(weights, response.float())
                return
            share = (weights @ response.float()).cpu().numpy()
        sums[layer][...] += projected[layer](share) if layer in projected else share

    dtype = None if autocast is None else getattr(torch, autocast)
    try:
        with torch.autocast(kind, dtype=dtype, enabled=dtype is not None):
            network.respond(windows, listen)
    except torch.OutOfMemoryError as error:
        raise UsageError(
            f"model {network.entry.name}: the GPU has too little memory for {len(windows)} windows "
            "at a time; free some, or give `moviersa-models extract` a smaller --batch"
        ) from error


def _open_volumes(
    frame_times: Floats, volume_times: Floats, hrf_s: float
) -> tuple[slice, torch.Tensor]:
    """Find the volumes that some of the frames reach, and their weights (n_open, n_frames)."""
    first = int(np.searchsorted(volume_times, frame_times.min(), side="right"))
    stop = int(np.searchsorted(volume_times, frame_times.max() + hrf_s, side="left"))
    rows = slice(first, max(first, stop))
    weights = hrf_weights(frame_times, volume_times[rows], hrf_s)
    return rows, torch.from_numpy(weights.astype(np.float32))


def _zeros(shape: tuple[int, int], folder: Path | None) -> Floats:
    if folder is None:
        return np.zeros(shape, dtype=np.float32)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as stream:
        size = 4 * shape[0] * shape[1]
        try:
            os.posix_fallocate(
                stream.fileno(), 0, size
            )  # a full disk must fail here, not in a store
        except OSError as error:
            raise InputError(
                f"scratch folder {folder} has no room for {size / 1e9:.1f} GB: {error.strerror}; "
                "free some, name another folder, or extract fewer models at a time (--scratch-gb)"
            ) from error
        return np.memmap(stream, dtype=np.float32, mode="r+", shape=shape)
