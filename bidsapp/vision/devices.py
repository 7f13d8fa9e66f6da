"""What a model runs on, in which type, and how many frames at a time its memory allows."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor, nn

from bidsapp.analysis.part import Autocast
from bidsapp.errors import UsageError
from bidsapp.vision.catalogue import ModelEntry
from bidsapp.vision.networks.network import Network, build

BATCH = 32
# Of the largest response: what goes into an operation, what comes out, and what a residual keeps.
_ALIVE = 3


@dataclass(frozen=True)
class Machine:
    """What an extraction may use, and the type that it computes in.

    Attributes
    ----------
    scratch
        Folder for what does not fit into memory. Its files have no name, so none is left behind.
    memory_bytes
        Results beyond this are memory-mapped; networks and a batch may take as much again.
    device
        "auto" (a GPU where there is one), "cpu", "cuda", "cuda:1" ...
    batch
        Frames at a time. The result does not depend on it beyond rounding.
    autocast
        Type that the networks compute in where that is harmless to them; None: float32 throughout.
    """

    scratch: Path
    memory_bytes: int
    device: str = "auto"
    batch: int = BATCH
    autocast: Autocast | None = None


@dataclass(frozen=True)
class Footprint:
    """Memory of a model in bytes: its weights, and what one window takes while it runs."""

    weights: int
    window: int


def find_device(device: str, autocast: Autocast | None = None) -> torch.device:
    """Return the device of that name; "auto" is a GPU where there is one.

    Raises
    ------
    UsageError
        There is no such device here, or it cannot compute in that type.
    """
    if device == "auto":
        found = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    else:
        try:
            found = torch.device(device)
        except RuntimeError as error:
            raise UsageError(f"unknown device '{device}'; give auto, cpu or cuda") from error
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise UsageError(f"device '{device}' is not here; give auto or cpu")
    if autocast is not None:
        _check_autocast(found, autocast)
    return found


def _check_autocast(device: torch.device, autocast: Autocast) -> None:
    if device.type != "cuda":
        raise UsageError(
            f"autocast to {autocast} is for GPUs, and the device is '{device}': give a GPU with "
            "--device, or leave autocast out"
        )
    with torch.cuda.device(device):
        if autocast == "bfloat16" and not torch.cuda.is_bf16_supported(including_emulation=False):
            raise UsageError(
                f"device '{device}' ({torch.cuda.get_device_name(device)}) cannot compute in "
                "bfloat16: take float16, or leave autocast out"
            )


def networks_memory(machine: Machine) -> int:
    """Return the bytes that networks and a batch may take: what is free on a GPU, or is allowed.

    Raises
    ------
    UsageError
        As `find_device`.
    """
    device = find_device(machine.device)
    if device.type != "cuda":
        return machine.memory_bytes
    torch.cuda.empty_cache()  # what this process keeps for itself is free
    return int(torch.cuda.mem_get_info(device)[0])


def batch_size(entries: Sequence[ModelEntry], machine: Machine) -> int:
    """Return how many windows at a time the memory allows, at most the machine's ``batch``.

    Networks of a group are loaded together, and run one after the other. On a GPU its free memory
    counts, elsewhere the machine's ``memory_bytes``.

    Raises
    ------
    UsageError
        Not even one window fits.
    """
    device, memory = find_device(machine.device), networks_memory(machine)
    needs = [footprint(entry) for entry in entries]
    weights, window = sum(need.weights for need in needs), max(need.window for need in needs)
    fitting = (memory - weights) // window
    if fitting < 1:
        names = ", ".join(entry.name for entry in entries)
        whose = "the GPU has" if device.type == "cuda" else "--mem-gb leaves"
        raise UsageError(
            f"too little memory for one window of {names}: weights take {weights / 1e9:.2f} GB and "
            f"a window {window / 1e9:.2f} GB, {whose} {memory / 1e9:.2f} GB for them; allow more, "
            "or take a smaller model"
        )
    return min(machine.batch, fitting)


@lru_cache(maxsize=128)
def footprint(entry: ModelEntry) -> Footprint:
    """Estimate the memory of a model, without weights and without computing.

    Raises
    ------
    UsageError
        As `network.build`.
    """
    largest = 0

    def measure(_module: nn.Module, _given: object, returned: object) -> None:
        nonlocal largest
        if isinstance(returned, Tensor):
            largest = max(largest, returned.numel())

    given = entry.input
    with torch.device("meta"):
        network = Network(entry, build(entry))
        hooks = [module.register_forward_hook(measure) for module in network.module.modules()]
        window = torch.zeros((1, given.window, 3, given.size, given.size), dtype=torch.uint8)
        network.respond(window, lambda _layer, _response: None)
        for hook in hooks:
            hook.remove()
        weights = sum(p.numel() * p.element_size() for p in network.module.parameters())
    # A window is there as uint8, scaled, and normalised.
    return Footprint(weights, window.numel() * 9 + 4 * _ALIVE * largest)
