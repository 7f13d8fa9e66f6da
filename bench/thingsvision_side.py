"""The side of `bench.against_thingsvision` that runs where thingsvision is: a clip's features.

``python thingsvision_side.py CLIP BATCH LAYER ...``; it imports nothing of ours.
"""

import sys
from collections.abc import Iterator
from math import ceil

import av
import torch
from thingsvision import get_extractor_from_model
from torchvision.models import resnet18
from torchvision.transforms.functional import center_crop, normalize, resize

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def main() -> None:
    """Extract every layer's responses to every fifth frame, all kept, as thingsvision does."""
    clip, batch, *layers = sys.argv[1:]
    torch.set_num_threads(1)
    torch.manual_seed(0)
    extractor = get_extractor_from_model(
        model=resnet18(weights=None).eval(), device="cpu", backend="pt"
    )
    kept = extractor.extract_features(
        batches=_Batches(clip, int(batch)),
        module_names=layers,
        flatten_acts=True,
        output_type="ndarray",
    )
    print({layer: features.shape for layer, features in kept.items()})


class _Batches:
    """Every fifth frame, its central square at 224 pixels, normalised; decoded as it goes."""

    def __init__(self, clip: str, size: int) -> None:
        self._clip, self._size = clip, size

    def __len__(self) -> int:
        with av.open(self._clip) as container:
            return ceil(container.streams.video[0].frames / 5 / self._size)

    def __iter__(self) -> Iterator[torch.Tensor]:
        frames = []
        with av.open(self._clip) as container:
            for index, frame in enumerate(container.decode(video=0)):
                if index % 5 == 0:
                    pixels = torch.from_numpy(frame.to_ndarray(format="rgb24")).permute(2, 0, 1)
                    square = center_crop(pixels, [min(pixels.shape[1:])] * 2)
                    small = resize(square, [224, 224], antialias=True)
                    frames.append(normalize(small / 255, _MEAN, _STD))
                if len(frames) == self._size:
                    yield torch.stack(frames)
                    frames = []
        if frames:
            yield torch.stack(frames)


if __name__ == "__main__":
    main()
