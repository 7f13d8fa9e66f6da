"""A small study with real structure, whole and with gaps."""

import numpy as np
import pytest
from small_study import LENGTHS, noise_runs, one_run, undefine


@pytest.fixture
def runs():
    """Four runs; every target is there in each."""
    rng = np.random.default_rng(11)
    return [one_run(rng, str(i + 1), n) for i, n in enumerate(LENGTHS)]


@pytest.fixture
def gappy_runs(runs):
    """The same, with an undefined volume, a participant without run 2, and one with two runs."""
    undefine(runs[0].models[2], 5, LENGTHS[0])
    undefine(runs[0].targets[1, 0], 9, LENGTHS[0])
    runs[1].targets[:, 1] = np.nan
    runs[2].targets[0, 2] = np.nan
    runs[3].targets[0, 2] = np.nan
    return runs


@pytest.fixture(scope="session")
def noise():
    """Brains of autocorrelated noise, and a model that is not in them; nothing may change it."""
    return noise_runs()
