"""Check printed fMRIPrep commands by fMRIPrep's own parser: ``fmriprep_parser.py SCRATCH``.

fmriprep-docker hands on what it does not know, so its parser alone proves little; and what fMRIPrep
depends on does not go with what moviersa does, so it gets an environment of its own in SCRATCH
(about 1.5 GB).
"""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import yaml

from bidsapp.analysis.spec import default_analysis

VERSION = "25.2.7"
NATIVE = {"res": "native"}  # a template without a resolution: the BOLD's own
READ = """
import json, sys
from fmriprep.cli.parser import _build_parser
given = _build_parser().parse_args(sys.argv[1:])
print(json.dumps({
    "participants": given.participant_label,
    "spaces": [[s.space, s.spec] for s in given.output_spaces.references],
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


def printed(bids: Path, out: Path, *words: str) -> list[str]:
    """Return the words of the command that moviersa prints."""
    program = Path(sys.executable).with_name("moviersa-fmriprep")
    ran = subprocess.run([program, bids, out, *words], check=True, capture_output=True, text=True)
    return shlex.split(ran.stdout)


def check(python: Path, command: list[str], meant: dict[str, object]) -> None:
    """Compare what fMRIPrep reads of a command with what is meant."""
    ran = subprocess.run(
        [python, "-c", READ, *command[1:]], check=True, stdout=subprocess.PIPE, text=True
    )
    line = ran.stdout.splitlines()[-1]
    print(line)
    read = json.loads(line)
    filters = Path(command[command.index("--bids-filter-file") + 1])
    meant |= {"filters": json.loads(filters.read_text())}
    wrong = {key: read[key] for key, value in meant.items() if read[key] != value}
    if wrong:
        sys.exit(f"fMRIPrep {VERSION} reads {wrong}, and meant was {meant}")


def main(scratch: Path) -> None:
    """Print commands for a made-up dataset, and compare what fMRIPrep reads of them."""
    python = environment(scratch)
    bids, out = scratch / "bids dir", scratch / "out"
    (bids / "sub-01").mkdir(parents=True, exist_ok=True)
    resources = ("--participant-label", "01", "--nprocs", "8", "--mem-gb", "30")
    check(
        python,
        printed(bids, out, *resources, "--", "--fs-no-reconall"),
        {
            "participants": ["01"],
            "spaces": [["T1w", {}], ["MNI152NLin6Asym", NATIVE], ["MNI152NLin2009cAsym", NATIVE]],
            "nprocs": 8,
            "memory_gb": 30,
            "reconall": False,
        },
    )
    analysis = yaml.safe_load(default_analysis().read_text(encoding="utf-8"))
    analysis["functional"]["template"] = "MNIPediatricAsym+2"
    file = scratch / "analysis.yaml"
    file.write_text(yaml.safe_dump(analysis), encoding="utf-8")
    check(
        python,
        printed(bids, out, "--analysis", str(file), "--output-space", "MNI152NLin2009cAsym:res-2"),
        {
            "spaces": [
                ["MNI152NLin2009cAsym", {"res": "2"}],
                ["MNIPediatricAsym", NATIVE | {"cohort": "2"}],
                ["MNI152NLin6Asym", NATIVE],
            ],
        },
    )
    print(f"fMRIPrep {VERSION} reads the commands as they were meant")


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
