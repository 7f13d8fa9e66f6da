"""fMRIPrep 23.2's table of confounds, with its column names and metadata, of a simulated run."""

from typing import Any

import numpy as np
import pandas as pd

from bench.standin.bold import Written
from bidsapp.demo.confounds import make_confounds
from bidsapp.demo.noise import MOTION

_PREFIX = {"CSF": "c", "WM": "w", "combined": "a"}
_OUTLIER_MM = 0.5
_EXPANDED = ("global_signal", "csf", "white_matter", *MOTION)


def confounds_table(written: Written) -> tuple[pd.DataFrame, dict[str, dict[str, Any]]]:
    """Compute the table and its metadata; components are named by the mask that they come from."""
    made = make_confounds(written.sample, written.nuisance.motion, written.in_tissue)
    names = _component_names(made.metadata)
    table = made.table.rename(columns=names)
    metadata = {names.get(key, key): dict(value) for key, value in made.metadata.items()}
    tissue = written.sample[:, written.in_tissue["CSF"] | written.in_tissue["WM"]]
    columns: dict[str, Any] = {
        "csf_wm": tissue.mean(axis=1),
        "tcompcor": tissue.mean(axis=1),
        "dvars": _dvars(written.sample),
        "std_dvars": _dvars(written.sample) / np.nanmean(_dvars(written.sample)),
        "rmsd": table["framewise_displacement"] / 2,
    }
    for name in _EXPANDED:
        columns |= _expansions(name, table[name].to_numpy())
    outliers = np.flatnonzero(table["framewise_displacement"] > _OUTLIER_MM)
    for number, volume in enumerate(outliers):
        columns[f"motion_outlier{number:02d}"] = np.eye(1, len(table), volume)[0]
    # fMRIPrep gives the metadata in the order of the names.
    return pd.concat([table, pd.DataFrame(columns)], axis=1), dict(sorted(metadata.items()))


def _component_names(metadata: Any) -> dict[str, str]:  # noqa: ANN401
    counts = dict.fromkeys(_PREFIX, 0)
    names = {}
    for key, facts in metadata.items():
        if facts.get("Method") == "aCompCor" and facts["Retained"]:
            mask = facts["Mask"]
            names[key] = f"{_PREFIX[mask]}_comp_cor_{counts[mask]:02d}"
            counts[mask] += 1
    return names


def _expansions(name: str, values: Any) -> dict[str, Any]:  # noqa: ANN401
    derivative = np.append(np.nan, np.diff(values))
    return {
        f"{name}_derivative1": derivative,
        f"{name}_power2": values**2,
        f"{name}_derivative1_power2": derivative**2,
    }


def _dvars(sample: Any) -> Any:  # noqa: ANN401
    change = np.diff(sample.astype(np.float64), axis=0)
    return np.append(np.nan, np.sqrt((change**2).mean(axis=1)))
