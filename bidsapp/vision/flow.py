"""Optic flow: how far each point of a picture moves until the next one."""

import numpy as np
from skimage.registration import optical_flow_tvl1

from bidsapp.arrays import Floats


def optic_flow(first: Floats, second: Floats) -> Floats:
    """Compute the flow between two pictures by TV-L1.

    Parameters
    ----------
    first, second
        Grey, from 0 to 1, (height, width).

    Returns
    -------
    Floats
        Pixels to the right and down, (height, width, 2).

    References
    ----------
    Zach, Pock and Bischof (2007), A duality based approach for realtime TV-L1 optical flow.
    """
    down, right = optical_flow_tvl1(first, second)
    return np.stack([right, down], axis=-1)
