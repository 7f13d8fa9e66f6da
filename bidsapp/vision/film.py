"""Film files by PyAV: what one holds, counted from its packets and not from its header."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from bidsapp.arrays import Floats
from bidsapp.errors import InputError

# Containers round time stamps, at worst to a millisecond. Beyond this part of a frame's length a
# frame does not belong to its place at a constant rate.
_OFF_GRID = 0.35


@dataclass(frozen=True)
class FilmFacts:
    """What a film file holds.

    Attributes
    ----------
    n_frames
        Frames from its first to its last, those missing between them included.
    n_missing
        Frames that the file skips; a player shows the one before them for longer.
    frame_rate
        Frames a second.
    width, height
        Of a frame, in pixels.
    pixel_aspect
        Width of a pixel over its height; 1 for square ones.
    digest
        Of the encoded frames and their times: it does not change with the file's name.
    """

    n_frames: int
    n_missing: int
    frame_rate: Fraction
    width: int
    height: int
    pixel_aspect: float
    digest: str


def film_facts(path: Path) -> FilmFacts:
    """Read all packets of a film, once per file and process, and decode its first frame.

    Headers are not believed: a file that was cut off while being copied keeps its header.

    Raises
    ------
    InputError
        The file is absent, holds no film, its first frame cannot be decoded, or its frames are not
        evenly spaced in time.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise InputError(f"cannot read the film {path}: {error.strerror}") from error
    return _facts(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=64)
def _facts(path: Path, _changed: int, _size: int) -> FilmFacts:
    with open_film(path) as (container, stream):
        stamps, digest = _read_packets(path, container, stream)
        seconds = (np.array(stamps) - (stream.start_time or 0)) * float(time_base(stream))
        rate = _constant_rate(path, stream, seconds)
        first = next(decoded(path, container, stream), None)
        if first is None:
            raise InputError(f"the film {path} holds no frame that can be decoded")
        frame = first[1]
        n_frames = round(seconds[-1] * rate) + 1
        aspect = stream.sample_aspect_ratio
        return FilmFacts(
            n_frames=n_frames,
            n_missing=n_frames - len(stamps),
            frame_rate=rate,
            width=frame.width,
            height=frame.height,
            pixel_aspect=float(aspect) if aspect else 1.0,
            digest=digest,
        )


def _read_packets(
    path: Path, container: InputContainer, stream: VideoStream
) -> tuple[list[int], str]:
    """Return the time stamps of all frames, ascending, and a digest; then rewind."""
    stamps, content = [], hashlib.blake2b(digest_size=16)
    try:
        for packet in container.demux(stream):
            if packet.pts is not None and not packet.is_discard:
                stamps.append(packet.pts)
                content.update(packet)
        rewind(container, stream)
    except av.FFmpegError as error:
        raise InputError(f"the film {path} cannot be read: {error.strerror}") from error
    if not stamps:
        raise InputError(f"the film {path} holds no frame that can be decoded")
    content.update(np.array(stamps, "<i8").tobytes())
    return sorted(stamps), content.hexdigest()


def _constant_rate(path: Path, stream: VideoStream, seconds: Floats) -> Fraction:
    """Return the rate at which frames (n,) at these seconds follow each other."""
    rate = stream.guessed_rate or stream.average_rate
    if not rate:
        raise InputError(f"{path} states no frame rate; {_rewrite(path)}")
    if len(seconds) > 1:
        # A container may count fields, or ticks, where every second or third is a frame.
        rate /= max(1, round(float(np.median(np.diff(seconds))) * rate))
    places = seconds * float(rate)
    off = np.abs(places - places.round())
    twice = len(places) - len(np.unique(places.round()))
    if off.max() > _OFF_GRID or twice:
        steps = np.diff(seconds) * 1000
        raise InputError(
            f"{path} has a variable frame rate: its frames are {steps.min():.0f} to "
            f"{steps.max():.0f} ms apart, and {max(int((off > _OFF_GRID).sum()), twice)} of "
            f"{len(places)} lie between the places of {float(rate):g} frames a second; "
            f"{_rewrite(path)}"
        )
    return rate


def _rewrite(path: Path) -> str:
    return f"rewrite it at the rate that was shown, e.g. ffmpeg -i {path.name} -vf fps=25 new.mkv"


@contextmanager
def open_film(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a film and its first video stream.

    Raises
    ------
    InputError
        The file is no film, or holds no video.
    """
    try:
        container = av.open(str(path))
    except (av.FFmpegError, OSError) as error:
        raise InputError(f"{path} is not a film that can be decoded: {error.strerror}") from error
    with container:
        if not container.streams.video:
            raise InputError(f"{path} holds no video stream")
        yield container, container.streams.video[0]


def decoded(
    path: Path,
    container: InputContainer,
    stream: VideoStream,
    lost: Callable[[Fraction], None] = lambda _: None,
) -> Iterator[tuple[Fraction, av.VideoFrame]]:
    """Decode on from where the container is: frames, and their seconds since the film's start.

    A frame that the decoder cannot give, or gives with a part made up, is left out.

    Parameters
    ----------
    path, container, stream
        The film.
    lost
        Told the seconds of each frame that is left out.

    Raises
    ------
    InputError
        The file is broken, or its frames have no time stamps.
    """
    seconds = Fraction(0)
    awaited: set[int] = set()
    try:
        for packet in container.demux(stream):
            if packet.pts is not None and not packet.is_discard:
                awaited.add(packet.pts)
            for frame in _frames(packet):
                if frame.pts is None:
                    raise InputError(
                        f"{path}: its frames have no time stamps; rewrite it, "
                        f"e.g. ffmpeg -i {path.name} {path.stem}.mp4"
                    )
                if not frame.is_corrupt:
                    awaited.discard(frame.pts)
                for pts in sorted(pts for pts in awaited if pts <= frame.pts):
                    awaited.discard(pts)
                    lost(_seconds(stream, pts))
                seconds = _seconds(stream, frame.pts)
                if not frame.is_corrupt:
                    yield seconds, frame
    except av.FFmpegError as error:
        raise InputError(
            f"{path} cannot be decoded after {float(seconds):.2f} s: {error.strerror}"
        ) from error
    for pts in sorted(awaited):
        lost(_seconds(stream, pts))


def _frames(packet: "av.Packet[VideoStream]") -> list[av.VideoFrame]:
    """Decode a packet; what the decoder refuses gives no frame."""
    try:
        return packet.decode()
    except av.FFmpegError:
        return []


def _seconds(stream: VideoStream, pts: int) -> Fraction:
    return (pts - (stream.start_time or 0)) * time_base(stream)


def rewind(container: InputContainer, stream: VideoStream, to_s: Fraction = Fraction(0)) -> None:
    """Go to the last key frame at or before ``to_s`` seconds into the film."""
    container.seek((stream.start_time or 0) + int(to_s / time_base(stream)), stream=stream)


def time_base(stream: VideoStream) -> Fraction:
    """Return the unit of a stream's time stamps, in seconds."""
    return stream.time_base or Fraction(1, av.time_base)
