"""What of a frame a network sees: black bars off, a centred square, resized."""

from dataclasses import dataclass

import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from bidsapp.errors import InputError
from bidsapp.vision.catalogue import Interpolation


@dataclass(frozen=True)
class Framing:
    """How frames are cut and resized before a network resizes them to its own size.

    Attributes
    ----------
    letterbox
        Rows cut off above and below, columns cut off left and right.
    crop
        Side in pixels of the centred square that is then cut, with black beyond the picture's edge
        (torchvision's CenterCrop); None: the largest centred square.
    resize
        Side that the square is then resized to; None: not. Resizing is bilinear with antialiasing
        (torchvision's Resize) and stays uint8.
    """

    letterbox: tuple[int, int, int, int] = (0, 0, 0, 0)
    crop: int | None = None
    resize: int | None = None

    def picture(self, width: int, height: int) -> tuple[int, int]:
        """Return width and height of what the bars leave of a frame.

        Raises
        ------
        InputError
            They leave nothing.
        """
        top, bottom, left, right = self.letterbox
        picture = width - left - right, height - top - bottom
        if min(picture) < 1:
            raise InputError(
                f"movie.letterbox takes {top} + {bottom} rows and {left} + {right} columns off "
                f"frames of {width} x {height} pixels: nothing is left"
            )
        return picture

    def side(self, width: int, height: int) -> int:
        """Return the side of the square that is cut from a frame, in pixels."""
        return self.crop or min(self.picture(width, height))

    def box(self, width: int, height: int) -> tuple[int, ...]:
        """Return where in a frame the square lies; the same for the same pixels.

        Returns
        -------
        tuple of int
            Top, left and side. Where the square is larger than the picture: side and bars.
        """
        picture, side = self.picture(width, height), self.side(width, height)
        if side > min(picture):
            return (side, *self.letterbox)
        top, _, left, _ = self.letterbox
        return top + round((picture[1] - side) / 2), left + round((picture[0] - side) / 2), side

    def square(self, frame: torch.Tensor) -> torch.Tensor:
        """Cut the square from a frame and resize it.

        Parameters
        ----------
        frame
            uint8, (height, width, 3).

        Returns
        -------
        Tensor
            uint8, (3, side, side).
        """
        top, bottom, left, right = self.letterbox
        height, width = frame.shape[:2]
        picture = frame[top : height - bottom, left : width - right].permute(2, 0, 1)
        square: torch.Tensor = functional.center_crop(picture, [self.side(width, height)] * 2)
        return square if self.resize is None else Sizing(self.resize).of(square)


@dataclass(frozen=True)
class Sizing:
    """How a square is brought to a network's size: resized with antialiasing, then cut.

    Attributes
    ----------
    size
        Side of what the network sees, in pixels.
    resize
        Side that the square is resized to before its centre is cut; None: ``size``, all is seen.
    interpolation
        Of torchvision's Resize.
    """

    size: int
    resize: int | None = None
    interpolation: Interpolation = "bilinear"

    def of(self, square: torch.Tensor) -> torch.Tensor:
        """Bring a square, uint8 of shape (3, n, n), to (3, size, size)."""
        sides = [self.resize or self.size] * 2
        mode = InterpolationMode(self.interpolation)
        image = functional.resize(square, sides, interpolation=mode, antialias=True)
        centre: torch.Tensor = functional.center_crop(image, [self.size] * 2)
        return centre
