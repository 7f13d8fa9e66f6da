"""Weights from checkpoint files, checked before they are trusted."""

import hashlib
import pickle
from argparse import Namespace
from fnmatch import fnmatchcase
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from bidsapp.errors import InputError
from bidsapp.vision.catalogue import Checkpoint, ModelEntry
from bidsapp.vision.networks.layouts import WRAPPERS, State
from bidsapp.vision.networks.network import Network, build, layout_of


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
        check_digest(path, entry.checkpoint)
        _fill(module, entry, read_state(path), path)
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


def check_digest(path: Path, checkpoint: Checkpoint) -> None:
    """Make sure that a file is the published one, where its SHA-256 is known.

    Raises
    ------
    InputError
        It is another.
    """
    if checkpoint.sha256 is None:
        return
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if not digest.startswith(checkpoint.sha256):
        raise InputError(
            f"{path} is not the published file: its SHA-256 begins with {digest[:8]}, not "
            f"{checkpoint.sha256[:8]}; take it anew from {checkpoint.url}"
        )


def read_state(path: Path) -> State:
    """Read the weights in a checkpoint, whatever training code stored beside them.

    Raises
    ------
    InputError
        The file is cut off, is no checkpoint, would run code, or holds no weights.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        # Training code stores its own options beside the weights.
        with torch.serialization.safe_globals([Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path} cannot be read as a PyTorch checkpoint: {reason}") from error
    if isinstance(content, dict):
        wrapped = (content[key] for key in WRAPPERS if isinstance(content.get(key), dict))
        content = next(wrapped, content)
    if not isinstance(content, dict) or not all(
        isinstance(value, torch.Tensor) for value in content.values()
    ):
        raise InputError(f"{path} does not hold one tensor per parameter")
    return dict(content)


def _fill(module: nn.Module, entry: ModelEntry, stored: State, path: Path) -> None:
    """Put weights into a network; no name in the file or in the network may be left over."""
    try:
        state = layout_of(entry)(stored, module)
        unused = entry.checkpoint.unused if entry.checkpoint is not None else ()
        state = {
            key: value
            for key, value in state.items()
            if not any(fnmatchcase(key, pattern) for pattern in unused)
        }
        found = module.load_state_dict(state, strict=False)
    except (RuntimeError, ValueError, KeyError, AttributeError) as error:
        raise InputError(f"{path} does not fit the architecture: {error}") from error
    for what, keys in (("lacks", found.missing_keys), ("holds unknown", found.unexpected_keys)):
        if keys:
            raise InputError(
                f"{path} does not fit the architecture: it {what} {', '.join(keys[:5])}"
                f"{' and more' if len(keys) > 5 else ''}"
            )
