"""Curves that say only how far apart in time two volumes are: nuisance for any RDM."""

from dataclasses import dataclass

import numpy as np

from bidsapp.arrays import Floats, Ints

_COLLINEAR = 1e-10
"""Part of the largest singular value under which a mixture of curves, each of unit norm, is left
out: what float64 leaves of its shape is no longer sure to 1e-5."""


@dataclass(frozen=True)
class LagRegressors:
    """Curves that autocorrelation takes over the time dt between two volumes.

    They are exp(-dt / tau) for each time constant, dt and dt squared, with an intercept.

    Attributes
    ----------
    repetition_time
        Seconds.
    time_constants_s
        Of each exponential decay, in seconds.

    References
    ----------
    Regressing drift out of RDMs: Alink, Walther, Krugliak, van den Bosch and Kriegeskorte (2015),
    bioRxiv 032391.
    """

    repetition_time: float
    time_constants_s: tuple[float, ...]

    def basis(self, lags: Ints, counts: Ints) -> Floats:
        """Make the curves orthogonal to a constant and to each other over some pairs.

        Parameters
        ----------
        lags
            Shape (n_lags,), volumes, ascending: those that the pairs have.
        counts
            Shape (n_lags,): how many pairs have each.

        Returns
        -------
        Floats
            Shape (k, n_lags); the mean square over pairs is 1. k is less than the number of curves
            where some are constant or collinear over these lags.
        """
        if len(lags) < 2:
            return np.empty((0, len(lags)))
        # From the first of these lags on, so that a decay which is almost over keeps its digits;
        # with an intercept this spans the same.
        dt = (lags - lags[0]) * self.repetition_time
        curves = np.array([*(np.expm1(-dt / tau) for tau in self.time_constants_s), dt, dt**2])
        curves /= np.abs(curves).max(axis=1, keepdims=True)
        weight = np.sqrt(counts)
        centred = (curves - np.average(curves, axis=1, weights=counts)[:, None]) * weight
        scaled = centred / np.linalg.norm(centred, axis=1, keepdims=True)
        left, values, _ = np.linalg.svd(scaled.T, full_matrices=False)
        kept = values > _COLLINEAR * values[0]
        orthonormal: Floats = left[:, kept].T / weight * np.sqrt(counts.sum())
        return orthonormal
