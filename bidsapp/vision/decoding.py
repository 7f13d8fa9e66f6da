"""Exact frames of a stretch of film, in order, never all at once."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from bidsapp.errors import InputError
from bidsapp.vision.film import decoded, open_film, rewind
from bidsapp.vision.stretches import Stretch

# A seek may land after its target by the delay of reordered frames; this is more than any such
# delay.
_SEEK_MARGIN_S = 1


@dataclass
class Damage:
    """Frames of a stretch that its file holds broken, counted while it is decoded.

    Attributes
    ----------
    most
        Share of the stretch's frames that may be broken.
    n_frames
        How many are, so far.
    """

    most: float = 0.0
    n_frames: int = 0

    def count(self, stretch: Stretch) -> None:
        """Count one more.

        Raises
        ------
        InputError
            They are too many.
        """
        self.n_frames += 1
        if self.n_frames > self.most * stretch.n_frames:
            raise InputError(
                f"{stretch.path} is damaged: more than {self.most:.3g} of the {stretch.n_frames} "
                "frames that the run showed cannot be decoded; take a whole copy of the film, or "
                "allow more (extraction.max_damaged)"
            )


def decode(
    stretch: Stretch, n_frames: int, threads: int = 1, damage: Damage | None = None
) -> Iterator[tuple[int, av.VideoFrame]]:
    """Decode up to ``n_frames`` frames of a stretch, in the order in which they were shown.

    Decoding begins at the key frame before the stretch. Where the file skips a frame, or holds it
    broken, the one before it is held, as a player does.

    Parameters
    ----------
    stretch
        Where they are.
    n_frames
        End after that many.
    threads
        For the decoder.
    damage
        Counts broken frames; None: none are allowed.

    Yields
    ------
    tuple of int and VideoFrame
        Number of the shown frame, from 0, and the frame. They end early where the film ends.

    Raises
    ------
    InputError
        The film cannot be decoded; the message says after how many seconds. Or too many frames are
        broken.
    """
    n_frames = min(n_frames, stretch.n_frames)
    damage = Damage() if damage is None else damage
    with open_film(stretch.path) as (container, stream):
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = threads
        due, newest = 0, None
        for index, frame in _from(stretch, container, stream, damage):
            while due < n_frames and (wanted := stretch.file_frame(due)) <= index:
                yield due, frame if newest is None or wanted == index else newest
                due += 1
            if due >= n_frames:
                return
            newest = frame
        if newest is not None and damage.n_frames:  # the last frames are broken
            for index in range(due, n_frames):
                yield index, newest


def _from(
    stretch: Stretch, container: InputContainer, stream: VideoStream, damage: Damage
) -> Iterator[tuple[int, av.VideoFrame]]:
    """Decode the file's frames, with their numbers, from at or before the stretch's first."""
    target = Fraction(stretch.first) / stretch.file_rate - _SEEK_MARGIN_S
    if target > 0:
        rewind(container, stream, target)
        # Frames before a key frame are no broken ones, so nothing is counted while it is sought.
        landed = next(_numbered(stretch, container, stream, Damage(1.0)), None)
        usable = landed is not None and landed[0] <= stretch.first  # else there is no usable index
        rewind(container, stream, target if usable else Fraction(0))
    yield from _numbered(stretch, container, stream, damage)


def _numbered(
    stretch: Stretch, container: InputContainer, stream: VideoStream, damage: Damage
) -> Iterator[tuple[int, av.VideoFrame]]:
    shown = range(stretch.first, stretch.file_frame(stretch.n_frames - 1) + 1)

    def lost(seconds: Fraction) -> None:
        if round(seconds * stretch.file_rate) in shown:
            damage.count(stretch)

    for seconds, frame in decoded(stretch.path, container, stream, lost):
        yield round(seconds * stretch.file_rate), frame
