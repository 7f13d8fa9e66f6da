"""Figures of results, each a pure function from tables or arrays to a matplotlib figure."""

from bidsapp.reports.figures.autocorrelation import autocorrelation
from bidsapp.reports.figures.bars import similarity_bars
from bidsapp.reports.figures.lag import lag_curve
from bidsapp.reports.figures.rdms import RDM_PIXELS, rdm_grid

__all__ = ["RDM_PIXELS", "autocorrelation", "lag_curve", "rdm_grid", "similarity_bars"]
