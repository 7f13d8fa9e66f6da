"""Participants who move: volumes and runs left out, from the command line to the tables."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny_study import PARTICIPANTS, RUNS, VOLUMES, TinyStudy

from bidsapp.dataset.derivatives import read_json, read_rdms, sidecar
from bidsapp.rsa.rdm import volume_defined

CENSOR = {"framewise_displacement_mm": 0.5, "min_volumes": 30}
EVERY = tuple(range(1, VOLUMES))
Moved = Mapping[tuple[str, str], Sequence[int]]

pytestmark = pytest.mark.usefixtures("plain_reports")


def move(study: TinyStudy, moved: Moved) -> None:
    """Write the motion of every movie run; heads move at the volumes named and nowhere else."""
    for label in PARTICIPANTS:
        for run in RUNS:
            path = study.preprocessed(label, "movie", run, "desc-confounds_timeseries.tsv")
            displacement = np.full(VOLUMES, 0.1)
            displacement[list(moved.get((label, run), ()))] = 0.9
            displacement[0] = np.nan
            table = pd.read_csv(path, sep="\t").assign(
                framewise_displacement=displacement, std_dvars=1 + displacement
            )
            table.to_csv(path, sep="\t", na_rep="n/a", index=False)


def table(study: TinyStudy, label: str, desc: str) -> pd.DataFrame:
    (path,) = study.out.rglob(f"sub-{label}_*_desc-{desc}_stats.tsv")
    return read(path)


def read(path: Path) -> pd.DataFrame:
    kept = {"participant": str, "run": str}
    return pd.read_csv(path, sep="\t", na_values=["n/a"], keep_default_na=False, dtype=kept)


def rdm_files(study: TinyStudy, label: str) -> list[Path]:
    return sorted((study.out / f"sub-{label}").rglob("*_desc-rois_relmat.h5"))


def test_volumes_and_runs_left_out_stop_no_one_else(study, moviersa):
    censored = [1, 20, VOLUMES - 1]
    gone = {("02", "4"): EVERY, ("03", "3"): EVERY, ("03", "4"): EVERY}
    move(study, {("01", "1"): censored, **gone})
    study.change_analysis(
        models=["ratings"], denoise={"censor": CENSOR, "smoothing_fwhm_mm": 5.0}, localizer=None,
        functional=None,
    )  # fmt: skip
    outcome = moviersa(*study.arguments("participant"))
    assert outcome.status == 1
    why = "1 of 40 volumes are left after censoring, and denoise.censor.min_volumes asks for 30"
    assert f"movie run 4 of sub-02 is left out: {why}" in outcome.err
    assert "sub-03: sub-03 has 2 usable movie runs, and at least 3 are needed: " in outcome.err
    assert f"movie run 3 of sub-03 is left out: {why}" in outcome.err
    assert [len(rdm_files(study, label)) for label in PARTICIPANTS] == [4, 3, 0]

    first, second = rdm_files(study, "01")[:2]
    content = read_rdms(first)
    for rdm in content.rdms:
        assert np.flatnonzero(~volume_defined(rdm)).tolist() == censored
    assert read_json(sidecar(first))["CensoredVolumes"] == censored
    assert np.isfinite(read_rdms(second).rdms).all()
    assert read_json(sidecar(second))["CensoredVolumes"] == []

    quality = table(study, "01", "quality")
    assert list(quality["roi"]) == ["V1v", "V1d"] * 4
    assert (quality["n_censored"] == np.repeat([3, 0, 0, 0], 2)).all()
    assert (quality["n_confounds"] == 6).all()
    assert (quality["df_left"] == VOLUMES - 7 - quality["n_censored"]).all()
    assert quality["coverage"].eq(1).all()
    written = read_json(sidecar(first))["Regions"]["V1v"]
    row = quality.iloc[0]
    assert written["Voxels"] == row["n_voxels"]
    assert written["TSNR"] == pytest.approx(row["tsnr"], rel=1e-5)
    assert written["Lag1Autocorrelation"] == pytest.approx(row["lag1_r"], rel=1e-5)
    lags = table(study, "01", "autocorrelation")
    at_2s = lags[(lags["lag_s"] == 2) & (lags["roi"] == "V1v") & (lags["run"] == "1")]
    assert at_2s["r"].item() == pytest.approx(row["lag1_r"], rel=1e-5)

    runs = table(study, "02", "runs")
    assert list(runs["run"]) == list(RUNS)
    assert list(runs["n_censored"]) == [0, 0, 0, VOLUMES - 1]
    assert runs["fd_mean"].tolist() == pytest.approx([0.1, 0.1, 0.1, 0.9])
    assert list(runs["fd_over_half_mm"]) == [0, 0, 0, 1]
    assert runs["dvars_max"].tolist() == pytest.approx([1.1, 1.1, 1.1, 1.9])
    assert runs["flags"].iloc[:3].isna().all()
    assert runs["flags"].iloc[3] == f"left out: {why}; mean FD over 0.5 mm"
    assert set(table(study, "02", "quality")["run"]) == {"1", "2", "3"}


@pytest.fixture
def unmoved(study: TinyStudy) -> TinyStudy:
    study.change_analysis(models=["ratings"], localizer=None, functional=None)
    return study


def test_group_table_of_quality(unmoved, moviersa, monkeypatch):
    """Who has no tables of quality, from an earlier version say, is named and stops nothing."""
    monkeypatch.setattr("bidsapp.workflows.group.group_report", lambda *_: None)
    study = unmoved
    assert moviersa(*study.arguments("participant")).status == 0
    (path,) = study.out.rglob("sub-03_*_desc-runs_stats.tsv")
    path.unlink()
    assert moviersa(*study.arguments("group")).status == 0
    found = read(study.out / "group" / "task-movie_desc-quality_stats.tsv")
    assert list(found["participant"]) == ["01"] * 4 + ["02"] * 4 + ["03"]
    assert list(found["run"].iloc[:8]) == list(RUNS) * 2
    assert found["run"].isna().iloc[-1]
    assert found["flags"].iloc[-1] == "no quality tables: run the participant level again"
    whole = found.iloc[:8]
    assert (whole["n_regions"] == 2).all()
    assert whole["fd_mean"].isna().all()  # the confounds say nothing of motion
    medians = table(study, "01", "quality").groupby("run")["tsnr"].median()
    assert whole["tsnr_median"].iloc[:4].tolist() == pytest.approx(medians.tolist(), rel=1e-4)


def test_motion_that_is_not_in_the_table(unmoved, refused):
    unmoved.change_analysis(denoise={"censor": CENSOR})
    refused(
        1, "no column 'framewise_displacement'", "denoise.censor.framewise_displacement_mm",
        unmoved.preprocessed("01", "movie", "1", "desc-confounds_timeseries.tsv"),
    )  # fmt: skip
