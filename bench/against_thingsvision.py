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

MODEL, SECONDS, BATCH = "resnet18-untrained", 12, 16
_INTERPRETER = "MOVIERSA_THINGSVISION"
_OURS = "from bidsapp.cli.models import main; main()"
_IMPORTS = ("import bidsapp.workflows.extraction", "import thingsvision")


def run() -> dict[str, float]:
    """Measure both as commands of their own, on one core; imports alone are measured and taken off.

    Returns
    -------
    dict
        ``thingsvision_cpu_ratio`` and ``thingsvision_memory_ratio``: theirs over ours, of the same
        run, in processor time after imports and in peak memory; and the figures in s and GB that
        they are made of. Empty, with a word on standard error, where thingsvision is not there.
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
        imports = [
            measured([python, "-c", code]).processor_s
            for python, code in zip((sys.executable, other), _IMPORTS, strict=True)
        ]
    our_s, their_s = ours.processor_s - imports[0], theirs.processor_s - imports[1]
    return {
        "thingsvision_cpu_ratio": their_s / our_s,
        "thingsvision_memory_ratio": theirs.peak_gb / ours.peak_gb,
        "thingsvision_cpu_s": their_s,
        "thingsvision_gb": theirs.peak_gb,
        "moviersa_cpu_s": our_s,
        "moviersa_gb": ours.peak_gb,
    }


if __name__ == "__main__":
    for key, value in run().items():
        print(key, f"{value:.3g}")
