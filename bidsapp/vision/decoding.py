"""Exact frames of a stretch of film, in order, never all at once."""

from collections.abc import Iterator
from fractions import Fraction

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from bidsapp.vision.film import decoded, open_film, rewind
from bidsapp.vision.stretches import Stretch

# A seek may land after its target by the delay of reordered frames; this is more than any such
# delay.
_SEEK_MARGIN_S = 1


def decode(
    stretch: Stretch, n_frames: int, threads: int = 1
) -> Iterator[tuple[int, av.VideoFrame]]:
    """Decode up to ``n_frames`` frames of a stretch, in the order in which they were shown.

    Decoding begins at the key frame before the stretch. Where the file skips a frame, the one
    before it is held, as a player does.

    Parameters
    ----------
    stretch
        Where they are.
    n_frames
        End after that many.
    threads
        For the decoder.

    Yields
    ------
    tuple of int and VideoFrame
        Number of the shown frame, from 0, and the frame. They end early where the film ends.

    Raises
    ------
    InputError
        The film cannot be decoded; the message says after how many seconds.
    """
    n_frames = min(n_frames, stretch.n_frames)
    with open_film(stretch.path) as (container, stream):
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = threads
        due, newest = 0, None
        for index, frame in _from(stretch, container, stream):
            while due < n_frames and (wanted := stretch.file_frame(due)) <= index:
                yield due, frame if newest is None or wanted == index else newest
                due += 1
            if due >= n_frames:
                break
            newest = frame


def _from(
    stretch: Stretch, container: InputContainer, stream: VideoStream
) -> Iterator[tuple[int, av.VideoFrame]]:
    """Decode the file's frames, with their numbers, from at or before the stretch's first."""
    target = Fraction(stretch.first) / stretch.file_rate - _SEEK_MARGIN_S
    if target > 0:
        rewind(container, stream, target)
    frames = _numbered(stretch, container, stream)
    newest = next(frames, None)
    if newest is not None and target > 0 and newest[0] > stretch.first:  # no usable index
        rewind(container, stream)
        frames = _numbered(stretch, container, stream)
        newest = next(frames, None)
    if newest is not None:
        yield newest
        yield from frames


def _numbered(
    stretch: Stretch, container: InputContainer, stream: VideoStream
) -> Iterator[tuple[int, av.VideoFrame]]:
    for seconds, frame in decoded(stretch.path, container, stream):
        yield round(seconds * stretch.file_rate), frame
