"""Reading film files by PyAV: facts first, then exact frames in order, never all at once."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from bidsapp.errors import InputError

logger = logging.getLogger(__name__)
# A seek may land after its target by the delay of reordered frames; this is more than any such
# delay.
_SEEK_MARGIN_S = 1


@dataclass(frozen=True)
class FilmFacts:
    """What a film file holds: frames, their rate (1/s) and size (pixels)."""

    n_frames: int
    frame_rate: float
    width: int
    height: int


def film_facts(path: Path) -> FilmFacts:
    """Count a film's frames from the time stamps of its packets, and decode the first.

    Headers are not believed: a file that was cut off while being copied keeps its header.

    Raises
    ------
    InputError
        The file is absent, holds no film, or its first frame cannot be decoded.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise InputError(f"cannot read the film {path}: {error.strerror}") from error
    return _facts(path, status.st_mtime_ns, status.st_size)


def decode(
    path: Path, start_s: float, duration_s: float | None, n_frames: int, threads: int = 1
) -> Iterator[tuple[int, av.VideoFrame]]:
    """Decode up to ``n_frames`` consecutive frames, beginning ``start_s`` into the film.

    A frame's index is its time stamp times the frame rate. Where the file skips an index, the frame
    before it is held, as a player does.

    Parameters
    ----------
    path
        The film.
    start_s, duration_s
        The stretch to decode; None: to the end of the file.
    n_frames
        End after that many frames.
    threads
        For the decoder.

    Yields
    ------
    tuple of int and VideoFrame
        Index, counted from 0 at ``start_s``, and the frame. They end early where the film ends.

    Raises
    ------
    InputError
        The film cannot be decoded; the message names the frame that it happened at.
    """
    with _video(path) as (container, stream):
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = threads
        rate = _frame_rate(path, stream)
        first = round(start_s * rate)
        if duration_s is not None:
            n_frames = min(n_frames, round(duration_s * rate))
        due, previous, n_held = 0, None, 0
        for index, frame in _from(path, container, stream, first):
            while previous is not None and due < min(index, n_frames):
                yield due, previous
                due, n_held = due + 1, n_held + 1
            if due >= n_frames:
                break
            if index >= due:
                yield due, frame
                due += 1
            previous = frame
        if n_held:
            logger.warning(
                "%s: %d frames missing in the file, the ones before them are held", path, n_held
            )


def _from(
    path: Path, container: InputContainer, stream: VideoStream, first: int
) -> Iterator[tuple[int, av.VideoFrame]]:
    """Decode frames from at or before the frame ``first``, which is counted as 0, in order."""
    target = Fraction(first) / _frame_rate(path, stream) - _SEEK_MARGIN_S
    if target > 0:
        container.seek(_stamp(stream, target), stream=stream)
    frames = _indexed(path, container, stream)
    newest = next(frames, None)
    if newest is not None and target > 0 and newest[0] > first:  # the file has no usable index
        container.seek(_stamp(stream, Fraction(0)), stream=stream)
        frames = _indexed(path, container, stream)
        newest = next(frames, None)
    while newest is not None:
        yield newest[0] - first, newest[1]
        newest = next(frames, None)


def _indexed(
    path: Path, container: InputContainer, stream: VideoStream
) -> Iterator[tuple[int, av.VideoFrame]]:
    index = -1
    rate = _frame_rate(path, stream)
    try:
        for frame in container.decode(stream):
            if frame.pts is None:
                raise InputError(
                    f"{path}: its frames have no time stamps; rewrite it, "
                    f"e.g. ffmpeg -i {path.name} {path.stem}.mp4"
                )
            index = _index_of(frame.pts, stream, rate)
            yield index, frame
    except av.FFmpegError as error:
        raise InputError(
            f"{path} cannot be decoded after frame {index}: {error.strerror}"
        ) from error


@lru_cache(maxsize=64)
def _facts(path: Path, _changed: int, _size: int) -> FilmFacts:
    with _video(path) as (container, stream):
        rate = _frame_rate(path, stream)
        try:
            stamps = [
                p.pts for p in container.demux(stream) if p.pts is not None and not p.is_discard
            ]
            container.seek(_stamp(stream, Fraction(0)), stream=stream)
        except av.FFmpegError as error:
            raise InputError(f"the film {path} cannot be read: {error.strerror}") from error
        frame = next(_indexed(path, container, stream), None)
        if frame is None or not stamps:
            raise InputError(f"the film {path} holds no frame that can be decoded")
        n_frames = _index_of(max(stamps), stream, rate) + 1
        return FilmFacts(n_frames, float(rate), frame[1].width, frame[1].height)


@contextmanager
def _video(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    try:
        container = av.open(str(path))
    except (av.FFmpegError, OSError) as error:
        raise InputError(f"{path} is not a film that can be decoded: {error.strerror}") from error
    with container:
        if not container.streams.video:
            raise InputError(f"{path} holds no video stream")
        yield container, container.streams.video[0]


def _frame_rate(path: Path, stream: VideoStream) -> Fraction:
    rate = stream.guessed_rate or stream.average_rate
    if not rate:
        raise InputError(f"{path} states no frame rate; rewrite it with a constant one")
    return rate


def _index_of(pts: int, stream: VideoStream, rate: Fraction) -> int:
    return round((pts - (stream.start_time or 0)) * _time_base(stream) * rate)


def _stamp(stream: VideoStream, seconds: Fraction) -> int:
    return (stream.start_time or 0) + int(seconds / _time_base(stream))


def _time_base(stream: VideoStream) -> Fraction:
    return stream.time_base or Fraction(1, av.time_base)
