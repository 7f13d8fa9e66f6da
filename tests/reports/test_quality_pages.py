"""What pages say of data quality: every value drawn, every flag named, nothing made up."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bidsapp.dataset.derivatives import OutputTree
from bidsapp.reports.blocks import Album
from bidsapp.reports.outputs import Outputs
from bidsapp.reports.page import Table
from bidsapp.reports.quality import (
    group_quality_blocks,
    quality_facts,
    quality_figure,
    quality_sentences,
)
from bidsapp.reports.style import svg_text
from bidsapp.tables.quality import group_quality_table

RUNS = ("1", "2", "3")
ROIS = ("FFA", "V1v")


def runs(**changes: object) -> pd.DataFrame:
    table = pd.DataFrame({"run": RUNS, "fd_mean": 0.12, "fd_max": 0.7, "n_volumes": 100})
    return table.assign(**{"n_censored": [0, 5, 0], "n_robust": 90, "flags": None, **changes})


def regions(**changes: object) -> pd.DataFrame:
    rows = pd.DataFrame([(roi, run) for roi in ROIS for run in RUNS], columns=["roi", "run"])
    return rows.assign(**{"n_voxels": 80, "tsnr": np.arange(61.0, 67), "flags": None, **changes})


def test_every_region_run_and_value_is_drawn(svg_texts) -> None:
    table = regions(n_voxels=[80, 80, 80, 80, 80, 2])
    texts = svg_texts(svg_text(quality_figure(runs(), table, ROIS, 0.4), "quality"))
    assert {*RUNS, *ROIS, "61", "62", "63", "64", "65"} <= set(texts)
    assert "66" not in texts  # too few voxels for a matrix
    assert texts.count("–") == 1
    assert "5 censored" in texts


def test_poor_cells_are_framed_and_lines_drawn() -> None:
    table = regions(tsnr=[12.0, 60, 60, 60, 19.9, 60])
    above, below = quality_figure(runs(), table, ROIS, 0.4).axes
    assert len(below.patches) == 2
    levels = [line.get_ydata()[0] for line in above.lines]
    assert levels == [0.5, 0.4]
    above, _ = quality_figure(runs(), table, ROIS).axes
    assert len(above.lines) == 1


def test_motion_that_is_not_known_is_said(svg_texts) -> None:
    unknown = runs(fd_mean=np.nan, fd_max=np.nan)
    texts = svg_texts(svg_text(quality_figure(unknown, regions(), ROIS), "quality"))
    assert "not in fMRIPrep's confounds" in texts


def test_sentences_name_regions_and_runs() -> None:
    few = "fewer than 20 voxels"
    flags = [few, f"{few}; tSNR under 20", few, None, None, "tSNR under 20"]
    still = "over half of the regions' voxels never change"
    of_runs = [None, still, f"mean FD over 0.5 mm; {still}"]
    said = quality_sentences(runs(flags=of_runs), regions(flags=flags))
    assert said == (
        "With fewer than 20 voxels: FFA.",
        "With tSNR under 20: FFA (run 2), V1v (run 3).",
        "Mean FD over 0.5 mm: run 3.",
        "Over half of the regions' voxels never change: run 2, 3.",
    )
    # A column without a flag is read back as numbers, all missing.
    assert quality_sentences(runs(flags=np.nan), regions(flags=np.nan)) == ()


def test_facts_are_of_the_runs_used() -> None:
    left_out = runs(fd_mean=[0.1, 0.2, 5.0], flags=[None, None, "left out: too few volumes"])
    assert dict(quality_facts(left_out, regions())) == {
        "Mean FD (mm)": "0.15",
        "Censored volumes": "5 of 200",
        "Volumes in robust": "180 of 200",
        "Median tSNR": "64",
    }
    unknown = dict(quality_facts(runs(fd_mean=np.nan), regions()))
    assert unknown["Mean FD (mm)"] == "n/a"


@pytest.fixture
def group_table(made_up, tmp_path: Path) -> Table:
    """Two participants, one with a run left out, and one without tables of quality."""
    ours = replace(made_up, tree=OutputTree(tmp_path))
    left_out = ["left out: too few volumes", None, None]
    known = {
        "01": (runs(flags=left_out), regions(n_voxels=[80, 80, 80, 80, 0, 80])),
        "02": (runs(), regions()),
        "03": None,
    }
    ours.group_table("quality", group_quality_table(known))
    outputs = Outputs(ours.tree, ours.analysis, "T1w")
    blocks = group_quality_blocks(outputs, Album(tmp_path, lambda name: tmp_path / name))
    return next(block for block in blocks if isinstance(block, Table))


def test_group_sums_up_participants(group_table: Table) -> None:
    first, second, third = group_table.rows
    assert first[:5] == ("sub-01", "2", "0.12", "0.12", "5 of 200")
    assert first[-1] == "run 1: left out: too few volumes. run 2: no V1v."
    assert second == ("sub-02", "3", "0.12", "0.12", "5 of 300", "64", "62", "")
    assert third[1:4] == ("0", "n/a", "n/a")
    assert third[-1] == "no quality tables: run the participant level again."
