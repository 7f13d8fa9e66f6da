"""What a model could reach: how well other participants' RDMs predict a participant's."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bidsapp.arrays import Bools, Floats
from bidsapp.rsa.gram import RunProducts
from bidsapp.rsa.inference import finite_mean


@dataclass(frozen=True)
class Ceilings:
    """Ceilings of R regions and S participants, mean over the runs a participant has.

    Attributes
    ----------
    paper
        Shape (R, S): mean over the other participants of Pearson's r of their RDM with this one's.
    lower
        Shape (R, S): r with the mean of the other participants' z-scored RDMs.
    upper
        Shape (R, S): r with the mean of all participants' z-scored RDMs, this one among them.

    All are NaN where fewer than two participants have the region.
    """

    paper: Floats
    lower: Floats
    upper: Floats


def ceilings(runs: Sequence[RunProducts]) -> Ceilings:
    """Ceilings from the products within regions, on the pairs and the preparation of the fits.

    Parameters
    ----------
    runs
        Products of the runs, of one mode.

    References
    ----------
    Lower and upper bound: Nili et al. (2014), PLoS Computational Biology 10:e1003553.
    """
    each = np.array([_one_run(run.yy, run.present) for run in runs])
    paper, lower, upper = finite_mean(each, 0)
    return Ceilings(paper, lower, upper)


def _one_run(yy: Floats, present: Bools) -> Floats:
    """Paper's, lower and upper ceiling of one run, shape (3, R, S)."""
    r = np.where(present[:, :, None] & present[:, None, :], yy, 0.0)
    with_all = r.sum(axis=2)  # covariance of each participant with the sum of all
    of_all = r.sum(axis=(1, 2))[:, None]  # variance of the sum of all
    others = present.sum(axis=1)[:, None] - 1
    valid = present & (others > 0)
    with_others = with_all - 1
    of_others = of_all - 2 * with_all + 1
    paper = np.divide(with_others, others, out=np.full(present.shape, np.nan), where=valid)
    return np.array([paper, _ratio(with_others, of_others, valid), _ratio(with_all, of_all, valid)])


def _ratio(covariance: Floats, variance: Floats, valid: Bools) -> Floats:
    """Correlation with a sum; NaN where the summed RDMs cancel."""
    variance = np.broadcast_to(variance, covariance.shape)
    usable = valid & (variance > 1e-9)
    root = np.sqrt(np.where(usable, variance, 1.0))
    return np.where(usable, np.clip(covariance / root, -1.0, 1.0), np.nan)
