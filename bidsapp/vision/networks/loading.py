"""Weights from checkpoint files, checked before they are trusted."""

import hashlib
import pickle
import re
from argparse import Namespace
from fnmatch import fnmatchcase
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from bidsapp.errors import InputError, reason
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
        There is no such file; the message says how it is had.
    """
    path = None if weights_dir is None else weights_dir / checkpoint.file
    if path is None or not path.is_file():
        place = "no --weights folder is given" if path is None else f"there is no {path}"
        raise InputError(
            f"model {model} needs the weights {checkpoint.file}, but {place}; "
            f"{how_obtained(model, checkpoint)}"
        )
    return path


def how_obtained(model: str, checkpoint: Checkpoint) -> str:
    """Say how a model's weights come into the folder of weights."""
    terms = f"{checkpoint.url} ({checkpoint.licence})"
    if checkpoint.obtained == "fetch":
        return f"`moviersa-models fetch {model} --weights DIR` gets them from {terms}"
    if checkpoint.obtained == "hand":
        return (
            f"they are on a page that lets no program download them: get them from {terms} and "
            f"save them as {checkpoint.file} in the folder of weights"
        )
    return (
        "they were never published, and moviersa does not train: train the network by its authors' "
        f"recipe (`moviersa-models info {model}` names their papers) on the data of {terms}, and "
        f"save {checkpoint.file} in the folder of weights: a PyTorch state dict, alone or under "
        f"one of {', '.join(WRAPPERS)}, whose names may begin with module. or encoder."
    )


def check_digest(path: Path, checkpoint: Checkpoint, *, kept: bool = True) -> None:
    """Make sure that a file is the published one, where its SHA-256 is known.

    ``kept`` says whether the user is to delete it if it is not.

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
        advice = f"; delete it and take it anew from {checkpoint.url}" if kept else ""
        raise InputError(
            f"{path} is not the published file: its SHA-256 begins with {digest[:8]}, not "
            f"{checkpoint.sha256[:8]}{advice}"
        )


def read_state(path: Path, ending: str | None = None) -> State:
    """Read the weights in a checkpoint, whatever training code stored beside them.

    Parameters
    ----------
    path
        The file.
    ending
        Of the name that the file is to have, if it is not its own.

    Raises
    ------
    InputError
        The file is cut off, is no checkpoint, would run code, or holds no weights.
    """
    try:
        if (ending or path.suffix) == ".safetensors":
            return load_file(path)
        # Training code stores its own options beside the weights.
        with torch.serialization.safe_globals([Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can raise anything
        raise InputError(
            f"{path} cannot be read as a PyTorch checkpoint: {_why_unread(error)}"
        ) from error
    inner = [content.get(key) for key in WRAPPERS] if isinstance(content, dict) else []
    for state in (*inner, content):
        if _is_state(state):
            return dict(state)
    raise InputError(f"{path} does not hold one tensor per parameter")


def _why_unread(error: Exception) -> str:
    """Say in one line why a file is not read; torch's own text advises to trust it."""
    refused = re.search(r"(?:GLOBAL|global) `?([\w.]+)", str(error))
    if isinstance(error, pickle.UnpicklingError) and refused:
        return (
            f"beside tensors it holds a {refused[1]}, and reading such objects could run code; "
            "save the weights alone (torch.save(model.state_dict(), FILE))"
        )
    if isinstance(error, RuntimeError | OSError | SafetensorError):
        return reason(error)
    return "it is damaged, cut off, or of another kind"


def _is_state(content: object) -> bool:
    return (
        isinstance(content, dict)
        and len(content) > 0
        and all(isinstance(value, torch.Tensor) for value in content.values())
    )


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
        said = " ".join(str(error).split())
        raise InputError(f"{path} does not fit the architecture: {said}") from error
    for what, keys in (("lacks", found.missing_keys), ("holds unknown", found.unexpected_keys)):
        if keys:
            raise InputError(
                f"{path} does not fit the architecture: it {what} {', '.join(keys[:5])}"
                f"{' and more' if len(keys) > 5 else ''}"
            )
