"""A model of the catalogue as a PyTorch network whose layers are listened to while it runs."""

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property, lru_cache, partial
from typing import Any

import torch
from torch import Tensor, nn

from bidsapp.errors import UsageError, reason
from bidsapp.vision.catalogue import LEAVES, ModelEntry
from bidsapp.vision.networks.architectures import ARCHITECTURES, Architecture
from bidsapp.vision.networks.layouts import Layout, as_stored, by_transformers
from bidsapp.vision.networks.library import LIBRARIES, library_network


@dataclass(frozen=True, eq=False)
class Network:
    """A network, ready to run, and the entry that says what it is given and which layers count."""

    entry: ModelEntry
    module: nn.Module

    def __post_init__(self) -> None:
        _ = self.layers  # a name that fits nothing is an error now

    @cached_property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers that the entry's names and patterns stand for, in the module's order.

        Raises
        ------
        UsageError
            A name or pattern fits no layer.
        """
        if self.entry.layers == (LEAVES,):
            return self._leaves()
        known = [name for name, _ in self.module.named_modules() if name]
        found: dict[str, None] = {}
        for pattern in self.entry.layers:
            fitting = [name for name in known if _fits(name, pattern)]
            if not fitting:
                raise UsageError(
                    f"model {self.entry.name} has no layer '{pattern}'; it has {', '.join(known)}"
                )
            found |= dict.fromkeys(fitting)
        return tuple(found)

    def _leaves(self) -> tuple[str, ...]:
        """Every module without parts that runs once and gives one tensor."""
        if next((p.device.type for p in self.module.parameters()), "meta") != "meta":
            return tuple(layer_units(self.entry))  # found without computing
        calls: list[tuple[str, bool]] = []

        def hear(name: str, _module: nn.Module, _given: object, returned: object) -> None:
            calls.append((name, isinstance(returned, Tensor) and len(returned) == 1))

        leaves = [
            (name, module)
            for name, module in self.module.named_modules()
            if name and not any(module.children())
        ]
        hooks = [module.register_forward_hook(partial(hear, name)) for name, module in leaves]
        try:
            self._run(_shape_of_a_clip(self.entry))
        finally:
            for hook in hooks:
                hook.remove()
        names = [name for name, _ in calls]
        return tuple(name for name, usable in calls if usable and names.count(name) == 1)

    def respond(self, clips: Tensor, listen: Callable[[str, Tensor], None]) -> None:
        """Run the network and give each layer's response away as soon as it exists.

        Parameters
        ----------
        clips
            uint8, RGB, shape (b, window, 3, size, size), on the network's device.
        listen
            Called with a layer's name and its response, flattened to (b, n_units): every unit
            counts, none is pooled. The response may change afterwards: use it at once.

        Raises
        ------
        UsageError
            A layer does not run exactly once, or does not respond with one tensor.
        """
        heard: list[str] = []

        def hear(name: str, _module: nn.Module, given: tuple[Any, ...], returned: object) -> None:
            response = returned if self.entry.tap == "output" else given[0]
            if not isinstance(response, Tensor) or len(response) != len(clips):
                raise UsageError(f"model {self.entry.name}: layer {name} does not give one tensor")
            heard.append(name)
            listen(name, response.flatten(1))

        hooks = [
            self.module.get_submodule(name).register_forward_hook(partial(hear, name))
            for name in self.layers
        ]
        try:
            self._run(clips)
        finally:
            for hook in hooks:
                hook.remove()
        for name in self.layers:
            if heard.count(name) != 1:
                raise UsageError(
                    f"model {self.entry.name}: layer {name} runs {heard.count(name)} times for one "
                    "input, so its response is not defined; choose another layer"
                )

    def _run(self, clips: Tensor) -> None:
        """Run the network; where only shapes are computed, what fails is the entry's input."""
        pixels = self.prepare(clips)
        try:
            with torch.inference_mode():
                self.module(pixels)
        except Exception as error:
            if not clips.is_meta or isinstance(error, UsageError):
                raise
            what = "single pictures" if self.entry.input.window == 1 else "windows of pictures"
            raise UsageError(
                f"model {self.entry.name}: {self.entry.architecture} does not run on the {what} "
                f"that its input names, of shape {tuple(pixels.shape)}: {reason(error)}"
            ) from error

    def prepare(self, clips: Tensor) -> Tensor:
        """Scale pixels as the network was trained to see them.

        Parameters
        ----------
        clips
            uint8, shape (b, window, 3, size, size).

        Returns
        -------
        Tensor
            float32; (b, 3, size, size) where the window is one frame, else of the same shape.

        Raises
        ------
        ValueError
            The pixels are scaled already.
        """
        if clips.dtype != torch.uint8:
            raise ValueError(
                f"model {self.entry.name} is given {clips.dtype}, not the uint8 of frames: pixels "
                "scaled twice would pass for a nearly black film"
            )
        given = self.entry.input
        low, high = given.range
        mean = torch.tensor(given.mean, device=clips.device).reshape(3, 1, 1)
        std = torch.tensor(given.std, device=clips.device).reshape(3, 1, 1)
        pixels = clips.squeeze(1) if given.window == 1 else clips
        return (pixels * ((high - low) / 255) + low).sub_(mean).div_(std)


def build(entry: ModelEntry) -> nn.Module:
    """Build a model's architecture, in evaluation mode, with the weights that its seed draws.

    Raises
    ------
    UsageError
        The architecture is unknown or cannot be built with the entry's options, or nothing says
        what its weights are.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(entry.seed or 0)
        module = library_network(entry) if is_library(entry) else _own_network(entry)
    if entry.checkpoint is None and entry.seed is None and any(True for _ in module.parameters()):
        raise UsageError(
            f"model {entry.name} has neither a checkpoint nor a seed: give a checkpoint of trained "
            "weights, or a seed for random ones"
        )
    return module.eval()


def _own_network(entry: ModelEntry) -> nn.Module:
    architecture = architecture_of(entry)
    try:
        return architecture.build(**dict(entry.options))
    except Exception as error:  # whatever it is, the entry's options brought it about
        raise UsageError(
            f"model {entry.name}: {entry.architecture} cannot be built with these options: "
            f"{reason(error)}"
        ) from error


def is_library(entry: ModelEntry) -> bool:
    """Tell whether an entry names a network of another library, such as ``timm:convnext_tiny``."""
    return entry.architecture.partition(":")[0] in LIBRARIES and ":" in entry.architecture


def architecture_of(entry: ModelEntry) -> Architecture:
    """Return the architecture that an entry names.

    Raises
    ------
    UsageError
        It is unknown.
    """
    if entry.architecture not in ARCHITECTURES:
        raise UsageError(
            f"model {entry.name}: unknown architecture '{entry.architecture}'; known are "
            f"{', '.join(ARCHITECTURES)}, and names of {', '.join(f'{x}:' for x in LIBRARIES)}"
        )
    return ARCHITECTURES[entry.architecture]


def layout_of(entry: ModelEntry) -> Layout:
    """Return how the checkpoints of an entry's architecture are laid out."""
    if entry.architecture.startswith("transformers:"):
        return by_transformers
    return as_stored if is_library(entry) else architecture_of(entry).layout


@lru_cache(maxsize=128)
def layer_units(entry: ModelEntry) -> dict[str, int]:
    """Count the units of each layer, without weights and without computing.

    Raises
    ------
    UsageError
        As `build` and `Network.respond`.
    """
    units: dict[str, int] = {}
    with torch.device("meta"):
        network = Network(entry, build(entry))
        network.respond(
            _shape_of_a_clip(entry),
            lambda name, response: units.update({name: response.shape[1]}),
        )
    return {name: units[name] for name in network.layers}


def _shape_of_a_clip(entry: ModelEntry) -> Tensor:
    """Make a clip without pixels, with which only shapes are computed."""
    given = entry.input
    shape = (1, given.window, 3, given.size, given.size)
    return torch.zeros(shape, dtype=torch.uint8, device="meta")


def _fits(name: str, pattern: str) -> bool:
    """Match a layer's name part by part, so that ``blocks.*`` is blocks and nothing in them."""
    parts, wanted = name.split("."), pattern.split(".")
    return len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted))
