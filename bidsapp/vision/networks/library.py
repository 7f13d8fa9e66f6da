"""Networks of other libraries by name: ``torchvision:resnet50``, ``timm:convnext_tiny``.

Only the architecture comes from the library, and nothing is downloaded: weights are a checkpoint
file like any other, which ``moviersa-models fetch`` gets.
"""

import re
from collections.abc import Callable
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

from torch import nn

from bidsapp.errors import UsageError, reason
from bidsapp.vision.catalogue import LEAVES, Checkpoint, ClipInput, ModelEntry

LIBRARIES = ("torchvision", "timm", "transformers")
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet
_NAME = re.compile(
    r"(?P<library>\w+):(?P<network>[^:@]+)(:(?P<layers>[^@]+))?(@seed(?P<seed>\d+))?"
)


def library_entry(name: str) -> ModelEntry:
    """Make the entry of a network that the catalogue does not list.

    Parameters
    ----------
    name
        ``LIBRARY:NETWORK``, then ``:PATTERN`` of layers (several with commas; none: every leaf
        module), then ``@seedN`` for random weights: ``timm:convnext_tiny:stages.*.blocks.*@seed0``.
        Without a seed the library's own weights are meant, as a file.

    Raises
    ------
    UsageError
        The name is not of this form, the library is unknown or knows no such network, or trained
        weights are asked of transformers, whose names here are types and not trained models.
    """
    match = _NAME.fullmatch(name)
    if match is None or match["library"] not in LIBRARIES:
        raise UsageError(
            f"'{name}' names no network: LIBRARY:NETWORK[:LAYERS][@seedN], with LIBRARY one of "
            f"{', '.join(LIBRARIES)}"
        )
    library, network = match["library"], match["network"]
    try:
        given, url = _FACTS[library](network)
    except (ValueError, RuntimeError, KeyError) as error:
        raise UsageError(f"{library} knows no network '{network}': {reason(error)}") from error
    checkpoint = None
    if match["seed"] is None:
        if url is None:
            raise UsageError(
                f"{library} has no trained weights for '{network}' by that name: give {name}@seed0 "
                "for random ones, or an entry with a checkpoint in a catalogue of your own"
            )
        ending = Path(url).suffix or ".pth"
        if ending == ".npz":
            raise UsageError(
                f"{library} has the weights of '{network}' as {url} only, a file of JAX that is "
                f"not read here; give {name}@seed0 for random ones, or another network"
            )
        file = f"{library}--{re.sub('[^0-9a-zA-Z_.-]', '-', network)}{ending}"
        digest = re.search(r"-([0-9a-f]{8,64})\.\w+$", url)  # PyTorch's hub names files by it
        checkpoint = Checkpoint(
            file=file,
            url=url,
            sha256=digest[1] if digest else None,
            licence=f"see {library}'s page of {network}",
        )
    return ModelEntry(
        name=name,
        label=name,
        source=f"{network} of {library}",
        architecture=f"{library}:{network}",
        checkpoint=checkpoint,
        seed=None if match["seed"] is None else int(match["seed"]),
        input=given,
        layers=tuple((match["layers"] or LEAVES).split(",")),
    )


def library_network(entry: ModelEntry) -> nn.Module:
    """Build a library's network with random weights.

    Parameters
    ----------
    entry
        Its architecture is ``library:name``; its options go to the library. A name of transformers
        is a model type (``vit``, ``swin`` ...), whose configuration the options change.

    Raises
    ------
    UsageError
        The library knows no such network, or not these options.
    """
    library, _, name = entry.architecture.partition(":")
    try:
        return _BUILDERS[library](name, dict(entry.options))
    except Exception as error:  # any: the library is given what the entry says
        raise UsageError(
            f"model {entry.name}: {library} cannot build '{name}' with these options: "
            f"{reason(error)}"
        ) from error


def _torchvision(name: str, options: dict[str, Any]) -> nn.Module:
    builder = import_module("torchvision.models").get_model_builder(name)
    parts = ["weights", "weights_backbone"]  # the latter would be downloaded
    untrained = {part: None for part in parts if part in signature(builder).parameters}
    network: nn.Module = builder(**untrained, **options)
    return network


def _timm(name: str, options: dict[str, Any]) -> nn.Module:
    network: nn.Module = import_module("timm").create_model(name, pretrained=False, **options)
    return network


def _transformers(name: str, options: dict[str, Any]) -> nn.Module:
    library = import_module("transformers")
    # Of the network itself; all others are the configuration's.
    own = {key: options.pop(key) for key in ("add_pooling_layer",) if key in options}
    plain = library.AutoConfig.for_model(name)
    unknown = [key for key in options if not hasattr(plain, key)]
    if unknown:  # which transformers would keep and never use
        raise ValueError(f"there is no option '{unknown[0]}'")
    config = library.AutoConfig.for_model(name, **options)
    network: nn.Module = library.AutoModel.from_config(config, **own)
    return network


def _torchvision_facts(name: str) -> tuple[ClipInput, str | None]:
    weights = import_module("torchvision.models").get_model_weights(name).DEFAULT
    seen = weights.transforms()
    # Networks that label every pixel are given pictures that are resized and not cropped.
    sides = getattr(seen, "crop_size", None) or getattr(seen, "resize_size", None)
    if sides is None:
        raise UsageError(
            f"torchvision's '{name}' takes no single pictures of one size: its own transforms are "
            f"those of {type(seen).__name__}"
        )
    size = sides[0] if isinstance(sides, list | tuple) else sides
    return ClipInput(size=size, mean=tuple(seen.mean), std=tuple(seen.std)), weights.url


def _timm_facts(name: str) -> tuple[ClipInput, str | None]:
    known = import_module("timm.models").get_pretrained_cfg(name, allow_unregistered=False)
    if known is None:
        raise ValueError("see timm.list_models()")
    given = ClipInput(size=known.input_size[-1], mean=known.mean, std=known.std)
    return given, _hub_address(known.hf_hub_id, known.hf_hub_filename) or known.url or None


def _hub_address(hub_id: str | None, file: str | None) -> str | None:
    """Address of the hub's copy, which has timm's names; what authors publish often has not."""
    if not hub_id:
        return None
    hub, _, revision = hub_id.partition("@")
    file = file or "model.safetensors"
    return f"https://huggingface.co/{hub}/resolve/{revision or 'main'}/{file}"


def _transformers_facts(name: str) -> tuple[ClipInput, str | None]:
    config = import_module("transformers").AutoConfig.for_model(name)
    return ClipInput(size=getattr(config, "image_size", 224), mean=_MEAN, std=_STD), None


_BUILDERS: dict[str, Callable[[str, dict[str, Any]], nn.Module]] = {
    "torchvision": _torchvision,
    "timm": _timm,
    "transformers": _transformers,
}
_FACTS: dict[str, Callable[[str], tuple[ClipInput, str | None]]] = {
    "torchvision": _torchvision_facts,
    "timm": _timm_facts,
    "transformers": _transformers_facts,
}
