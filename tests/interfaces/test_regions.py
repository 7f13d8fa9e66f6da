"""Regions on the localizer's grid and on the movie's, through the step that finds them."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK
from nibabel import Nifti1Image

from bidsapp.interfaces.functional_regions import FunctionalRegionMasks
from bidsapp.interfaces.masks import load_masks, read_mask

SHAPE, AFFINE = (20, 20, 20), np.diag([3.0, 3.0, 3.0, 1.0])
CENTRE = (30.0, 30.0, 30.0)
SPEC = {
    "template": "MNI152NLin6Asym",
    "voxels": 80,
    "regions": [
        {
            "name": "FFA",
            "contrast": "face",
            "search": {"R": {"centre_mm": CENTRE, "radius_mm": 9}},
        }
    ],
}


def write(path: Path, data: np.ndarray) -> str:
    Nifti1Image(data.astype(np.float32), AFFINE).to_filename(path)
    return str(path)


def test_a_mask_may_be_a_series_of_one(tmp_path):
    data = np.zeros(SHAPE)
    data[4:8] = 1
    mask, affine = read_mask(write(tmp_path / "mask.nii.gz", data[..., None]))
    np.testing.assert_array_equal(mask, data > 0)
    np.testing.assert_array_equal(affine, AFFINE)


@pytest.fixture
def find(tmp_path, monkeypatch):
    """Run the step on a t map, and a movie run whose brain mask is given."""
    identity = tmp_path / "identity.h5"
    SimpleITK.WriteTransform(SimpleITK.CompositeTransform(3), str(identity))

    def run(t: np.ndarray, movie_mask: np.ndarray):
        brain = write(tmp_path / "brain.nii.gz", np.ones(SHAPE))
        step = FunctionalRegionMasks(
            spec=SPEC,
            hemispheres="joined",
            runs=["1"],
            transforms={
                "T1w->MNI152NLin6Asym": str(identity),
                "MNI152NLin6Asym->T1w": str(identity),
            },
            space="T1w",
            movie_masks=[write(tmp_path / "movie.nii.gz", movie_mask)],
            entities={"sub": "01", "task": "localizer", "run": "1", "space": "T1w"},
            metadata={"SpatialReference": "bids:fmriprep:x", "Sources": []},
            mask=brain,
            t_maps={"face": write(tmp_path / "t.nii.gz", t)},
            z_maps={"face": write(tmp_path / "z.nii.gz", t / 2)},
        )
        monkeypatch.chdir(tmp_path)
        return step.run(cwd=str(tmp_path)).outputs

    return run


def bump() -> np.ndarray:
    """A map of t with its peak at the centre, negative 12 mm away and nowhere zero."""
    index = np.indices(SHAPE).reshape(3, -1).T * 3.0
    return (10 - np.linalg.norm(index - CENTRE, axis=1)).reshape(SHAPE) - 0.001


def test_voxels_that_were_not_measured_belong_to_no_region(find):
    t = bump()
    t[11:] = 0  # outside the field of view, where the true t is unknown
    outputs = find(t, np.ones(SHAPE))
    mask = load_masks(outputs.masks)["FFA"]
    assert mask.any()
    assert not mask[11:].any()
    flags = pd.read_csv(outputs.table, sep="\t")["flags"].iloc[0]
    assert f"{mask.sum()} of 80 voxels" in flags


def test_a_region_that_shrinks_on_the_movie_grid_is_flagged(find):
    movie = np.ones(SHAPE)
    movie[:, :, 10:] = 0
    outputs = find(bump(), movie)
    row = pd.read_csv(outputs.table, sep="\t").iloc[0]
    used = int(load_masks(outputs.masks)["FFA"].sum())
    assert row["n_voxels"] == 80 > used
    assert row["fewest_voxels"] == used
    assert f"{used} voxels in a movie run" in row["flags"]
    inside = pd.read_csv(outputs.coverage, sep="\t").iloc[0]
    chosen = next(Path(outputs.staged).rglob("*_space-T1w_*_mask.nii.gz"))
    part = Nifti1Image.from_filename(chosen).get_fdata()[:, :, :10].sum() / 80
    assert inside.tolist() == ["FFA", 1, pytest.approx(part), 0.75]
    assert 0 < part < 1
    described = next(Path(outputs.staged).rglob("*_space-T1w_*_mask.json"))
    assert json.loads(described.read_text())["Voxels"] == {"R": 80}
