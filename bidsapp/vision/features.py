"""What a model would make the scanner see: its layers' responses to a film, at each volume.

The expected BOLD response is linear in the features, so no feature is kept: while a batch of frames
runs through a network, each layer's response meets the response weights of the volumes it still
reaches in one matrix product, and is forgotten. Memory is volumes by units, for a film of any
length.
"""

import logging
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from bidsapp.arrays import Floats
from bidsapp.errors import InputError, UsageError
from bidsapp.vision.catalogue import ModelEntry
from bidsapp.vision.clips import ClipShape, clips
from bidsapp.vision.framing import Framing
from bidsapp.vision.hemodynamics import HRF_S, hrf_weights
from bidsapp.vision.networks.network import Network, layer_units
from bidsapp.vision.runs import PlacedRun

logger = logging.getLogger(__name__)


def extract(
    networks: Sequence[Network],
    film: PlacedRun,
    framing: Framing,
    device: str,
    scratch: Path,
    memory_bytes: int,
    batch: int,
    hrf_s: float = HRF_S,
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
    device
        "auto" (a GPU where there is one), "cpu", "cuda", "cuda:1" ...
    scratch
        Folder for what does not fit into memory. Its files have no name, so none is left behind.
    memory_bytes
        Results beyond this are memory-mapped.
    batch
        Frames at a time. The result does not depend on it beyond rounding.
    hrf_s
        Length of the haemodynamic response in seconds.

    Returns
    -------
    dict of dict of Floats
        Model and layer to float32 (n_volumes, n_units), in the order of the networks and of their
        layers. A volume that no frame reaches is zero in every unit.

    Raises
    ------
    InputError
        The film cannot be decoded or is too short, or scratch has no room.
    UsageError
        The device is unknown or absent.
    """
    on = find_device(device)
    n_volumes = len(film.volume_times)
    mapped = sum(scratch_bytes(network.entry, n_volumes) for network in networks) > memory_bytes
    responses = {
        network.entry.name: {
            layer: _zeros((n_volumes, units), scratch if mapped else None)
            for layer, units in layer_units(network.entry).items()
        }
        for network in networks
    }
    for network in networks:
        network.module.to(on)
    shapes = {clip_shape(network.entry): None for network in networks}
    # The same result in every run: no algorithm is chosen by timing, nothing is rounded to TF32.
    with torch.backends.cudnn.flags(deterministic=True, benchmark=False, allow_tf32=False):
        for positions, windows in clips(film, list(shapes), framing, batch):
            times = film.frame_times[positions]
            rows, weights = _open_volumes(times, film.volume_times, hrf_s)
            if rows.stop == rows.start:
                continue
            on_device = {shape: window.to(on) for shape, window in windows.items()}
            for network in networks:
                sums = responses[network.entry.name]
                _add(network, on_device[clip_shape(network.entry)], rows, weights.to(on), sums)
    return responses


def scratch_bytes(entry: ModelEntry, n_volumes: int) -> int:
    """Bytes that a model's result takes for a run of ``n_volumes``; nothing is computed."""
    return 4 * n_volumes * sum(layer_units(entry).values())


def clip_shape(entry: ModelEntry) -> ClipShape:
    """Shape of the windows that a model looks at."""
    return ClipShape(entry.input.offsets, entry.input.size)


def find_device(device: str) -> torch.device:
    """Return the device of that name; "auto" is a GPU where there is one.

    Raises
    ------
    UsageError
        There is no such device here.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise UsageError(f"unknown device '{device}'; give auto, cpu or cuda") from error
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise UsageError(f"device '{device}' is not here; give auto or cpu")
    return found


def _add(
    network: Network,
    windows: torch.Tensor,
    rows: slice,
    weights: torch.Tensor,
    sums: dict[str, Floats],
) -> None:
    """Run a batch and add its share to the open volumes of every layer."""

    def listen(layer: str, response: torch.Tensor) -> None:
        share = torch.from_numpy(sums[layer][rows])
        if response.device.type == "cpu":
            share.addmm_(weights, response)
        else:
            share += (weights @ response).cpu()

    network.respond(windows, listen)


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
