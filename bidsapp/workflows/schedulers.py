"""The programs by which nipype's plugins submit jobs and ask for them, and those that cancel."""

import logging
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from bidsapp.errors import UsageError

LOGGER = logging.getLogger(__name__)
_PATIENCE_S = 60.0


@dataclass(frozen=True)
class Programs:
    """What a scheduler's programs are called."""

    submit: str
    ask: str
    cancel: str


PROGRAMS = {
    "SLURM": Programs("sbatch", "squeue", "scancel"),
    "PBS": Programs("qsub", "qstat", "qdel"),
    "SGE": Programs("qsub", "qstat", "qdel"),
    "LSF": Programs("bsub", "bjobs", "bkill"),
    "OAR": Programs("oarsub", "oarstat", "oardel"),
    "Condor": Programs("condor_qsub", "condor_q", "condor_rm"),
}


def check_programs(plugin: str) -> None:
    """Make sure that this machine can submit jobs and ask for them, if ``plugin`` is to do that.

    Raises
    ------
    UsageError
        A program is not here.
    """
    if plugin not in PROGRAMS:
        return
    needed = (PROGRAMS[plugin].submit, PROGRAMS[plugin].ask)
    absent = [name for name in needed if shutil.which(name) is None]
    if absent:
        raise UsageError(
            f"the plugin {plugin} calls {' and '.join(absent)}, which this machine does not have: "
            "start moviersa where jobs are submitted, outside containers"
        )


def cancel(programs: Programs, jobs: Sequence[str]) -> None:
    """Take jobs out of the queue, and say so; or say which ones go on."""
    if not jobs:
        return
    words = [programs.cancel, *jobs]
    try:
        ended = subprocess.run(  # noqa: S603
            words, capture_output=True, text=True, check=False, timeout=_PATIENCE_S
        )
        trouble = ended.stderr.strip() if ended.returncode else None
    except (OSError, subprocess.TimeoutExpired) as error:
        trouble = str(error)
    if trouble is None:
        LOGGER.warning("jobs that had not ended were cancelled: %s", " ".join(jobs))
    else:
        LOGGER.error(
            "jobs go on; end them with '%s' before the same command is run again (%s)",
            " ".join(words),
            trouble or f"{programs.cancel} failed",
        )
