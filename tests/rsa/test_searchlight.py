"""Spheres are scored as regions are; what is planted in a patch is found there alone."""

from dataclasses import replace

import numpy as np
import pytest

from bidsapp.rsa.expected_noise import noise_template, remove_noise_template
from bidsapp.rsa.pairs import lagged_pairs
from bidsapp.rsa.rdm import DISTANCES, correlation_distance
from bidsapp.rsa.searchlight import (
    BATCH,
    Sphering,
    VoxelRun,
    expected_bytes,
    expected_seconds,
    searchlight,
)
from bidsapp.rsa.similarity import similarity
from bidsapp.rsa.study import RunRDMs, study_products
from bidsapp.rsa.volumes import FilmVolumes

LENGTHS = (60, 54, 64, 58)
TR, MIN_LAG_S = 2.0, 10.0
MIN_LAG = 5  # the same in volumes
PENALTIES = (0.01, 0.1, 1.0)
RADIUS_MM = 5.0
MODELS = {"both": slice(0, 2), "first": slice(0, 1), "second": slice(1, 2)}
PATCH_MM = np.array([9.0, 9.0, 9.0])


def how(**changes):
    return Sphering(
        **{
            "radius_mm": RADIUS_MM, "dissimilarity": "correlation", "mode": "robust", "fit": "ols",
            "penalties": PENALTIES, "min_lag_s": MIN_LAG_S, **changes,
        }
    )  # fmt: skip


def smooth_noise(rng, n, width, strength=0.5):
    """Autocorrelated noise, which is what makes replicate find too much."""
    noise = rng.normal(size=(n, width))
    for i in range(1, n):
        noise[i] += strength * noise[i - 1]
    return noise


def study(seed, effect=1.5, grids=(3.0, 3.0, 2.5, 2.5)):
    """Four runs on two grids; voxels within 4 mm of the patch respond to the first layer."""
    rng = np.random.default_rng(seed)
    loadings = {}
    runs = []
    for i, (n, step) in enumerate(zip(LENGTHS, grids, strict=True)):
        axis = np.arange(0, 28, step)
        positions = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
        features = [smooth_noise(rng, n, 40) for _ in range(2)]
        inside = np.linalg.norm(positions - PATCH_MM, axis=1) < 4
        loading = loadings.setdefault(step, rng.normal(size=(40, int(inside.sum()))) / 40**0.5)
        series = smooth_noise(rng, n, len(positions))
        series[:, inside] += effect * features[0] @ loading
        runs.append(
            VoxelRun(
                str(i + 1),
                np.ascontiguousarray((series - series.mean(axis=0)).T, np.float32),
                positions,
                np.array([correlation_distance(f) for f in features]),
                TR,
                film=FilmVolumes.whole(n, n_repeated=2 if i < 3 else 0),
            )
        )
    return runs


@pytest.fixture(scope="module")
def runs():
    return study(0)


def as_region(runs, centre, mode, fit, dissimilarity):
    """Compute a sphere the way of regions: its RDM in each run, all products, the fit."""
    given = []
    for run in runs:
        voxels = np.linalg.norm(run.positions_mm - centre, axis=1) <= RADIUS_MM
        rdm = DISTANCES[dissimilarity](run.series[voxels].T)
        if mode == "robust" and run.basis is not None:
            pairs = lagged_pairs(len(run.basis), MIN_LAG, run.film, np.isfinite(run.series[0]))
            noise = noise_template(pairs, run.basis[pairs.kept], run.lag1_r, dissimilarity)
            remove_noise_template(rdm, pairs, noise)
        given.append(RunRDMs(run.run, run.models, rdm[None, None], TR, run.film))
    products = study_products(given, MIN_LAG_S)
    runs_of_mode = products.robust if mode == "robust" else products.replicate
    return similarity(runs_of_mode, MODELS, mode, fit, PENALTIES).r[:, 0, 0].mean(axis=-1)


@pytest.mark.parametrize(
    ("mode", "fit", "dissimilarity"),
    [
        ("robust", "ols", "correlation"), ("robust", "ridge", "cosine"),
        ("replicate", "nnls", "correlation"), ("replicate", "ols", "euclidean"),
    ],
)  # fmt: skip
def test_a_sphere_is_scored_as_a_region(runs, mode, fit, dissimilarity):
    centres = np.array([PATCH_MM, [20.0, 20.0, 12.0], [0.0, 0.0, 0.0], [10.1, 3.3, 7.7]])
    chosen = how(mode=mode, fit=fit, dissimilarity=dissimilarity)
    found = searchlight(runs, centres, MODELS, chosen)
    expected = [as_region(runs, centre, mode, fit, dissimilarity) for centre in centres]
    np.testing.assert_allclose(found.T, expected, atol=1e-5)


@pytest.fixture(scope="module")
def denoised(runs):
    """Without what the film covers too little, what is shown again and a censored volume."""
    return [
        in_robust(run, n_uncovered, lag1_r)
        for run, n_uncovered, lag1_r in zip(
            runs, (9, 0, 4, 9), (0.6, 0.3, np.nan, 0.5), strict=True
        )
    ]


def in_robust(run, n_uncovered, lag1_r):
    """Regress drifts out over the volumes used, as the searchlight of robust is given them."""
    n = run.series.shape[1]
    film = replace(run.film, covered=np.arange(n) >= n_uncovered)
    used = film.used & (np.arange(n) != 30)
    drifts = np.cos(np.pi * np.outer(np.arange(n) + 0.5, np.arange(5)) / n)
    basis, series = np.full((n, 5), np.nan), np.full(run.series.shape, np.nan, np.float32)
    basis[used] = np.linalg.qr(drifts[used])[0]
    series[:, used] = run.series[:, used] - run.series[:, used] @ basis[used] @ basis[used].T
    return replace(run, series=series, film=film, basis=basis, lag1_r=lag1_r)


@pytest.mark.parametrize("dissimilarity", ["correlation", "cosine", "euclidean"])
@pytest.mark.parametrize("mode", ["robust", "replicate"])
def test_a_denoised_sphere_is_rid_of_expected_noise_as_its_region_is(denoised, mode, dissimilarity):
    centres = np.array([PATCH_MM, [20.0, 20.0, 12.0], [10.1, 3.3, 7.7]])
    chosen = how(mode=mode, dissimilarity=dissimilarity)
    scores = searchlight(denoised, centres, MODELS, chosen)
    expected = [as_region(denoised, centre, mode, "ols", dissimilarity) for centre in centres]
    np.testing.assert_allclose(scores.T, expected, atol=1e-5)
    noisy = [replace(run, basis=None) for run in denoised]
    change = np.abs(searchlight(noisy, centres, MODELS, chosen) - scores).max()
    assert change > 1e-3 if mode == "robust" else change == 0


def test_a_run_without_a_volume_to_compare_has_no_say(denoised):
    nothing = replace(denoised[0], film=FilmVolumes.whole(LENGTHS[0], n_repeated=LENGTHS[0]))
    scores = searchlight([nothing, *denoised[1:]], PATCH_MM[None], MODELS, how())
    three = searchlight(denoised[1:], PATCH_MM[None], MODELS, how())
    np.testing.assert_allclose(scores, three, atol=1e-6)


def test_the_planted_patch_stands_out_and_noise_does_not(runs):
    centres = runs[0].positions_mm
    found = searchlight(runs, centres, MODELS, how(), n_threads=2)
    distance = np.linalg.norm(centres - PATCH_MM, axis=1)
    highest = np.argmax(found, axis=1)
    for m, model in enumerate(MODELS):
        if model != "second":  # which was planted nowhere
            assert distance[highest[m]] <= 4
            assert found[m, highest[m]] > 0.2
    away = distance > 4 + RADIUS_MM + 1
    assert abs(found[:, away].mean()) < 0.01
    assert np.abs(found[:, away]).max() < 0.15
    assert np.abs(found[2]).max() < 0.15  # the second layer was planted nowhere
    few = searchlight(runs, centres[:300], MODELS, how())
    np.testing.assert_allclose(few, found[:, :300], atol=1e-6)  # batches change nothing
    assert len(centres) > 2 * BATCH


def test_nothing_planted_nothing_found():
    found = searchlight(study(1, effect=0), study(1)[0].positions_mm[::5], MODELS, how())
    assert abs(found.mean()) < 0.01
    assert np.abs(found).max() < 0.15
    inflated = searchlight(
        study(1, effect=0), study(1)[0].positions_mm[::50], MODELS, how(mode="replicate")
    )
    assert inflated[0].mean() > 0.05  # which is why robust is the default


def test_a_sphere_of_too_few_voxels_has_no_score(runs):
    far = runs[0].positions_mm.max(axis=0) + RADIUS_MM + [0.1, 0, 0]
    inside = PATCH_MM
    found = searchlight(runs, np.array([far, inside]), MODELS, how())
    assert np.isnan(found[:, 0]).all()
    assert np.isfinite(found[:, 1]).all()


def test_no_centres_give_no_scores(runs):
    assert searchlight(runs, np.empty((0, 3)), MODELS, how()).shape == (3, 0)


def test_undefined_volumes_are_left_out(runs):
    """As if the volume had never been, in models and voxels."""
    series = runs[0].series.copy()
    series[:, 17] = np.nan
    gappy = [replace(runs[0], series=series), *runs[1:]]
    found = searchlight(gappy, PATCH_MM[None], MODELS, how(mode="replicate"))
    kept = np.arange(LENGTHS[0]) != 17
    upper = np.triu_indices(LENGTHS[0], 1)
    pairs = kept[upper[0]] & kept[upper[1]]
    shorter = replace(
        runs[0],
        series=np.ascontiguousarray(runs[0].series[:, kept]),
        models=runs[0].models[:, pairs],
    )
    expected = searchlight([shorter, *runs[1:]], PATCH_MM[None], MODELS, how(mode="replicate"))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_pattern_without_variance_costs_only_its_sphere(runs):
    other = np.array([20.0, 20.0, 12.0])
    whole = searchlight(runs, np.array([PATCH_MM, other]), MODELS, how())
    series = runs[0].series.copy()
    inside = np.linalg.norm(runs[0].positions_mm - PATCH_MM, axis=1) <= RADIUS_MM
    series[inside, 20] = 0.5
    found = searchlight(
        [replace(runs[0], series=series), *runs[1:]], np.array([PATCH_MM, other]), MODELS, how()
    )
    np.testing.assert_allclose(found[:, 1], whole[:, 1], atol=1e-6)
    three = as_region_without_first(runs)
    np.testing.assert_allclose(found[:, 0], three, atol=1e-5)


def as_region_without_first(runs):
    return as_region(runs[1:], PATCH_MM, "robust", "ols", "correlation")


def test_runs_of_other_lengths_than_their_models_are_refused(runs):
    shorter = replace(runs[0], series=runs[0].series[:, :-1])
    with pytest.raises(ValueError, match="run 1: models and voxels"):
        searchlight([shorter, *runs[1:]], PATCH_MM[None], MODELS, how())


def test_expected_time_grows_with_spheres_and_pairs():
    once = expected_seconds(100, (400, 400), 10)
    assert expected_seconds(200, (400, 400), 10) == pytest.approx(2 * once)
    assert expected_seconds(100, (400, 400), 10, n_threads=4) == pytest.approx(once / 4)
    assert expected_seconds(100, (800, 800), 10) > 3.9 * once


def test_expected_memory_is_that_of_the_paper_and_grows_with_what_is_held():
    volumes = (451, 441, 438, 488, 462, 439, 542, 338)
    assert expected_bytes(60_000, volumes, 11) / 1e9 == pytest.approx(0.9 + 1.0, abs=0.15)
    plain, more = (expected_bytes(60_000, volumes, layers) for layers in (11, 12))
    assert more - plain == 4 * sum(n * (n - 1) // 2 for n in volumes)  # one RDM, float32
    assert expected_bytes(60_000, volumes, 11, n_threads=64) > 5 * 1e9
