"""The step that joins what is known of regions and runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bidsapp.arrays import Bools
from bidsapp.dataset.derivatives import read_table
from bidsapp.interfaces.summary import RegionSummary
from bidsapp.tables.regions import region_table

N = 30
VOLUMES = np.arange(N)
PLAIN = {"compcor": {"components": 0}, "cosines": False}
REGION = {"roi": "V1v", "kind": "atlas", "hemisphere": "L", "n_voxels": 96, "coverage": 0.5}
SHARES = {"roi": "V1v", "coverage": [1.0, 0.5], "min_coverage": 0.8, "run": ["1", "2"]}
QUALITY = {"roi": "V1v", "tsnr": 50.0, "lag1_r": 0.3, "n_voxels": 48, "constant_voxels": 0}
COUNTS = ["n_volumes", "n_robust", "n_repeated", "n_uncovered", "n_undefined"]
Film = Mapping[str, list[bool]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, table: pd.DataFrame) -> str:
    table.to_csv(path, sep="\t", index=False, na_rep="n/a")
    return str(path)


def film_of(covered: Bools, n_repeated: int = 0, undefined: Sequence[int] = ()) -> Film:
    volumes = {
        "covered": covered,
        "repeated": np.arange(N) >= N - n_repeated,
        "defined": ~np.isin(VOLUMES, undefined),
    }
    return {name: own.tolist() for name, own in volumes.items()}


def summarise(
    folder: Path,
    runs: Sequence[tuple[pd.DataFrame, Film]],
    quality: Sequence[Mapping[str, object]] = ({"run": "1"}, {"run": "2"}),
    **denoise: Any,
) -> dict[str, pd.DataFrame]:
    """Give the tables of a participant with a region; of each run there are confounds and film."""
    (folder / "confounds.json").write_text("{}")
    lags = pd.DataFrame(columns=["roi", "run", "lag_s", "r", "note"])
    step = RegionSummary(
        regions=[write(folder / "regions.tsv", region_table([REGION]))],
        coverage=[write(folder / "coverage.tsv", pd.DataFrame(SHARES))],
        quality=[
            write(folder / f"quality_{i}.tsv", pd.DataFrame([{**QUALITY, **row}]))
            for i, row in enumerate(quality)
        ],
        autocorrelation=[write(folder / "lags.tsv", lags)],
        runs=[
            {
                "run": str(i),
                "confounds": write(folder / f"confounds_{i}.tsv", confounds),
                "metadata": str(folder / "confounds.json"),
                "film_volumes": film,
            }
            for i, (confounds, film) in enumerate(runs, start=1)
        ],
        denoise={**PLAIN, **denoise},
        entities={"sub": "01", "task": "movie"},
    )
    staged = Path(step.run(cwd=str(folder)).outputs.staged)
    return {
        desc: read_table(next(staged.rglob(f"*_desc-{desc}_stats.tsv")))
        for desc in ("runs", "quality")
    }


def flags_of(table: pd.DataFrame) -> list[str]:
    flags: list[str] = table["flags"].astype(object).fillna("").tolist()
    return flags


def test_each_run_has_its_own_flags(folder):
    """Nothing changes in the image of run 1; run 2 cuts half of the region off."""
    moving = pd.DataFrame({"trans_x": VOLUMES.astype(float)})
    run = moving, film_of(VOLUMES >= 3, n_repeated=4, undefined=[9])
    still = {"run": "1", "n_voxels": 0, "constant_voxels": N, "tsnr": np.nan}
    tables = summarise(folder, [run, run], [still, {"run": "2"}])
    assert flags_of(tables["runs"]) == ["over half of the regions' voxels never change", ""]
    assert tables["runs"][COUNTS].to_numpy().tolist() == [[N, 22, 4, 3, 1]] * 2
    assert tables["quality"]["coverage"].tolist() == [1.0, 0.5]
    assert flags_of(tables["quality"]) == [
        "fewer than 20 voxels",
        "coverage under the region's min_coverage",
    ]


def test_robust_compares_nothing_where_volumes_are_too_few_for_the_regressors(folder):
    """Of three regressors, the mean among them, three volumes are fitted exactly, and four not."""
    noise = pd.DataFrame(np.random.default_rng(0).normal(size=(N, 2)), columns=["a", "b"])
    runs = [(noise, film_of(np.arange(N) < n, n_repeated=2)) for n in (3, 4)]
    table = summarise(folder, runs, columns=["a", "b"])["runs"]
    assert table[COUNTS].to_numpy().tolist() == [[N, 0, 2, N - 5, 3], [N, 4, 2, N - 6, 0]]
    assert flags_of(table) == ["robust has no volumes to compare", ""]


def test_volumes_that_the_regressors_fit_exactly_are_not_compared(folder):
    """In run 1 the film leaves a regressor one volume that is not zero; in run 2 it leaves two."""
    own = pd.DataFrame({"own": np.isin(VOLUMES, [9, 28]).astype(float)})
    runs = [(own, film_of(VOLUMES < N - 5)), (own, film_of(VOLUMES >= 5))]
    table = summarise(folder, runs, columns=["own"])["runs"]
    assert table[COUNTS].to_numpy().tolist() == [[N, N - 6, 0, 5, 1], [N, N - 5, 0, 5, 0]]
    assert flags_of(table) == ["", ""]


def test_volumes_of_a_run_that_is_left_out_are_not_counted(folder):
    """The head moves all through run 2, whose film is not known either."""
    still, moved = (pd.DataFrame({"framewise_displacement": np.full(N, mm)}) for mm in (0.1, 0.9))
    censor = {"framewise_displacement_mm": 0.4, "min_volumes": 9}
    runs = [(still, film_of(VOLUMES >= 3)), (moved, {})]
    table = summarise(folder, runs, [{"run": "1"}], censor=censor)["runs"]
    assert table["n_censored"].tolist() == [0, N]
    assert table.loc[0, COUNTS[1:]].tolist() == [N - 3, 0, 3, 0]
    assert table.loc[1, COUNTS[1:]].isna().all()
    assert flags_of(table)[0] == ""
    assert flags_of(table)[1].startswith("left out: 0 of 30 volumes are left after censoring")
