"""The choice of ridge penalties: which predicts best in runs left out of the training runs.

For each run left out (the outer fold) and each target, every other run is left out of the training
runs in turn; the penalty with the highest mean R² over these inner folds is taken, of equal ones
the smallest. R² heeds how large a prediction is, which r does not: r of a model of one layer is the
same for every penalty. Columns count less their mean in each run, since an offset of the prediction
is no matter of the penalty. An inner fold's R² for all penalties is a few matrix products, in
float32, which only tells penalties apart; eigenvalues are found in float64.
"""

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from bidsapp.arrays import Floats, Ints
from bidsapp.rsa.regression import shrinkage

_TIE = 1e-6  # R² closer than this predict alike: float32 resolves no less
_CACHED = 131072  # numbers worked on at once in the averaged fits


def choose(
    xx: Floats,
    xy: Floats,
    spread: Floats,
    scales: tuple[Floats, Floats] | None,
    penalties: Floats,
) -> Ints:
    """Choose a penalty for each run left out and each target.

    Parameters
    ----------
    xx, xy, spread
        Shapes (n, p, p), (F, n, T, p) and (F, n, T); see `bidsapp.rsa.folds.Data`.
    scales
        SDs of layers, (n, p), and of targets, (n, T), where fits of single runs are averaged; None
        where the training runs are fitted at once.
    penalties
        Shape (K,), rising.

    Returns
    -------
    Ints
        Shape (n, T): positions among ``penalties``.
    """
    n, t = xy.shape[1:3]
    xy, spread = xy.astype(np.float32), spread.astype(np.float32)
    if scales is None:
        scores = _pooled(xx, xy, spread, penalties)
    else:
        scores = np.empty((n, len(penalties), t), np.float32)
        at_once = max(64, _CACHED // (xy.shape[-1] * len(penalties)))
        for start in range(0, t, at_once):
            some = slice(start, start + at_once)
            own = (scales[0], scales[1][:, some])
            scores[:, :, some] = _averaged(xx, xy[:, :, some], spread[:, :, some], own, penalties)
    best = scores >= scores.max(axis=1, keepdims=True) - _TIE
    chosen: Ints = best.argmax(axis=1)
    return chosen


def _pooled(xx: Floats, xy: Floats, spread: Floats, penalties: Floats) -> Floats:
    """Mean R² over inner folds, shape (n, K, T), of one fit on the sum of the training runs.

    In the eigenvectors of that sum the variance of a prediction is a quadratic form of the target's
    products, so all penalties share the squares and differ in their coefficients alone.
    """
    n, t = xy.shape[1:3]
    scores: Floats = np.zeros((n, len(penalties), t), np.float32)
    per_variance = _inverse_square(spread)
    totals = xy.sum(axis=1)
    total = xx.sum(axis=0)
    inner_xx = xx.astype(np.float32)
    triangle = np.triu_indices(xx.shape[-1])
    for a, b in combinations(range(n), 2):
        values, vectors = np.linalg.eigh(total - xx[a] - xx[b])
        vectors = vectors.astype(np.float32)
        shrunk = shrinkage(values, penalties).astype(np.float32)
        for f, inner in _folds(a, b, len(xy)):
            its = xy[f % len(xy)]
            components = vectors.T @ (totals[f % len(xy)] - its[a] - its[b]).T
            squares = _squares(components)
            for fold, v in inner:
                covariance = shrunk @ (components * (vectors.T @ its[v].T))
                form = _coefficients(vectors.T @ inner_xx[v] @ vectors, shrunk, triangle)
                scores[fold] += _r2(covariance, form @ squares, per_variance[f % len(xy), v])
    scores /= n - 1
    return scores


def _averaged(
    xx: Floats,
    xy: Floats,
    spread: Floats,
    scales: tuple[Floats, Floats],
    penalties: Floats,
) -> Floats:
    """Mean R² over inner folds, shape (n, K, T), of the mean of the training runs' own fits."""
    x_sd, y_sd = scales
    n, t, p = xy.shape[1:]
    k = len(penalties)
    values, vectors = np.linalg.eigh(xx)
    shrunk = np.array([shrinkage(its, penalties) for its in values])
    inverse = np.divide(1.0, x_sd, out=np.zeros_like(x_sd), where=x_sd > 0)
    n_fitted = n - 2  # training runs whose fits are averaged
    fitted = (inverse[:, :, None] * vectors)[:, :, None] * shrunk[:, None] / n_fitted
    fitted = (fitted @ vectors.swapaxes(1, 2)[:, None]).reshape(n, p * k, p)  # all penalties' fits
    roots = np.sqrt(np.maximum(values, 0.0))[:, :, None] * vectors.swapaxes(1, 2) * x_sd[:, None]
    fitted, roots = fitted.astype(np.float32), roots.astype(np.float32)
    x_sd, y_sd = x_sd.astype(np.float32), y_sd.astype(np.float32)
    per_variance = _inverse_square(spread * y_sd)
    scores: Floats = np.zeros((n, k, t), np.float32)
    for f in range(len(xy)):
        products = xy[f].swapaxes(1, 2)  # (n, p, T)
        targets = products * y_sd[:, None]
        products = products * (x_sd[:, :, None] * y_sd[:, None])
        for left, inner in _left(fitted, targets, None if len(xy) == 1 else f):
            for fold, v in inner:
                predicted = roots[v] @ left
                variance = np.einsum("pn,pn->n", predicted, predicted).reshape(k, t)
                covariance = np.einsum("pkt,pt->kt", left.reshape(p, k, t), products[v])
                scores[fold] += _r2(covariance, variance, per_variance[f, v])
    scores /= n - 1
    return scores


def _left(
    fitted: Floats, targets: Floats, outer: int | None
) -> Iterator[tuple[Floats, list[tuple[int, int]]]]:
    """Add up the fits of all runs but two, whose outer and inner roles it serves; (p, K T) each.

    Where the targets are those of one outer run left out, that run is never fitted.
    """
    runs = [i for i in range(len(fitted)) if i != outer]
    slopes = (fitted[runs] @ targets[runs]).reshape(len(runs), targets.shape[1], -1)
    total = slopes.sum(axis=0)
    if outer is not None:
        for v, own in zip(runs, slopes, strict=True):
            yield total - own, [(outer, v)]
        return
    for a, b in combinations(runs, 2):
        left = total - slopes[a]
        left -= slopes[b]
        yield left, [(a, b), (b, a)]


def _folds(a: int, b: int, n_targets: int) -> list[tuple[int, list[tuple[int, int]]]]:
    """Say what the fit without two runs serves: targets' position, outer and inner run left out.

    Targets that are the same for all runs left out share the fit between both orders.
    """
    if n_targets == 1:
        return [(0, [(a, b), (b, a)])]
    return [(a, [(a, b)]), (b, [(b, a)])]


def _coefficients(form: Floats, shrunk: Floats, triangle: tuple[Ints, Ints]) -> Floats:
    """Coefficients of `_squares` in the quadratic form of each penalty's shrunk components."""
    rows, columns = triangle
    twice = np.where(rows == columns, 1.0, 2.0).astype(np.float32)
    coefficients: Floats = twice * form[rows, columns] * shrunk[:, rows] * shrunk[:, columns]
    return coefficients


def _squares(components: Floats) -> Floats:
    """Products of each two of p components, (p (p + 1) / 2, T), by upper triangle."""
    p, t = components.shape
    squares = np.empty((p * (p + 1) // 2, t), components.dtype)
    start = 0
    for i in range(p):
        np.multiply(components[i], components[i:], out=squares[start : start + p - i])
        start += p - i
    return squares


def _r2(covariance: Floats, variance: Floats, per_variance: Floats) -> Floats:
    """R² of centred predictions, (K, T), given one over the targets' variance."""
    gain: Floats = 2 * covariance
    gain -= variance
    gain *= per_variance
    return gain


def _inverse_square(spread: Floats) -> Floats:
    """One over the variance; 0 where the target has nothing left, which every penalty predicts."""
    inverse: Floats = np.divide(1.0, spread**2, out=np.zeros_like(spread), where=spread > 0)
    return inverse
