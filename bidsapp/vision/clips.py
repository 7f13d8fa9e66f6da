"""Films as networks see them: decoded once, in order, cut and resized, in windows of frames."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from bidsapp.arrays import Bools, Ints
from bidsapp.errors import InputError
from bidsapp.vision.decoding import decode
from bidsapp.vision.framing import Framing, resized
from bidsapp.vision.runs import PlacedRun


@dataclass(frozen=True)
class ClipShape:
    """What a network looks at: ``length`` consecutive frames of ``size`` by ``size`` pixels."""

    length: int
    size: int


def windows(
    film: PlacedRun, length: int, framing: Framing, size: int, batch: int
) -> Iterator[tuple[slice, torch.Tensor]]:
    """Windows of one shape; see `clips`.

    Yields
    ------
    tuple of slice and Tensor
        Positions in ``film.frame_index``, and their windows: uint8, (b, length, 3, size, size).
    """
    shape = ClipShape(length, size)
    for positions, found in clips(film, [shape], framing, batch):
        yield positions, found[shape]


def clips(
    film: PlacedRun, shapes: Sequence[ClipShape], framing: Framing, batch: int
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
    framing
        How frames are cut. The square is then resized to each shape's size, and stays uint8.
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
    for newest, frame in decode(film.stretch, n_frames, torch.get_num_threads()):
        sizes = [size for size, mask in wanted.items() if mask[newest]]
        if sizes:
            square = framing.square(torch.from_numpy(frame.to_ndarray(format="rgb24")))
            for size in sizes:
                held[size][newest] = resized(square, size)
        complete = int(np.searchsorted(film.frame_index, newest - longest + 1, side="right"))
        while complete - position >= batch:
            yield _batch(film, shapes, held, slice(position, position + batch), newest)
            position += batch
            _forget(held, before=firsts[position])
    if newest < film.frame_index[-1]:
        raise InputError(
            f"{film.film} ends too early for run {film.run}: {film.frame_index[-1] + 1} frames "
            f"needed from its frame {film.stretch.first} on, {newest + 1} found"
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


def _batch(
    film: PlacedRun,
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
