"""Weights from checkpoint files, checked before they are trusted."""

import hashlib
import pickle
from pathlib import Path

import torch
from torch import nn

from bidsapp.errors import InputError
from bidsapp.vision.catalogue import Checkpoint, ModelEntry
from bidsapp.vision.networks.network import Network, build


def load_network(entry: ModelEntry, weights_dir: Path | None) -> Network:
    """Make a model of the catalogue ready to run, on the CPU and in evaluation mode.

    Parameters
    ----------
    entry
        The model.
    weights_dir
        Folder of checkpoint files; None if there is none.

    Raises
    ------
    InputError
        The checkpoint is absent, is not the published file, or does not fit the architecture.
    UsageError
        The entry names an unknown architecture or layer.
    """
    module = build(entry)
    if entry.checkpoint is not None:
        path = find_checkpoint(entry.name, entry.checkpoint, weights_dir)
        _check_digest(path, entry.checkpoint)
        _fill(module, _read_state(path), path)
    return Network(entry, module.requires_grad_(requires_grad=False))


def find_checkpoint(model: str, checkpoint: Checkpoint, weights_dir: Path | None) -> Path:
    """Return the file of a model's weights, unopened.

    Raises
    ------
    InputError
        There is no such file; the message says where it is published.
    """
    path = None if weights_dir is None else weights_dir / checkpoint.file
    if path is None or not path.is_file():
        place = "no --weights folder is given" if path is None else f"there is no {path}"
        raise InputError(
            f"model {model} needs the weights {checkpoint.file}, but {place}; put the file there "
            f"from {checkpoint.url}"
        )
    return path


def _check_digest(path: Path, checkpoint: Checkpoint) -> None:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if not digest.startswith(checkpoint.sha256):
        raise InputError(
            f"{path} is not the published file: its SHA-256 begins with {digest[:8]}, not "
            f"{checkpoint.sha256[:8]}; take it anew from {checkpoint.url}"
        )


def _read_state(path: Path) -> dict[str, torch.Tensor]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path} cannot be read as a PyTorch checkpoint: {reason}") from error
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise InputError(f"{path} does not hold one tensor per parameter")
    return state


def _fill(module: nn.Module, state: dict[str, torch.Tensor], path: Path) -> None:
    try:
        found = module.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise InputError(f"{path} does not fit the architecture: {error}") from error
    for what, keys in (("lacks", found.missing_keys), ("holds unknown", found.unexpected_keys)):
        if keys:
            raise InputError(
                f"{path} does not fit the architecture: it {what} {', '.join(keys[:5])}"
                f"{' and more' if len(keys) > 5 else ''}"
            )
