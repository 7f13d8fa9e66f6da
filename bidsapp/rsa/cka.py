"""Centred kernel alignment (CKA): how alike two representations' Gram matrices of volumes are.

A Gram matrix follows from an RDM but for what centring removes. With 1 - r (or 1 - cosine), the
Gram matrix of the patterns scaled to unit length is 1 less the RDM, its diagonal of ones included;
with Euclidean distances D, that of the raw patterns about their mean is -1/2 D².
"""

import numpy as np

from bidsapp.analysis.part import Dissimilarity
from bidsapp.arrays import Floats
from bidsapp.rsa.rdm import to_square


def gram_matrices(rdms: Floats, dissimilarity: Dissimilarity) -> Floats:
    """Gram matrices of the patterns behind RDMs, up to what double-centring removes.

    Parameters
    ----------
    rdms
        Shape (k, n_pairs): condensed RDMs without undefined volumes.
    dissimilarity
        What their values are.

    Returns
    -------
    Floats
        Shape (k, n_volumes, n_volumes), float64.
    """
    square = to_square(rdms.astype(np.float64))
    return -0.5 * square**2 if dissimilarity == "euclidean" else 1.0 - square


def centred_kernels(rdms: Floats, dissimilarity: Dissimilarity, *, debiased: bool) -> Floats:
    """Centre Gram matrices, so that their cosine is CKA.

    Parameters
    ----------
    rdms, dissimilarity
        As in `gram_matrices`; at least 4 volumes for ``debiased``.
    debiased
        False: rows and columns have mean zero (H K H with H = I - 1/n; Kornblith et al. 2019,
        "Similarity of neural network representations revisited"). True: the diagonal is left out,
        and rows and columns sum to zero without it, whereby products estimate HSIC without bias
        (Song et al. 2012, "Feature selection via dependence maximization", JMLR 13:1393, as in
        Nguyen et al. 2021, "Do wide and deep networks learn the same things?").

    Returns
    -------
    Floats
        Shape (k, n_volumes²), float64.
    """
    kernel = gram_matrices(rdms, dissimilarity)
    n = kernel.shape[-1]
    if debiased:
        diagonal = np.arange(n)
        kernel[:, diagonal, diagonal] = 0.0
        rows = kernel.sum(axis=2)
        total = rows.sum(axis=1)
        kernel -= (rows[:, :, None] + rows[:, None, :]) / (n - 2)
        kernel += (total / ((n - 1) * (n - 2)))[:, None, None]
        kernel[:, diagonal, diagonal] = 0.0
    else:
        rows = kernel.mean(axis=2)
        kernel -= rows[:, :, None] + rows[:, None, :]
        kernel += rows.mean(axis=1)[:, None, None]
    return kernel.reshape(len(kernel), -1)


def cka(x: Floats, y: Floats) -> Floats:
    """Linear CKA of each of k representations with each of T.

    Parameters
    ----------
    x, y
        Shapes (k, n_volumes²) and (T, n_volumes²): results of `centred_kernels`.

    Returns
    -------
    Floats
        Shape (k, T): 0 to 1, or -1 to 1 if debiased; 0 where a kernel vanishes.
    """
    norm = np.outer(np.linalg.norm(x, axis=1), np.linalg.norm(y, axis=1))
    similarity: Floats = np.divide(x @ y.T, norm, out=np.zeros(norm.shape), where=norm > 0)
    return similarity
