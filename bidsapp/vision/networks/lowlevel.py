"""Models without weights: what pictures share before anything is recognised in them."""

from math import pi

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from bidsapp.vision.flow import optic_flow


class Pixels(nn.Module):
    """The frame itself, in grey, at whatever size it comes."""

    def __init__(self) -> None:
        super().__init__()
        self.pixels = Grey()

    def forward(self, frames: Tensor) -> Tensor:
        """Map frames (b, 3, size, size) to (b, size, size)."""
        grey: Tensor = self.pixels(frames)
        return grey


class Grey(nn.Module):
    """The mean of red, green and blue."""

    def forward(self, frames: Tensor) -> Tensor:
        """Map (..., 3, size, size) to (..., size, size)."""
        return frames.mean(dim=-3)


class MotionEnergy(nn.Module):
    """Energy of quadrature pairs of spatio-temporal Gabor filters at three spatial scales.

    On frames of 96 pixels the scales are 4, 8 and 16 cycles per frame. A window of 16 frames is
    filtered at 0, 0.08 and 0.16 cycles per frame: still, 2 and 4 Hz in a film of 25 Hz.

    References
    ----------
    Adelson and Bergen (1985), J. Opt. Soc. Am. A 2:284-299; frequencies after Nishimoto et al.
    (2011), Current Biology 21:1641-1646. The energy's square root is taken, where they take a
    logarithm: it is finite where nothing moves.
    """

    def __init__(self) -> None:
        super().__init__()
        self.grey = Grey()
        self.coarse = EnergyBank(wavelength=24)
        self.middle = EnergyBank(wavelength=12)
        self.fine = EnergyBank(wavelength=6)

    def forward(self, clips: Tensor) -> list[Tensor]:
        """Map clips (b, frames, 3, size, size) to each scale's energies."""
        grey = self.grey(clips)
        return [bank(grey) for bank in (self.coarse, self.middle, self.fine)]


class EnergyBank(nn.Module):
    """Motion energy at one spatial scale: 4 orientations, still and drifting in 8 directions.

    The filters are Gabor functions with a Gaussian of half a wavelength (in time, a quarter of the
    window), sampled every half wavelength. Their even parts are freed of their mean, so that
    neither uniform light nor, in the drifting filters, a still picture gives energy.

    Parameters
    ----------
    wavelength
        In pixels; even.
    frequencies
        Temporal frequencies of the drifting filters, in cycles per frame.
    """

    filters: Tensor

    def __init__(self, wavelength: int, frequencies: tuple[float, ...] = (0.08, 0.16)) -> None:
        super().__init__()
        self.wavelength = wavelength
        self.frequencies = frequencies
        self.register_buffer("filters", _spatial_filters(wavelength), persistent=False)

    def forward(self, grey: Tensor) -> Tensor:
        """Map (b, frames, size, size) to (b, channels, positions, positions).

        Channels are the 4 orientations still, then per frequency the 4 orientations drifting along
        their wave vector, then against it.
        """
        b, n_frames, height, width = grey.shape
        margin = self.filters.shape[-1] // 2
        frames = pad(grey.reshape(b * n_frames, 1, height, width), [margin] * 4, mode="replicate")
        responses = conv2d(frames, self.filters, stride=self.wavelength // 2)
        even, odd = _by_clip(responses, n_frames).chunk(2, dim=2)
        envelope, pairs = _temporal_filters(n_frames, self.frequencies, grey)
        energies = [_amplitude(_over_time(envelope, even), _over_time(envelope, odd))]
        for in_phase, quadrature in pairs:
            a, b_ = _over_time(in_phase, even), _over_time(quadrature, odd)
            c, d = _over_time(in_phase, odd), _over_time(quadrature, even)
            # cos(kx - wt) and sin(kx - wt), then the same with wt reversed
            energies += [_amplitude(a + b_, c - d), _amplitude(a - b_, c + d)]
        return torch.cat(energies, dim=1)


class OpticFlow(nn.Module):
    """Optic flow from a frame to the next, and its speed, as means over cells of 4 by 4 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.grey = Grey()
        self.flow = nn.AvgPool2d(4)
        self.speed = nn.AvgPool2d(4)

    def forward(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """Map clips (b, 2, 3, size, size) to flow, right and down, and speed, in pixels a frame.

        They are (b, 2, size / 4, size / 4) and (b, 1, size / 4, size / 4).
        """
        moved = _flow(self.grey(clips))
        return self.flow(moved), self.speed(moved.norm(dim=1, keepdim=True))


def _flow(grey: Tensor) -> Tensor:
    """Flow (b, 2, size, size) within each pair of (b, 2, size, size), computed without a GPU."""
    if grey.is_meta:
        return grey
    pairs = grey.float().cpu().numpy()
    found = np.stack([optic_flow(first, second) for first, second in pairs])
    return torch.from_numpy(found).to(grey).permute(0, 3, 1, 2)


def _spatial_filters(wavelength: int) -> Tensor:
    """Even, then odd Gabor functions at 0, 45, 90 and 135 degrees: (8, 1, side, side)."""
    reach = wavelength * 5 // 4
    steps = torch.arange(-reach, reach + 1, dtype=torch.float32)
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    envelope = torch.exp(-(x**2 + y**2) / (2 * (wavelength / 2) ** 2))
    envelope = envelope / envelope.sum()
    angle = (torch.arange(4) * (pi / 4)).reshape(4, 1, 1)
    phase = 2 * pi / wavelength * (x * torch.cos(angle) + y * torch.sin(angle))
    even = torch.cos(phase) * envelope
    even = even - even.sum(dim=(1, 2), keepdim=True) * envelope
    odd = torch.sin(phase) * envelope
    return torch.cat([even, odd]).unsqueeze(1)


def _temporal_filters(
    n_frames: int, frequencies: tuple[float, ...], like: Tensor
) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
    """Give the envelope and, per frequency, the in-phase and quadrature filters: (n_frames,)."""
    t = torch.arange(n_frames, dtype=like.dtype, device=like.device) - (n_frames - 1) / 2
    envelope = torch.exp(-(t**2) / (2 * (n_frames / 4) ** 2))
    envelope = envelope / envelope.sum()
    pairs = []
    for frequency in frequencies:
        in_phase = torch.cos(2 * pi * frequency * t) * envelope
        in_phase = in_phase - in_phase.sum() * envelope
        pairs.append((in_phase, torch.sin(2 * pi * frequency * t) * envelope))
    return envelope, pairs


def _by_clip(responses: Tensor, n_frames: int) -> Tensor:
    """Split (b x frames, orientations, y, x) into (b, frames, orientations, y, x)."""
    return responses.reshape(-1, n_frames, *responses.shape[1:])


def _over_time(weights: Tensor, responses: Tensor) -> Tensor:
    """Weighted sum over frames of (b, frames, orientations, y, x)."""
    return torch.einsum("t,btoyx->boyx", weights, responses)


def _amplitude(one: Tensor, other: Tensor) -> Tensor:
    return torch.sqrt(one**2 + other**2)
