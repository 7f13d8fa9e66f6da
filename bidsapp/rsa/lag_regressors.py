"""RDMs that say only how far apart in time two volumes are: nuisance for any other RDM."""

from collections.abc import Sequence

import numpy as np

from bidsapp.arrays import Floats


def lag_regressors(
    n_volumes: int, repetition_time: float, time_constants_s: Sequence[float]
) -> Floats:
    """Curves that autocorrelation takes over the time between two volumes.

    Parameters
    ----------
    n_volumes
        Volumes of the run.
    repetition_time
        Seconds.
    time_constants_s
        Of each exponential decay, in seconds.

    Returns
    -------
    Floats
        Shape (k, n_pairs), condensed: exp(-dt / tau) for each time constant, dt and dt squared,
        made orthogonal to each other over all pairs; k is less where they are collinear.

    References
    ----------
    Regressing drift out of RDMs: Alink, Walther, Krugliak, van den Bosch and Kriegeskorte (2015),
    bioRxiv 032391.
    """
    rows, columns = np.triu_indices(n_volumes, 1)
    lag = np.arange(1, n_volumes)
    dt = lag * repetition_time
    curves = np.array([*(np.exp(-dt / tau) for tau in time_constants_s), dt, dt**2])
    weight = np.sqrt(n_volumes - lag)  # a lag has so many pairs
    centred = curves - np.average(curves, axis=1, weights=weight**2)[:, None]
    scaled = centred / np.linalg.norm(centred * weight, axis=1, keepdims=True)
    left, values, _ = np.linalg.svd((scaled * weight).T, full_matrices=False)
    kept = values > 1e-6 * values[0]
    orthogonal = left[:, kept].T / weight
    curve_of_pair: Floats = orthogonal[:, columns - rows - 1]
    return curve_of_pair
