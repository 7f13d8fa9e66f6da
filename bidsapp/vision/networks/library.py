"""Networks of other libraries by name: ``torchvision:resnet50``, ``timm:convnext_tiny``.

Only the architecture comes from the library, and nothing is downloaded: weights are a checkpoint
file like any other, see `bidsapp.vision.fetching`.
"""

from collections.abc import Callable
from importlib import import_module

from torch import nn

from bidsapp.errors import UsageError
from bidsapp.vision.catalogue import ModelEntry

LIBRARIES = ("torchvision", "timm", "transformers")


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
    except (ValueError, RuntimeError, KeyError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(
            f"model {entry.name}: {library} cannot build '{name}' with these options: {reason}"
        ) from error


def _torchvision(name: str, options: dict[str, object]) -> nn.Module:
    network: nn.Module = import_module("torchvision.models").get_model(
        name, weights=None, **options
    )
    return network


def _timm(name: str, options: dict[str, object]) -> nn.Module:
    network: nn.Module = import_module("timm").create_model(name, pretrained=False, **options)
    return network


def _transformers(name: str, options: dict[str, object]) -> nn.Module:
    library = import_module("transformers")
    network: nn.Module = library.AutoModel.from_config(
        library.AutoConfig.for_model(name, **options)
    )
    return network


_BUILDERS: dict[str, Callable[[str, dict[str, object]], nn.Module]] = {
    "torchvision": _torchvision,
    "timm": _timm,
    "transformers": _transformers,
}
