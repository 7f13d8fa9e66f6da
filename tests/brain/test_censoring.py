"""Volumes left out for motion: which, and that the rest is as if they had never been there."""

from dataclasses import asdict
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bidsapp.analysis.spec import Censor, CompCor, Denoise
from bidsapp.brain.censoring import censored_volumes, motion
from bidsapp.brain.denoise import NuisanceDesign, nuisance_design, residuals, why_unusable
from bidsapp.brain.patterns import autocorrelation, region_patterns
from bidsapp.errors import InputError
from bidsapp.rsa.rdm import correlation_distance, to_square

N = 40
SHAPE = (4, 3, 3)
HERE = Path("confounds.tsv")


def censor(threshold: float | None = 0.5, **more: object) -> Censor:
    return Censor.model_validate({"framewise_displacement_mm": threshold, **more})


def displacement(*moved: int, n: int = N) -> pd.DataFrame:
    """Confounds of a head that moved at some volumes only; the first is n/a, as fMRIPrep has it."""
    values = np.full(n, 0.1)
    values[list(moved)] = 0.9
    values[0] = np.nan
    return pd.DataFrame({"framewise_displacement": values, "std_dvars": values * 2})


def spec(**changes: object) -> Denoise:
    plain = {"compcor": {"components": 0}, "cosines": False, "columns": ["a", "b", "c"]}
    return Denoise.model_validate(plain | changes)


def files(folder: Path, table: pd.DataFrame) -> tuple[Path, Path]:
    noise = np.random.default_rng(3).normal(size=(len(table), 3))
    table = table.assign(**dict(zip("abc", noise.T, strict=True)))
    table.to_csv(folder / "confounds.tsv", sep="\t", na_rep="n/a", index=False)
    (folder / "confounds.json").write_text("{}")
    return folder / "confounds.tsv", folder / "confounds.json"


def bold(folder: Path, seed: int = 0, n: int = N) -> np.ndarray:
    """Write autocorrelated noise; return it, (x, y, z, n)."""
    rng = np.random.default_rng(seed)
    data = rng.normal(0, 5, (*SHAPE, n)).cumsum(axis=3) + 1000
    nibabel.save(nibabel.Nifti1Image(data, np.eye(4)), folder / "bold.nii.gz")
    return data


# --- which volumes ---


@given(st.sets(st.integers(1, N - 1)), st.integers(0, 50), st.integers(0, 50))
def test_neighbours_in_time_go_too(moved: set[int], before: int, after: int) -> None:
    found = censored_volumes(displacement(*moved), censor(before=before, after=after), HERE)
    expected = [any(m - before <= i <= m + after for m in moved) for i in range(N)]
    np.testing.assert_array_equal(found, expected)


def test_thresholds_join_and_none_is_none() -> None:
    table = displacement(3).assign(std_dvars=np.r_[np.nan, np.ones(N - 2), 1.6])
    both = censor(0.5, standardized_dvars=1.5)
    assert np.flatnonzero(censored_volumes(table, both, HERE)).tolist() == [3, N - 1]
    assert not censored_volumes(table, Censor(), HERE).any()
    # At the threshold a volume is kept; and the first, which has none, is.
    assert not censored_volumes(table, censor(0.9), HERE).any()


def test_the_first_and_the_last_volume() -> None:
    table = displacement(1, N - 1)
    found = censored_volumes(table, censor(before=1, after=1), HERE)
    assert np.flatnonzero(found).tolist() == [0, 1, 2, N - 2, N - 1]


@pytest.mark.parametrize("key", ["framewise_displacement_mm", "standardized_dvars"])
def test_a_column_that_is_needed_is_named_with_the_key(key: str) -> None:
    asked = Censor.model_validate({key: 0.5})
    column = {"framewise_displacement_mm": "framewise_displacement"}.get(key, "std_dvars")
    with pytest.raises(InputError, match=f"no column '{column}', which denoise.censor.{key} needs"):
        censored_volumes(displacement().drop(columns=column), asked, HERE)
    for gap in (slice(None), 7):
        table = displacement()
        table.loc[gap, column] = np.nan
        with pytest.raises(
            InputError, match=f"{column}, which denoise.censor.{key} needs, has mis"
        ):
            censored_volumes(table, asked, HERE)


def test_neighbours_of_nothing_are_refused() -> None:
    with pytest.raises(ValidationError, match="before and after need framewise_displacement_mm"):
        Censor(before=1)


# --- the fit without them ---


@pytest.mark.parametrize("moved", [(5, 6, 20), (0, 39), (1,)])
@pytest.mark.parametrize("scale", [False, True])
def test_the_fit_is_that_of_the_volumes_left(
    tmp_path: Path, moved: tuple[int, ...], scale: bool
) -> None:
    data = bold(tmp_path)
    table = displacement(*moved)
    table.loc[0, "framewise_displacement"] = 0.9 if 0 in moved else np.nan
    design = nuisance_design(*files(tmp_path, table), spec(censor=censor()))
    assert design.names == ("a", "b", "c", *(f"censored_{i}" for i in moved), "intercept")
    found = region_patterns(
        tmp_path / "bold.nii.gz", {"all": np.ones(SHAPE, bool)}, design, scale=scale
    )
    left = np.setdiff1d(np.arange(N), moved)
    plain = design.matrix[np.ix_(left, [0, 1, 2, -1])]
    raw = data.reshape(-1, N).T[left]
    expected = raw - plain @ np.linalg.lstsq(plain, raw, rcond=None)[0]
    tsnr = (raw.mean(axis=0) / expected.std(axis=0)).mean()
    if scale:
        expected = expected / expected.std(axis=0)
    series = found.replicate.series["all"]
    assert np.isnan(series[list(moved)]).all()
    np.testing.assert_allclose(series[left], expected, atol=1e-5 * np.abs(expected).max())
    assert found.tsnr["all"] == pytest.approx(tsnr, rel=1e-5)
    assert design.n_confounds == 3
    assert design.degrees_of_freedom == len(left) - 4

    rdm = to_square(correlation_distance(series))
    assert np.isnan(np.delete(rdm[list(moved)], moved, axis=1)).all()
    alone = to_square(correlation_distance(series[left]))
    np.testing.assert_allclose(rdm[np.ix_(left, left)], alone, atol=1e-6)


@given(st.integers(0, 10**6))
def test_what_a_censored_volume_holds_changes_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    moved = rng.choice(N, 6, replace=False)
    design = np.column_stack([rng.normal(size=(N, 3)), np.eye(N)[:, moved], np.ones(N)])
    series = rng.normal(1000, 5, (N, 4))
    changed = series.copy()
    changed[moved] += rng.normal(0, 1e4, (6, 4))
    left = np.setdiff1d(np.arange(N), moved)
    np.testing.assert_allclose(
        residuals(changed, design)[left], residuals(series, design)[left], atol=1e-5
    )


def test_a_voxel_that_changes_in_censored_volumes_only_is_constant(tmp_path: Path) -> None:
    data = bold(tmp_path)
    data[0, 0, 0] = 7
    data[0, 0, 0, 5] = 900
    nibabel.save(nibabel.Nifti1Image(data, np.eye(4)), tmp_path / "bold.nii.gz")
    design = nuisance_design(*files(tmp_path, displacement(5)), spec(censor=censor()))
    found = region_patterns(
        tmp_path / "bold.nii.gz", {"all": np.ones(SHAPE, bool)}, design, scale=True
    )
    assert found.dropped == {"all": 1}
    assert np.isfinite(found.replicate.series["all"][~design.censored]).all()


def test_autocorrelation_takes_pairs_of_volumes_left() -> None:
    series = np.random.default_rng(0).normal(size=(N, 5)).cumsum(axis=0)
    censored = np.zeros(N, bool)
    censored[[0, 7, 8, 25, N - 1]] = True
    found = autocorrelation(np.where(censored[:, None], np.nan, series), [1, 3])
    for value, lag in zip(found, (1, 3), strict=True):
        first = [i for i in range(N - lag) if not censored[[i, i + lag]].any()]
        later = [i + lag for i in first]
        each = [np.corrcoef(voxel[first], voxel[later])[0, 1] for voxel in series.T]
        assert value == pytest.approx(np.mean(each), abs=1e-12)
    assert np.isnan(autocorrelation(np.full((N, 5), np.nan), [1])).all()


def test_fmripreps_own_outliers_are_censored_volumes(tmp_path: Path) -> None:
    """A volume with a regressor of its own leaves rounding errors, which are no pattern."""
    bold(tmp_path)
    table = displacement(9).assign(non_steady_state_outlier00=np.eye(N)[0])
    columns = ["a", "non_steady_state_outlier*"]
    asked = spec(columns=columns, censor=censor())
    design = nuisance_design(*files(tmp_path, table), asked)
    assert np.flatnonzero(design.censored).tolist() == [0, 9]
    assert design.n_confounds == 1
    found = region_patterns(
        tmp_path / "bold.nii.gz", {"all": np.ones(SHAPE, bool)}, design, scale=False
    )
    assert np.isnan(found.replicate.series["all"][[0, 9]]).all()


# --- too little left ---


def test_runs_with_too_little_left(tmp_path: Path) -> None:
    every = files(tmp_path, displacement(*range(1, N)))
    asked = spec(censor=censor())
    design = nuisance_design(*every, asked)
    assert why_unusable(design, asked) == (
        "1 of 40 volumes are left after censoring, and denoise.censor.min_volumes asks for 60"
    )
    asked = spec(censor=censor(min_volumes=1))
    assert why_unusable(design, asked) == (
        "1 of 40 volumes are left after censoring, too few for the 4 regressors of denoise"
    )
    for n_left, usable in ((4, False), (5, True)):
        moved = range(1, N - n_left + 1)
        design = nuisance_design(*files(tmp_path, displacement(*moved)), asked)
        assert design.degrees_of_freedom == n_left - 4
        assert (why_unusable(design, asked) is None) == usable


def test_all_volumes_censored(tmp_path: Path) -> None:
    asked = spec(censor=censor(before=1, min_volumes=1))
    design = nuisance_design(*files(tmp_path, displacement(*range(1, N))), asked)
    assert design.censored.all()
    assert why_unusable(design, asked) is not None


def test_without_censoring_a_short_run_is_used(tmp_path: Path) -> None:
    design = nuisance_design(*files(tmp_path, displacement(4)), spec())
    assert not design.censored.any()
    assert why_unusable(design, spec()) is None
    short = NuisanceDesign(
        np.column_stack([np.random.default_rng(0).normal(size=(4, 5)), np.ones(4)]), (), {}
    )
    assert "too few for the 6 regressors" in str(why_unusable(short, spec()))


# --- how much motion there was ---


def test_motion_of_a_run() -> None:
    found = motion(displacement(3, 4))
    assert found.fd_mean == pytest.approx((2 * 0.9 + 37 * 0.1) / 39)
    assert found.fd_max == 0.9
    assert found.fd_over_half_mm == pytest.approx(2 / 39)
    assert found.dvars_mean == pytest.approx(2 * found.fd_mean)
    assert found.dvars_max == 1.8
    nothing = motion(pd.DataFrame({"framewise_displacement": np.full(N, np.nan)}))
    assert all(np.isnan(value) for value in asdict(nothing).values())


def test_real_confounds(shared_data: Path) -> None:
    """The table of a real run: FD as nilearn's users know it."""
    folder = shared_data / "fmriprep-confounds"
    stem = folder / "test-v21_desc-confounds_timeseries"
    if not folder.is_dir():
        pytest.skip(f"no real confounds at {folder}")
    table = pd.read_csv(f"{stem}.tsv", sep="\t")
    threshold = float(table["framewise_displacement"].quantile(0.9))
    asked = Denoise(compcor=CompCor(), censor=censor(threshold, min_volumes=1))
    design = nuisance_design(Path(f"{stem}.tsv"), Path(f"{stem}.json"), asked)
    moved = np.flatnonzero(table["framewise_displacement"] > threshold)
    assert len(moved) > 0
    assert np.flatnonzero(design.censored).tolist() == moved.tolist()
    assert motion(table).fd_max == pytest.approx(table["framewise_displacement"].max())
