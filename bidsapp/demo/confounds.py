"""fMRIPrep's table of confounds and its metadata, computed from a simulated run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bidsapp.arrays import Bools, Floats
from bidsapp.demo.noise import MOTION, slow_waves

COMPONENTS = 6  # written per mask
DROPPED = 2  # described per mask, but not written, as fMRIPrep does beyond half of the variance
HEAD_RADIUS_MM = 50.0


@dataclass(frozen=True)
class Confounds:
    """Columns of the table, and what its JSON says of them."""

    table: pd.DataFrame
    metadata: Mapping[str, Mapping[str, Any]]


def make_confounds(
    series: Floats, motion: Floats, masks: Mapping[str, Bools], *, unsteady: int = 0
) -> Confounds:
    """Compute means, motion, cosines and CompCor components.

    The components of the fluid and of the white matter come before those of both masks together, so
    that a column's number says nothing of its mask or of its variance.

    Parameters
    ----------
    series
        (volumes, voxels) of the brain.
    motion
        (volumes, 6) mm and radians.
    masks
        "CSF" and "WM", (voxels,) each.
    unsteady
        Number of leading volumes flagged as not in a steady state.
    """
    cosines = slow_waves(len(series))
    columns: dict[str, Floats] = {
        "global_signal": series.mean(axis=1),
        "csf": series[:, masks["CSF"]].mean(axis=1),
        "white_matter": series[:, masks["WM"]].mean(axis=1),
        "framewise_displacement": _displacement(motion),
    }
    metadata: dict[str, dict[str, Any]] = {
        name: {"Method": "Mean"} for name in ("global_signal", "csf", "white_matter")
    }
    columns |= {name: motion[:, index] for index, name in enumerate(MOTION)}
    dropped = 0
    written = 0
    for name, mask in {**masks, "combined": masks["CSF"] | masks["WM"]}.items():
        left, singular = _components(series[:, mask], cosines)
        share = singular**2 / (singular**2).sum()
        for index in range(COMPONENTS + DROPPED):
            retained = index < COMPONENTS
            key = f"a_comp_cor_{written:02d}" if retained else f"dropped_{dropped}"
            metadata[key] = {
                "Method": "aCompCor", "Mask": name, "Retained": retained,
                "SingularValue": float(singular[index]),
                "VarianceExplained": float(share[index]),
                "CumulativeVarianceExplained": float(share[: index + 1].sum()),
            }  # fmt: skip
            if retained:
                columns[key] = left[:, index]
            written, dropped = written + retained, dropped + (not retained)
    columns |= {f"cosine{index:02d}": wave for index, wave in enumerate(cosines.T)}
    for index in range(unsteady):
        columns[f"non_steady_state_outlier{index:02d}"] = np.eye(len(series))[index]
    return Confounds(pd.DataFrame(columns), metadata)


def _components(series: Floats, cosines: Floats) -> tuple[Floats, Floats]:
    """Principal time courses and singular values of high-passed, centred voxels."""
    centred = series - series.mean(axis=0)
    passed = centred - cosines @ (cosines.T @ centred)
    left, singular, _ = np.linalg.svd(passed.astype(np.float64), full_matrices=False)
    return left, singular


def _displacement(motion: Floats) -> Floats:
    """Power's framewise displacement in mm; not defined at the first volume."""
    moved = np.abs(np.diff(motion, axis=0)) * [1, 1, 1, *[HEAD_RADIUS_MM] * 3]
    displacement: Floats = np.concatenate([[np.nan], moved.sum(axis=1)])
    return displacement
