"""The step that tests what models add to each other in a participant."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
from nipype.interfaces.base import Bunch, File, SimpleInterface, TraitedSpec, traits

from bidsapp.interfaces.shift_null import read_parts
from bidsapp.interfaces.study import Study, StudyInputSpec
from bidsapp.rsa.controlled import Controlled
from bidsapp.rsa.unique import Unique
from bidsapp.tables.unique import scored_at_draws, shifts_of

_FIRST_REGION = 0  # its file tells of the circles, which all regions share


class _ControlledInputSpec(StudyInputSpec):
    participant = traits.Str(mandatory=True, desc="participant to score")
    products = traits.List(File(exists=True), desc="of the runs for every shift; none: no draws")
    seed = traits.Int(mandatory=True, desc="of the shifts")


class _ControlledOutputSpec(TraitedSpec):
    scores = File(exists=True, desc="what models add to each other, as it is and at each draw")


class ControlledNull(SimpleInterface):
    """Score what models add to each other in one participant, as it is and shifted in time."""

    input_spec = _ControlledInputSpec
    output_spec = _ControlledOutputSpec

    def _run_interface(self, runtime: Bunch) -> Bunch:
        study, inputs = Study(self.inputs), self.inputs
        parts = [read_parts(Path(path), _FIRST_REGION) for path in inputs.products or ()]
        own = study.participants.index(inputs.participant)
        if parts:
            draws = study.analysis.statistics.null_draws.unique
            shifts, usable = shifts_of(parts, own, draws, inputs.seed)
            scores = scored_at_draws(study.controlled(inputs.participant, shifts), usable)
        else:
            scores = study.controlled(inputs.participant)
        path = Path(runtime.cwd) / "controlled.npz"
        write_scores(path, scores)
        self._results["scores"] = str(path)
        return runtime


def write_scores(path: Path, scores: Controlled) -> None:
    """Write the scores of one participant to an ``.npz`` file."""
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, at_draws=scores.at_draws, **asdict(scores.unique))


def read_scores(path: Path) -> Controlled:
    """Read what `write_scores` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        content = {name: arrays[name] for name in arrays}
    at_draws = content.pop("at_draws")
    return Controlled(Unique(**content), at_draws)
