"""Names for the kinds of array that pass between stages, and volumes out of them."""

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.integer[Any]]
Bools = npt.NDArray[np.bool_]
Kind = TypeVar("Kind", bound=np.generic)


def without_idle_axes(data: npt.NDArray[Kind]) -> npt.NDArray[Kind]:
    """Drop axes of one behind the third: some programs write a volume as a series of one."""
    idle = data.ndim > 3 and set(data.shape[3:]) == {1}
    return data.reshape(data.shape[:3]) if idle else data
