from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms
from vision_films import noise, number_of, numbered, write_film

from bidsapp.errors import InputError
from bidsapp.vision.catalogue import ClipInput
from bidsapp.vision.clips import ClipShape, clips, windows
from bidsapp.vision.film import film_facts
from bidsapp.vision.framing import Framing, Sizing
from bidsapp.vision.runs import PlacedRun, check_length, nominal_frames
from bidsapp.vision.stretches import cut


def film_run(
    path: Path, n_frames: int, n_volumes: int = 4, step: int = 5, **stretch: float
) -> PlacedRun:
    index, times = nominal_frames(n_frames, 25.0, step)
    volumes = 2.0 * np.arange(n_volumes) + 1
    return PlacedRun("1", cut(path, **stretch), index, times, volumes)


def gather(
    film: PlacedRun, length: int, framing: int | Framing | None, size: int, batch: int
) -> torch.Tensor:
    """Join all windows; ``framing`` is a crop alone, or more."""
    parts, stop = [], 0
    framing = framing if isinstance(framing, Framing) else Framing(crop=framing)
    for positions, part in windows(
        film, ClipShape(tuple(range(length)), Sizing(size)), framing, batch
    ):
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


@pytest.mark.parametrize("stride", [1, 4])
@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("length", [4, 5])
def test_windows_take_every_so_many_frames_from_their_own_or_round_it(
    tmp_path: Path, stride: int, centred: bool, length: int
) -> None:
    film = film_run(write_film(tmp_path / "n.mkv", numbered(48)), 48)
    given = ClipInput(
        window=length, size=8, stride=stride, placement="centred" if centred else "forward"
    )
    shape = ClipShape(given.offsets, Sizing(given.size))
    found = torch.cat([part for _, part in windows(film, shape, Framing(), 3)])
    numbers = [[number_of(frame.numpy()) for frame in window] for window in found]
    before = {4: 1, 5: 2}[length] if centred else 0
    expected = [
        [min(max(i + (k - before) * stride, 0), 47) for k in range(length)] for i in range(0, 48, 5)
    ]
    assert numbers == expected


def test_one_decoding_serves_every_shape(noise_film: Path) -> None:
    film = film_run(noise_film, 60)
    shapes = [
        ClipShape((0,), Sizing(16)), ClipShape((0, 1, 2, 3, 4, 5), Sizing(16)),
        ClipShape((0, 1, 2), Sizing(24)), ClipShape((0,), Sizing(16, resize=20)),
        ClipShape((-8, -4, 0, 4, 8), Sizing(16)),
    ]  # fmt: skip
    alone = {
        shape: torch.cat([part for _, part in windows(film, shape, Framing(), 12)])
        for shape in shapes
    }
    for positions, found in clips(film, shapes, Framing(), 5):
        for shape in shapes:
            assert torch.equal(found[shape], alone[shape][positions])


# Starts of segments as a table has them, some not on a frame to the last digit, and how long they
# are: each shares 16 s with the next.
SEGMENTS = [(0.0, 20.08), (4.08, 18.0), (6.0799999, 17.48), (7.561, 16.2)]


def recode(path: Path, source: Path, first: int, n_frames: int) -> Path:
    """Write some decoded frames of a film to a file of its own, without loss."""
    with av.open(str(source)) as film, av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 32, 48, "yuv420p"
        stream.options = {"qp": "0", "g": "12"}
        for index, frame in enumerate(film.decode(video=0)):
            if first <= index < first + n_frames:
                frame.pts, frame.time_base = index - first, Fraction(1, 25)
                frame.pict_type = av.video.frame.PictureType.NONE
                container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def test_segment_files_and_one_whole_film_give_the_same_windows(tmp_path: Path) -> None:
    """An inter-coded film, with key frames up to 10 s apart, that seeks land between."""
    whole = write_film(
        tmp_path / "whole.mp4", noise(600, 32, 48), codec="libx264", key_frames_apart=250
    )
    with av.open(str(whole)) as film:
        assert sum(packet.is_keyframe for packet in film.demux(video=0)) == 3
    framing = Framing((3, 3, 0, 0), 24, 20)
    for start_s, duration_s in SEGMENTS:
        first, n_frames = round(start_s * 25), round(duration_s * 25)
        segment = recode(tmp_path / f"{first}.mkv", whole, first, n_frames)
        assert film_facts(segment).n_frames == n_frames
        stretch = film_run(whole, n_frames, start_s=start_s, duration_s=duration_s)
        assert stretch.stretch.first == first
        own = gather(film_run(segment, n_frames), 16, framing, 16, 32)
        assert torch.equal(gather(stretch, 16, framing, 16, 32), own)
        assert len(own.unique(dim=0)) == len(own)  # no two windows are alike


def test_a_real_film_has_five_volumes(shared_data: Path) -> None:
    path = shared_data / "video" / "bikes.mp4"
    film = film_run(path, film_facts(path).n_frames, n_volumes=5)
    assert check_length(film, 2.0, 20.0, measured=False) == []
    assert gather(film, 1, 720, 32, 16).shape == (50, 1, 3, 32, 32)
    assert film.frame_times[-1] < 5 * 2.0 <= film.frame_times[-1] + 0.2 + 1e-9


def test_a_film_that_ends_early_is_named_with_its_frames(noise_film: Path) -> None:
    with pytest.raises(InputError, match=r"noise\.mkv .*run 1: 296 frames needed .* 200 found"):
        gather(film_run(noise_film, 300), 1, None, 8, 16)


@pytest.mark.parametrize("n_volumes", [2, 3, 4, 5])
def test_film_and_run_may_differ_a_little(noise_film: Path, n_volumes: int) -> None:
    film = film_run(noise_film, 200, n_volumes)
    assert check_length(film, 2.0, 20.0, measured=False) == []


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
    def check() -> None:
        film = film_run(noise_film, n_frames, n_volumes, **stretch)
        check_length(film, 2.0, 20.0, measured=False)

    with pytest.raises(InputError, match=message):
        check()


def test_frames_must_increase(noise_film: Path) -> None:
    with pytest.raises(ValueError, match="increase"):
        PlacedRun("1", cut(noise_film), np.array([5, 0]), np.array([0.0, 0.2]), np.array([1.0]))
