"""The fMRIPrep command whose output an analysis can use."""

from collections.abc import Sequence
from pathlib import Path

OUTPUT_SPACES = ("T1w", "MNI152NLin6Asym", "MNI152NLin2009cAsym")


def fmriprep_command(
    bids_dir: Path, output_dir: Path, participants: Sequence[str] = ()
) -> list[str]:
    """Return the words of the fmriprep-docker command; no participant means all.

    The atlas lives in the first template, and fMRIPrep writes transforms to every space asked for.
    """
    command = ["fmriprep-docker", str(bids_dir), str(output_dir), "participant"]
    if participants:
        command += ["--participant-label", *participants]
    return [*command, "--output-spaces", *OUTPUT_SPACES]
