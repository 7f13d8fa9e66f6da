"""Voxels as nibabel reads them, in every number format, and as nilearn smooths them."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
from nilearn.image import smooth_img

from bidsapp.brain.denoise import NuisanceDesign, residuals
from bidsapp.brain.patterns import Smoothing, region_patterns
from bidsapp.brain.voxels import read_smoothed_voxels, read_voxels
from bidsapp.errors import InputError

SHAPE = (14, 12, 11)
N = 12
# Oblique, and with voxels that differ along x, y and z.
AFFINE = np.array([[-2.9, 0.3, 0, 20], [0.3, 2.9, 0.2, -15], [0, -0.2, 3.6, -18], [0, 0, 0, 1]])


def save(path: Path, data: np.ndarray) -> nibabel.Nifti1Image:
    nibabel.save(nibabel.Nifti1Image(data, AFFINE), path)
    return nibabel.load(path)


def data(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(1000, 50, (*SHAPE, N)).astype(np.float32)


def brain() -> np.ndarray:
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in SHAPE], indexing="ij"))
    return (grid**2).sum(axis=0) < 0.9


def regions() -> np.ndarray:
    """Some voxels of the brain, at its edge and in its middle."""
    return brain() & (np.random.default_rng(1).random(SHAPE) < 0.3)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("kind", ["<i2", ">i2", "<f8", ">f4", "u1", "<i4"])
@pytest.mark.parametrize("scaling", [(1.0, 0.0), (0.37, -12.5)])
def test_number_formats(tmp_path: Path, name: str, kind: str, scaling: tuple[float, float]) -> None:
    dtype = np.dtype(kind)
    header = nibabel.Nifti1Header(endianness=">" if kind[0] == ">" else "<")
    stored = np.random.default_rng(0).integers(0, 250, (*SHAPE, N)).astype(dtype.newbyteorder("="))
    header.set_data_dtype(dtype)
    image = nibabel.Nifti1Image(stored, AFFINE, header)
    image.header.set_slope_inter(*scaling)
    nibabel.save(image, tmp_path / name)
    read = nibabel.load(tmp_path / name)
    assert read.header.endianness == header.endianness
    assert read.dataobj.dtype == dtype
    np.testing.assert_allclose((read.dataobj.slope, read.dataobj.inter), scaling, rtol=1e-6)
    mask = regions()
    expected = read.get_fdata()[mask].T.astype(np.float32)
    np.testing.assert_array_equal(read_voxels(tmp_path / name, mask), expected)


@pytest.mark.parametrize("fwhm", [2.0, 4.0, 8.0])
@pytest.mark.parametrize("corner", [False, True])
def test_smoothing_is_nilearns_within_the_brain(tmp_path: Path, fwhm: float, corner: bool) -> None:
    image = save(tmp_path / "a.nii.gz", data())
    mask = regions()
    if corner:  # far from the rest of the brain, which is not looked at
        mask[:, :, 5:] = False
        mask[4:] = False
    raw, smooth = read_smoothed_voxels(tmp_path / "a.nii.gz", mask, brain(), fwhm)
    np.testing.assert_array_equal(raw, read_voxels(tmp_path / "a.nii.gz", mask))
    inside = image.get_fdata() * brain()[..., None]
    above = smooth_img(nibabel.Nifti1Image(inside, AFFINE), fwhm).get_fdata()[mask]
    weight = nibabel.Nifti1Image(brain().astype(np.float64), AFFINE)
    below = smooth_img(weight, fwhm).get_fdata()[mask]
    np.testing.assert_allclose(smooth, (above / below[:, None]).T, rtol=1e-6)


def test_far_from_the_edge_it_is_plain_smoothing(tmp_path: Path) -> None:
    image = save(tmp_path / "a.nii.gz", data())
    middle = np.zeros(SHAPE, bool)
    middle[5:9, 5:7, 5:7] = True
    _, smooth = read_smoothed_voxels(tmp_path / "a.nii.gz", middle, np.ones(SHAPE, bool), 3.0)
    plain = smooth_img(image, 3.0).get_fdata()[middle].T
    np.testing.assert_allclose(smooth, plain, rtol=1e-6)


def test_nothing_leaks_in_and_the_edge_is_not_darkened(tmp_path: Path) -> None:
    values = np.full((*SHAPE, N), 100.0, np.float32)
    values[~brain()] = 1e6
    save(tmp_path / "a.nii.gz", values)
    _, smooth = read_smoothed_voxels(tmp_path / "a.nii.gz", regions(), brain(), 6.0)
    np.testing.assert_allclose(smooth, 100.0, rtol=1e-6)


def test_smoothing_before_is_smoothing_after_denoising(tmp_path: Path) -> None:
    values = data()
    save(tmp_path / "a.nii.gz", values)
    rng = np.random.default_rng(2)
    design = NuisanceDesign(np.column_stack([rng.normal(size=(N, 3)), np.ones(N)]), (), {})
    found = region_patterns(
        tmp_path / "a.nii.gz", {"V1v": regions()}, design, False, Smoothing(5.0, brain())
    )
    clean = np.zeros((*SHAPE, N))
    clean[brain()] = residuals(values[brain()].T, design.matrix).T
    save(tmp_path / "clean.nii.gz", clean)
    _, after = read_smoothed_voxels(tmp_path / "clean.nii.gz", regions(), brain(), 5.0)
    smooth = found.replicate.series["V1v"]
    np.testing.assert_allclose(smooth, after, atol=1e-3)  # of values about 50


def test_a_voxel_without_signal_gets_none_from_its_neighbours(tmp_path: Path) -> None:
    values, mask = data(), regions()
    dead = tuple(np.argwhere(mask)[40])
    values[dead] = 0
    save(tmp_path / "a.nii.gz", values)
    design = NuisanceDesign(np.ones((N, 1)), ("intercept",), {})
    found = region_patterns(
        tmp_path / "a.nii.gz", {"V1v": mask}, design, False, Smoothing(5.0, brain())
    )
    assert found.dropped == {"V1v": 1}
    assert found.replicate.series["V1v"].shape[1] == mask.sum() - 1


def test_regions_without_a_voxel_are_smoothed_to_nothing(tmp_path: Path) -> None:
    save(tmp_path / "a.nii.gz", data())
    nothing = np.zeros(SHAPE, bool)
    raw, smooth = read_smoothed_voxels(tmp_path / "a.nii.gz", nothing, brain(), 4.0)
    assert raw.shape == smooth.shape == (N, 0)


def test_smoothing_says_what_is_wrong_with_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    save(path, data())
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(InputError, match="truncated or damaged"):
        read_smoothed_voxels(path, regions(), brain(), 4.0)
