"""Running the official BIDS validator on the raw data, and what of its errors stops a run."""

import json
import logging
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from textwrap import shorten
from typing import Any

from bidsapp.dataset.filenames import parse_name
from bidsapp.dataset.fmriprep import ParticipantInputs
from bidsapp.errors import InputError
from bidsapp.settings import Settings

LOGGER = logging.getLogger(__name__)

_SUFFIXES_READ = frozenset({"bold", "events"})
_SHOWN_ERRORS, _SHOWN_CODES, _SHOWN_WIDTH = 3, 5, 100

_Issue = dict[str, Any]


def validate_bids(settings: Settings, people: Sequence[ParticipantInputs]) -> None:
    """Validate BIDS_DIR unless ``--skip-bids-validation`` was given.

    Of public datasets few are without an error, most of them in files that are not used here. So
    only errors in BOLD images and events, and in their sidecars, of the tasks and participants that
    are analysed stop the run; of the rest one warning tells.

    Parameters
    ----------
    settings
        Names the dataset.
    people
        Whom the run uses.

    Raises
    ------
    InputError
        The validator is absent, or finds errors in files that the run uses; the first few are
        named.
    """
    if settings.skip_bids_validation:
        return
    command = [str(Path(sys.executable).with_name("bids-validator-deno")), str(settings.bids_dir)]
    command += ["--ignoreWarnings", "--ignoreNiftiHeaders"]
    used = {(run.participant, run.task) for p in people for run in (*p.movie, *p.localizer)}
    fatal: list[_Issue] = []
    other: list[_Issue] = []
    for error in _errors(command):
        (fatal if _is_used(str(error.get("location", "")), used) else other).append(error)
    if other:
        LOGGER.warning(
            "the BIDS validator finds %d errors in files of %s that this run does not use (%s); "
            "to see them: %s",
            *(len(other), settings.bids_dir, _counted(other), shlex.join(command)),
        )
    if fatal:
        more = len(fatal) - _SHOWN_ERRORS
        shown = "; ".join(map(_sentence, fatal[:_SHOWN_ERRORS]))
        raise InputError(
            f"the BIDS validator finds errors in files of {settings.bids_dir} that this run uses: "
            f"{shown}{f'; and {more} more' if more > 0 else ''}. Mend them, or skip this check "
            "with --skip-bids-validation"
        )
    if not other:
        LOGGER.info("%s is valid BIDS", settings.bids_dir)


def _is_used(location: str, used: set[tuple[str, str]]) -> bool:
    """Tell whether a file is, or is inherited by, BOLD or events of (participant, task)."""
    name = parse_name(Path(location))
    if name is None or name.suffix not in _SUFFIXES_READ:
        return False
    its = name.entities
    return any(its.get("sub", sub) == sub and its.get("task", task) == task for sub, task in used)


def _counted(errors: Sequence[_Issue]) -> str:
    counts = Counter(str(error["code"]) for error in errors).most_common()
    shown = [f"{code} {n}" for code, n in counts[:_SHOWN_CODES]]
    return ", ".join([*shown, *(["..."] if len(counts) > _SHOWN_CODES else [])])


def _sentence(error: _Issue) -> str:
    """Say one error in few words: a message may list all columns of a table."""
    what = " ".join(str(error.get(key) or "") for key in ("subCode", "issueMessage"))
    said = shorten(what.rstrip(" .\n"), _SHOWN_WIDTH, placeholder=" ...")
    return " ".join(filter(None, [error["code"], error.get("location"), said]))


def _errors(command: Sequence[str]) -> list[_Issue]:
    """Return what the validator calls errors."""
    try:
        ran = subprocess.run(  # noqa: S603  # our own environment's program, no shell
            [*command, "--format", "json"], capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise InputError(
            f"cannot run the BIDS validator {command[0]} ({error.strerror}): install it with "
            "'pip install bids-validator-deno', or skip it with --skip-bids-validation"
        ) from error
    try:
        issues: list[_Issue] = json.loads(ran.stdout)["issues"]["issues"]
    except (ValueError, KeyError) as error:
        raise InputError(
            f"the BIDS validator failed on {command[1]}: {ran.stderr.strip() or ran.stdout[:200]}; "
            "skip it with --skip-bids-validation"
        ) from error
    return [issue for issue in issues if issue.get("severity") == "error"]
