"""Representational dissimilarity matrices (RDMs) of volumes, from patterns of any width.

An RDM is kept condensed: the upper triangle, row by row, as ``scipy.spatial.distance.squareform``
and rsatoolbox order it. A volume whose pattern says nothing has NaN in all its pairs.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import isqrt

import numpy as np

from bidsapp.analysis.part import Dissimilarity
from bidsapp.arrays import Bools, Floats

LEAST_VOXELS = 3
"""Voxels of a pattern; fewer give nothing to correlate."""


@dataclass(frozen=True)
class UnitMoments:
    """Mean and SD over the units of each volume's pattern in one layer.

    Attributes
    ----------
    mean, sd
        Shape (n_volumes,), in the units of the patterns; the SD is the population's. NaN for a
        volume whose pattern is not finite.
    n_units
        Of the layer. The squared norm of a pattern is ``n_units * (mean**2 + sd**2)``.
    """

    mean: Floats
    sd: Floats
    n_units: int


def correlation_distance(patterns: Floats, block: int = 16384) -> Floats:
    """Dissimilarity of each pair of volumes: one minus Pearson's r of their patterns.

    Each pattern is centred and scaled over its own units, so an RDM of BOLD depends on the mean
    image unless each voxel was centred over volumes before (denoising with an intercept does that).

    Parameters
    ----------
    patterns
        Shape (n_volumes, n_units), memory-mapped or not; read twice, ``block`` units at a time.
    block
        Units held in memory at once, as float64.

    Returns
    -------
    Floats
        Shape (n_volumes (n_volumes - 1) / 2,), float32, between 0 and 2. A volume without variance
        over units, or with a value that is not finite, has NaN in all its pairs.

    References
    ----------
    Kriegeskorte, Mur and Bandettini (2008), Frontiers in Systems Neuroscience 2:4. The moments of
    blocks are joined as in Chan, Golub and LeVeque (1983), The American Statistician 37:242.
    """
    mean, spread, _ = _row_moments(patterns, block)
    return _angular(patterns, mean, spread, block)


def cosine_distance(patterns: Floats, block: int = 16384) -> Floats:
    """Dissimilarity of each pair of volumes: one minus the cosine between their patterns.

    Parameters
    ----------
    patterns
        Shape (n_volumes, n_units), memory-mapped or not; read twice, ``block`` units at a time.
    block
        Units held in memory at once, as float64.

    Returns
    -------
    Floats
        Shape (n_volumes (n_volumes - 1) / 2,), float32, between 0 and 2. A volume of zeros alone,
        or with a value that is not finite, has NaN in all its pairs.
    """
    squares = np.zeros(len(patterns))
    with np.errstate(invalid="ignore", over="ignore"):
        for piece in _blocks(patterns, block):
            squares += (piece**2).sum(axis=1)
    return _angular(patterns, np.zeros(len(patterns)), np.sqrt(squares), block)


def euclidean_distance(patterns: Floats, block: int = 16384) -> Floats:
    """Dissimilarity of each pair of volumes: the Euclidean distance of their patterns.

    Parameters
    ----------
    patterns
        Shape (n_volumes, n_units), memory-mapped or not; read ``block`` units at a time.
    block
        Units held in memory at once, as float64.

    Returns
    -------
    Floats
        Shape (n_volumes (n_volumes - 1) / 2,), float32, in the units of ``patterns``. A volume with
        a value that is not finite has NaN in all its pairs.
    """
    defined = np.ones(len(patterns), dtype=np.bool_)
    for piece in _blocks(patterns, block):
        defined &= np.isfinite(piece).all(axis=1)
    return _euclidean(patterns, defined, block)


DISTANCES: Mapping[Dissimilarity, Callable[[Floats], Floats]] = {
    "correlation": correlation_distance,
    "euclidean": euclidean_distance,
    "cosine": cosine_distance,
}
"""Each dissimilarity by the name that analysis files and catalogues give it."""


def rdm_with_moments(
    patterns: Floats,
    dissimilarity: Dissimilarity,
    projected_from: int | None = None,
    block: int = 16384,
) -> tuple[Floats, UnitMoments]:
    """RDM of a layer and the moments of its patterns, which are read twice for both.

    Parameters
    ----------
    patterns
        Shape (n_volumes, n_units), memory-mapped or not; or, of a projected layer, (n_volumes,
        n_dimensions).
    dissimilarity
        Of two volumes' patterns.
    projected_from
        Units of a layer whose patterns were projected to fewer dimensions; None for others. A
        projection nearly keeps norms but not the mean, so the mean is given as 0 and the SD as
        norm / sqrt(n_units). These are the layer's own moments where patterns were centred over
        units first, as they are for a correlation, which is then asked for as "cosine"; otherwise
        they give the right norm only.
    block
        Units held in memory at once, as float64.

    Returns
    -------
    rdm : Floats
        Shape (n_pairs,), float32: what `DISTANCES` gives.
    moments : UnitMoments
        float64.
    """
    mean, spread, norm = _row_moments(patterns, block)
    match dissimilarity:
        case "correlation":
            rdm = _angular(patterns, mean, spread, block)
        case "cosine":
            rdm = _angular(patterns, np.zeros(len(patterns)), norm, block)
        case "euclidean":
            rdm = _euclidean(patterns, np.isfinite(mean), block)
    return rdm, _unit_moments(mean, spread, norm, patterns.shape[1], projected_from)


def to_square(rdm: Floats) -> Floats:
    """Return the square, symmetric matrix of a condensed RDM, with a zero diagonal.

    Parameters
    ----------
    rdm
        Shape (..., n_pairs).

    Returns
    -------
    Floats
        Shape (..., n_volumes, n_volumes), of the same type.
    """
    n = n_volumes_of(rdm.shape[-1])
    square = np.zeros((*rdm.shape[:-1], n, n), dtype=rdm.dtype)
    rows, columns = np.triu_indices(n, 1)
    square[..., rows, columns] = rdm
    square[..., columns, rows] = rdm
    return square


def n_volumes_of(n_pairs: int) -> int:
    """Return how many volumes have ``n_pairs`` pairs.

    Raises
    ------
    ValueError
        No number of volumes has that many pairs.
    """
    n = (1 + isqrt(1 + 8 * n_pairs)) // 2
    if n_pairs < 1 or n * (n - 1) // 2 != n_pairs:
        raise ValueError(f"{n_pairs} is not the number of pairs of any number of volumes")
    return n


def volume_defined(rdm: Floats) -> Bools:
    """Tell which volumes have a pattern: those with a finite value in at least one of their pairs.

    Parameters
    ----------
    rdm
        Shape (n_pairs,).

    Returns
    -------
    Bools
        Shape (n_volumes,).
    """
    n = n_volumes_of(len(rdm))
    finite = np.isfinite(rdm)
    if finite.all():
        return np.ones(n, dtype=np.bool_)
    rows, columns = np.triu_indices(n, 1)
    defined = np.zeros(n, dtype=np.bool_)
    defined[rows[finite]] = True
    defined[columns[finite]] = True
    return defined


def _blocks(patterns: Floats, block: int) -> Iterator[Floats]:
    for start in range(0, patterns.shape[1], block):
        yield np.asarray(patterns[:, start : start + block], dtype=np.float64)


def _row_moments(patterns: Floats, block: int) -> tuple[Floats, Floats, Floats]:
    """Mean of each row, and its norm about the mean (0 for a constant row) and about 0."""
    mean, squares, raw_squares = (np.zeros(len(patterns)) for _ in range(3))
    varies = np.zeros(len(patterns), dtype=np.bool_)
    first = np.asarray(patterns[:, :1], dtype=np.float64)
    seen = 0
    with np.errstate(
        invalid="ignore", over="ignore"
    ):  # values that are not finite end as NaN or inf
        for piece in _blocks(patterns, block):
            width = piece.shape[1]
            varies |= (piece != first).any(axis=1)
            piece_mean = piece.mean(axis=1)
            shift = piece_mean - mean
            deviation = piece - piece_mean[:, None]
            squares += np.square(deviation, out=deviation).sum(axis=1)
            raw_squares += np.square(piece, out=deviation).sum(axis=1)
            squares += shift**2 * (seen * width / (seen + width))
            mean += shift * (width / (seen + width))
            seen += width
    # Rounding gives a constant row a tiny norm; only the values themselves tell.
    return mean, np.where(varies, np.sqrt(squares), 0.0), np.sqrt(raw_squares)


def _unit_moments(
    mean: Floats, spread: Floats, norm: Floats, width: int, projected_from: int | None
) -> UnitMoments:
    finite = np.isfinite(mean)
    if projected_from is not None:
        mean, spread, width = np.zeros(len(mean)), norm, projected_from
    return UnitMoments(
        np.where(finite, mean, np.nan), np.where(finite, spread / np.sqrt(width), np.nan), width
    )


def _angular(patterns: Floats, origin: Floats, norm: Floats, block: int) -> Floats:
    """One less the products of patterns, each about its own origin and of unit length."""
    defined = np.isfinite(norm) & (norm > 0)
    origin, norm = np.where(defined, origin, 0.0)[:, None], np.where(defined, norm, 1.0)[:, None]
    product = np.zeros((len(patterns), len(patterns)))
    for piece in _blocks(patterns, block):
        unit = np.where(defined[:, None], piece - origin, 0.0) / norm
        unit = unit.astype(np.float64 if patterns.dtype == np.float64 else np.float32, copy=False)
        product += unit @ unit.T
    return _condense(1.0 - np.clip(product, -1.0, 1.0), defined)


def _euclidean(patterns: Floats, defined: Bools, block: int) -> Floats:
    product = np.zeros((len(patterns), len(patterns)))
    for piece in _blocks(patterns, block):
        kept = np.where(defined[:, None], piece, 0.0)
        # Distances do not depend on the origin; near the mean the subtraction below loses least.
        kept -= kept.sum(axis=0) / max(defined.sum(), 1)
        product += kept @ kept.T
    squares = np.diag(product)
    return _condense(np.sqrt(np.maximum(squares[:, None] + squares - 2 * product, 0.0)), defined)


def _condense(square: Floats, defined: Bools) -> Floats:
    square[~defined] = np.nan
    square[:, ~defined] = np.nan
    condensed: Floats = square[np.triu_indices(len(square), 1)].astype(np.float32)
    return condensed
