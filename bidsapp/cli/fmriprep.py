"""Start of ``moviersa-fmriprep``: the command that makes the derivatives of an analysis."""

import json
import math
import re
import shlex
import subprocess
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from bidsapp import __version__
from bidsapp.analysis.preparation import (
    Preparation,
    bids_filter,
    fmriprep_command,
    output_spaces,
)
from bidsapp.analysis.spec import default_analysis, read_analysis
from bidsapp.cli.ending import told_in_a_sentence
from bidsapp.cli.parser import Parser, parse_space
from bidsapp.errors import InputError, UsageError
from bidsapp.files import write_text

_FILTER = Path("code", "moviersa_bids-filter.json")


def main(argv: Sequence[str] | None = None) -> None:
    """Print, or start, the fmriprep-docker command whose output the participant level can use."""
    words = list(sys.argv[1:] if argv is None else argv)
    own = words[: words.index("--")] if "--" in words else words
    given = build_parser().parse_args(own)
    with told_in_a_sentence("moviersa-fmriprep"):
        status = _run(given, words[len(own) + 1 :])
    sys.exit(status)


def build_parser() -> Parser:
    """Build the parser of what stands before ``--``."""
    parser = Parser(
        prog="moviersa-fmriprep",
        description="Print the fmriprep-docker command that makes what moviersa needs, and write "
        "the BIDS filter file that it names. What follows '--' is handed on to fMRIPrep.",
        allow_abbrev=False,
    )
    parser.add_argument("bids_dir", type=_path, help="the raw BIDS dataset")
    parser.add_argument("output_dir", type=_path, help="where fMRIPrep's results go")
    add = parser.add_argument
    add(
        "--participant-label", "--participant_label", nargs="+", default=[], metavar="LABEL",
        help="these participants, with or without sub- (default: all)",
    )  # fmt: skip
    add(
        "--analysis",
        type=Path,
        default=default_analysis(),
        help="analysis file (default: the paper's)",
    )
    add(
        "--output-space",
        "--output_space",
        default="T1w",
        metavar="SPACE[:res-N]",
        help="space of the BOLD, as moviersa is to be given it (default: T1w)",
    )
    add("--nprocs", type=int, help="cores (default: fMRIPrep's, all)")
    add("--mem-gb", "--mem_gb", type=float, help="memory in GB (default: fMRIPrep's, all)")
    add("--work-dir", "--work_dir", "-w", type=_path, help="fMRIPrep's scratch")
    add(
        "--fs-license-file",
        "--fs_license_file",
        type=_path,
        help="FreeSurfer's (default: $FS_LICENSE)",
    )
    add("--run", action="store_true", help="start the command instead of printing it")
    add("--version", action="version", version=f"moviersa-fmriprep {__version__}")
    return parser


def _run(given: Namespace, further: Sequence[str]) -> int:
    participants = [label.removeprefix("sub-") for label in given.participant_label]
    _check(given, participants)
    analysis = read_analysis(given.analysis)
    preparation = Preparation(
        bids_dir=given.bids_dir,
        output_dir=given.output_dir,
        filter_file=given.output_dir / _FILTER,
        spaces=output_spaces(analysis, *parse_space(given.output_space)),
        participants=participants,
        nprocs=given.nprocs,
        mem_gb=given.mem_gb,
        work_dir=given.work_dir,
        licence=given.fs_license_file,
        further=further,
    )
    content = json.dumps(bids_filter(analysis), indent=2) + "\n"
    try:
        write_text(preparation.filter_file, content)
    except OSError as error:
        raise UsageError(f"cannot write {preparation.filter_file}: {error.strerror}") from error
    command = fmriprep_command(preparation)
    if not given.run:
        sys.stdout.write(shlex.join(command) + "\n")
        return 0
    try:
        return subprocess.run(command, check=False).returncode  # noqa: S603  # no shell
    except FileNotFoundError as error:
        raise InputError(
            "fmriprep-docker is not installed: 'pip install fmriprep-docker' (it needs Docker), or "
            "leave out --run and give the command's options to an fMRIPrep of your own"
        ) from error


def _check(given: Namespace, participants: Sequence[str]) -> None:
    """Refuse what fMRIPrep would refuse later, and to write into the input."""
    from bidsapp.dataset.description import check_output  # imported late: it brings pandas

    if not given.bids_dir.is_dir():
        what = "is no folder" if given.bids_dir.exists() else "does not exist"
        raise InputError(f"BIDS_DIR {given.bids_dir} {what}")
    for label in participants:
        if not re.fullmatch("[0-9a-zA-Z]+", label):
            raise UsageError(f"--participant-label {label}: a label is letters and digits")
        if not (given.bids_dir / f"sub-{label}").is_dir():
            raise UsageError(f"there is no participant sub-{label} in {given.bids_dir}")
    for option, value in (("--nprocs", given.nprocs), ("--mem-gb", given.mem_gb)):
        if value is not None and not 0 < value < math.inf:
            raise UsageError(f"{option} {value:g}: give a number above 0")
    if given.fs_license_file is not None and not given.fs_license_file.is_file():
        raise InputError(f"there is no file {given.fs_license_file}: check --fs-license-file")
    check_output(given.output_dir, given.bids_dir)


def _path(text: str) -> Path:
    return Path(text).expanduser().absolute()
