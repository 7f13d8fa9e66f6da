"""Running the official BIDS validator on the raw data, as fMRIPrep does."""

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bidsapp.errors import InputError
from bidsapp.settings import Settings

LOGGER = logging.getLogger(__name__)


def validate_bids(settings: Settings) -> None:
    """Validate BIDS_DIR unless ``--skip-bids-validation`` was given.

    Raises
    ------
    InputError
        The validator is absent, or finds errors; the first few are named.
    """
    if settings.skip_bids_validation:
        return
    errors = list(_errors(settings.bids_dir))
    if errors:
        shown = "; ".join(errors[:3]) + (f"; and {len(errors) - 3} more" if len(errors) > 3 else "")
        raise InputError(
            f"{settings.bids_dir} is not valid BIDS: {shown}. Mend it, or skip this check with "
            "--skip-bids-validation"
        )
    LOGGER.info("%s is valid BIDS", settings.bids_dir)


def _errors(bids_dir: Path) -> Iterator[str]:
    """Sentences on what the validator calls an error."""
    command = Path(sys.executable).with_name("bids-validator-deno")
    try:
        ran = subprocess.run(  # noqa: S603  # our own environment's program, no shell
            [command, bids_dir, "--format", "json", "--ignoreWarnings", "--ignoreNiftiHeaders"],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        raise InputError(
            f"cannot run the BIDS validator {command} ({error.strerror}): install it with "
            "'pip install bids-validator-deno', or skip it with --skip-bids-validation"
        ) from error
    try:
        issues: list[dict[str, Any]] = json.loads(ran.stdout)["issues"]["issues"]
    except (ValueError, KeyError) as error:
        raise InputError(
            f"the BIDS validator failed on {bids_dir}: {ran.stderr.strip() or ran.stdout[:200]}; "
            "skip it with --skip-bids-validation"
        ) from error
    for issue in issues:
        if issue.get("severity") == "error":
            what = issue.get("issueMessage") or issue.get("subCode") or ""
            yield f"{issue['code']} {issue.get('location', '')} {what}".strip()
