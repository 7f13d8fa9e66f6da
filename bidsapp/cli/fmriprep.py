"""Start of ``moviersa-fmriprep``: the command that makes the derivatives of an analysis."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from bidsapp import __version__
from bidsapp.cli.parser import Parser

OUTPUT_SPACES = ("T1w", "MNI152NLin6Asym", "MNI152NLin2009cAsym")


def main(argv: Sequence[str] | None = None) -> None:
    """Print the fmriprep-docker command whose output the participant level can use."""
    parser = Parser(
        prog="moviersa-fmriprep",
        description="Print the fmriprep-docker command that makes what moviersa needs.",
    )
    parser.add_argument("bids_dir", type=Path)
    parser.add_argument("output_dir", type=Path, help="where fMRIPrep's results go")
    parser.add_argument("--participant-label", "--participant_label", nargs="+", default=[])
    parser.add_argument("--version", action="version", version=f"moviersa-fmriprep {__version__}")
    given = parser.parse_args(argv)
    labels = [label.removeprefix("sub-") for label in given.participant_label]
    command = ["fmriprep-docker", str(given.bids_dir), str(given.output_dir), "participant"]
    command += ["--participant-label", *labels] if labels else []
    command += ["--output-spaces", *OUTPUT_SPACES]
    sys.stdout.write(shlex.join(command) + "\n")
