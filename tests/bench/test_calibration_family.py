"""A study of many regions is tested as a family; what is planted passes, in its own regions."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from bench.calibration_family import (
    CORRECTIONS,
    NOTHING,
    PLANTED,
    RESPONDING,
    Family,
    corrected,
    study,
    summary,
    with_all_noises,
)
from bench.calibration_study import Setting
from bidsapp.rsa.null import shift_p

SETS = (("shots-5s", "table-20x30s"), ("shots-5s", "walk-8"))
NOISE = Family(
    Setting(participants=3, runs=3, volumes=110, voxels=20, draws=100),
    SETS,
    regions=4,
    responding=1,
)


@pytest.fixture(scope="module")
def planted():
    with threadpool_limits(1):
        return study(replace(NOISE, setting=replace(NOISE.setting, effect=0.6)), 0)


def test_every_cell_is_tested_in_each_set(planted):
    assert len(planted) == 2 * 4 * 2
    assert planted["models"].unique().tolist() == [", ".join(models) for models in SETS]
    assert planted["cell"][:8].tolist() == [PLANTED, RESPONDING, *[NOTHING] * 6]
    p = planted[list(CORRECTIONS)]
    assert ((p > 0) & (p <= 1)).all(axis=None)
    assert (p["p_null_fwe"] >= 1 / 101).all()


def test_model_is_the_same_in_both_sets_but_for_its_correction(planted):
    first, second = (own[own["model"] == "shots-5s"] for _, own in planted.groupby("models"))
    assert first["r"].tolist() == second["r"].tolist()
    assert first["p_null"].tolist() == second["p_null"].tolist()


def test_planted_effect_passes_every_correction(planted):
    own = planted[planted["cell"] == PLANTED]
    assert (own[list(CORRECTIONS)] < 0.05).all(axis=None)
    counts = summary(planted.assign(case="planted")).set_index("correction")
    assert (counts["power"] == 1).all()
    assert (counts.loc["p_null_fwe", "any"] == 0).all()


def test_shared_noise_makes_regions_alike():
    with threadpool_limits(1):
        apart, shared = (study(replace(NOISE, shared=share), 1) for share in (0.0, 0.6))
    assert (apart["cell"] == NOTHING).all()  # none is planted
    assert shared["region_r"].mean() > apart["region_r"].mean() + 0.2


def test_counts_are_of_studies_and_cells():
    tests = pd.DataFrame(
        {
            "case": "own",
            "models": "a",
            "seed": [0, 0, 0, 1, 1, 1],
            "cell": [PLANTED, NOTHING, NOTHING] * 2,
            **dict.fromkeys(CORRECTIONS, 0.5),
            "q_null": [0.01, 0.01, 0.2, 0.2, 0.2, 0.2],
            "region_r": 0.0,
        }
    )
    counts = summary(tests).set_index("correction").loc["q_null"]
    assert counts[["any", "cells", "power", "false_share"]].tolist() == [0.5, 0.25, 0.5, 0.25]
    assert counts["any_low"] < 0.5 < counts["any_high"]


def test_studies_of_all_noises_are_counted_apart():
    tests = pd.DataFrame({"case": ["ar.5", "white", "ar.5, effect 0.1"], "seed": 0})
    together = with_all_noises(tests).iloc[3:]
    assert together["case"].tolist() == ["all noises"] * 2
    assert together["seed"].nunique() == 2


def test_corrections_of_a_single_region_follow_from_its_own_p():
    scores = np.random.default_rng(0).normal(size=(101, 1, 3))
    p = corrected(scores)
    np.testing.assert_allclose(p["bonferroni"], np.minimum(3 * p["p_null"], 1))
    np.testing.assert_array_equal(p["unscaled"], shift_p(scores).p_max)


def test_bonferroni_reaches_lower_than_the_draws_of_one_cell():
    scores = np.random.default_rng(0).normal(size=(101, 20, 3))
    scores[0, 4, 1] = 20.0
    p = corrected(scores)
    assert p["bonferroni"][4, 1] == pytest.approx(60 / 2001)
    assert 60 * p["p_null"].min() > 0.5
