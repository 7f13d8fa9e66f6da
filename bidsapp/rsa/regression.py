"""Regression from correlations alone: no pair of volumes is looked at again.

Each function fits all targets on the same layers; several such problems can be stacked. ``xx``
holds the layers' products with each other and ``xy`` those of the targets with the layers, of
centred columns, on any common scale.
"""

from collections.abc import Sequence

import numpy as np

from bidsapp.arrays import Bools, Floats
from bidsapp.rsa import nonnegative

EIGENVALUE_CUT = 1e-7
"""Eigenvalues of ``xx`` under this part of the largest are noise of float32 products. Ols and nnls
cut them; ridge leaves their directions to the penalty."""


def ols(xx: Floats, xy: Floats) -> tuple[Floats, Bools]:
    """Ordinary least squares; of least norm where layers are collinear.

    Parameters
    ----------
    xx
        Shape (..., p, p).
    xy
        Shape (..., T, p).

    Returns
    -------
    weights : Floats
        Shape (..., T, p).
    cut : Bools
        Shape (...): whether eigenvalues were cut (see `EIGENVALUE_CUT`).
    """
    values, vectors, kept = _eigen(xx)
    inverse = np.divide(1.0, values, out=np.zeros_like(values), where=kept)
    weights: Floats = (xy @ vectors * inverse[..., None, :]) @ vectors.swapaxes(-1, -2)
    return weights, np.asarray(~kept.all(axis=-1))


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
    shrunk = shrinkage(values, np.asarray(penalties))
    weights: Floats = (xy @ vectors * shrunk[:, None, :]) @ vectors.T
    return weights


def ridge_each(xx: Floats, xy: Floats, penalty: Floats) -> tuple[Floats, Bools]:
    """Ridge regression with a penalty for each target.

    Parameters
    ----------
    xx
        Shape (..., p, p).
    xy
        Shape (..., T, p).
    penalty
        Shape (..., T); relative, as in `ridge`.

    Returns
    -------
    weights : Floats
        Shape (..., T, p).
    collinear : Bools
        Shape (...): whether there are eigenvalues that ols would cut (see `EIGENVALUE_CUT`).
    """
    values, vectors, kept = _eigen(xx)
    values = np.maximum(values, 0.0)[..., None, :]
    shifted = values + penalty[..., None] * values.mean(axis=-1, keepdims=True)
    shrunk = np.divide(1.0, shifted, out=np.zeros_like(shifted), where=shifted > 0)
    weights: Floats = (xy @ vectors * shrunk) @ vectors.swapaxes(-1, -2)
    return weights, np.asarray(~kept.all(axis=-1))


def shrinkage(values: Floats, penalties: Floats) -> Floats:
    """Give 1 / (eigenvalue + penalty), what ridge multiplies each principal direction with.

    Parameters
    ----------
    values
        Shape (p,): eigenvalues of ``xx``.
    penalties
        Shape (K,); each is multiplied by the mean eigenvalue.

    Returns
    -------
    Floats
        Shape (K, p); zeros where the layers have no variance at all.
    """
    values = np.maximum(values, 0.0)
    if not values.any():
        return np.zeros((len(penalties), len(values)))
    shrunk: Floats = 1 / (values + penalties[:, None] * values.mean())
    return shrunk


def nnls(xx: Floats, xy: Floats) -> tuple[Floats, Bools]:
    """Least squares with weights of at least zero; of least norm where layers are collinear.

    Parameters
    ----------
    xx
        Shape (..., p, p).
    xy
        Shape (..., T, p); of one matrix also any stack of targets, (..., p).

    Returns
    -------
    weights : Floats
        Shape (..., T, p), none negative; see `bidsapp.rsa.nonnegative`. Where eigenvalues were cut,
        their directions count as if they were just at the cut; copies of a layer share its weight
        to 1e-5, relative to the largest.
    cut : Bools
        Shape (...): whether eigenvalues were cut (see `EIGENVALUE_CUT`).
    """
    values, vectors, kept = _eigen(xx)
    stack = xx.shape[:-2]
    cut = np.asarray(~kept.all(axis=-1))
    if cut.any():
        xx, xy = xx.copy(), xy.copy()
        for i in zip(*np.nonzero(cut), strict=True) if stack else [()]:
            xx[i], xy[i] = _without_cut(values[i], vectors[i], kept[i], xy[i])
    flat = xx.reshape(-1, *xx.shape[-2:])
    weights = nonnegative.solve(flat, xy.reshape(len(flat), -1, xy.shape[-1]))
    return weights.reshape(xy.shape), cut


def _without_cut(values: Floats, vectors: Floats, kept: Bools, xy: Floats) -> tuple[Floats, Floats]:
    """Raise the cut eigenvalues to the cut, and leave targets nothing in their directions.

    Were these directions free, weights that may not be negative would go far along them to be
    allowed elsewhere, and predict noise. At the most variance that noise can hide they cost what
    they may, and of weights that predict alike those of least norm are the only solution.
    """
    least = EIGENVALUE_CUT * max(float(values[-1]), 1.0 - float(kept.any()))
    within = vectors[:, kept]
    xx = (vectors * np.where(kept, values, least)) @ vectors.T
    return xx, xy @ within @ within.T


def _eigen(xx: Floats) -> tuple[Floats, Floats, Bools]:
    """Eigenvalues, eigenvectors, and which of them are more than noise."""
    values, vectors = np.linalg.eigh(xx)
    kept: Bools = values > EIGENVALUE_CUT * np.maximum(values[..., -1:], 0.0)
    return values, vectors, kept
