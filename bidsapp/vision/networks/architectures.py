"""The networks that an entry of the catalogue may name, and how their checkpoints are read."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module

from torch import nn

from bidsapp.vision.networks import layouts


@dataclass(frozen=True)
class Architecture:
    """How a network is built, from an entry's options, and how its checkpoints are laid out.

    ``libraries`` are those by whose code its numbers, or the weights that a seed draws, may change.
    """

    build: Callable[..., nn.Module]
    layout: layouts.Layout = layouts.as_stored
    libraries: tuple[str, ...] = ("torch",)


def _of(module: str, name: str, **fixed: object) -> Callable[..., nn.Module]:
    """Name a builder whose module, with the library behind it, is imported when it is called."""

    def build(**options: object) -> nn.Module:
        builder: Callable[..., nn.Module] = getattr(import_module(module), name)
        return builder(**fixed, **options)

    return build


_HERE = "bidsapp.vision.networks"
_TORCHVISION, _TIMM = ("torch", "torchvision"), ("torch", "timm")
_video = partial(_of, f"{_HERE}.video_vit", "VideoViT")

ARCHITECTURES: dict[str, Architecture] = {
    "resnet18": Architecture(
        _of("torchvision.models", "resnet18", weights=None), layouts.classifier, _TORCHVISION
    ),
    "tinymotionnet": Architecture(_of(f"{_HERE}.optic_flow", "TinyMotionNet"), layouts.motion),
    "flowresnet18": Architecture(
        _of(f"{_HERE}.optic_flow", "FlowResNet18"), layouts.classifier, _TORCHVISION
    ),
    "mae": Architecture(_of(f"{_HERE}.image_vit", "image_vit"), layouts.transformer, _TIMM),
    "dinov2": Architecture(
        _of(f"{_HERE}.image_vit", "image_vit", layer_scale=True), layouts.dinov2, _TIMM
    ),
    "videomae": Architecture(_video(position="sinusoid"), layouts.transformer),
    "mvd": Architecture(_video(position="sincos3d"), layouts.transformer),
    "maest": Architecture(_video(position="separate"), layouts.transformer),
    "pixels": Architecture(_of(f"{_HERE}.lowlevel", "Pixels"), libraries=()),
    "motionenergy": Architecture(_of(f"{_HERE}.lowlevel", "MotionEnergy"), libraries=()),
    "opticflow": Architecture(_of(f"{_HERE}.lowlevel", "OpticFlow"), libraries=("scikit-image",)),
}
