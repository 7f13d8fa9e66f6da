"""A control's further columns keep targets from passing that are made of its features alone."""

import pytest

from bench.calibration_study import Setting
from bench.calibration_unique import ADDING, TARGETS, Case, study
from bench.chunks import chunks_of, in_processes


@pytest.fixture(scope="module")
def driven():
    """A control that drives the voxels strongly, and nothing else in the brain."""
    return study(Case(Setting(effect=0.6, draws=60)), 1).set_index(["columns", "target"])


def test_every_target_is_tested_with_both_kinds_of_control(driven):
    for columns in ("further columns", "RDM alone"):
        assert list(driven.loc[columns].index) == list(TARGETS)
    assert driven["p_null"].between(1 / 61, 1).all()
    assert (driven["p_null_fwe"] >= driven["p_null"] - 1e-9).mean() > 0.9


@pytest.mark.parametrize("target", ["mixed", "smoothed", "containing"])
def test_rdm_alone_leaves_a_part_that_the_further_columns_take(driven, target):
    alone, further = (
        driven.loc[(columns, f"{target}, Euclidean")]
        for columns in ("RDM alone", "further columns")
    )
    assert alone["p_null"] < 0.05
    assert further["p_null"] > 0.05
    assert abs(further["r"]) < alone["r"] / 4


def test_own_features_of_targets_are_seen_beside_the_control():
    table = study(Case(Setting(effect=0.2, draws=60), own_effect=0.4), 1)
    further = table[table["columns"] == "further columns"].set_index("target")
    assert (further.loc[list(ADDING), "p_null"] < 0.05).all()


def _cases(case, seed):
    return study(Case(Setting(participants=2, runs=3, volumes=90, draws=20)), seed)


def test_chunks_are_all_made():
    chunks = chunks_of("small", 3, 2)
    assert chunks == [("small", range(2)), ("small", range(2, 3))]
    table = in_processes(_cases, chunks, 1)
    assert set(table["seed"]) == {0, 1, 2}
    assert set(table["case"]) == {"small"}
