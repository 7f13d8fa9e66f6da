"""Films as networks see them: decoded once, in order, cut and resized, in windows of frames."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from av import VideoFrame

from bidsapp.arrays import Bools, Ints
from bidsapp.errors import InputError
from bidsapp.vision.decoding import Damage, decode
from bidsapp.vision.framing import Framing, Sizing
from bidsapp.vision.runs import PlacedRun

_Held = dict[Sizing, dict[int, torch.Tensor]]  # frames by their index


@dataclass(frozen=True)
class ClipShape:
    """What a network looks at: windows of frames brought to its size.

    ``offsets`` are the places of a window's frames relative to the frame that it belongs to,
    increasing.
    """

    offsets: tuple[int, ...]
    sizing: Sizing


def windows(
    film: PlacedRun, shape: ClipShape, framing: Framing, batch: int
) -> Iterator[tuple[slice, torch.Tensor]]:
    """Windows of one shape; see `clips`.

    Yields
    ------
    tuple of slice and Tensor
        Positions in ``film.frame_index``, and their windows: uint8, (b, window, 3, size, size).
    """
    for positions, found in clips(film, [shape], framing, batch):
        yield positions, found[shape]


def clips(
    film: PlacedRun,
    shapes: Sequence[ClipShape],
    framing: Framing,
    batch: int,
    damage: Damage | None = None,
) -> Iterator[tuple[slice, dict[ClipShape, torch.Tensor]]]:
    """Decode a run's film once and cut it into windows of every shape asked for.

    Where a window would reach beyond the run's first or last frame, that frame is held. No more
    than a batch of windows is in memory.

    Parameters
    ----------
    film
        The run.
    shapes
        Shapes of the windows.
    framing
        How frames are cut. The square is then brought to each shape's size, and stays uint8.
    batch
        Windows at a time.
    damage
        Counts the run's broken frames; None: none are allowed.

    Yields
    ------
    tuple of slice and dict
        Positions in ``film.frame_index``, and per shape their windows: uint8, RGB,
        (b, window, 3, size, size).

    Raises
    ------
    InputError
        The film cannot be decoded, ends before the run's last frame, or is damaged.
    """
    first = min(shape.offsets[0] for shape in shapes)
    last = max(shape.offsets[-1] for shape in shapes)
    n_frames = int(film.frame_index[-1]) + last + 1
    wanted = {
        sizing: _frames_of(film.frame_index, [s for s in shapes if s.sizing == sizing], n_frames)
        for sizing in {shape.sizing for shape in shapes}
    }
    held: _Held = {sizing: {} for sizing in wanted}
    needed = [*(film.frame_index + first).tolist(), n_frames]
    position, newest, frame = 0, -1, None
    for newest, frame in decode(film.stretch, n_frames, torch.get_num_threads(), damage):
        _hold(held, newest, frame, framing, [s for s, mask in wanted.items() if mask[newest]])
        complete = int(np.searchsorted(film.frame_index, newest - last, side="right"))
        while complete - position >= batch:
            yield _batch(film, shapes, held, slice(position, position + batch), newest)
            position += batch
            _forget(held, before=needed[position])
    if newest < film.frame_index[-1] or frame is None:
        raise InputError(
            f"{film.film} ends too early for run {film.run}: {film.frame_index[-1] + 1} frames "
            f"needed from its frame {film.stretch.first} on, {newest + 1} found"
        )
    # The last frame is held, whether or not a window's frames fall on it.
    _hold(held, newest, frame, framing, list(wanted))
    while position < len(film.frame_index):
        positions = slice(position, min(position + batch, len(film.frame_index)))
        yield _batch(film, shapes, held, positions, newest)
        position = positions.stop


def _hold(
    held: _Held,
    index: int,
    frame: VideoFrame,
    framing: Framing,
    sizings: Sequence[Sizing],
) -> None:
    """Keep a frame at the sizes at which it is wanted."""
    missing = [sizing for sizing in sizings if index not in held[sizing]]
    if missing:
        square = framing.square(torch.from_numpy(frame.to_ndarray(format="rgb24")))
        for sizing in missing:
            held[sizing][index] = sizing.of(square)


def _frames_of(frame_index: Ints, shapes: Sequence[ClipShape], n_frames: int) -> Bools:
    """Mark the frames that windows hold."""
    marked = np.zeros(n_frames, dtype=np.bool_)
    for shape in shapes:
        for offset in shape.offsets:
            marked[np.maximum(frame_index + offset, 0)] = True
    return marked


def _batch(
    film: PlacedRun,
    shapes: Sequence[ClipShape],
    held: _Held,
    positions: slice,
    newest: int,
) -> tuple[slice, dict[ClipShape, torch.Tensor]]:
    found = {}
    for shape in shapes:
        frames = held[shape.sizing]
        found[shape] = torch.stack(
            [
                torch.stack(
                    [frames[min(max(index + offset, 0), newest)] for offset in shape.offsets]
                )
                for index in film.frame_index[positions].tolist()
            ]
        )
    return positions, found


def _forget(held: _Held, before: int) -> None:
    for frames in held.values():
        for index in [index for index in frames if index < before]:
            del frames[index]
