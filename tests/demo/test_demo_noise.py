"""The demo's noise, confounds and events."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from bidsapp.demo import noise
from bidsapp.demo.confounds import make_confounds
from bidsapp.demo.events import localizer_events, movie_events


def test_noise_has_the_autocorrelation_of_its_mixture():
    series = noise.autocorrelated(np.random.default_rng(0), (10, 10, 10), 400).reshape(1000, -1)
    shares = np.array([spread**2 for _, spread in noise.MIXTURE])
    for lag in (1, 3):
        expected = sum(
            share * rho**lag for share, (rho, _) in zip(shares, noise.MIXTURE, strict=True)
        )
        measured = (series[:, lag:] * series[:, :-lag]).mean()
        assert measured == pytest.approx(expected / shares.sum(), abs=0.02)


def test_slow_waves_are_orthonormal_and_slow():
    waves = noise.slow_waves(128)
    assert waves.shape == (128, 4)
    assert waves.T @ waves == pytest.approx(np.eye(4), abs=1e-12)


def test_components_are_the_principal_ones_and_named_by_mask():
    rng = np.random.default_rng(0)
    series = rng.standard_normal((60, 40)) * np.linspace(1, 3, 40) + 1000
    masks = {"CSF": np.arange(40) < 15, "WM": (np.arange(40) >= 15) & (np.arange(40) < 30)}
    found = make_confounds(series, rng.standard_normal((60, 6)), masks, unsteady=1)
    combined = [key for key, value in found.metadata.items() if value.get("Mask") == "combined"]
    kept = [key for key in combined if found.metadata[key]["Retained"]]
    assert kept[0] == "a_comp_cor_12"
    assert set(kept) <= set(found.table)
    assert not set(combined) - set(kept) & set(found.table)
    waves = noise.slow_waves(60)
    inside = series[:, :30] - series[:, :30].mean(axis=0)
    fitted = PCA(5, svd_solver="full").fit(inside - waves @ (waves.T @ inside))
    values = [found.metadata[key]["SingularValue"] for key in kept[:5]]
    assert values == pytest.approx(fitted.singular_values_, rel=1e-9)
    assert np.isnan(found.table["framewise_displacement"].iloc[0])
    assert found.table["non_steady_state_outlier00"].sum() == 1


def test_localizer_shows_each_condition_twice():
    events = localizer_events(np.random.default_rng(0), ("a", "b", "c", "d", "e", "f"))
    assert events["trial_type"].value_counts().eq(2).all()
    grid = 12 + 24 * np.arange(12)
    assert np.abs(events["onset"] - grid).max() < 0.015


def test_frames_are_shown_in_order_with_a_small_delay():
    events = movie_events(np.random.default_rng(0), 6000)
    assert events["frameidx"].iloc[0] == 1
    assert 0.05 <= events["onset"].iloc[0] <= 0.125
    assert (events["duration"] > 0).all()
    late = events["onset"] - events["audiotime"] - events["onset"].iloc[0]
    assert late.abs().max() < 0.15
    assert events["lasttrigger"].iloc[0] == 0
