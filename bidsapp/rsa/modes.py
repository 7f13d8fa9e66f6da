"""What sets the modes apart before anything is fitted: pairs of volumes, and prepared columns."""

from collections.abc import Mapping
from typing import Protocol

from bidsapp.analysis.part import Mode
from bidsapp.arrays import Bools
from bidsapp.rsa.columns import Preparation
from bidsapp.rsa.pairs import PairSet, all_pairs, lag_in_volumes, lagged_pairs
from bidsapp.rsa.volumes import FilmVolumes

PREPARATION: Mapping[Mode, Preparation] = {"replicate": "centred", "robust": "lag-centred"}


class TimedRun(Protocol):
    """A run: its TR in seconds, and the film coverage of its volumes (None: all are covered)."""

    @property
    def repetition_time(self) -> float:
        """Seconds."""

    @property
    def film(self) -> FilmVolumes | None:
        """Film coverage of the volumes."""


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
    return lagged_pairs(len(defined), min_lag, run.film, defined)
