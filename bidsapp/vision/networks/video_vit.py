"""Vision transformers for windows of frames, with timm's blocks: VideoMAE, MVD and MAE-ST.

The three have the same encoder and differ in how a token learns its place, and in a class token.

References
----------
VideoMAE: Tong et al. (2022), arXiv 2203.12602. MVD: Wang et al. (2023), arXiv 2212.04500. MAE-ST:
Feichtenhofer et al. (2022), arXiv 2205.09113.
"""

from typing import Literal

import numpy as np
import torch
from timm.layers.norm import LayerNorm
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from bidsapp.arrays import Floats

Position = Literal["sinusoid", "sincos3d", "separate"]


class VideoViT(nn.Module):
    """An encoder of tubes of pixels.

    Parameters
    ----------
    frames, tubelet
        Length of the window, and of a tube, in frames.
    size, patch
        Side of the frame and of a tube, in pixels.
    width, depth, heads
        Of the encoder; the defaults are ViT-B.
    position
        ``sinusoid``: of the token's number (VideoMAE); ``sincos3d``: a quarter of the units for
        time, the rest for place (MVD); ``separate``: learned, of time and place apart, with a class
        token (MAE-ST).
    classes
        Of a classifier on the normalised mean of the tokens; 0: none.
    skip_first
        Leave out the first token, as the paper's author ran VideoMAE's training code.
    """

    pos_embed: Tensor

    def __init__(
        self,
        *,
        frames: int = 16,
        tubelet: int = 2,
        size: int = 224,
        patch: int = 16,
        width: int = 768,
        depth: int = 12,
        heads: int = 12,
        position: Position,
        classes: int = 0,
        skip_first: bool = False,
    ) -> None:
        super().__init__()
        times, side = frames // tubelet, size // patch
        self.skip_first, self.classes = skip_first, classes
        self.patch_embed = TubeletEmbed(width, tubelet, patch)
        self.separate = SeparatePositions(times, side**2, width) if position == "separate" else None
        if position == "sinusoid":
            table = sinusoid_table(times * side**2, width)
            self.register_buffer("pos_embed", torch.tensor(table)[None], persistent=False)
        elif position == "sincos3d":
            table = sincos3d_table(times, side, width)
            self.register_buffer("pos_embed", torch.tensor(table)[None])
        self.blocks = nn.ModuleList(
            Block(width, heads, mlp_ratio=4.0, qkv_bias=True) for _ in range(depth)
        )
        self.norm = LayerNorm(width) if not classes else nn.Identity()
        self.fc_norm = LayerNorm(width) if classes else nn.Identity()
        self.head = nn.Linear(width, classes) if classes else nn.Identity()

    def forward(self, clips: Tensor) -> Tensor:
        """Map clips (b, frames, 3, size, size) to tokens, or with a classifier to (b, classes)."""
        tokens: Tensor = self.patch_embed(clips.transpose(1, 2))
        tokens = self.separate(tokens) if self.separate is not None else tokens + self.pos_embed
        if self.skip_first:
            tokens = tokens[:, 1:]
        for block in self.blocks:
            tokens = block(tokens)
        tokens = self.norm(tokens)
        if self.classes:
            tokens = self.head(self.fc_norm(tokens.mean(dim=1)))
        return tokens


class TubeletEmbed(nn.Module):
    """Tubes of pixels to tokens, time slowest."""

    def __init__(self, width: int, tubelet: int, patch: int) -> None:
        super().__init__()
        side = (tubelet, patch, patch)
        self.proj = nn.Conv3d(3, width, kernel_size=side, stride=side)

    def forward(self, clips: Tensor) -> Tensor:
        """Map (b, 3, frames, size, size) to (b, tokens, width)."""
        tokens: Tensor = self.proj(clips).flatten(2).transpose(1, 2)
        return tokens


class SeparatePositions(nn.Module):
    """Learned positions of time and of place, which are added, and a class token with its own."""

    def __init__(self, times: int, places: int, width: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed_class = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed_temporal = nn.Parameter(torch.zeros(1, times, width))
        self.pos_embed_spatial = nn.Parameter(torch.zeros(1, places, width))
        for parameter in self.parameters():
            nn.init.trunc_normal_(parameter, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (b, n, width) to (b, 1 + n, width)."""
        grid = self.pos_embed_temporal[:, :, None] + self.pos_embed_spatial[:, None]
        first = (self.cls_token + self.pos_embed_class).expand(len(tokens), -1, -1)
        return torch.cat([first, tokens + grid.flatten(1, 2)], dim=1)


def sinusoid_table(n: int, width: int) -> Floats:
    """Positions of n tokens, (n, width): sines at even units, cosines at odd ones.

    References
    ----------
    Vaswani et al. (2017), arXiv 1706.03762, section 3.5.
    """
    unit = np.arange(width)
    angle = np.arange(n)[:, None] / 10000 ** (2 * (unit // 2) / width)
    return np.where(unit % 2 == 0, np.sin(angle), np.cos(angle)).astype(np.float32)


def sincos3d_table(times: int, side: int, width: int) -> Floats:
    """Positions in time and place, (times x side x side, width), time slowest, columns fastest.

    A quarter of the units tells time and three eighths each tell column and row: for each, sines of
    all frequencies and then their cosines, as MVD lays them out.
    """
    t, y, x = np.indices((times, side, side), dtype=np.float64).reshape(3, -1)
    time, place = width // 4, width // 4 * 3 // 2
    parts = [_sincos(t, time), _sincos(x, place), _sincos(y, place)]
    return np.concatenate(parts, axis=1).astype(np.float32)


def _sincos(position: Floats, width: int) -> Floats:
    angle = np.outer(position, 1 / 10000 ** (np.arange(width // 2) / (width / 2)))
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=1)
