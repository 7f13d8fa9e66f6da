"""What is regressed out of each voxel: CompCor components, cosines, confounds, censored volumes."""

import fnmatch
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bidsapp.analysis.processing import COSINES_FROM_S
from bidsapp.analysis.spec import CompCor, Denoise
from bidsapp.arrays import Bools, Floats
from bidsapp.brain.censoring import censored_volumes
from bidsapp.confounds import finite_columns, read_confounds
from bidsapp.errors import InputError

_EXACT = 1e-8  # share of a volume's variance that rounding may leave of an exact fit
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

    @cached_property
    def censored(self) -> Bools:
        """(n_volumes,): volumes with a regressor of their own, of which nothing is left over.

        fMRIPrep's ``non_steady_state_outlier*`` and ``motion_outlier*`` are such regressors too.
        """
        spikes = self.matrix[:, self._spikes]
        censored: Bools = (spikes != 0).any(axis=1)
        return censored

    def basis_everywhere(self, volumes: Bools) -> Floats:
        """Return `basis` as rows of all volumes, (n_volumes, rank), NaN in those left out."""
        basis = self.basis(volumes)
        rows = np.full((len(volumes), basis.shape[1]), np.nan)
        rows[volumes] = basis
        return rows

    def with_residual(self, volumes: Bools) -> Bools:
        """Tell which of some volumes, (n_volumes,), keep a residual of their own.

        A regressor that is zero in all of them but one, or the like, fits that one exactly.
        """
        leverage = np.zeros(len(volumes))
        leverage[volumes] = (self.basis(volumes) ** 2).sum(axis=1)
        kept: Bools = volumes & (leverage < 1 - _EXACT)
        return kept

    def leaving_out(self, volumes: Bools) -> "NuisanceDesign":
        """Give further volumes, (n_volumes,), regressors of their own, as if they were censored."""
        more = np.flatnonzero(volumes & ~self.censored)
        spikes = np.eye(len(self.matrix))[:, more]
        names = tuple(f"left_out_{volume}" for volume in more)
        return replace(
            self,
            matrix=np.column_stack([spikes, self.matrix]),
            names=(*names, *self.names),
        )

    @property
    def n_confounds(self) -> int:
        """Number of regressors beside the intercept and those of censored volumes."""
        return int(np.count_nonzero(~self._spikes)) - 1

    @cached_property
    def degrees_of_freedom(self) -> int:
        """Number of volumes left, less the rank of the regressors in them."""
        return self.degrees_of_freedom_in(~self.censored)

    def degrees_of_freedom_in(self, volumes: Bools) -> int:
        """Count some volumes, (n_volumes,), less the rank of the regressors in them."""
        return int(np.count_nonzero(volumes)) - int(self.basis(volumes).shape[1])

    def basis(self, volumes: Bools) -> Floats:
        """Return an orthonormal basis, (n, rank), of the regressors in n of the volumes."""
        return _orthonormal(self.matrix[volumes])

    @cached_property
    def _spikes(self) -> Bools:
        spikes: Bools = np.count_nonzero(self.matrix, axis=0) == 1
        return spikes


def nuisance_design(confounds: Path, metadata: Path, spec: Denoise) -> NuisanceDesign:
    """Choose the nuisance regressors of a run from fMRIPrep's confounds.

    A censored volume gets a regressor of its own, 1 there and 0 elsewhere: the fit of the other
    volumes is then the one without it (Lemieux et al. 2007, Magnetic Resonance Imaging 25:894).

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
        The mask has fewer components, a column is missing, or a value is not finite; see
        `finite_columns` for what may lack in the first row.
    """
    table = read_confounds(confounds)
    described = _read_metadata(metadata) if spec.compcor.components else {}
    components = _components(described, spec.compcor, metadata)
    cosines = _cosines(table) if spec.cosines else []
    named = [name for pattern in spec.columns for name in _matching(table, pattern)]
    names = tuple(dict.fromkeys([*components, *cosines, *named]))
    values = finite_columns(table, names, confounds, "denoise")
    censored = np.flatnonzero(censored_volumes(table, spec.censor, confounds))
    return NuisanceDesign(
        matrix=np.column_stack([values, np.eye(len(table))[:, censored], np.ones(len(table))]),
        names=(*names, *(f"censored_{volume}" for volume in censored), "intercept"),
        provenance={
            name: {
                "mask": described[name]["Mask"],
                "variance_explained": described[name].get("VarianceExplained"),
            }
            for name in components
        },
    )


def check_cosines(confounds: Path, repetition_time: float, spec: Denoise) -> None:
    """Refuse a run without cosines that fMRIPrep would have given some.

    A run of T s has floor(2T / 128) - 1 of them (nipype's CompCor makes them), T being without the
    volumes before the steady state: none under 128 s.

    Parameters
    ----------
    confounds
        fMRIPrep's table.
    repetition_time
        Seconds.
    spec
        What the analysis asks for.

    Raises
    ------
    InputError
        Cosines are asked for, and a run of 128 s or more has none.
    """
    if not spec.cosines:
        return
    table = read_confounds(confounds)
    unsteady = len(fnmatch.filter(map(str, table), "non_steady_state*"))
    filtered_s = (len(table) - unsteady) * repetition_time
    if filtered_s >= COSINES_FROM_S and not _cosines(table):
        raise InputError(
            f"{confounds} has no cosine drifts, which denoise.cosines asks for and fMRIPrep writes "
            f"for runs of {COSINES_FROM_S} s or more: run fMRIPrep again, or set denoise.cosines "
            "to false in the analysis file"
        )


def _cosines(table: pd.DataFrame) -> list[str]:
    return [name for name in map(str, table) if _COSINE.fullmatch(name)]


def _matching(table: pd.DataFrame, pattern: str) -> list[str]:
    """Expand ``non_steady_state_outlier*`` and the like, of which a run may have none."""
    return fnmatch.filter(map(str, table), pattern) if "*" in pattern else [pattern]


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
        if facts.get("Method") == "aCompCor" and facts.get("Mask") == spec.mask and _retained(facts)
    }
    if len(strength) < spec.components:
        raise InputError(_too_few(described, spec, len(strength), metadata))
    return sorted(strength, key=lambda name: (-strength[name], name))[: spec.components]


def _too_few(
    described: Mapping[str, Mapping[str, Any]], spec: CompCor, found: int, metadata: Path
) -> str:
    """Say which components there are instead, and what to change."""
    components = [facts for facts in described.values() if facts.get("Method") == "aCompCor"]
    kept = Counter(str(facts.get("Mask")) for facts in components if _retained(facts))
    dropped = sum(facts.get("Mask") == spec.mask and not _retained(facts) for facts in components)
    others = ", ".join(f"{count} of {mask}" for mask, count in sorted(kept.items()))
    left_out = f" (it dropped {dropped} of this mask)" if dropped else ""
    # All masks alike are cut at half of their variance, and newer releases do not list the rest.
    return (
        f"{metadata} has {found} retained aCompCor components of the mask {spec.mask} (retained: "
        f"{others or 'none'}), and {spec.components} are asked: run fMRIPrep (1.4 or newer) again "
        f"with --return-all-components{left_out}, or change denoise.compcor.mask or "
        "denoise.compcor.components in the analysis file"
    )


def _retained(facts: Mapping[str, Any]) -> bool:
    """Tell whether a component is in the table; some versions of fMRIPrep write it as text."""
    return str(facts.get("Retained", True)).lower() == "true"


def _strength(facts: Mapping[str, Any], name: str, metadata: Path) -> float:
    for key in ("SingularValue", "VarianceExplained"):
        if isinstance(facts.get(key), int | float):
            return float(facts[key])
    raise InputError(f"{metadata} gives no SingularValue of {name}: components cannot be ranked")


def why_unusable(design: NuisanceDesign, spec: Denoise) -> str | None:
    """Say why a run cannot be denoised; None where it can.

    Parameters
    ----------
    design
        The run's regressors.
    spec
        Where it censors by motion, ``censor.min_volumes`` must be left.
    """
    n_left = int(np.count_nonzero(~design.censored))
    least = spec.censor.min_volumes if spec.censor.thresholds else 0
    left = f"{n_left} of {len(design.matrix)} volumes are left after censoring"
    if n_left < least:
        return f"{left}, and denoise.censor.min_volumes asks for {least}"
    if design.degrees_of_freedom < 1:
        return f"{left}, too few for the {design.n_confounds + 1} regressors of denoise"
    return None


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
