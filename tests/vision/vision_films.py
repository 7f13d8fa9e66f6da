"""Short films for the tests, encoded as they are needed."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def write_film(
    path: Path,
    frames: np.ndarray,
    rate: Fraction | int = 25,
    codec: str = "ffv1",
    stamps: Sequence[int] | None = None,
    key_frames_apart: int = 30,
) -> Path:
    """Encode uint8 frames (n, height, width, 3): without loss by default, else with B-frames."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "bgr0" if codec == "ffv1" else "yuv420p"
        stream.bit_rate = 20_000_000
        if codec == "libx264":
            stream.options = {"bf": "3", "crf": "5", "sc_threshold": "0"}
            stream.options |= {"g": str(key_frames_apart)}
        for index, pixels in zip(stamps or range(len(frames)), frames, strict=True):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = index, 1 / Fraction(rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def numbered(n_frames: int, height: int = 32, width: int = 48) -> np.ndarray:
    """Frames whose grey level tells their number, modulo 50."""
    grey = (20 + np.arange(n_frames) % 50 * 4).astype(np.uint8)
    return np.broadcast_to(grey[:, None, None, None], (n_frames, height, width, 3)).copy()


def number_of(pixels: np.ndarray) -> int:
    """Read the number that `numbered` wrote into a frame."""
    return round((float(pixels.mean()) - 20) / 4)


def noise(n_frames: int, height: int = 48, width: int = 64, seed: int = 0) -> np.ndarray:
    """Frames of coloured noise."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n_frames, height, width, 3), dtype=np.uint8)
