"""Start of ``moviersa-demo``: write the small dataset with known truth."""

import sys
from collections.abc import Sequence
from pathlib import Path

from bidsapp import __version__
from bidsapp.cli.ending import told_in_a_sentence
from bidsapp.cli.home import give_a_home
from bidsapp.cli.parser import Parser
from bidsapp.errors import UsageError


def main(argv: Sequence[str] | None = None) -> None:
    """Write the demo dataset into an empty or new folder and say how to analyse it."""
    given = build_parser().parse_args(argv)
    with told_in_a_sentence("moviersa-demo", resumes=False):
        _write(given.directory.absolute(), given.random_seed)


def build_parser() -> Parser:
    """Build the parser."""
    parser = Parser(prog="moviersa-demo", description="Write a small dataset with known truth.")
    parser.add_argument("directory", type=Path, help="an empty or new folder")
    parser.add_argument(
        "--random-seed", "--random_seed", type=int, default=0, help="of the noise (default: 0)"
    )
    parser.add_argument("--version", action="version", version=f"moviersa-demo {__version__}")
    return parser


def _write(directory: Path, seed: int) -> None:
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise UsageError(f"{directory} is not an empty folder; name a new one")
    give_a_home(directory / ".cache")
    # Imported late: torch takes seconds, and a wrong word should not have to wait for it.
    from bidsapp.demo.write import write_demo

    write_demo(directory, seed)
    sys.stdout.write(
        f"The demo dataset is in {directory}; truth.json says what is in it. Analyse it with\n"
        f"  moviersa {directory}/bids {directory}/out participant -d fmriprep={directory}/fmriprep "
        f"--stimuli {directory}/stimuli --atlas {directory}/atlas "
        f"--analysis {directory}/analysis.yaml -w {directory}/work\n"
        "and then the same with 'group'.\n"
    )
