"""The carpet's table: averaged moments, voxels before and after."""

import numpy as np

from bidsapp.brain.carpet import Carpet
from bidsapp.tables.carpet import MAX_MOMENTS, carpet_table


def test_a_long_run_is_averaged_and_its_motion_is_the_highest() -> None:
    n = 2 * MAX_MOMENTS
    values = np.arange(2.0 * n).reshape(n, 2)
    moved = np.tile([0.1, 0.4], n // 2)
    censored = np.arange(n) == 5
    table, columns = carpet_table(
        Carpet(("V1 v", "FFA"), values, values / 2), np.arange(n) * 2.0, moved, censored
    )
    assert len(table) == MAX_MOMENTS
    assert list(table) == list(columns)
    assert list(table)[3:] == ["V1 v 0 before", "FFA 1 before", "V1 v 0 after", "FFA 1 after"]
    assert table["onset"].iloc[1] == 5.0
    assert (table["framewise_displacement"] == 0.4).all()
    assert list(np.flatnonzero(table["censored"])) == [2]
    assert table["V1 v 0 before"].iloc[0] == 1.0
    assert table["FFA 1 after"].iloc[0] == 1.0


def test_motion_that_fmriprep_does_not_give_is_missing() -> None:
    table, _ = carpet_table(
        Carpet((), np.empty((3, 0)), np.empty((3, 0))), np.arange(3.0), None, np.zeros(3, bool)
    )
    assert table["framewise_displacement"].isna().all()
    assert len(table) == 3
