"""The step that joins what is known of regions and runs."""

from pathlib import Path

import numpy as np
import pandas as pd

from bidsapp.dataset.derivatives import read_table
from bidsapp.interfaces.summary import RegionSummary
from bidsapp.tables.regions import region_table

PLAIN = {"compcor": {"components": 0}, "cosines": False}


def write(path: Path, table: pd.DataFrame) -> str:
    table.to_csv(path, sep="\t", index=False, na_rep="n/a")
    return str(path)


def test_each_run_has_its_own_flags(tmp_path, monkeypatch):
    """Nothing changes in the image of run 1; run 2 cuts half of the region off."""
    monkeypatch.chdir(tmp_path)
    region = {"roi": "V1v", "kind": "atlas", "hemisphere": "L", "n_voxels": 96, "coverage": 0.5}
    shares = {"roi": "V1v", "coverage": [1.0, 0.5], "min_coverage": 0.8, "run": ["1", "2"]}
    quality = {"roi": "V1v", "tsnr": 50.0, "lag1_r": 0.3}
    rows = [
        {**quality, "run": "1", "n_voxels": 0, "constant_voxels": 96, "tsnr": np.nan},
        {**quality, "run": "2", "n_voxels": 48, "constant_voxels": 0},
    ]
    confounds = write(tmp_path / "confounds.tsv", pd.DataFrame({"trans_x": np.arange(30.0)}))
    (tmp_path / "confounds.json").write_text("{}")
    files = {"confounds": confounds, "metadata": str(tmp_path / "confounds.json")}
    lags = pd.DataFrame(columns=["roi", "run", "lag_s", "r", "note"])
    outputs = (
        RegionSummary(
            regions=[write(tmp_path / "regions.tsv", region_table([region]))],
            coverage=[write(tmp_path / "coverage.tsv", pd.DataFrame(shares))],
            quality=[
                write(tmp_path / f"quality_{row['run']}.tsv", pd.DataFrame([row])) for row in rows
            ],
            autocorrelation=[write(tmp_path / "lags.tsv", lags)],
            runs=[{"run": run, **files} for run in "12"],
            denoise=PLAIN,
            entities={"sub": "01", "task": "movie"},
        )
        .run(cwd=str(tmp_path))
        .outputs
    )
    found = {
        desc: read_table(next(Path(outputs.staged).rglob(f"*_desc-{desc}_stats.tsv")))
        for desc in ("runs", "quality")
    }
    still = "over half of the regions' voxels never change"
    assert found["runs"]["flags"].fillna("").tolist() == [still, ""]
    assert found["quality"]["coverage"].tolist() == [1.0, 0.5]
    assert found["quality"]["flags"].tolist() == [
        "fewer than 20 voxels",
        "coverage under the analysis's min_coverage",
    ]
