"""The masks of MAE's training code: which patches of each frame its encoder sees."""

import torch
from torch import Tensor, nn


class PatchMasking(nn.Module):
    """Show the encoder a random quarter of the patches, in random order, as MAE is trained.

    The paper's author ran MAE's training code, which draws patches anew for each frame, so that
    two frames' responses are of other places in another order. ``fixed`` draws once for all frames.
    A frame's place among the run's frames is the seed of its draw: what else is computed, and in
    which batches, changes no mask.

    Parameters
    ----------
    fixed
        One draw for all frames.
    share
        Of the patches that are seen.

    Attributes
    ----------
    first
        Place of the next batch's first frame among the run's frames, see `go_to`.
    """

    def __init__(self, *, fixed: bool, share: float = 0.25) -> None:
        super().__init__()
        self.fixed, self.share, self.first = fixed, share, 0

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (b, 1 + n, width), of which the first is the class token, to (b, 1 + n/4, width)."""
        n = tokens.shape[1] - 1
        kept = int(n * self.share)
        if tokens.is_meta:
            return tokens[:, : kept + 1]
        seeds = [0] if self.fixed else range(self.first, self.first + len(tokens))
        noise = torch.stack([_noise(n, seed) for seed in seeds])
        chosen = noise.argsort(dim=1)[:, :kept].to(tokens.device).expand(len(tokens), -1)
        patches = tokens[:, 1:].gather(1, chosen[..., None].expand(-1, -1, tokens.shape[2]))
        return torch.cat([tokens[:, :1], patches], dim=1)


def go_to(network: nn.Module, first: int) -> None:
    """Tell a network's masks the place of the next batch's first frame among the run's frames."""
    for part in network.modules():
        if isinstance(part, PatchMasking):
            part.first = first


def _noise(n: int, seed: int) -> Tensor:
    generator = torch.Generator(device="cpu").manual_seed(seed)
    return torch.rand(n, generator=generator, device="cpu")
