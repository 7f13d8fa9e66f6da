"""What is regressed out of each voxel: CompCor components, cosines and further confounds."""

import fnmatch
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bidsapp.analysis.spec import CompCor, Denoise
from bidsapp.arrays import Floats
from bidsapp.errors import InputError

_COSINE = re.compile(r"cosine_?\d+", re.IGNORECASE)


@dataclass(frozen=True)
class NuisanceDesign:
    """The regressors of one run.

    Attributes
    ----------
    matrix
        (n_volumes, k), float64; the last column is the intercept.
    names
        The k columns.
    provenance
        For each CompCor component its mask and the share of variance that it explains in it.
    """

    matrix: Floats
    names: tuple[str, ...]
    provenance: Mapping[str, Mapping[str, Any]]


def nuisance_design(confounds: Path, metadata: Path, spec: Denoise) -> NuisanceDesign:
    """Choose the nuisance regressors of a run from fMRIPrep's confounds.

    CompCor components (Behzadi et al. 2007) are those of the asked mask with the highest singular
    values, as the metadata state; the columns' names and order say nothing certain about either.

    Parameters
    ----------
    confounds
        fMRIPrep's table.
    metadata
        The JSON beside it.
    spec
        What the analysis asks for.

    Raises
    ------
    InputError
        The mask has fewer components, a column is missing, or a value is not finite. (A missing
        value in the first row, which derivatives have, counts as zero.)
    """
    table = _read_table(confounds)
    described = _read_metadata(metadata) if spec.compcor.components else {}
    components = _components(described, spec.compcor, metadata)
    cosines = [str(name) for name in table if _COSINE.fullmatch(str(name))] if spec.cosines else []
    named = [name for pattern in spec.columns for name in _matching(table, pattern)]
    names = tuple(dict.fromkeys([*components, *cosines, *named]))
    values = _values(table, names, confounds)
    return NuisanceDesign(
        matrix=np.column_stack([values, np.ones(len(table))]),
        names=(*names, "intercept"),
        provenance={
            name: {
                "mask": described[name]["Mask"],
                "variance_explained": described[name].get("VarianceExplained"),
            }
            for name in components
        },
    )


def _matching(table: pd.DataFrame, pattern: str) -> list[str]:
    """Expand ``non_steady_state_outlier*`` and the like, of which a run may have none."""
    return fnmatch.filter(map(str, table), pattern) if "*" in pattern else [pattern]


def _read_table(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, sep="\t", na_values=["n/a"])
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is no readable table of confounds: {error}") from error


def _read_metadata(path: Path) -> dict[str, dict[str, Any]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {str(key): value for key, value in content.items() if isinstance(value, dict)}
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f"{path} is no readable metadata of confounds: {error}") from error


def _components(
    described: Mapping[str, Mapping[str, Any]], spec: CompCor, metadata: Path
) -> list[str]:
    """Pick the components of a mask with the highest singular values."""
    if not spec.components:
        return []
    strength = {
        name: _strength(facts, name, metadata)
        for name, facts in described.items()
        if facts.get("Method") == "aCompCor"
        and facts.get("Mask") == spec.mask
        and str(facts.get("Retained", True)).lower() == "true"
    }
    if len(strength) < spec.components:
        raise InputError(
            f"{metadata} has {len(strength)} retained aCompCor components of the mask {spec.mask}, "
            f"and {spec.components} are asked: change denoise.compcor in the analysis"
        )
    return sorted(strength, key=lambda name: (-strength[name], name))[: spec.components]


def _strength(facts: Mapping[str, Any], name: str, metadata: Path) -> float:
    for key in ("SingularValue", "VarianceExplained"):
        if isinstance(facts.get(key), int | float):
            return float(facts[key])
    raise InputError(f"{metadata} gives no SingularValue of {name}: components cannot be ranked")


def _values(table: pd.DataFrame, names: Sequence[str], path: Path) -> Floats:
    """Return the columns (n_volumes, k) as float64."""
    for name in names:
        if name not in table:
            near = get_close_matches(name, [str(column) for column in table], 3)
            hint = f" (near: {', '.join(near)})" if near else ""
            raise InputError(f"{path} has no column {name!r}{hint}: mend the analysis")
    if not names:
        return np.empty((len(table), 0))
    numbers = table[list(names)].apply(pd.to_numeric, errors="coerce")
    values = np.array(numbers, dtype=np.float64)
    values[0, np.isnan(values[0])] = 0.0
    wrong = [
        name for name, column in zip(names, values.T, strict=True) if not np.isfinite(column).all()
    ]
    if wrong:
        raise InputError(f"{path}: {', '.join(wrong)} has missing or infinite values")
    return values


def residuals(series: Floats, design: Floats) -> Floats:
    """Return what ordinary least squares leaves over.

    Parameters
    ----------
    series
        (n_volumes, n_voxels).
    design
        (n_volumes, k), of any rank.

    Returns
    -------
    Floats
        float32, (n_volumes, n_voxels); computed in float64.

    Raises
    ------
    ValueError
        The numbers of volumes differ.
    """
    if len(series) != len(design):
        raise ValueError(f"{len(series)} volumes but {len(design)} rows of confounds")
    basis = _orthonormal(np.asarray(design, np.float64))
    values = np.asarray(series, np.float64)
    return (values - basis @ (basis.T @ values)).astype(np.float32)


def _orthonormal(design: Floats) -> Floats:
    """Return an orthonormal basis of the columns' span; they are scaled first, as units differ."""
    norms = np.linalg.norm(design, axis=0)
    scaled = design[:, norms > 0] / norms[norms > 0]
    if scaled.shape[1] == 0:
        return np.zeros((len(design), 0))
    left, singular, _ = np.linalg.svd(scaled, full_matrices=False)
    kept: Floats = left[:, singular > singular[0] * len(design) * np.finfo(np.float64).eps]
    return kept
