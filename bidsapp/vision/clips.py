"""Films as networks see them: decoded once, in order, cut and resized, in windows of frames."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torchvision.transforms.v2 import functional

from bidsapp.arrays import Bools, Floats, Ints
from bidsapp.errors import InputError
from bidsapp.vision.film import decode, film_facts


@dataclass(frozen=True)
class FilmRun:
    """The stretch of film that one run showed, and when.

    Attributes
    ----------
    run, film
        Name of the run and its film file.
    start_s, duration_s
        Where in the file the run begins, and how long it shows; None: to the end of the file.
    frame_index
        Frames whose features are taken, counted from 0 at the run's first, increasing; shape (n,).
    frame_times
        When each of them was shown, in seconds after the run's first volume; shape (n,).
    volume_times
        When each volume was taken, on the same clock, increasing; shape (n_volumes,).
    """

    run: str
    film: Path
    start_s: float
    duration_s: float | None
    frame_index: Ints
    frame_times: Floats
    volume_times: Floats

    def __post_init__(self) -> None:
        if len(self.frame_index) == 0 or len(self.frame_index) != len(self.frame_times):
            raise ValueError("frame_index and frame_times must be of one length, at least 1")
        if self.frame_index[0] < 0 or np.any(np.diff(self.frame_index) <= 0):
            raise ValueError("frame_index must increase from 0 or more")
        if np.any(np.diff(self.volume_times) <= 0):
            raise ValueError("volume_times must increase")


@dataclass(frozen=True)
class ClipShape:
    """What a network looks at: ``length`` consecutive frames of ``size`` by ``size`` pixels."""

    length: int
    size: int


def nominal_frames(n_frames: int, frame_rate: float, step: int) -> tuple[Ints, Floats]:
    """Every ``step``-th frame and when it is shown if the film starts with the first volume.

    Parameters
    ----------
    n_frames
        Frames of the run.
    frame_rate
        Frames a second.
    step
        5 turns 25 Hz into 5 Hz.

    Returns
    -------
    tuple of Ints and Floats
        Index and time in seconds, each of shape (ceil(n_frames / step),).
    """
    index = np.arange(0, n_frames, step)
    return index, index / frame_rate


def check_length(film: FilmRun, repetition_time: float) -> None:
    """Make sure that a film and its run belong together, before anything is computed.

    A film may end up to one TR before the scan does, or run on for up to two TRs after it; both are
    found in studyforrest. More, and some volumes show nothing, or the file belongs to another run.

    Parameters
    ----------
    film
        The run, with all its volumes.
    repetition_time
        In seconds.

    Raises
    ------
    InputError
        The film cannot be decoded, ends before the stretch that the run shows, lacks frames that
        the run's events name, or is shorter or longer than the run.
    """
    facts = film_facts(film.film)
    rest_s = facts.n_frames / facts.frame_rate - film.start_s
    shown_s = rest_s if film.duration_s is None else film.duration_s
    scanned_s = len(film.volume_times) * repetition_time
    where = f"{film.film}, run {film.run}"
    if shown_s - rest_s > 1.5 / facts.frame_rate:
        needed = round((film.start_s + shown_s) * facts.frame_rate)
        raise InputError(
            f"{where}: the film ends before the run does: {needed} frames needed, {facts.n_frames} "
            "found; check start_s and duration_s, or give the whole film"
        )
    available = round(shown_s * facts.frame_rate)
    if film.frame_index[-1] >= available:
        raise InputError(
            f"{where}: {film.frame_index[-1] + 1} frames needed by the run's events, "
            f"{available} found; check that this film belongs to the run, and first_frame_index"
        )
    if shown_s < scanned_s - repetition_time - 1e-6:
        raise InputError(
            f"{where}: the film is too short: {round(scanned_s * facts.frame_rate)} frames needed "
            f"for {len(film.volume_times)} volumes of {repetition_time:g} s, {available} found"
        )
    if shown_s > scanned_s + 2 * repetition_time + 1e-6:
        raise InputError(
            f"{where}: the film is too long: {available} frames found, but "
            f"{len(film.volume_times)} volumes of {repetition_time:g} s show "
            f"{round(scanned_s * facts.frame_rate)}; give "
            "the run its own file, or start_s and duration_s"
        )


def windows(
    film: FilmRun, length: int, crop: int | None, size: int, batch: int
) -> Iterator[tuple[slice, torch.Tensor]]:
    """Windows of one shape; see `clips`.

    Yields
    ------
    tuple of slice and Tensor
        Positions in ``film.frame_index``, and their windows: uint8, (b, length, 3, size, size).
    """
    shape = ClipShape(length, size)
    for positions, found in clips(film, [shape], crop, batch):
        yield positions, found[shape]


def clips(
    film: FilmRun, shapes: Sequence[ClipShape], crop: int | None, batch: int
) -> Iterator[tuple[slice, dict[ClipShape, torch.Tensor]]]:
    """Decode a run's film once and cut it into windows of every shape asked for.

    The window of a frame holds that frame and those after it, as the paper's author cuts them.
    Where it would reach beyond the run's last frame, that frame is held. No more than a batch of
    windows is in memory.

    Parameters
    ----------
    film
        The run.
    shapes
        Shapes of the windows.
    crop
        Side in pixels of the centred square that is cut from each frame, with black beyond the
        frame's edge (torchvision's CenterCrop); None: the largest centred square. It is then
        resized, bilinearly and with antialiasing (torchvision's Resize), and stays uint8.
    batch
        Windows at a time.

    Yields
    ------
    tuple of slice and dict
        Positions in ``film.frame_index``, and per shape their windows: uint8, RGB,
        (b, length, 3, size, size).

    Raises
    ------
    InputError
        The film cannot be decoded, or ends before the run's last frame.
    """
    longest = max(shape.length for shape in shapes)
    wanted = {size: _frames_of(film.frame_index, shapes, size) for size in {s.size for s in shapes}}
    held: dict[int, dict[int, torch.Tensor]] = {size: {} for size in wanted}
    n_frames = int(film.frame_index[-1]) + longest
    firsts = [*film.frame_index.tolist(), n_frames]
    position, newest = 0, -1
    for newest, frame in decode(
        film.film, film.start_s, film.duration_s, n_frames, torch.get_num_threads()
    ):
        sizes = [size for size, mask in wanted.items() if mask[newest]]
        if sizes:
            square = _centred_square(torch.from_numpy(frame.to_ndarray(format="rgb24")), crop)
            for size in sizes:
                held[size][newest] = functional.resize(square, [size, size], antialias=True)
        complete = int(np.searchsorted(film.frame_index, newest - longest + 1, side="right"))
        while complete - position >= batch:
            yield _batch(film, shapes, held, slice(position, position + batch), newest)
            position += batch
            _forget(held, before=firsts[position])
    if newest < film.frame_index[-1]:
        raise InputError(
            f"{film.film} ends too early for run {film.run}: {film.frame_index[-1] + 1} frames "
            f"needed from {film.start_s:g} s on, {newest + 1} found"
        )
    while position < len(film.frame_index):
        positions = slice(position, min(position + batch, len(film.frame_index)))
        yield _batch(film, shapes, held, positions, newest)
        position = positions.stop


def _frames_of(frame_index: Ints, shapes: Sequence[ClipShape], size: int) -> Bools:
    """Mark the frames that windows of one size hold."""
    longest = max(shape.length for shape in shapes)
    marked = np.zeros(int(frame_index[-1]) + longest, dtype=np.bool_)
    for shape in shapes:
        if shape.size == size:
            for offset in range(shape.length):
                marked[frame_index + offset] = True
    return marked


def _centred_square(frame: torch.Tensor, crop: int | None) -> torch.Tensor:
    """Cut the centred square from a frame (height, width, 3); gives (3, side, side)."""
    image = frame.permute(2, 0, 1)
    square: torch.Tensor = functional.center_crop(image, [crop or min(image.shape[1:])] * 2)
    return square


def _batch(
    film: FilmRun,
    shapes: Sequence[ClipShape],
    held: dict[int, dict[int, torch.Tensor]],
    positions: slice,
    newest: int,
) -> tuple[slice, dict[ClipShape, torch.Tensor]]:
    found = {}
    for shape in shapes:
        frames = held[shape.size]
        found[shape] = torch.stack(
            [
                torch.stack([frames[min(first + offset, newest)] for offset in range(shape.length)])
                for first in film.frame_index[positions].tolist()
            ]
        )
    return positions, found


def _forget(held: dict[int, dict[int, torch.Tensor]], before: int) -> None:
    for frames in held.values():
        for index in [index for index in frames if index < before]:
            del frames[index]
