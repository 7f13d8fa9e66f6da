"""Noise alone does not pass p_null, and the calibration sees it when the null is broken."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from bench import calibration
from bidsapp.rsa import modes, shifts
from bidsapp.rsa.gram import run_products
from bidsapp.rsa.pairs import lagged_pairs
from bidsapp.rsa.rdm import to_square

SMALL = calibration.Setting("ar.5", participants=4, volumes=110, draws=60)


def share(found, mode, test="p_null", model=None):
    ours = found[(found["mode"] == mode) & (found["fit"] == "ols")]
    ours = ours if model is None else ours[ours["model"] == model]
    return (ours[test] < 0.05).mean()


@pytest.fixture(scope="module")
def found() -> pd.DataFrame:
    """Twenty studies of noise."""
    return calibration.studies(SMALL, range(20))


def test_noise_seldom_passes_in_robust(found):
    assert len(found) == 20 * 2 * 2 * 3
    assert share(found, "robust") < 0.2  # .05 in the long run (docs/calibration.md), here of 60
    robust = found[found["mode"] == "robust"]
    assert robust["p_null"].mean() == pytest.approx(0.5, abs=0.1)
    assert abs(robust["r"].mean()) < 0.003


def test_noise_always_passes_the_t_test_in_replicate(found):
    assert share(found, "replicate", "p_t") > 0.9


def test_planted_effect_is_found():
    planted = calibration.studies(replace(SMALL, effect=0.5), range(3))
    assert share(planted, "robust", model="shots") == 1


def test_shuffled_volumes_are_no_null(monkeypatch):
    """Instead of shifts: the order of volumes is random, and noise passes nearly always."""

    def shuffled(models, targets, pairs, preparation, run, _nuisance=None):
        n = pairs.n_volumes
        orders = np.tile(np.arange(n), (n, 1))
        orders[1:] = np.random.default_rng(0).permuted(orders[1:], axis=1)
        square = to_square(models)
        every = [
            run_products(
                square[:, order[:, None], order][:, *np.triu_indices(n, 1)],
                *(targets, pairs, preparation, run),
            )
            for order in orders
        ]
        xy = np.array([one.xy for one in every])
        return shifts.ShiftedProducts(every[0], xy, every[0].present)

    monkeypatch.setattr(shifts, "shifted_products", shuffled)
    broken = calibration.studies(replace(SMALL, volumes=80), range(3))
    assert share(broken, "replicate") > 0.85


def test_circular_lags_leave_slow_models_with_what_noise_has_too(monkeypatch):
    """Means at min(d, n - d) instead of d: the mistake that the preparation of robust avoids."""

    def circular(n_volumes, *arguments):
        pairs = lagged_pairs(n_volumes, *arguments)
        lag = np.minimum(pairs.lag, len(pairs.kept) - pairs.lag)
        order = np.argsort(lag, kind="stable")
        return replace(pairs, index=pairs.index[order], lag=lag[order])

    monkeypatch.setattr(modes, "lagged_pairs", circular)
    broken = calibration.studies(replace(SMALL, volumes=150), range(5))
    assert share(broken, "robust", model="drift") > 0.5


def test_counted_is_how_often_p_is_low():
    rows = [("robust", "ols", "a", p, p, 0.2, 0.2, 0.1) for p in (0.01, 0.04, 0.05, 0.5)]
    names = ["mode", "fit", "model", *calibration.TESTS, "r"]
    (row,) = calibration.shares(pd.DataFrame(rows, columns=names)).to_dict("records")
    assert (row["p_null"], row["p_t"], row["studies"]) == (0.5, 0.0, 4)
    assert row["r"] == pytest.approx(0.1)
    low, high = calibration.interval(200)
    assert (low, high) == (0.02, 0.08)
