"""Movie runs on different grids of one space: each region is the same place in mm."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import SimpleITK

from bidsapp.analysis.spec import SearchSphere
from bidsapp.dataset.atlas import PUBLISHED_ORDER
from bidsapp.interfaces.atlas_regions import AtlasRegionMasks
from bidsapp.interfaces.functional_regions import FunctionalRegionMasks
from bidsapp.interfaces.masks import load_masks

TEMPLATE_SHAPE, TEMPLATE = (60, 60, 50), np.diag([2.0, 2.0, 2.0, 1.0])
TEMPLATE[:3, 3] = [-60, -60, -50]
GRID = np.array([[-3.0, 0, 0, 54.0], [0, 3, 0.1, -50], [0, -0.1, 3.3, -40], [0, 0, 0, 1]])
MOVED = GRID.copy()
MOVED[:3, 3] += (1.3, 14.2, -9.7)  # as from runs 1-4 to runs 5-8 of studyforrest
SHAPES = {"1": (36, 34, 26), "5": (36, 32, 28)}
CENTRES = {"L": (-24.0, 2.0, 3.0), "R": (24.0, 2.0, 3.0)}


def millimetres(shape, affine) -> np.ndarray:
    return np.moveaxis(np.indices(shape), 0, -1) @ affine[:3, :3].T + affine[:3, 3]


def save(path: Path, data: np.ndarray, affine: np.ndarray) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(data.astype(np.float32), affine), path)
    return str(path)


@pytest.fixture
def common(tmp_path, monkeypatch):
    """What both steps need: two movie runs on two grids, and identity transforms."""
    monkeypatch.chdir(tmp_path)
    identity = tmp_path / "identity.h5"
    SimpleITK.WriteTransform(SimpleITK.CompositeTransform(3), str(identity))
    ends = ("T1w->MNI152NLin6Asym", "MNI152NLin6Asym->T1w")
    grids = {"1": GRID, "5": MOVED}
    return {
        "hemispheres": "separate",
        "transforms": {end: str(identity) for end in ends},
        "space": "T1w",
        "runs": list(grids),
        "movie_masks": [
            save(tmp_path / f"brain_{run}.nii.gz", np.ones(SHAPES[run]), affine)
            for run, affine in grids.items()
        ],
        "metadata": {"SpatialReference": "bids:fmriprep:x", "Sources": []},
    }


def check_places(outputs, names) -> None:
    """Regions of both runs have one centre and one volume."""
    masks = {run: load_masks([path]) for run, path in zip("15", outputs.masks, strict=True)}
    for name in names:
        places = []
        for run, affine in (("1", GRID), ("5", MOVED)):
            mask = masks[run][name]
            volume = mask.sum() * abs(np.linalg.det(affine[:3, :3]))
            places.append((*millimetres(mask.shape, affine)[mask].mean(axis=0), volume / 1000))
        np.testing.assert_allclose(places[0], places[1], atol=1.2)
        assert places[0][3] > 1
        assert not np.array_equal(masks["1"][name][:32, :32, :26], masks["5"][name][:32, :32, :26])
        np.testing.assert_allclose(places[0][:3], CENTRES[name[-1]], atol=2.5)


def test_atlas_regions(common, tmp_path):
    mm = millimetres(TEMPLATE_SHAPE, TEMPLATE)
    for side, name in (("L", "lh"), ("R", "rh")):
        for number in range(1, len(PUBLISHED_ORDER) + 1):
            apart = np.linalg.norm(mm - CENTRES[side], axis=-1)
            data = np.clip(140 - 7 * apart, 0, 100) * (number == 1)
            save(tmp_path / f"atlas/perc_VTPM_vol_roi{number}_{name}.nii.gz", data, TEMPLATE)
    outputs = (
        AtlasRegionMasks(
            spec={"regions": ["V1v"]},
            atlas_dir=str(tmp_path / "atlas"),
            entities={"sub": "01", "space": "T1w"},
            **common,
        )
        .run(cwd=str(tmp_path))
        .outputs
    )
    check_places(outputs, ("V1v_L", "V1v_R"))
    table = pd.read_csv(outputs.table, sep="\t", keep_default_na=False)
    assert list(table["coverage"]) == [1, 1]
    assert list(table["flags"]) == ["", ""]
    assert list(pd.read_csv(outputs.coverage, sep="\t")["coverage"]) == [1] * 4


def test_functional_regions(common, tmp_path):
    shape = (40, 40, 30)
    mm = millimetres(shape, GRID)
    t = np.maximum.reduce(
        [12 - np.linalg.norm(mm - centre, axis=-1) / 2 for centre in CENTRES.values()]
    )
    search = {
        side: SearchSphere(centre_mm=centre, radius_mm=9).model_dump(mode="json")
        for side, centre in CENTRES.items()
    }
    outputs = (
        FunctionalRegionMasks(
            spec={"regions": [{"name": "FFA", "contrast": "face", "search": search}]},
            mask=save(tmp_path / "brain.nii.gz", np.ones(shape), GRID),
            t_maps={"face": save(tmp_path / "t.nii.gz", t, GRID)},
            z_maps={"face": save(tmp_path / "z.nii.gz", t, GRID)},
            entities={"sub": "01", "task": "faces", "run": "1", "space": "T1w"},
            **common,
        )
        .run(cwd=str(tmp_path))
        .outputs
    )
    check_places(outputs, ("FFA_L", "FFA_R"))
    assert list(pd.read_csv(outputs.coverage, sep="\t")["coverage"]) == [1] * 4
    written = {path.name: path for path in Path(outputs.staged).rglob("*_mask.nii.gz")}
    assert set(written) == {
        f"sub-01_task-faces_run-1_hemi-{side}_space-{space}_label-FFA_desc-top80_mask.nii.gz"
        for side in "LR"
        for space in ("T1w", "MNI152NLin6Asym")
    }
    for name, path in written.items():
        if "MNI" in name:  # for the group's figure
            image = nib.load(path)
            there = millimetres(image.shape, image.affine)[image.get_fdata() > 0]
            np.testing.assert_allclose(
                there.mean(axis=0), CENTRES[name.split("hemi-")[1][0]], atol=2.5
            )
