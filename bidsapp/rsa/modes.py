"""What sets the modes apart before anything is fitted: pairs of volumes, and prepared columns."""

from collections.abc import Mapping
from typing import Protocol

from bidsapp.analysis.part import Mode
from bidsapp.arrays import Bools
from bidsapp.rsa.columns import Preparation
from bidsapp.rsa.pairs import PairSet, all_pairs, lag_in_volumes, lagged_pairs

PREPARATION: Mapping[Mode, Preparation] = {"replicate": "centred", "robust": "lag-centred"}


class TimedRun(Protocol):
    """A run: its TR in seconds, and the volumes at its end whose film the next run shows again."""

    @property
    def repetition_time(self) -> float:
        """Seconds."""

    @property
    def trim_end(self) -> int:
        """Volumes."""


def mode_pairs(run: TimedRun, mode: Mode, min_lag_s: float, defined: Bools) -> PairSet:
    """Pairs of a run's volumes that a mode compares.

    Parameters
    ----------
    run, mode
        Which.
    min_lag_s
        Least circular lag of the robust mode's pairs, in seconds.
    defined
        Shape (n_volumes,): volumes that every RDM of the fit defines.
    """
    if mode == "replicate":
        return all_pairs(len(defined), defined)
    min_lag = lag_in_volumes(min_lag_s, run.repetition_time)
    return lagged_pairs(len(defined), min_lag, run.trim_end, defined)
