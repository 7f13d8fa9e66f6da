"""The demo's film: photographs that move and cut under changing coloured light.

The photographs are those that ship with scikit-image. Light that changes on its own clock keeps
apart what a model sees of layout (grey pictures) and of colour (networks).
"""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import skimage.data
import torch
from torch.nn.functional import grid_sample, interpolate

from bidsapp.arrays import Floats
from bidsapp.files import whole_file

FRAME_RATE = 25
WIDTH, HEIGHT = 96, 72
FILM_SEED = 1994  # the film is one and the same for every seed of the brains
PICTURES = (
    "astronaut", "brick", "camera", "cat", "clock", "coffee",
    "coins", "grass", "horse", "hubble_deep_field", "moon", "page", "retina", "rocket",
)  # fmt: skip
CONTRAST = 0.18
OWN_COLOUR = 0.3
LIGHT = 0.30


@dataclass(frozen=True)
class Shot:
    """A stretch of film between two cuts: one picture, seen by a moving camera.

    ``path`` holds (x, y, zoom) at the shot's start and end, in the picture's normalised
    coordinates of -1 to 1; the camera moves evenly between them.
    """

    start_s: float
    duration_s: float
    picture: int
    path: Floats


@dataclass(frozen=True)
class Spell:
    """A stretch of constant light: one colour at each end of a direction across the frame."""

    start_s: float
    duration_s: float
    colours: Floats  # (2, 3)
    direction: float  # radians


@dataclass(frozen=True)
class Timeline:
    """Shots and light of the whole film, each covering it without gaps."""

    shots: tuple[Shot, ...]
    light: tuple[Spell, ...]


def make_timeline(duration_s: float, seed: int = FILM_SEED) -> Timeline:
    """Draw the shots and the light of a film of the given length in seconds."""
    rng = np.random.default_rng(seed)
    count = len(PICTURES)
    views = np.column_stack([rng.uniform(-0.25, 0.25, (count, 2)), np.full(count, 0.65)])
    shots, start, picture = [], 0.0, 0
    while start < duration_s:
        length = round(min(2.0 + rng.gamma(1.5, 2.2), 12.0), 2)
        others = [index for index in range(count) if index != picture]
        picture = int(rng.choice(others))
        speed = rng.uniform(0.1, 1.0) * min(1.0, length / 6)
        move = speed * rng.uniform([-0.2, -0.2, -0.15], [0.2, 0.2, 0.15])
        path = np.stack([views[picture] - move / 2, views[picture] + move / 2])
        shots.append(Shot(start, length, picture, path))
        start += length
    return Timeline(tuple(shots), _make_light(rng, duration_s))


def _make_light(rng: np.random.Generator, duration_s: float) -> tuple[Spell, ...]:
    settings = [
        (rng.uniform(-1, 1, (2, 3)) * LIGHT, float(rng.uniform(0, 2 * np.pi))) for _ in range(10)
    ]
    spells, start, now = [], 0.0, 0
    while start < duration_s:
        length = round(float(rng.uniform(3, 11)), 2)
        now = int(rng.choice([index for index in range(len(settings)) if index != now]))
        colours, direction = settings[now]
        # Both ends have one brightness, so that light never draws a grey shape of its own.
        brightness = colours.mean()
        even = colours - colours.mean(axis=1, keepdims=True) + brightness
        spells.append(Spell(start, length, even, direction))
        start += length
    return tuple(spells)


def load_pictures() -> list[torch.Tensor]:
    """Return scikit-image's photographs, each (1, 3, height, width) with values in 0 to 1."""
    return [_load_picture(name) for name in PICTURES]


def _load_picture(name: str) -> torch.Tensor:
    image = np.asarray(getattr(skimage.data, name)(), dtype=np.float32)
    if image.ndim == 2:
        image = np.repeat(image[..., None], 3, axis=2)
    image = image[..., :3] / max(float(image.max()), 1.0)
    tensor = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
    small: torch.Tensor = interpolate(tensor, size=(192, 256), mode="bilinear", antialias=True)
    # One mean and spread for all, so that no picture's overall tone gives it away.
    grey = small.mean()
    return (small - grey) / small.std()


def write_film(path: Path, timeline: Timeline, start_s: float, duration_s: float) -> None:
    """Encode one run's stretch of the film at 25 frames per second.

    Parameters
    ----------
    path
        Film file to write; the container is chosen by its ending.
    timeline
        The whole film.
    start_s, duration_s
        The stretch, in seconds of the whole film.
    """
    pictures = load_pictures()
    times = start_s + np.arange(round(duration_s * FRAME_RATE)) / FRAME_RATE
    with whole_file(path) as temporary, av.open(str(temporary), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(FRAME_RATE))
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"preset": "ultrafast", "crf": "18"}
        for block in np.array_split(times, max(1, len(times) // 25)):
            for frame in _render(timeline, pictures, block):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def _render(timeline: Timeline, pictures: list[torch.Tensor], times: Floats) -> Floats:
    """Draw the frames at the given times of the whole film, (n, height, width, 3) uint8."""
    scene = torch.empty(len(times), 3, HEIGHT, WIDTH)
    shots = np.searchsorted([shot.start_s for shot in timeline.shots], times, side="right") - 1
    for index in np.unique(shots):
        shot, chosen = timeline.shots[index], np.flatnonzero(shots == index)
        passed = ((times[chosen] - shot.start_s) / shot.duration_s)[:, None]
        camera = shot.path[0] + passed * (shot.path[1] - shot.path[0])
        scene[chosen] = _view(pictures[shot.picture], camera)
    grey = scene.mean(dim=1, keepdim=True)
    tinted = grey + OWN_COLOUR * (scene - grey)
    frames = 0.5 + CONTRAST * tinted + _lit(timeline, times)
    rounded = (frames.clamp(0, 1) * 255).round().to(torch.uint8)
    drawn: Floats = rounded.permute(0, 2, 3, 1).contiguous().numpy()
    return drawn


def _view(picture: torch.Tensor, camera: Floats) -> torch.Tensor:
    """Look at a picture from (n, 3) camera positions of x, y and zoom."""
    x, y, zoom = torch.from_numpy(camera.astype(np.float32)).T[:, :, None]
    across = x + zoom * torch.linspace(-1, 1, WIDTH)
    down = y + zoom * torch.linspace(-1, 1, HEIGHT)
    size = (len(camera), HEIGHT, WIDTH)
    grid = torch.stack([across[:, None, :].expand(size), down[:, :, None].expand(size)], dim=-1)
    pictures = picture.expand(len(camera), -1, -1, -1)
    return grid_sample(pictures, grid, padding_mode="reflection", align_corners=False)


def _lit(timeline: Timeline, times: Floats) -> torch.Tensor:
    """Light at the given times, (n, 3, height, width)."""
    spells = np.searchsorted([spell.start_s for spell in timeline.light], times, side="right") - 1
    y, x = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j]
    fields = {}
    for index in np.unique(spells):
        spell = timeline.light[index]
        along = (1 + (np.cos(spell.direction) * x + np.sin(spell.direction) * y) / np.sqrt(2)) / 2
        first, second = spell.colours[:, :, None, None]
        fields[index] = torch.from_numpy((first * (1 - along) + second * along).astype(np.float32))
    return torch.stack([fields[index] for index in spells])
