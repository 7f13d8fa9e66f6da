"""The steps that test scores against those of models shifted in time: a run, then a region each.

The products of a run for every shift go to a file, part by part and region by region, so that a
region's test reads no more than its own.
"""

import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import numpy as np
from nipype.interfaces.base import Bunch, File, SimpleInterface, TraitedSpec, traits

from bidsapp.analysis.spec import Mode
from bidsapp.interfaces.study import Study, StudyInputSpec
from bidsapp.rsa.gram import RunProducts
from bidsapp.rsa.shifts import ShiftedPart, ShiftedProducts, shifted_parts
from bidsapp.rsa.volumes import VolumeCount
from bidsapp.tables.null import RegionNull, region_null

_OF_REGIONS = ("xy", "y_mean", "y_sd", "present")  # of `RunProducts`
_SHARED = ("xx", "x_mean", "x_sd")


class _ProductsInputSpec(StudyInputSpec):
    run = traits.Str(mandatory=True, desc="run to reduce")


class _ProductsOutputSpec(TraitedSpec):
    products = File(exists=True, desc="products for every shift, see write_parts")


class ShiftedRunProducts(SimpleInterface):
    """Reduce one run of all participants and regions to its products for every shift of models."""

    input_spec = _ProductsInputSpec
    output_spec = _ProductsOutputSpec

    def _run_interface(self, runtime: Bunch) -> Bunch:
        study = Study(self.inputs)
        analysis = study.analysis
        parts = shifted_parts(
            study.run(self.inputs.run),
            analysis.robust.min_lag_s,
            analysis.modes,
            analysis.replicate.lag_regressors_s,
        )
        path = Path(runtime.cwd) / "products.npz"
        write_parts(path, parts)
        self._results["products"] = str(path)
        return runtime


class _NullInputSpec(StudyInputSpec):
    products = traits.List(File(exists=True), mandatory=True, desc="of the runs, in their order")
    region = traits.Str(mandatory=True, desc="region to test")
    seed = traits.Int(mandatory=True, desc="of the shifts")


class _NullOutputSpec(TraitedSpec):
    scores = File(exists=True, desc="scores of every mode, fit, draw and model")


class ShiftNull(SimpleInterface):
    """Score one region with models as they are, and shifted in time."""

    input_spec = _NullInputSpec
    output_spec = _NullOutputSpec

    def _run_interface(self, runtime: Bunch) -> Bunch:
        study = Study(self.inputs)
        region = study.analysis.region_names.index(self.inputs.region)
        nulls = region_null(
            [read_parts(Path(path), region) for path in self.inputs.products],
            study.layers,
            self.inputs.region,
            study.analysis,
            self.inputs.seed,
            study.participants,
        )
        path = Path(runtime.cwd) / "null.npz"
        write_nulls(path, nulls)
        self._results["scores"] = str(path)
        return runtime


def write_parts(path: Path, parts: Sequence[ShiftedPart]) -> None:
    """Write the parts of a run, each region's arrays by themselves.

    Parameters
    ----------
    path
        An ``.npz`` file.
    parts
        Of `bidsapp.rsa.shifts.shifted_parts`.
    """
    arrays: dict[str, Any] = {"n_parts": len(parts)}
    for i, part in enumerate(parts):
        arrays[f"{i}/participants"] = part.participants
        for mode, run in part.products.items():
            key, plain = f"{i}/{mode}", run.unshifted
            counts = [getattr(plain.volumes, field.name) for field in fields(VolumeCount)]
            arrays[f"{key}/run"] = np.array(plain.run)
            arrays[f"{key}/counts"] = np.array([plain.n_pairs, *counts])
            arrays[f"{key}/in_run"] = run.in_run
            arrays |= {f"{key}/{name}": getattr(plain, name) for name in _SHARED}
            for region, given in enumerate(run.given):
                own = f"{key}/{region}"
                arrays[f"{own}/shifted_xy"] = run.xy[:, region]
                arrays[f"{own}/given"] = given
                arrays |= {f"{own}/{name}": getattr(plain, name)[region] for name in _OF_REGIONS}
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def read_parts(path: Path, region: int) -> list[ShiftedPart]:
    """Read what `write_parts` wrote of one region, by position.

    Products of participants with each other (``yy``) are not kept, and are NaN.
    """
    with np.load(path, allow_pickle=False) as arrays:
        return [
            ShiftedPart(
                arrays[f"{i}/participants"],
                {
                    mode: _products(arrays, f"{i}/{mode}", region)
                    for mode in get_args(Mode)
                    if f"{i}/{mode}/run" in arrays
                },
            )
            for i in range(int(arrays["n_parts"]))
        ]


def _products(arrays: Any, key: str, region: int) -> ShiftedProducts:  # noqa: ANN401
    own = f"{key}/{region}"
    n_pairs, *counts = arrays[f"{key}/counts"].tolist()
    n_participants = len(arrays[f"{key}/in_run"])
    of_region = {name: arrays[f"{own}/{name}"][None] for name in _OF_REGIONS}
    plain = RunProducts(
        run=str(arrays[f"{key}/run"]),
        n_pairs=n_pairs,
        volumes=VolumeCount(*counts),
        yy=np.full((1, n_participants, n_participants), np.nan),
        **{name: arrays[f"{key}/{name}"] for name in _SHARED},
        **of_region,
    )
    shifted, given = arrays[f"{own}/shifted_xy"], arrays[f"{own}/given"]
    return ShiftedProducts(plain, shifted[:, None], given[None], arrays[f"{key}/in_run"])


def write_nulls(path: Path, nulls: Sequence[RegionNull]) -> None:
    """Write the scores of one region.

    Parameters
    ----------
    path
        An ``.npz`` file.
    nulls
        One a mode and fit.
    """
    labels = [[null.region, null.mode, null.fit, null.note] for null in nulls]
    scores = {str(i): null.scores for i, null in enumerate(nulls) if null.scores is not None}
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, labels=np.array(json.dumps(labels)), **scores)


def read_nulls(path: Path) -> list[RegionNull]:
    """Read what `write_nulls` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        return [
            RegionNull(region, mode, fit, arrays.get(str(i)), note)
            for i, (region, mode, fit, note) in enumerate(json.loads(str(arrays["labels"])))
        ]
