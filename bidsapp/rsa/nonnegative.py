"""Non-negative least squares for many targets at once, from products alone.

Block principal pivoting: guess which weights are positive, solve for those, and exchange every
weight or gradient of the wrong sign, until none is left. Where full exchanges stop helping, one
weight is exchanged at a time, by a rule that cannot run in a circle.
"""

import numpy as np
from scipy import optimize

from bidsapp.arrays import Bools, Floats, Ints

MAX_STEPS = 200
"""Exchanges after which a target is handed to SciPy's method of Lawson and Hanson."""
_FULL_EXCHANGES = 3  # that may fail to help before weights are exchanged one by one
_ROUNDING = 1e-12  # relative size under which a wrong sign is rounding
_AT_ONCE = 512  # targets eliminated together: their matrices stay in the processor's cache


def solve(xx: Floats, xy: Floats) -> Floats:
    """Minimise w'Gw - 2 w'h over w >= 0, for each target's G and h.

    Parameters
    ----------
    xx
        Shape (n, p, p): n positive definite matrices G.
    xy
        Shape (n, T, p): vectors h of the T targets of each.

    Returns
    -------
    Floats
        Shape (n, T, p): weights, none negative.

    References
    ----------
    Kim and Park (2011), SIAM Journal on Scientific Computing 33:3261; the rule of exchanges is that
    of Portugal, Judice and Vicente (1994), Mathematics of Computation 63:625. What rounding keeps
    from ending goes to Lawson and Hanson (1974), which solves the same problem.
    """
    n, t, p = xy.shape
    h = xy.reshape(n * t, p)
    if not h.size:
        return np.zeros_like(xy)
    which = np.repeat(np.arange(n), t)
    positive = np.linalg.solve(xx, xy.swapaxes(1, 2)).swapaxes(1, 2).reshape(h.shape) > 0
    weights = np.zeros_like(h)
    left = np.arange(n * t)
    fewest, spare = np.full(n * t, p + 1), np.full(n * t, _FULL_EXCHANGES)
    for _ in range(MAX_STEPS):
        some = _solve_positive(xx, h[left], which[left], positive)
        wrong = _wrong(xx, h[left], which[left], positive, some, n)
        n_wrong = wrong.sum(axis=1)
        weights[left] = np.maximum(some, 0.0)
        again = n_wrong > 0
        if not again.any():
            return weights.reshape(xy.shape)
        left, positive, wrong, n_wrong = (a[again] for a in (left, positive, wrong, n_wrong))
        better = n_wrong < fewest[left]
        fewest[left] = np.minimum(fewest[left], n_wrong)
        spare[left] = np.where(better, _FULL_EXCHANGES, spare[left] - 1)
        single = spare[left] < 0
        wrong[single] &= np.arange(p) == p - 1 - wrong[single, ::-1].argmax(axis=1)[:, None]
        positive = positive ^ wrong
    for i in left:
        weights[i] = _one_by_one(xx[which[i]], h[i])
    return weights.reshape(xy.shape)


def _wrong(xx: Floats, h: Floats, which: Ints, positive: Bools, weights: Floats, n: int) -> Bools:
    """Tell which weights should not be positive, or should be, by sign of weight or gradient."""
    gradient = h.copy()
    starts = np.searchsorted(which, np.arange(n + 1))  # targets stay in the order of their matrices
    for i in range(n):
        mine = slice(starts[i], starts[i + 1])
        gradient[mine] -= weights[mine] @ xx[i]
    size = np.abs(weights).max(axis=1, keepdims=True)
    steep = np.abs(h).max(axis=1, keepdims=True) + size * np.abs(xx).max()
    wrong: Bools = np.where(positive, weights < -_ROUNDING * size, gradient > _ROUNDING * steep)
    return wrong


def _solve_positive(xx: Floats, h: Floats, which: Ints, positive: Bools) -> Floats:
    """Solve each target's equations for its positive weights; the others are zero."""
    p = xx.shape[-1]
    weights = np.zeros_like(h)
    n_positive = positive.sum(axis=1, dtype=np.int16)
    by_size = np.argsort(n_positive, kind="stable")
    columns = np.nonzero(positive[by_size])[1]  # target after target, so those of a size together
    flat = xx.ravel()
    edges = np.searchsorted(n_positive[by_size], np.arange(1, p + 2))
    done = 0
    for size in range(1, p + 1):
        for start in range(edges[size - 1], edges[size], _AT_ONCE):
            rows = by_size[start : min(start + _AT_ONCE, edges[size])]
            chosen = columns[done : done + size * len(rows)].reshape(-1, size).T
            done += size * len(rows)
            matrix = flat.take((which[rows] * p + chosen)[:, None] * p + chosen)
            weights[rows, chosen] = _eliminate(matrix, h[rows, chosen])
    return weights


def _eliminate(matrix: Floats, right: Floats) -> Floats:
    """Solve many positive definite systems by Gaussian elimination, in place.

    No pivots are sought: positive definite matrices need none (Golub and Van Loan, section 4.2).

    Parameters
    ----------
    matrix
        Shape (k, k, n).
    right
        Shape (k, n).
    """
    k = len(matrix)
    for j in range(k - 1):
        factor = matrix[j + 1 :, j] / matrix[j, j]
        matrix[j + 1 :, j + 1 :] -= factor[:, None] * matrix[j, j + 1 :]
        right[j + 1 :] -= factor * right[j]
    for j in reversed(range(k)):
        right[j] /= matrix[j, j]
        right[:j] -= matrix[:j, j] * right[j]
    return right


def _one_by_one(xx: Floats, h: Floats) -> Floats:
    root = np.linalg.cholesky(xx).T
    right = np.linalg.solve(root.T, h)
    weights: Floats = optimize.nnls(root, right, maxiter=max(1000, 30 * len(xx)))[0]
    return weights
