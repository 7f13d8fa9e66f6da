"""Start of ``moviersa-fmriprep``: the command that makes the derivatives of an analysis."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from bidsapp import __version__
from bidsapp.analysis.preparation import fmriprep_command
from bidsapp.cli.parser import Parser


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
    command = fmriprep_command(given.bids_dir, given.output_dir, labels)
    sys.stdout.write(shlex.join(command) + "\n")
