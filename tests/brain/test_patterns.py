from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from nilearn.masking import apply_mask

from bidsapp.brain.carpet import carpet
from bidsapp.brain.denoise import NuisanceDesign, residuals
from bidsapp.brain.patterns import (
    RegionPatterns,
    autocorrelation,
    read_voxels,
    region_patterns,
    whole_lags,
)
from bidsapp.errors import InputError

SHAPE = (8, 7, 6)
N = 30
AFFINE = np.diag([-3.0, 3.0, 3.3, 1.0])
USED = (np.arange(N) >= 5) & (np.arange(N) < 26)  # without a film at first, shown again at last


def bold(path: Path, data: np.ndarray) -> Path:
    nibabel.save(nibabel.Nifti1Image(data, AFFINE), path)
    return path


def data(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(100, 5, (*SHAPE, N)).astype(np.float32)


def masks() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(2)
    return {
        "V1v": rng.random(SHAPE) < 0.2,
        "FFA": rng.random(SHAPE) < 0.1,
        "none": np.zeros(SHAPE, bool),
    }


def design(n: int = N) -> NuisanceDesign:
    noise = np.random.default_rng(3).normal(size=(n, 4))
    return NuisanceDesign(
        np.column_stack([noise, np.ones(n)]), ("a", "b", "c", "d", "intercept"), {}
    )


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nii"])
def test_voxels_are_those_of_nilearn(tmp_path: Path, name: str) -> None:
    path = bold(tmp_path / name, data())
    mask = masks()["V1v"]
    expected = apply_mask(nibabel.load(path), nibabel.Nifti1Image(mask.astype(np.uint8), AFFINE))
    np.testing.assert_array_equal(read_voxels(path, mask), expected)


def test_scaled_integers_are_read_as_nibabel_reads_them(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(data(), AFFINE)
    image.set_data_dtype(np.int16)
    nibabel.save(image, tmp_path / "a.nii.gz")
    stored = nibabel.load(tmp_path / "a.nii.gz")
    assert stored.dataobj.slope != 1
    everything = np.ones(SHAPE, bool)
    expected = stored.get_fdata().reshape(-1, N).T
    np.testing.assert_allclose(read_voxels(tmp_path / "a.nii.gz", everything), expected, rtol=1e-6)


def test_patterns_are_residuals_of_each_region(tmp_path: Path) -> None:
    values, regions = data(), masks()
    found = region_patterns(bold(tmp_path / "a.nii.gz", values), regions, design(), scale=False)
    assert list(found.replicate.series) == ["V1v", "FFA", "none"]
    for name, mask in regions.items():
        expected = residuals(np.array([values[..., t][mask] for t in range(N)]), design().matrix)
        np.testing.assert_allclose(found.replicate.series[name], expected, atol=1e-5)
        assert found.dropped[name] == 0
    assert found.replicate.series["none"].shape == (N, 0)
    assert np.isnan(found.tsnr["none"])
    assert 15 < found.tsnr["V1v"] < 30  # mean 100, SD 5, less some nuisance


def test_a_constant_image_changes_nothing(tmp_path: Path) -> None:
    values, regions = data(), masks()
    constant = np.random.default_rng(9).normal(0, 50, (*SHAPE, 1)).astype(np.float32)
    plain = region_patterns(bold(tmp_path / "a.nii.gz", values), regions, design(), scale=False)
    moved = region_patterns(
        bold(tmp_path / "b.nii.gz", values + constant), regions, design(), scale=False
    )
    for name in regions:
        expected = plain.replicate.series[name]
        np.testing.assert_allclose(moved.replicate.series[name], expected, atol=1e-3)


def test_scaling_gives_unit_variance(tmp_path: Path) -> None:
    found = region_patterns(bold(tmp_path / "a.nii.gz", data()), masks(), design(), scale=True)
    np.testing.assert_allclose(found.replicate.series["V1v"].std(axis=0), 1.0, rtol=1e-5)


def test_constant_voxels_are_dropped_and_counted(tmp_path: Path) -> None:
    values, regions = data(), masks()
    inside = np.argwhere(regions["V1v"] & ~regions["FFA"])[:3]
    for voxel in inside:
        values[tuple(voxel)] = 7.0
    found = region_patterns(bold(tmp_path / "a.nii.gz", values), regions, design(), scale=True)
    assert found.dropped == {"V1v": 3, "FFA": 0, "none": 0}
    assert found.replicate.series["V1v"].shape[1] == np.count_nonzero(regions["V1v"]) - 3
    assert np.isfinite(found.replicate.series["V1v"]).all()


def least_squares_residuals(series: np.ndarray, regressors: np.ndarray) -> np.ndarray:
    weights = np.linalg.lstsq(regressors, series, rcond=None)[0]
    residual: np.ndarray = series - regressors @ weights
    return residual


def robust_patterns(
    folder: Path, values: np.ndarray, used: np.ndarray, **more: Any
) -> RegionPatterns:
    given = {"design": design(), "scale": False, **more}
    return region_patterns(bold(folder / "a.nii.gz", values), masks(), used=used, **given)


@pytest.mark.parametrize("scale", [False, True])
def test_robust_is_least_squares_on_its_volumes_alone(tmp_path: Path, scale: bool) -> None:
    values = data()
    patterns = robust_patterns(tmp_path, values, USED, scale=scale)
    for name, mask in masks().items():
        expected = least_squares_residuals(values[mask].T[USED], design().matrix[USED])
        if scale:
            expected = expected / expected.std(axis=0)
        series = patterns.robust.series[name]
        assert series.dtype == np.float32
        np.testing.assert_allclose(series[USED], expected, atol=1e-4)
        assert np.isnan(series[~USED]).all()
        np.testing.assert_array_equal(patterns.robust.voxels[name], mask)


@pytest.mark.parametrize("scale", [False, True])
def test_replicate_takes_no_notice_of_what_robust_uses(tmp_path: Path, scale: bool) -> None:
    given = (tmp_path, data())
    some = robust_patterns(*given, USED, scale=scale)
    every = robust_patterns(*given, np.ones(N, bool), scale=scale)
    plain = region_patterns(tmp_path / "a.nii.gz", masks(), design(), scale)
    for name in ("V1v", "FFA"):
        expected = plain.replicate.series[name]
        for series in (some.replicate, every.replicate, every.robust, plain.robust):
            np.testing.assert_array_equal(series.series[name], expected)
        assert np.abs(some.robust.series[name] - expected)[USED].max() > 0.5
    assert plain.robust is plain.replicate
    assert some.tsnr["V1v"] == plain.tsnr["V1v"]
    np.testing.assert_array_equal(some.carpet.after, plain.carpet.after)


def test_robust_uses_no_censored_volume(tmp_path: Path) -> None:
    censored = np.isin(np.arange(N), [2, 9])
    values = data()
    values[..., 9] += 1e3
    patterns = robust_patterns(tmp_path, values, USED, design=design().leaving_out(censored))
    left = USED & ~censored
    expected = least_squares_residuals(values[masks()["FFA"]].T[left], design().matrix[left])
    np.testing.assert_allclose(patterns.robust.series["FFA"][left], expected, atol=1e-4)
    for volumes, denoised in ((left, patterns.robust), (~censored, patterns.replicate)):
        defined = np.isfinite(denoised.series["FFA"]).all(axis=1)
        np.testing.assert_array_equal(defined, volumes)


@pytest.mark.parametrize("scale", [False, True])
@pytest.mark.parametrize(("n_used", "n_defined"), [(2, 0), (5, 0), (6, 6)])
def test_robust_needs_more_volumes_than_regressors(
    tmp_path: Path, n_used: int, n_defined: int, scale: bool
) -> None:
    patterns = robust_patterns(tmp_path, data(), np.arange(N) < n_used, scale=scale)
    series = patterns.robust.series["V1v"]
    assert series.shape == (N, np.count_nonzero(masks()["V1v"]))
    assert np.isfinite(series[:n_defined]).all()
    assert np.isnan(series[n_defined:]).all()
    assert np.isfinite(patterns.replicate.series["V1v"]).all()


@pytest.mark.parametrize("n_used", [0, 1])
def test_no_voxel_changes_in_one_volume(tmp_path: Path, n_used: int) -> None:
    patterns = robust_patterns(tmp_path, data(), np.arange(N) < n_used, scale=True)
    assert patterns.robust.series["V1v"].shape == (N, 0)
    assert not patterns.robust.voxels["V1v"].any()
    assert np.isfinite(patterns.replicate.series["V1v"]).all()


def test_voxels_constant_in_the_volumes_of_robust_are_left_out_of_it_alone(tmp_path: Path) -> None:
    values, mask = data(), masks()["V1v"]
    constant = tuple(np.argwhere(mask)[3])
    values[constant][USED] = 7.0
    patterns = robust_patterns(tmp_path, values, USED, scale=True)
    rest = mask.copy()
    rest[constant] = False
    np.testing.assert_array_equal(patterns.robust.voxels["V1v"], rest)
    np.testing.assert_array_equal(patterns.replicate.voxels["V1v"], mask)
    assert patterns.dropped["V1v"] == 0
    expected = least_squares_residuals(values[rest].T[USED], design().matrix[USED])
    robust = patterns.robust.series["V1v"][USED]
    np.testing.assert_allclose(robust, expected / expected.std(axis=0), atol=1e-4)
    assert patterns.replicate.series["V1v"].shape == (N, np.count_nonzero(mask))
    assert np.isfinite(patterns.replicate.series["V1v"]).all()


def test_no_region_reads_nothing(tmp_path: Path) -> None:
    nothing = region_patterns(tmp_path / "gone.nii.gz", {}, design(), scale=False)
    assert nothing.replicate.series == nothing.robust.series == {}


def test_values_that_are_not_finite_are_counted(tmp_path: Path) -> None:
    values, regions = data(), masks()
    for voxel, value in zip(np.argwhere(regions["FFA"])[:2], (np.nan, np.inf), strict=True):
        values[(*voxel, 5)] = value
    path = bold(tmp_path / "a.nii.gz", values)
    with pytest.raises(InputError, match=r"a.nii.gz has values that are not finite in 2 voxels"):
        region_patterns(path, regions, design(), scale=False)


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nii"])
@pytest.mark.parametrize("lost", [4, 5000])
def test_truncated(tmp_path: Path, name: str, lost: int) -> None:
    path = bold(tmp_path / name, data())
    path.write_bytes(path.read_bytes()[:-lost])
    with pytest.raises(InputError, match=f"{name} is truncated or damaged"):
        read_voxels(path, masks()["V1v"])


def test_damaged_content(tmp_path: Path) -> None:
    path = bold(tmp_path / "a.nii.gz", data())
    content = bytearray(path.read_bytes())
    content[-8] ^= 1  # the checksum
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match="truncated or damaged"):
        read_voxels(path, masks()["V1v"])


def test_files_that_do_not_fit(tmp_path: Path) -> None:
    path = bold(tmp_path / "a.nii.gz", data())
    with pytest.raises(InputError, match="30 volumes but its confounds have 29 rows"):
        region_patterns(path, masks(), design(N - 1), scale=False)
    with pytest.raises(InputError, match="the mask is"):
        read_voxels(path, np.ones((2, 2, 2), bool))
    with pytest.raises(InputError, match="3 dimensions"):
        read_voxels(bold(tmp_path / "b.nii.gz", data()[..., 0]), masks()["V1v"])
    with pytest.raises(InputError, match="no readable NIfTI"):
        read_voxels(tmp_path / "gone.nii.gz", masks()["V1v"])


def test_autocorrelation_is_numpys() -> None:
    series = np.random.default_rng(0).normal(size=(50, 6)).cumsum(axis=0)
    found = autocorrelation(series, [1, 2, 5, 47, 48, 200])
    for value, lag in zip(found[:4], (1, 2, 5, 47), strict=True):
        each = [np.corrcoef(voxel[:-lag], voxel[lag:])[0, 1] for voxel in series.T]
        assert value == pytest.approx(np.mean(each), abs=1e-12)
    assert np.isnan(found[4:]).all()


@pytest.mark.parametrize(
    ("repetition_time", "lags"),
    [(2.0, [1, 2, 3, 5]), (3.0, [1, 2, 3]), (0.8, [1, 2, 5, 8, 12]), (30.0, [1])],
)
def test_lags_are_whole_volumes_each_once(repetition_time: float, lags: list[int]) -> None:
    assert whole_lags([1.0, 2.0, 4.0, 6.0, 10.0], repetition_time) == lags


def test_autocorrelation_of_known_noise() -> None:
    rng = np.random.default_rng(0)
    series = np.zeros((2000, 20))
    for t in range(1, len(series)):
        series[t] = 0.5 * series[t - 1] + rng.normal(size=20)
    found = autocorrelation(series, [1, 2, 10])
    np.testing.assert_allclose(found, [0.5, 0.25, 0.0], atol=0.02)


def test_autocorrelation_without_voxels_or_variance() -> None:
    assert np.isnan(autocorrelation(np.empty((50, 0)), [1])).all()
    assert np.isnan(autocorrelation(np.ones((50, 3)), [1])).all()


def test_the_carpet_takes_voxels_of_each_region_in_sds_as_measured() -> None:
    random = np.random.default_rng(5)
    measured = (100 + 7 * random.standard_normal((50, 300))).astype(np.float32)
    denoised = ((measured - measured.mean(axis=0)) / 2).astype(np.float32)
    left = np.arange(50) != 3
    denoised[3] = np.nan
    kept = {"A": np.arange(300) < 200, "B": np.arange(300) >= 298, "C": np.zeros(300, bool)}
    found = carpet(kept, measured, denoised, left)
    assert found.regions == ("A",) * 40 + ("B",) * 2
    np.testing.assert_allclose(found.before[left].mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(found.before[left].std(axis=0), 1, atol=1e-5)
    np.testing.assert_allclose(found.after[left].std(axis=0), 0.5, atol=1e-3)
    np.testing.assert_allclose(found.before[:, -1], (measured[:, 299] - measured[left, 299].mean())
                               / measured[left, 299].std(), atol=1e-4)  # fmt: skip
    assert np.isnan(found.after[3]).all()
