"""Extraction against its bare parts, decoding and forward passes, and its memory by film length."""

import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from threading import Event, Thread

import av
import numpy as np
import torch

from bidsapp.vision.catalogue import find_model
from bidsapp.vision.clips import windows
from bidsapp.vision.features import clip_shape, extract
from bidsapp.vision.framing import Framing
from bidsapp.vision.networks.loading import load_network
from bidsapp.vision.networks.network import Network
from bidsapp.vision.runs import PlacedRun, nominal_frames
from bidsapp.vision.stretches import cut

RATE, TR, BATCH, SECONDS = 25, 2.0, 16, 8
ROUNDS = 3
FRAMING = Framing(crop=720)


def run() -> dict[str, float]:
    """Measure extraction of the full ResNet18 from a generated film of 720p.

    Returns
    -------
    dict
        ``extraction_frames_per_s`` of features; ``extraction_ratio``, its share of the frames per
        second of decoding and bare forward passes in the same run (median of alternating rounds; at
        least 0.9 is wanted); ``extraction_cpu_ratio``, the same in processor time, which other work
        on the machine disturbs less; ``extraction_memory_ratio``, peak anonymous memory for a film
        twice as long (about 1).
    """
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        film = _film_run(_write_film(scratch / "film.mp4", 2 * SECONDS), SECONDS)
        network = load_network(find_model("resnet18-untrained"), None)

        def whole(seconds: int = SECONDS) -> None:
            extract([network], _film_run(film.film, seconds), FRAMING, "cpu", scratch, 0, BATCH)

        whole(SECONDS // 4)  # libraries warm up
        rounds = [(_seconds(lambda: _bare(network, film)), _seconds(whole)) for _ in range(ROUNDS)]
        bare, ours = np.array(rounds).transpose(1, 0, 2)  # each (ROUNDS, wall and processor)
        short = peak_anonymous(whole)
        long = peak_anonymous(lambda: whole(2 * SECONDS))
    return {
        "extraction_frames_per_s": len(film.frame_index) / float(np.median(ours[:, 0])),
        "extraction_ratio": float(np.median(bare[:, 0] / ours[:, 0])),
        "extraction_cpu_ratio": float(np.median(bare[:, 1] / ours[:, 1])),
        "extraction_memory_ratio": long / short,
    }


def _bare(network: Network, film: PlacedRun) -> None:
    """Decode, cut and resize, and run the network with nobody listening."""
    with torch.inference_mode():
        for _, clips in windows(film, clip_shape(network.entry), FRAMING, BATCH):
            network.module(network.prepare(clips))


def _film_run(path: Path, seconds: int) -> PlacedRun:
    index, times = nominal_frames(seconds * RATE, RATE, 5)
    volumes = TR * np.arange(round(seconds / TR)) + TR / 2
    return PlacedRun("1", cut(path), index, times, volumes)


def _write_film(path: Path, seconds: int) -> Path:
    """Encode blurred noise that drifts and is drawn anew every two seconds."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        stream.options = {"preset": "veryfast"}
        for index in range(seconds * RATE):
            if index % (2 * RATE) == 0:
                coarse = rng.integers(0, 256, (24, 44, 3), dtype=np.uint8)
                picture = np.kron(coarse, np.ones((30, 30, 1), dtype=np.uint8))
            pixels = np.ascontiguousarray(np.roll(picture, 2 * index, axis=1)[:, :1280])
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def _seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor time that some work takes."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def peak_anonymous(work: Callable[[], object]) -> int:
    """Peak anonymous memory of this process, in bytes, while it works."""
    done, peak = Event(), 0

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.005):
            status = Path("/proc/self/status").read_text()
            line = next(line for line in status.splitlines() if line.startswith("RssAnon"))
            peak = max(peak, int(line.split()[1]) * 1024)

    watcher = Thread(target=watch)
    watcher.start()
    try:
        work()
    finally:
        done.set()
        watcher.join()
    return peak
