"""Check the printed fMRIPrep command by fMRIPrep's own parser: ``fmriprep_parser.py SCRATCH``.

fmriprep-docker hands on what it does not know, so its parser alone proves little; and what fMRIPrep
depends on does not go with what moviersa does, so it gets an environment of its own in SCRATCH
(about 1.5 GB).
"""

import json
import shlex
import subprocess
import sys
from pathlib import Path

VERSION = "25.2.7"
READ = """
import json, sys
from fmriprep.cli.parser import _build_parser
given = _build_parser().parse_args(sys.argv[1:])
print(json.dumps({
    "participants": given.participant_label,
    "spaces": [s.space for s in given.output_spaces.references],
    "filters": given.bids_filters, "nprocs": given.nprocs, "memory_gb": given.memory_gb,
    "reconall": given.run_reconall,
}))
"""


def environment(scratch: Path) -> Path:
    """Return a Python that has fMRIPrep."""
    folder = scratch / f"fmriprep-{VERSION}"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", f"fmriprep=={VERSION}"], check=True)
        (folder / "complete").touch()
    return python


def main(scratch: Path) -> None:
    """Print the command for a made-up dataset, and compare what fMRIPrep reads of it."""
    python = environment(scratch)
    bids = scratch / "bids dir"
    (bids / "sub-01").mkdir(parents=True, exist_ok=True)
    words = [
        "--participant-label",
        "01",
        "--nprocs",
        "8",
        "--mem-gb",
        "30",
        "--",
        "--fs-no-reconall",
    ]
    program = Path(sys.executable).with_name("moviersa-fmriprep")
    ran = subprocess.run(
        [program, bids, scratch / "out", *words], check=True, capture_output=True, text=True
    )
    command = shlex.split(ran.stdout)
    ran = subprocess.run(
        [python, "-c", READ, *command[1:]], check=True, stdout=subprocess.PIPE, text=True
    )
    read = json.loads(ran.stdout.splitlines()[-1])
    meant = {
        "participants": ["01"],
        "spaces": ["T1w", "MNI152NLin6Asym", "MNI152NLin2009cAsym"],
        "filters": json.loads(Path(command[command.index("--bids-filter-file") + 1]).read_text()),
        "nprocs": 8,
        "memory_gb": 30,
        "reconall": False,
    }
    print(ran.stdout.splitlines()[-1])
    if read != meant:
        sys.exit(f"fMRIPrep {VERSION} reads something else than was meant: {meant}")
    print(f"fMRIPrep {VERSION} reads the command as it was meant")


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
