import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torchvision import transforms
from torchvision.transforms import v2
from vision_films import noise

from bidsapp.errors import InputError
from bidsapp.vision.framing import Framing, Sizing

PICTURE = noise(1, 96, 160)[0]  # rows, columns


def by_torchvision(picture: np.ndarray, *steps: object) -> torch.Tensor:
    return v2.Compose(steps)(torch.from_numpy(picture).permute(2, 0, 1))


@pytest.mark.parametrize("crop", [40, 96, 120, 200])
@pytest.mark.parametrize("resize", [None, 24])
@pytest.mark.parametrize("letterbox", [(0, 0, 0, 0), (13, 11, 0, 0), (2, 0, 7, 30)])
def test_as_torchvision(
    crop: int, resize: int | None, letterbox: tuple[int, int, int, int]
) -> None:
    top, bottom, left, right = letterbox
    picture = PICTURE[top : 96 - bottom, left : 160 - right]
    steps = [v2.CenterCrop(crop)] + ([v2.Resize((resize, resize))] if resize else [])
    found = Framing(letterbox, crop, resize).square(torch.from_numpy(PICTURE))
    assert torch.equal(found, by_torchvision(picture, *steps))


def test_the_authors_frames() -> None:
    """CenterCrop(720), Resize((224, 224)) of a picture, to a grey level of rounding."""
    frame = noise(1, 720, 1280)[0]
    author = transforms.Compose([transforms.CenterCrop(720), transforms.Resize((224, 224))])
    expected = np.asarray(author(Image.fromarray(frame))).astype(int)
    found = Framing(crop=720, resize=224).square(torch.from_numpy(frame)).permute(1, 2, 0).numpy()
    assert np.abs(found - expected).max() <= 1


def test_a_model_resizes_what_is_resized() -> None:
    frame = torch.from_numpy(PICTURE)
    steps = [v2.CenterCrop(90), v2.Resize((64, 64)), v2.Resize((24, 24))]
    found = Sizing(24).of(Framing(crop=90, resize=64).square(frame))
    assert torch.equal(found, by_torchvision(PICTURE, *steps))
    assert not torch.equal(found, Sizing(24).of(Framing(crop=90).square(frame)))


def test_a_model_sees_the_middle_as_libraries_test_their_networks() -> None:
    """torchvision's and timm's own way: resized to a little more, bicubically, and cut."""
    square = Framing(crop=90).square(torch.from_numpy(PICTURE))
    found = Sizing(56, resize=64, interpolation="bicubic").of(square)
    steps = v2.Resize(64, interpolation=v2.InterpolationMode.BICUBIC), v2.CenterCrop(56)
    assert torch.equal(found, by_torchvision(PICTURE, v2.CenterCrop(90), *steps))


def test_bars_off_leave_what_a_file_without_bars_has() -> None:
    barred = np.full((96, 160, 3), 128, np.uint8)
    barred[20:76] = PICTURE[20:76]
    found = Framing((20, 20, 0, 0), None, 32).square(torch.from_numpy(barred))
    without = Framing(resize=32).square(torch.from_numpy(PICTURE[20:76]))
    assert torch.equal(found, without)


def test_bars_as_large_as_the_frame_are_refused() -> None:
    with pytest.raises(InputError, match=r"50 \+ 46 rows .* 160 x 96 pixels: nothing is left"):
        Framing((50, 46, 0, 0)).picture(160, 96)


@given(bars=st.tuples(*[st.integers(0, 12)] * 4), crop=st.none() | st.integers(1, 40))
def test_the_box_is_where_the_square_comes_from(bars: tuple[int, ...], crop: int | None) -> None:
    framing = Framing(bars, crop)
    frame = torch.from_numpy(PICTURE[:60, :70].copy())
    box = framing.box(70, 60)
    if len(box) == 3:
        top, left, side = box
        expected = frame[top : top + side, left : left + side].permute(2, 0, 1)
        assert torch.equal(framing.square(frame), expected)
    else:
        assert framing.side(70, 60) > min(framing.picture(70, 60))
