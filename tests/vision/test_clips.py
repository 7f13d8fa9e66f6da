from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms
from vision_films import noise, number_of, numbered, write_film

from bidsapp.errors import InputError
from bidsapp.vision.clips import ClipShape, clips, windows
from bidsapp.vision.film import film_facts
from bidsapp.vision.runs import PlacedRun, check_length, nominal_frames


def film_run(
    path: Path, n_frames: int, n_volumes: int = 4, step: int = 5, **stretch: float
) -> PlacedRun:
    index, times = nominal_frames(n_frames, 25.0, step)
    volumes = 2.0 * np.arange(n_volumes) + 1
    return PlacedRun(
        "1", path, stretch.get("start_s", 0.0), stretch.get("duration_s"), index, times, volumes
    )


def gather(film: PlacedRun, length: int, crop: int | None, size: int, batch: int) -> torch.Tensor:
    parts, stop = [], 0
    for positions, part in windows(film, length, crop, size, batch):
        assert positions.start == stop
        assert len(part) == positions.stop - positions.start <= batch
        parts.append(part)
        stop = positions.stop
    assert stop == len(film.frame_index)
    return torch.cat(parts)


def test_nominal_frames() -> None:
    index, times = nominal_frames(23, 25.0, 5)
    np.testing.assert_array_equal(index, [0, 5, 10, 15, 20])
    np.testing.assert_allclose(times, [0, 0.2, 0.4, 0.6, 0.8])


@pytest.mark.parametrize("crop", [24, 48, 72])
def test_frames_are_cut_and_resized_as_torchvision_does_to_pictures(
    noise_film: Path, crop: int
) -> None:
    pictures = noise(200)[::5]
    as_author = transforms.Compose([transforms.CenterCrop(crop), transforms.Resize((16, 16))])
    expected = np.stack([np.asarray(as_author(Image.fromarray(picture))) for picture in pictures])
    found = gather(film_run(noise_film, 200), 1, crop, 16, 8)[:, 0].permute(0, 2, 3, 1).numpy()
    # pictures and tensors are rounded differently, by one grey level at most
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_without_crop_the_largest_square_is_seen(noise_film: Path) -> None:
    film = film_run(noise_film, 100)
    assert torch.equal(gather(film, 1, None, 16, 4), gather(film, 1, 48, 16, 4))


@pytest.mark.parametrize("length", [1, 4, 11])
@pytest.mark.parametrize("batch", [1, 7, 100])
def test_windows_run_forward_and_hold_the_last_frame(
    tmp_path: Path, length: int, batch: int
) -> None:
    film = film_run(write_film(tmp_path / "n.mkv", numbered(48)), 48)
    found = gather(film, length, None, 8, batch)
    assert found.shape == (10, length, 3, 8, 8)
    assert found.dtype == torch.uint8
    numbers = [[number_of(frame.numpy()) for frame in window] for window in found]
    assert numbers == [[min(i + k, 47) for k in range(length)] for i in range(0, 48, 5)]


def test_one_decoding_serves_every_shape(noise_film: Path) -> None:
    film = film_run(noise_film, 60)
    shapes = [ClipShape(1, 16), ClipShape(6, 16), ClipShape(3, 24)]
    for positions, found in clips(film, shapes, None, 5):
        for shape in shapes:
            alone = gather(film, shape.length, None, shape.size, 12)
            assert torch.equal(found[shape], alone[positions])


def test_a_stretch_of_a_longer_film_equals_the_cut_file(tmp_path: Path) -> None:
    frames = noise(150, 32, 32)
    whole = write_film(tmp_path / "whole.mkv", frames)
    cut = write_film(tmp_path / "cut.mkv", frames[60:110])
    stretch = film_run(whole, 50, start_s=2.4, duration_s=2.0)
    for length in (1, 16):
        assert torch.equal(
            gather(stretch, length, None, 16, 4), gather(film_run(cut, 50), length, None, 16, 4)
        )


def test_a_real_film_has_five_volumes(shared_data: Path) -> None:
    path = shared_data / "video" / "bikes.mp4"
    film = film_run(path, film_facts(path).n_frames, n_volumes=5)
    check_length(film, 2.0)
    assert gather(film, 1, 720, 32, 16).shape == (50, 1, 3, 32, 32)
    assert film.frame_times[-1] < 5 * 2.0 <= film.frame_times[-1] + 0.2 + 1e-9


def test_a_film_that_ends_early_is_named_with_its_frames(noise_film: Path) -> None:
    with pytest.raises(InputError, match=r"noise\.mkv .*run 1: 296 frames needed .* 200 found"):
        gather(film_run(noise_film, 300), 1, None, 8, 16)


@pytest.mark.parametrize("n_volumes", [2, 3, 4, 5])
def test_film_and_run_may_differ_a_little(noise_film: Path, n_volumes: int) -> None:
    check_length(film_run(noise_film, 200, n_volumes), 2.0)


@pytest.mark.parametrize(
    ("n_volumes", "n_frames", "stretch", "message"),
    [
        (6, 200, {}, r"too short: 300 frames needed .*6 volumes.* 200 found"),
        (1, 200, {}, "too long: 200 frames found"),
        (4, 300, {}, "296 frames needed by the run's events, 200 found"),
        (2, 100, {"start_s": 6.0, "duration_s": 4.0}, "250 frames needed, 200 found"),
        (4, 100, {"start_s": 4.0}, "too short"),
    ],
)
def test_film_and_run_must_fit(
    noise_film: Path, n_volumes: int, n_frames: int, stretch: dict[str, float], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        check_length(film_run(noise_film, n_frames, n_volumes, **stretch), 2.0)


def test_frames_must_increase(noise_film: Path) -> None:
    with pytest.raises(ValueError, match="increase"):
        PlacedRun(
            "1", noise_film, 0.0, None, np.array([5, 0]), np.array([0.0, 0.2]), np.array([1.0])
        )
