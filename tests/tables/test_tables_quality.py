"""Tables of quality: joined from rows, flagged by thresholds, gathered over participants."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from bidsapp.brain.carpet import Carpet
from bidsapp.brain.denoise import NuisanceDesign
from bidsapp.brain.patterns import Denoised, RegionPatterns
from bidsapp.rsa.volumes import VolumeCount
from bidsapp.tables.quality import (
    group_quality_table,
    quality_table,
    region_rows,
    run_row,
    runs_table,
)
from bidsapp.tables.regions import RunCounts

N = 30
RNG = np.random.default_rng(0)
COUNT = VolumeCount(used=20, repeated=4, uncovered=3, undefined=3)


def denoised(**n_voxels: int) -> Denoised:
    return Denoised(
        {name: RNG.normal(size=(N, n)) for name, n in n_voxels.items()},
        {name: np.ones(n, bool) for name, n in n_voxels.items()},
    )


def patterns(tsnr: float = 50.0) -> RegionPatterns:
    return RegionPatterns(
        carpet=Carpet((), np.empty((0, 0)), np.empty((0, 0))),
        replicate=denoised(FFA=80, V1v=2),
        robust=denoised(FFA=70, V1v=1),
        dropped={"FFA": 1, "V1v": 0},
        tsnr={"FFA": tsnr, "V1v": float("nan")},
    )


def runs(*displacement: float) -> pd.DataFrame:
    design = NuisanceDesign(np.column_stack([RNG.normal(size=(N, 4)), np.ones(N)]), (), {})
    tables = [pd.DataFrame({"framewise_displacement": np.full(N, mm)}) for mm in displacement]
    rows = [run_row(str(i), table, design, None, (), COUNT) for i, table in enumerate(tables, 1)]
    return runs_table(rows)


def coverage() -> list[dict[str, object]]:
    """V1v is cut off in run 2; of FFA no voxel was found."""
    inside = [{"V1v": 9, "FFA": 0}, {"V1v": 5, "FFA": 0}]
    return RunCounts(("1", "2"), inside, [{"V1v": 10, "FFA": 0}] * 2).rows(0.6)


def said(column: pd.Series) -> list[str]:
    return column.fillna("").tolist()


def test_regions_are_joined_and_flagged() -> None:
    rows = [*region_rows(patterns(), "1"), *region_rows(patterns(15.0), "2")]
    table = quality_table(rows, runs(0.2, 0.6), coverage())
    assert list(table["roi"]) == ["FFA", "V1v", "FFA", "V1v"]
    assert list(table["n_voxels"]) == [80, 2, 80, 2]
    assert table["constant_voxels"].tolist() == [1, 0, 1, 0]
    assert table["coverage"].tolist() == pytest.approx([np.nan, 0.9, np.nan, 0.5], nan_ok=True)
    assert table["fd_mean"].tolist() == pytest.approx([0.2, 0.2, 0.6, 0.6])
    assert table["df_left"].tolist() == [N - 5] * 4
    few = "fewer than 20 voxels"
    cut = f"{few}; coverage under the region's min_coverage"
    assert said(table["flags"]) == ["", few, "tSNR under 20", cut]


def test_runs_say_why_robust_leaves_volumes_out() -> None:
    columns = ["n_robust", "n_repeated", "n_uncovered", "n_undefined"]
    assert runs(0.2)[columns].to_numpy().tolist() == [[20, 4, 3, 3]]


def test_runs_are_flagged() -> None:
    assert said(runs(0.2, 0.6)["flags"]) == ["", "mean FD over 0.5 mm"]
    unmoved = pd.DataFrame(index=range(N))
    still = runs_table([run_row("1", unmoved, _design(), "too short", (), None)])
    assert still["flags"].tolist() == ["left out: too short"]
    assert still["fd_mean"].isna().all()


def test_a_run_that_robust_has_nothing_of_is_flagged() -> None:
    unmoved = pd.DataFrame({"framewise_displacement": np.zeros(N)})
    counts = (VolumeCount(used=1, uncovered=N - 1), VolumeCount(used=0, uncovered=N))
    rows = [run_row("1", unmoved, _design(), None, (), count) for count in counts]
    table = runs_table(rows)
    assert said(table["flags"]) == ["", "robust has no volumes to compare"]
    assert table["n_robust"].tolist() == [1, 0]


def test_a_run_left_out_has_no_volumes_to_count() -> None:
    unmoved = pd.DataFrame({"framewise_displacement": np.zeros(N)})
    given = (("1", None, COUNT), ("2", "too short", None))
    rows = [run_row(run, unmoved, _design(), why, (), count) for run, why, count in given]
    table = runs_table(rows)
    counts = table[["n_robust", "n_repeated", "n_uncovered", "n_undefined"]]
    assert counts.loc[0].tolist() == [20, 4, 3, 3]
    assert counts.loc[1].isna().all()
    assert str(table["n_robust"].iloc[0]) == "20"  # whole, even beside a missing one
    assert said(table["flags"]) == ["", "left out: too short"]


def test_a_run_without_signal_is_flagged() -> None:
    def flags(dropped: int) -> object:
        its = replace(patterns(), dropped={"FFA": dropped, "V1v": 0})
        regions = region_rows(its, "1")
        unmoved = pd.DataFrame(index=range(N))
        return run_row("1", unmoved, _design(), None, regions, COUNT)["flags"]

    assert flags(82) is None  # as many as are left
    assert flags(83) == "over half of the regions' voxels never change"


def _design() -> NuisanceDesign:
    return NuisanceDesign(np.ones((N, 1)), ("intercept",), {})


def test_group_rows() -> None:
    rows = [*region_rows(patterns(), "1"), *region_rows(patterns(30.0), "2")]
    its_runs = runs(0.2, 0.6, 0.9)  # the third was left out: no region has a row in it
    known = {"01": (its_runs, quality_table(rows, its_runs, coverage())), "02": None}
    table = group_quality_table(known)
    assert list(table["participant"]) == ["01", "01", "01", "02"]
    assert table["run"].iloc[:3].tolist() == ["1", "2", "3"]
    assert table["n_regions"].iloc[:3].tolist() == [1, 1, 0]
    assert table["tsnr_median"].iloc[:3].tolist() == pytest.approx([50, 30, np.nan], nan_ok=True)
    assert said(table["regions_absent"])[:3] == ["V1v", "V1v", ""]
    assert table["flags"].iloc[1] == "mean FD over 0.5 mm"
    assert "participant level" in table["flags"].iloc[3]
    for count in ("n_volumes", "n_robust"):
        assert table[count].isna().tolist() == [False, False, False, True]
    assert str(table["n_robust"].iloc[0]) == "20"  # whole, even beside a missing one
