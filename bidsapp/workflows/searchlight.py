"""Whether the memory allowed is enough for a searchlight, known before anything is computed."""

from collections.abc import Iterable

import numpy as np

from bidsapp.analysis.spec import Analysis
from bidsapp.dataset.fmriprep import ParticipantInputs
from bidsapp.errors import UsageError
from bidsapp.interfaces.masks import read_mask
from bidsapp.rsa.searchlight import expected_bytes
from bidsapp.settings import Settings
from bidsapp.workflows.models import layers_of


def searchlight_gb(settings: Settings, analysis: Analysis, person: ParticipantInputs) -> float:
    """Estimate the memory that a participant's searchlight takes, in GB."""
    brain, _ = read_mask(str(person.movie[0].mask))
    n_layers = sum(len(layers_of(settings, analysis, model)) for model in analysis.mapped_models)
    volumes = [run.n_volumes for run in person.movie]
    n_voxels = int(np.count_nonzero(brain))
    return expected_bytes(n_voxels, volumes, n_layers, settings.nprocs) / 1e9


def check_searchlight(
    settings: Settings, analysis: Analysis, people: Iterable[ParticipantInputs]
) -> None:
    """Make sure that the searchlight of every participant fits into the memory allowed.

    Raises
    ------
    UsageError
        One does not; where a cluster runs the steps, its machines' memory is not known.
    """
    if not analysis.mapped_models or settings.nipype_plugin_file is not None:
        return
    for person in people:
        needed = searchlight_gb(settings, analysis, person)
        if needed > settings.mem_gb:
            raise UsageError(
                f"too little memory for the searchlight of sub-{person.participant}: all voxels of "
                f"its runs and what comes of them take {needed:.2g} GB, --mem-gb allows "
                f"{settings.mem_gb:.2g} GB; allow more, or leave searchlight out of the analysis"
            )
