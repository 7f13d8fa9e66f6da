"""Sparse random projection of responses: less scratch, RDMs that are nearly the same."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.random_projection import SparseRandomProjection

from bidsapp.arrays import Floats

_SEED = 0


@dataclass(frozen=True, eq=False)
class Projection:
    """A map from units to fewer dimensions that nearly keeps distances between patterns.

    Attributes
    ----------
    matrix
        Sparse, (n_dimensions, n_units).
    centred
        Whether a pattern's mean over units is taken off first, so that the cosine between projected
        patterns stands for the correlation of the patterns.
    """

    matrix: csr_matrix
    centred: bool

    def __call__(self, patterns: Floats) -> Floats:
        """Project patterns (n, n_units) to float32 (n, n_dimensions); this is linear."""
        if self.centred:
            mean = patterns.mean(axis=1, keepdims=True, dtype=np.float64)
            patterns = patterns - mean.astype(np.float32)
        projected: Floats = (self.matrix @ patterns.T).T.astype(np.float32)
        return projected


def sparse_projection(n_units: int, n_dimensions: int, centred: bool) -> Projection:
    """Draw the projection of a layer; the same for layers of equal width, in every run.

    Parameters
    ----------
    n_units
        Of the layer.
    n_dimensions
        Fewer than ``n_units``.
    centred
        See `Projection`.

    References
    ----------
    Li, Hastie and Church (2006), Very sparse random projections, KDD: one unit in sqrt(n_units)
    enters each dimension.
    """
    return Projection(_matrix(n_units, n_dimensions), centred)


@lru_cache(maxsize=16)
def _matrix(n_units: int, n_dimensions: int) -> csr_matrix:
    drawn = SparseRandomProjection(n_dimensions, random_state=_SEED)
    # Only the shape of what it is fitted to counts.
    return csr_matrix(drawn.fit(csr_matrix((1, n_units))).components_, dtype=np.float32)
