"""Volumes that RDMs lack."""

import numpy as np

from bidsapp.rsa.rdm import n_volumes_of


def undefine(rdms, volume):
    """Let condensed RDMs, (..., n_pairs), have no value at a volume."""
    rows, columns = np.triu_indices(n_volumes_of(rdms.shape[-1]), 1)
    rdms[..., (rows == volume) | (columns == volume)] = np.nan
