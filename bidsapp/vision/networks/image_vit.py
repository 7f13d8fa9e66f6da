"""Vision transformers for single frames, built from timm's: MAE and DINOv2.

References
----------
MAE: He et al. (2022), CVPR, arXiv 2111.06377. DINOv2: Oquab et al. (2023), arXiv 2304.07193.
"""

from typing import Literal, get_args

from timm.models.vision_transformer import VisionTransformer
from torch import nn

from bidsapp.vision.networks.masking import PatchMasking

Masking = Literal["none", "fixed", "author"]


def image_vit(
    *,
    size: int = 224,
    patch: int = 16,
    width: int = 768,
    depth: int = 12,
    heads: int = 12,
    classes: int = 0,
    pooled: bool = False,
    layer_scale: bool = False,
    masking: Masking = "none",
) -> nn.Module:
    """Build a vision transformer whose modules are named as the official checkpoints name them.

    Parameters
    ----------
    size, patch
        Side of the frame and of a patch, in pixels.
    width, depth, heads
        Of the encoder; the defaults are ViT-B.
    classes
        Of a classifier on top; 0: none.
    pooled
        Whether the classifier sees the normalised mean of the patches (a fine-tuned MAE).
    layer_scale
        Whether each branch is scaled before it is added (DINOv2).
    masking
        Which patches the encoder sees, see `PatchMasking`; none: all.

    Raises
    ------
    TypeError
        ``masking`` is none of these.
    """
    if masking not in get_args(Masking):  # of a user's file, where an unquoted no is False
        raise TypeError(f"masking is {', '.join(get_args(Masking))}, not {masking!r}")
    network = VisionTransformer(
        img_size=size,
        patch_size=patch,
        embed_dim=width,
        depth=depth,
        num_heads=heads,
        num_classes=classes,
        global_pool="avg" if pooled else "token",
        init_values=1e-5 if layer_scale else None,
    )
    if masking != "none":
        network.register_module("patch_drop", PatchMasking(fixed=masking == "fixed"))
    return network
