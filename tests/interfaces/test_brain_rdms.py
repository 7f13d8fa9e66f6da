"""The step that makes a run's RDMs: each mode's own, with what their sidecars say of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from nibabel import Nifti1Image
from nipype.interfaces.base import TraitedSpec

from bidsapp.brain.denoise import residuals
from bidsapp.brain.patterns import autocorrelation
from bidsapp.dataset.derivatives import read_json, read_rdms, sidecar
from bidsapp.interfaces import patterns
from bidsapp.interfaces.masks import save_masks
from bidsapp.interfaces.patterns import BrainRDMs
from bidsapp.rsa.expected_noise import noise_template, remove_noise_template
from bidsapp.rsa.pairs import lagged_pairs
from bidsapp.rsa.rdm import correlation_distance

SHAPE, AFFINE = (6, 5, 4), np.diag([3.0, 3.0, 3.0, 1.0])
N, TR, MIN_LAG = 40, 2.0, 5
N_PAIRS = N * (N - 1) // 2
VOLUMES = np.arange(N)
FILM = {"covered": VOLUMES >= 4, "repeated": VOLUMES >= N - 3, "defined": VOLUMES != 20}
LEFT_OUT = [0, 1, 2, 3, 20, 37, 38, 39]
OWN, CENSORED = 12, 15  # one that a regressor has to itself, and one of much motion
USED = ~np.isin(VOLUMES, [*LEFT_OUT, OWN, CENSORED])
SPEC = {
    "compcor": {"components": 0},
    "cosines": False,
    "columns": ["drift", "noise", "own"],
    "censor": {"framewise_displacement_mm": 0.5, "min_volumes": 1},
}


def columns() -> pd.DataFrame:
    moved = np.where(VOLUMES == CENSORED, 0.9, 0.1)
    return pd.DataFrame(
        {
            "drift": np.cos(np.pi * (VOLUMES + 0.5) / N),
            "noise": np.random.default_rng(1).normal(size=N),
            "own": np.isin(VOLUMES, [OWN, 38]).astype(float),
            "framewise_displacement": moved,
        }
    )


def regressors() -> np.ndarray:
    return np.column_stack([columns()[["drift", "noise"]], np.ones(N)])


@pytest.fixture
def masks() -> dict[str, np.ndarray]:
    """Two regions that overlap, and one of two voxels: too few for an RDM."""
    inside = {"FFA": np.s_[:3], "PPA": np.s_[2:5], "V1v": np.s_[5, 0, :2]}
    every = {name: np.zeros(SHAPE, bool) for name in inside}
    for name, mask in every.items():
        mask[inside[name]] = True
    return every


@pytest.fixture
def series(masks: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Each region's voxels as measured, (n_volumes, n_voxels)."""
    return {name: measured()[mask].T for name, mask in masks.items()}


def measured() -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 5, (*SHAPE, N + 1))
    smooth: np.ndarray = 1000 + noise[..., 1:] + noise[..., :-1]
    return smooth.astype(np.float32)


def make(folder: Path, masks: dict[str, np.ndarray], **changes: Any) -> TraitedSpec:
    folder.mkdir(exist_ok=True)
    image = Nifti1Image(measured(), AFFINE)
    image.to_filename(folder / "bold.nii.gz")
    Nifti1Image(np.ones(SHAPE, np.uint8), AFFINE).to_filename(folder / "mask.nii.gz")
    columns().to_csv(folder / "confounds.tsv", sep="\t", index=False)
    (folder / "confounds.json").write_text("{}")
    given = [str(save_masks(folder / "masks.npz", masks))] if masks else []
    step = BrainRDMs(
        bold=str(folder / "bold.nii.gz"),
        mask=str(folder / "mask.nii.gz"),
        confounds=str(folder / "confounds.tsv"),
        confounds_metadata=str(folder / "confounds.json"),
        masks=given,
        repetition_time=TR,
        start_time=1.0,
        denoise=SPEC,
        film_volumes={name: volumes.tolist() for name, volumes in FILM.items()},
        min_lag_s=MIN_LAG * TR,
        dissimilarity="correlation",
        lags_s=[2.0, 4.0],
        entities={"sub": "01", "task": "movie", "run": "1", "space": "T1w"},
    )
    step.inputs.trait_set(**changes)
    return step.run(cwd=str(folder)).outputs


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rdms_by_region(path: str) -> dict[str, np.ndarray]:
    file = read_rdms(Path(path))
    return dict(zip(file.names, file.rdms, strict=True))


def by_hand(series: np.ndarray, defined: np.ndarray) -> tuple[np.ndarray, float]:
    """Regress, correlate, and take out what noise is expected to have, over defined volumes."""
    clean = np.full(series.shape, np.nan)
    clean[USED] = residuals(series[USED], regressors()[USED])
    (lag1_r,) = autocorrelation(clean, [1])
    rdm = correlation_distance(np.where(defined[:, None], clean, np.nan))
    pairs = lagged_pairs(N, MIN_LAG, defined=defined)
    basis, _ = np.linalg.qr(regressors()[pairs.kept])
    remove_noise_template(rdm, pairs, noise_template(pairs, basis, lag1_r, "correlation"))
    return rdm, lag1_r


def test_robust_rdms_are_denoised_on_their_volumes_and_rid_of_expected_noise(
    folder: Path, masks: dict[str, np.ndarray], series: dict[str, np.ndarray]
) -> None:
    outputs = make(folder, masks)
    robust = rdms_by_region(outputs.robust_rdms)
    for region in ("FFA", "PPA"):
        expected, _ = by_hand(series[region], USED)
        np.testing.assert_allclose(robust[region], expected, atol=1e-5)
    assert np.isnan(robust["V1v"]).all()
    removed = read_rdms(Path(outputs.robust_rdms)).noise_removed
    np.testing.assert_array_equal(np.isfinite(removed.basis).all(axis=1), USED)
    described = read_json(sidecar(Path(outputs.robust_rdms)))["Regions"]
    known = [region["Lag1Autocorrelation"] or np.nan for region in described.values()]
    np.testing.assert_allclose(removed.lag1_r, known, rtol=1e-5)
    assert read_rdms(Path(outputs.rdms)).noise_removed is None


def test_replicate_takes_no_notice_of_the_film(folder: Path, masks: dict[str, np.ndarray]) -> None:
    every = {name: [name != "repeated"] * N for name in FILM}
    some, whole = make(folder / "some", masks), make(folder / "whole", masks, film_volumes=every)
    for region, rdm in rdms_by_region(some.rdms).items():
        np.testing.assert_array_equal(rdm, rdms_by_region(whole.rdms)[region])
    described = [read_json(sidecar(Path(outputs.rdms))) for outputs in (some, whole)]
    assert described[0] == described[1]
    assert not {"VolumesLeftOut", "VolumesFittedExactly", "NoiseRemoved"} & described[0].keys()
    assert {"TSNR", "Voxels"} <= described[0]["Regions"]["FFA"].keys()


def test_the_sidecar_of_robust_says_what_was_left_out_and_removed(
    folder: Path, masks: dict[str, np.ndarray], series: dict[str, np.ndarray]
) -> None:
    described = read_json(sidecar(Path(make(folder, masks).robust_rdms)))
    assert described["VolumesLeftOut"] == LEFT_OUT
    assert described["CensoredVolumes"] == [CENSORED]
    assert described["VolumesFittedExactly"] == [OWN]
    assert "AR(1) noise" in described["NoiseRemoved"]
    voxels = {name: int(mask.sum()) for name, mask in masks.items()}
    assert {name: own["Voxels"] for name, own in described["Regions"].items()} == voxels
    for region in ("FFA", "PPA"):
        _, lag1_r = by_hand(series[region], USED)
        assert described["Regions"][region]["Lag1Autocorrelation"] == pytest.approx(
            lag1_r, abs=1e-4
        )
    assert described["Regions"]["V1v"]["Lag1Autocorrelation"] is None


def test_a_run_without_regions_has_files_without_rdms(folder: Path) -> None:
    outputs = make(folder, {})
    for path in (outputs.rdms, outputs.robust_rdms):
        file = read_rdms(Path(path))
        assert file.rdms.shape == (0, N_PAIRS)
        assert file.names == ()
        assert len(file.onsets_s) == N
    assert read_json(sidecar(Path(outputs.robust_rdms)))["Regions"] == {}


def test_a_region_undefined_at_one_volume_keeps_its_rdm_at_the_others(
    folder: Path,
    masks: dict[str, np.ndarray],
    series: dict[str, np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gap = 25
    rows, later = np.triu_indices(N, 1)
    whole, as_it_is = rdms_by_region(make(folder / "whole", masks).robust_rdms), patterns.rdms_of

    def with_gap(*given: Any) -> np.ndarray:
        rdms = as_it_is(*given)
        rdms[0, (rows == gap) | (later == gap)] = np.nan
        return rdms

    monkeypatch.setattr(patterns, "rdms_of", with_gap)
    robust = rdms_by_region(make(folder / "gap", masks).robust_rdms)
    defined = USED & ~np.isin(VOLUMES, gap)
    expected, _ = by_hand(series["FFA"], defined)
    np.testing.assert_allclose(robust["FFA"], expected, atol=1e-5)
    assert np.isfinite(robust["FFA"]).sum() == defined.sum() * (defined.sum() - 1) // 2
    np.testing.assert_array_equal(robust["PPA"], whole["PPA"])


def test_too_few_volumes_for_the_regressors_leave_robust_without_rdms(
    folder: Path, masks: dict[str, np.ndarray]
) -> None:
    few = {**FILM, "covered": (VOLUMES >= 4) & (VOLUMES < 7)}
    outputs = make(folder, masks, film_volumes={name: few[name].tolist() for name in few})
    assert all(np.isnan(rdm).all() for rdm in rdms_by_region(outputs.robust_rdms).values())
    assert np.isfinite(rdms_by_region(outputs.rdms)["FFA"]).any()
    described = read_json(sidecar(Path(outputs.robust_rdms)))
    assert described["VolumesFittedExactly"] == [4, 5, 6]
    assert described["Regions"]["FFA"] == {"Voxels": 0, "Lag1Autocorrelation": None}
    assert read_rdms(Path(outputs.robust_rdms)).noise_removed.basis.shape == (N, 0)
