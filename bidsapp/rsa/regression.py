"""Regression from correlations alone: no pair of volumes is looked at again.

Each function fits all targets on the same layers. ``xx`` holds the layers' products with each other
and ``xy`` those of the targets with the layers, of centred columns, on any common scale.
"""

from collections.abc import Sequence

import numpy as np
from scipy import optimize

from bidsapp.arrays import Floats

EIGENVALUE_CUT = 1e-7
"""Eigenvalues of ``xx`` under this part of the largest are noise of float32 products."""


def ols(xx: Floats, xy: Floats) -> tuple[Floats, bool]:
    """Ordinary least squares; of least norm where layers are collinear.

    Parameters
    ----------
    xx
        Shape (p, p).
    xy
        Shape (T, p).

    Returns
    -------
    weights : Floats
        Shape (T, p).
    cut : bool
        Whether eigenvalues were cut (see `EIGENVALUE_CUT`).
    """
    values, vectors, cut = _eigen(xx)
    return (xy @ vectors / values) @ vectors.T, cut


def ridge(xx: Floats, xy: Floats, penalties: Sequence[float]) -> Floats:
    """Ridge regression for every penalty, from one eigendecomposition.

    Parameters
    ----------
    xx
        Shape (p, p).
    xy
        Shape (T, p).
    penalties
        Each is multiplied by trace(xx) / p before it is added to the diagonal of ``xx``.

    Returns
    -------
    Floats
        Shape (len(penalties), T, p).
    """
    values, vectors = np.linalg.eigh(xx)
    values = np.maximum(values, 0.0)
    if not values.any():
        return np.zeros((len(penalties), *xy.shape))
    shifted = values + np.asarray(penalties)[:, None] * np.trace(xx) / len(xx)
    weights: Floats = (xy @ vectors / shifted[:, None, :]) @ vectors.T
    return weights


def nnls(xx: Floats, xy: Floats) -> tuple[Floats, bool]:
    """Least squares with weights of at least zero, exactly, one target after the other.

    The problem is handed to the active-set method of Lawson and Hanson (1974) as the p x p root of
    the normal equations, so its cost does not depend on the number of pairs.

    Parameters
    ----------
    xx
        Shape (p, p).
    xy
        Shape (T, p).

    Returns
    -------
    weights : Floats
        Shape (T, p), none negative.
    cut : bool
        Whether eigenvalues were cut (see `EIGENVALUE_CUT`).
    """
    values, vectors, cut = _eigen(xx)
    if not len(values):
        return np.zeros_like(xy), cut
    root = np.sqrt(values)[:, None] * vectors.T
    right = xy @ vectors / np.sqrt(values)
    steps = max(1000, 30 * len(xx))
    return np.array([optimize.nnls(root, b, maxiter=steps)[0] for b in right]).reshape(
        xy.shape
    ), cut


def _eigen(xx: Floats) -> tuple[Floats, Floats, bool]:
    """Eigenvalues and vectors that are more than noise, and whether any was cut."""
    values, vectors = np.linalg.eigh(xx)
    kept = values > EIGENVALUE_CUT * max(float(values[-1]), 0.0)
    return values[kept], vectors[:, kept], not bool(kept.all())
