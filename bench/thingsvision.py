"""Extraction against thingsvision: one clip, one model, the same layers; time and peak memory.

thingsvision keeps every response to every frame; ours goes on to RDMs at volumes. It does not
install beside our versions of NumPy and PyTorch, so it lives in an environment of its own, whose
interpreter ``MOVIERSA_THINGSVISION`` names::

    uv venv DIR --python 3.11 && VIRTUAL_ENV=DIR uv pip install thingsvision av
"""

import os
import sys
import tempfile
from pathlib import Path

from bench.extraction import write_film
from bench.processes import measured
from bidsapp.vision.catalogue import find_model

MODEL, SECONDS, BATCH = "resnet18-untrained", 24, 32
_INTERPRETER = "MOVIERSA_THINGSVISION"
_OURS = "from bidsapp.cli.models import main; main()"


def run() -> dict[str, float]:
    """Measure both as commands of their own, imports included, on one core.

    Returns
    -------
    dict
        ``thingsvision_wall_ratio``, ``thingsvision_cpu_ratio`` and ``thingsvision_memory_ratio``:
        theirs over ours, of the same run; and the figures in s and GB that they are made of.
        Empty, with a word on standard error, where thingsvision is not there.
    """
    other = os.environ.get(_INTERPRETER)
    if other is None:
        sys.stderr.write(f"{_INTERPRETER} names no interpreter: thingsvision is left out\n")
        return {}
    layers = find_model(MODEL).layers
    with tempfile.TemporaryDirectory() as folder:
        film = write_film(Path(folder) / "film.mp4", SECONDS, (320, 240))
        side = str(Path(__file__).with_name("thingsvision_side.py"))
        words = ["extract", MODEL, "--film", str(film), "--tr", "2", "--out", folder, "-w", folder]
        words += ["--batch", str(BATCH), "--nprocs", "1", "--device", "cpu"]
        ours = measured([sys.executable, "-c", _OURS, *words])
        theirs = measured([other, side, str(film), str(BATCH), *layers])
    return {
        "thingsvision_wall_ratio": theirs.wall_s / ours.wall_s,
        "thingsvision_cpu_ratio": theirs.processor_s / ours.processor_s,
        "thingsvision_memory_ratio": theirs.peak_gb / ours.peak_gb,
        "thingsvision_cpu_s": theirs.processor_s,
        "thingsvision_gb": theirs.peak_gb,
        "moviersa_cpu_s": ours.processor_s,
        "moviersa_gb": ours.peak_gb,
    }


if __name__ == "__main__":
    for key, value in run().items():
        print(key, f"{value:.3g}")
