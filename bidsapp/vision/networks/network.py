"""A model of the catalogue as a PyTorch network whose layers are listened to while it runs."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

from bidsapp.errors import UsageError
from bidsapp.vision.catalogue import ModelEntry
from bidsapp.vision.networks.lowlevel import MotionEnergy, Pixels

ARCHITECTURES: dict[str, Callable[[], nn.Module]] = {
    "resnet18": partial(torchvision.models.resnet18, weights=None),
    "pixels": Pixels,
    "motionenergy": MotionEnergy,
}


@dataclass(frozen=True, eq=False)
class Network:
    """A network, ready to run, and the entry that says what it is given and which layers count."""

    entry: ModelEntry
    module: nn.Module

    def __post_init__(self) -> None:
        for layer in self.entry.layers:
            _find(self.module, layer, self.entry.name)

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
            _find(self.module, name, self.entry.name).register_forward_hook(partial(hear, name))
            for name in self.entry.layers
        ]
        try:
            with torch.inference_mode():
                self.module(self.prepare(clips))
        finally:
            for hook in hooks:
                hook.remove()
        for name in self.entry.layers:
            if heard.count(name) != 1:
                raise UsageError(
                    f"model {self.entry.name}: layer {name} runs {heard.count(name)} times for one "
                    "input, so its response is not defined; choose another layer"
                )

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
        """
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
        The architecture is unknown.
    """
    if entry.architecture not in ARCHITECTURES:
        raise UsageError(
            f"model {entry.name}: unknown architecture '{entry.architecture}'; "
            f"known are {', '.join(ARCHITECTURES)}"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(entry.seed or 0)
        return ARCHITECTURES[entry.architecture]().eval()


@lru_cache(maxsize=128)
def layer_units(entry: ModelEntry) -> dict[str, int]:
    """Count the units of each layer, without weights and without computing.

    Raises
    ------
    UsageError
        As `build` and `Network.respond`.
    """
    units: dict[str, int] = {}
    given = entry.input
    with torch.device("meta"):
        network = Network(entry, build(entry))
        clips = torch.zeros((1, given.window, 3, given.size, given.size), dtype=torch.uint8)
        network.respond(clips, lambda name, response: units.update({name: response.shape[1]}))
    return {name: units[name] for name in entry.layers}


def _find(module: nn.Module, layer: str, model: str) -> nn.Module:
    try:
        return module.get_submodule(layer)
    except AttributeError:
        known = ", ".join(name for name, _ in module.named_modules() if name)
        raise UsageError(f"model {model} has no layer '{layer}'; it has {known}") from None
