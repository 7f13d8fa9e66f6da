"""Figures of results, each a pure function from tables or arrays to a matplotlib figure."""

from bidsapp.reports.figures.autocorrelation import autocorrelation
from bidsapp.reports.figures.bars import ERROR_BARS, similarity_bars
from bidsapp.reports.figures.carpet import carpet_plot
from bidsapp.reports.figures.design import design_figure
from bidsapp.reports.figures.lag import lag_curve
from bidsapp.reports.figures.matrices import matrix_of, unique_matrices
from bidsapp.reports.figures.moments import Moment, moment_pairs
from bidsapp.reports.figures.paths import component_paths
from bidsapp.reports.figures.rdms import RDM_PIXELS, RobustPairs, rdm_grid
from bidsapp.reports.figures.surface import on_surface, surface_map, winners

__all__ = [
    "ERROR_BARS",
    "RDM_PIXELS",
    "Moment",
    "RobustPairs",
    "autocorrelation",
    "carpet_plot",
    "component_paths",
    "design_figure",
    "lag_curve",
    "matrix_of",
    "moment_pairs",
    "on_surface",
    "rdm_grid",
    "similarity_bars",
    "surface_map",
    "unique_matrices",
    "winners",
]
