"""The side of `bench.thingsvision` that runs where thingsvision is: features of a clip's frames.

``python thingsvision_side.py CLIP BATCH LAYER ...``; it imports nothing of ours.
"""

import sys
from collections.abc import Iterator

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
        model=resnet18(weights=None).eval(), device="cpu", transforms=None, backend="pt"
    )
    kept = {
        layer: extractor.extract_features(
            batches=list(_batches(clip, int(batch))),
            module_name=layer,
            flatten_acts=True,
            output_type="ndarray",
        )
        for layer in layers
    }
    print({layer: features.shape for layer, features in kept.items()})


def _batches(clip: str, size: int) -> Iterator[torch.Tensor]:
    """Decode every fifth frame: the largest centred square at 224 pixels, normalised."""
    frames = []
    with av.open(clip) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index % 5 == 0:
                pixels = torch.from_numpy(frame.to_ndarray(format="rgb24")).permute(2, 0, 1)
                square = resize(center_crop(pixels, [min(pixels.shape[1:])] * 2), [224, 224])
                frames.append(normalize(square / 255, _MEAN, _STD))
            if len(frames) == size:
                yield torch.stack(frames)
                frames = []
    if frames:
        yield torch.stack(frames)


if __name__ == "__main__":
    main()
