"""What a model could reach by a comparator: how alike participants' RDMs are by that method."""

import warnings
from collections.abc import Callable

import numpy as np
from rsatoolbox.rdm import RDMs
from rsatoolbox.util.inference_util import pool_rdm

from bidsapp.analysis.part import Comparator, Dissimilarity
from bidsapp.arrays import Floats
from bidsapp.rsa.cka import centred_kernels, cka
from bidsapp.rsa.comparators import RSATOOLBOX, compare


def noise_ceilings(
    method: Comparator, rdms: Floats, dissimilarity: Dissimilarity = "correlation"
) -> Floats:
    """Compare each participant's RDM with the pooled RDM of the others, and of all.

    The pooled RDM is the mean of RDMs that are z-scored for Pearson's r and whitening, of unit
    length for the cosine, or ranked for Spearman's and Kendall's coefficients (rsatoolbox's
    ``pool_rdm``). For CKA, the cosine of centred kernels, the pooled kernel is the mean of centred
    kernels of unit norm. But for whitening and Kendall's, where it is near that, no RDM has a
    higher mean similarity with the participants'.

    Parameters
    ----------
    method
        As in `bidsapp.rsa.comparators.compare`.
    rdms
        Shape (S, n_pairs): results of `bidsapp.rsa.comparators.columns` of at least two
        participants, none of them constant.
    dissimilarity
        What the values are; heeded by CKA alone.

    Returns
    -------
    Floats
        Shape (2, S): the lower (others) and the upper (all, the own one among them). Their means
        over participants are rsatoolbox's ``boot_noise_ceiling`` for the methods that it has.

    References
    ----------
    Nili et al. (2014), PLoS Computational Biology 10:e1003553; rsatoolbox
    (``rsatoolbox.inference.noise_ceiling``).
    """
    similar: Callable[[Floats, Floats], Floats]
    if method in ("cka", "cka-debiased"):
        own = shares = _unit_kernels(rdms, dissimilarity, debiased=method == "cka-debiased")
        similar = cka
    else:
        own, shares = rdms, _shares(method, rdms)

        def similar(x: Floats, y: Floats) -> Floats:
            return compare(method, x, y)

    of_all = shares.sum(axis=0)  # no method heeds by what a pooled RDM is divided
    each = [
        similar(np.stack([of_all - share, of_all]), one[None])[:, 0]
        for one, share in zip(own, shares, strict=True)
    ]
    return np.transpose(each)


def _shares(method: Comparator, rdms: Floats) -> Floats:
    """Give what each RDM adds to a pooled one: what rsatoolbox makes of it alone."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Noise ceiling for tau based on averaged ranks")
        alone = [pool_rdm(RDMs(rdm[None]), RSATOOLBOX[method]) for rdm in rdms]
    return np.concatenate([pooled.dissimilarities for pooled in alone])


def _unit_kernels(rdms: Floats, dissimilarity: Dissimilarity, *, debiased: bool) -> Floats:
    kernels = centred_kernels(rdms, dissimilarity, debiased=debiased)
    norm = np.linalg.norm(kernels, axis=1, keepdims=True)
    units: Floats = np.divide(kernels, norm, out=np.zeros_like(kernels), where=norm > 0)
    return units
