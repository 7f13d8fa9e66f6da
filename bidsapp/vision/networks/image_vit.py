"""Vision transformers for single frames, built from timm's: MAE and DINOv2.

References
----------
MAE: He et al. (2022), CVPR, arXiv 2111.06377. DINOv2: Oquab et al. (2023), arXiv 2304.07193.
"""

from typing import Literal

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

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
    """
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


class PatchMasking(nn.Module):
    """Show the encoder a random quarter of the patches, in random order, as MAE is trained.

    The paper's author ran MAE's training code, which draws patches anew for each frame, so that
    two frames' responses are of other places in another order. ``fixed`` draws once for all frames.
    Draws follow the order of the frames, so that they do not depend on how these are batched.

    Parameters
    ----------
    fixed
        One draw for all frames.
    share
        Of the patches that are seen.
    """

    def __init__(self, *, fixed: bool, share: float = 0.25) -> None:
        super().__init__()
        self.fixed, self.share = fixed, share
        self.generator = torch.Generator(device="cpu").manual_seed(0)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (b, 1 + n, width), of which the first is the class token, to (b, 1 + n/4, width)."""
        n = tokens.shape[1] - 1
        kept = int(n * self.share)
        if tokens.is_meta:
            return tokens[:, : kept + 1]
        if self.fixed:
            self.generator.manual_seed(0)
        draws = 1 if self.fixed else len(tokens)
        noise = torch.stack(
            [torch.rand(n, generator=self.generator, device="cpu") for _ in range(draws)]
        )
        chosen = noise.argsort(dim=1)[:, :kept].to(tokens.device).expand(len(tokens), -1)
        patches = tokens[:, 1:].gather(1, chosen[..., None].expand(-1, -1, tokens.shape[2]))
        return torch.cat([tokens[:, :1], patches], dim=1)
