"""Networks that see motion: a small one that predicts optic flow, and ResNet18 on that flow.

References
----------
Zhu et al. (2018), Hidden two-stream convolutional networks for action recognition, arXiv
1704.00389; the small variant and its name are those of Bohnslav et al. (2021), eLife 10:e63377
(DeepEthogram). The code here is written from a table of its layers.
"""

import torch
import torchvision
from torch import Tensor, nn
from torch.nn.functional import interpolate

WINDOW = 11  # frames; flow is between neighbours
_FLOWS = 2 * (WINDOW - 1)


class TinyMotionNet(nn.Module):
    """Optic flow between the frames of a window of 11, at four scales, from their pixels.

    The flow at half of the frame's size is what the finest layers see; that at full size is it
    enlarged. Units: pixels per frame at each scale.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = _conv(3 * WINDOW, 64, 7, 1)
        self.conv2 = _conv(64, 128, 5, 2)
        self.conv3 = _conv(128, 256, 3, 2)
        self.conv4 = _conv(256, 128, 3, 2)
        self.predict_flow4 = _flow(128)
        self.deconv3 = _deconv(128, 128)
        self.upsampled_flow4_to_3 = nn.ConvTranspose2d(_FLOWS, _FLOWS, 4, 2, 1)
        self.xconv3 = _refine(256 + 128 + _FLOWS, 128)
        self.predict_flow3 = _flow(128)
        self.deconv2 = _deconv(128, 64)
        self.upsampled_flow3_to_2 = nn.ConvTranspose2d(_FLOWS, _FLOWS, 4, 2, 1)
        self.xconv2 = _refine(128 + 64 + _FLOWS, 64)
        self.predict_flow2 = _flow(64)

    def forward(self, clips: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Map clips (b, 11, 3, height, width) to flow at full, half, quarter and eighth size.

        Each is (b, 20, ., .): horizontal and vertical flow of ten pairs of frames.
        """
        frames = clips.transpose(1, 2).flatten(1, 2)  # all reds, then all greens, then all blues
        skip2 = self.conv2(self.conv1(frames))
        skip3 = self.conv3(skip2)
        coarse = self.conv4(skip3)
        flow4 = self.predict_flow4(coarse)
        enlarged = 2 * self.upsampled_flow4_to_3(flow4)
        joined = self.xconv3(_join(skip3, self.deconv3(coarse), enlarged))
        flow3 = self.predict_flow3(joined)
        enlarged = 2 * self.upsampled_flow3_to_2(flow3)
        flow2 = self.predict_flow2(self.xconv2(_join(skip2, self.deconv2(joined), enlarged)))
        size = list(frames.shape[-2:])
        flow1 = 2 * interpolate(flow2, size, mode="bilinear", align_corners=False)
        return flow1, flow2, flow3, flow4


class FlowResNet18(nn.Module):
    """ResNet18 that recognises actions from the optic flow of a `TinyMotionNet`.

    Parameters
    ----------
    classes
        Of actions.
    """

    def __init__(self, *, classes: int = 500) -> None:
        super().__init__()
        self.flow_generator = TinyMotionNet()
        self.flow_classifier = torchvision.models.resnet18(weights=None, num_classes=classes)
        self.flow_classifier.conv1 = nn.Conv2d(_FLOWS, 64, 7, 2, 3, bias=False)

    def forward(self, clips: Tensor) -> Tensor:
        """Map clips (b, 11, 3, height, width) to (b, classes)."""
        flow, *_ = self.flow_generator(clips)
        logits: Tensor = self.flow_classifier(flow)
        return logits


def _conv(given: int, made: int, side: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(given, made, side, stride, side // 2), nn.BatchNorm2d(made), nn.LeakyReLU(0.1)
    )


def _deconv(given: int, made: int) -> nn.Sequential:
    return nn.Sequential(nn.ConvTranspose2d(given, made, 4, 2, 1), nn.LeakyReLU(0.1))


def _refine(given: int, made: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(given, made, 3, 1, 1), nn.BatchNorm2d(made))


def _flow(given: int) -> nn.Conv2d:
    return nn.Conv2d(given, _FLOWS, 3, 1, 1, bias=False)


def _join(*parts: Tensor) -> Tensor:
    """Stack maps that may differ by a row or column, cut to the smallest."""
    height = min(part.shape[-2] for part in parts)
    width = min(part.shape[-1] for part in parts)
    return torch.cat([part[..., :height, :width] for part in parts], dim=1)
