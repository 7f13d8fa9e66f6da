"""How far an extraction is: a bar on a terminal, lines in a log."""

import logging
import sys
import time
from types import TracebackType
from typing import Self

from tqdm import tqdm

logger = logging.getLogger(__name__)
_APART_S = 30.0


class Progress:
    """Counts frames and tells frames per second and the time left.

    On a terminal that is a bar on standard error; elsewhere a line in the log at most every 30 s,
    and one at the end.

    Parameters
    ----------
    what
        Of what, such as "run 1: pixels".
    n_frames
        Frames in all.
    """

    def __init__(self, what: str, n_frames: int) -> None:
        self._what, self._n_frames = what, n_frames
        self._bar = tqdm(
            desc=what,
            total=n_frames,
            unit=" frames",
            file=sys.stderr,
            disable=not sys.stderr.isatty(),
        )
        self._done, self._started = 0, time.monotonic()
        self._told = self._started

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()

    def __call__(self, frames: int) -> None:
        """Count ``frames`` more."""
        self._done += frames
        self._bar.update(frames)
        now = time.monotonic()
        if self._bar.disable and (self._done >= self._n_frames or now - self._told >= _APART_S):
            self._told = now
            logger.info("%s", self._line(now - self._started))

    def _line(self, seconds: float) -> str:
        rate = self._done / max(seconds, 1e-9)
        left = tqdm.format_interval((self._n_frames - self._done) / rate)
        return (
            f"{self._what}: {self._done} of {self._n_frames} frames, {rate:.3g} frames/s, "
            f"{left} left"
        )
