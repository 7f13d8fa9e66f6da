"""Models that the brain responds to equally are compared as equals, a planted one is not."""

from dataclasses import replace

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from bench.calibration_study import Setting
from bench.comparisons import KINDS, compared, kinds_of, plain, twins
from bidsapp.rsa.similarity import similarity
from bidsapp.rsa.study import study_products

SMALL = Setting(participants=4, volumes=110, models=("shots-5s", "cuts-60s", "walk-8"))


def scores_of(study):
    products = study_products(study.runs, 20.0).robust
    return similarity(products, study.columns, "robust", "ols").r[:, 0]


@pytest.mark.parametrize("planted", ["shots-5s", "shots"])
def test_brains_respond_to_both_twins(planted):
    setting = replace(SMALL, planted=planted, models=(planted,), effect=0.6)
    with threadpool_limits(1):
        means = np.mean([scores_of(twins(setting, seed)) for seed in range(3)], axis=(0, 2, 3))
    assert means.min() > 0.05
    assert means.max() < 1.3 * means.min()


def test_noise_seldom_tells_models_apart():
    tests = compared(plain, SMALL, 8)
    assert len(tests) == 8 * 3
    assert tests["t"].mean() < 0.15  # docs/calibration.md has what it is in the long run
    assert kinds_of(tests).tolist() == [KINDS[0], KINDS[1], KINDS[1]] * 8


def test_planted_model_is_told_from_others():
    tests = compared(plain, replace(SMALL, planted="shots-5s", effect=0.6), 2)
    own = tests[tests["model_a"] == "shots-5s"]
    assert own["t"].all()
    assert (own["low"] > 0).all()
    assert ((own["low"] < own["difference"]) & (own["difference"] < own["high"])).all()
