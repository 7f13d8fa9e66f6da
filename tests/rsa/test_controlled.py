"""Unique contributions of a control with its own features, and Freedman and Lane's test of them."""

from dataclasses import replace

import numpy as np
import pytest
from test_shifts import shifted

from bidsapp.rsa.controlled import controlled_unique
from bidsapp.rsa.controlled_run import ControlledRun, Removed, controlled_run
from bidsapp.rsa.expected_noise import noise_template, remove_noise_template
from bidsapp.rsa.gram import run_products
from bidsapp.rsa.pairs import lagged_pairs
from bidsapp.rsa.rdm import correlation_distance, euclidean_distance, rdm_with_moments
from bidsapp.rsa.similarity import similarity
from bidsapp.rsa.unique import pairs_of, unique

LENGTHS = (44, 41, 40, 42)
MODELS = {"two": slice(0, 2), "one": slice(2, 3), "last": slice(3, 4)}
P = 4
SHIFTS = np.array([[0, 0, 0, 0], [11, 9, 20, 7], [25, 3, 17, 30]])


def basis_of(n):
    """Slow cosines and an intercept."""
    waves = np.cos(np.pi * (np.arange(n)[:, None] + 0.5) * np.arange(3) / n)
    return np.linalg.qr(waves)[0]


def one_run(rng, n, mixing):
    """Features of four layers, of which the last two smooth and mix the first two's."""
    first = [rng.normal(size=(n, 20)) for _ in range(2)]
    features = [*first, first[0] @ rng.normal(size=(20, 20)), first[0] + rng.normal(size=(n, 20))]
    pairs = lagged_pairs(n, 8, defined=np.arange(n) != 6)
    basis = basis_of(n)[pairs.kept]
    basis = np.linalg.qr(basis)[0]
    rdms, moments = zip(*(rdm_with_moments(f, "correlation") for f in features), strict=True)
    voxels = np.stack([0.6 * first[0] @ m + rng.normal(size=(n, 30)) for m in mixing])
    voxels[:, pairs.kept] -= basis @ (basis.T @ voxels[:, pairs.kept])
    targets = np.array([correlation_distance(v) for v in voxels])
    template = noise_template(pairs, basis, 0.4, "correlation")
    remove_noise_template(targets, pairs, template)
    removed = Removed(basis, template.astype(np.float32), "correlation")
    return controlled_run(np.array(rdms), ["correlation"] * P, moments, targets, pairs, removed)


@pytest.fixture
def runs():
    rng = np.random.default_rng(4)
    mixing = rng.normal(size=(2, 20, 30)) / 20**0.5
    return [one_run(rng, n, mixing) for n in LENGTHS]


def products_of(runs, targets):
    """The engine's products of columns that are prepared already; a shift keeps their means."""
    return [
        run_products(run.columns, own[:, None], in_order(run), "centred", str(i))
        for i, (run, own) in enumerate(zip(runs, targets, strict=True))
    ]


def in_order(run):
    return replace(run.pairs, index=np.arange(run.pairs.n_pairs))


def own_columns(model):
    layers = np.arange(P)[MODELS[model]]
    return np.concatenate([P + layers, 2 * P + layers, 3 * P + layers])


def by_hand(runs, targets, control, target):
    """r of the target with residuals of each run, (R, runs), from the columns themselves."""
    own, layers = own_columns(control), np.arange(P)[MODELS[target]]
    x = [run.columns[layers].astype(float) for run in runs]
    rest = []
    for run, region in zip(runs, targets, strict=True):
        columns = run.columns[own].astype(float).T
        y = (region / region.std(axis=1, keepdims=True)).T
        rest.append((y - columns @ np.linalg.lstsq(columns, y, rcond=None)[0]).T)
    r = np.empty((len(targets[0]), len(runs)))
    for test in range(len(runs)):
        others = [i for i in range(len(runs)) if i != test]
        xx = sum(x[i] @ x[i].T / x[i].shape[1] for i in others)
        xy = sum(rest[i] @ x[i].T / x[i].shape[1] for i in others)
        weights = np.ones_like(xy) if len(layers) == 1 else np.linalg.solve(xx, xy.T).T
        r[:, test] = [
            np.corrcoef(predicted, own)[0, 1]
            for predicted, own in zip(weights @ x[test], rest[test], strict=True)
        ]
    return r


def delta_by_the_engine(runs, control, target):
    """R² of both less R² of the control, (R, runs)."""
    models = {"control": own_columns(control), "target": np.arange(P)[MODELS[target]]}
    products = products_of(runs, [run.targets for run in runs])
    alone = similarity(products, models, "robust", "ols")
    return unique(products, models, "robust", "ols", alone).delta_r2[0, :, 0]


def with_residual_shifted(runs, control, draw):
    """Targets with what the control leaves of them moved along the circle, by explicit columns."""
    own, moved = own_columns(control), []
    for run, volumes in zip(runs, draw, strict=True):
        columns, y = run.columns[own].astype(float).T, run.targets.astype(float).T
        fit = columns @ np.linalg.lstsq(columns, y, rcond=None)[0]
        m = len(run.pairs.kept)
        rest = [shifted(e, run.pairs, m - volumes) for e in (y - fit).T]
        moved.append(fit.T + rest)
    return moved


def test_scores_as_they_are_agree_with_explicit_fits(runs):
    scores = controlled_unique(lambda: runs, MODELS, SHIFTS[:0])
    for pair, (c, t) in enumerate(pairs_of(3)):
        names = list(MODELS)
        r = by_hand(runs, [run.targets for run in runs], names[c], names[t])
        delta = delta_by_the_engine(runs, names[c], names[t])
        np.testing.assert_allclose(scores.unique.r[pair, :, 0], r, atol=2e-5)
        np.testing.assert_allclose(scores.unique.delta_r2[pair, :, 0], delta, atol=2e-5)
        np.testing.assert_allclose(scores.at_draws[0, :, pair], r.mean(axis=1), atol=2e-5)


def test_draws_agree_with_shifting_the_residual_and_refitting(runs):
    scores = controlled_unique(lambda: runs, MODELS, SHIFTS)
    names = list(MODELS)
    np.testing.assert_allclose(scores.at_draws[1], scores.at_draws[0], atol=1e-5)  # no shift
    for pair, (c, t) in enumerate(pairs_of(3)):
        for k, draw in enumerate(SHIFTS):
            targets = with_residual_shifted(runs, names[c], draw)
            r = by_hand(runs, targets, names[c], names[t])
            np.testing.assert_allclose(scores.at_draws[1 + k, :, pair], r.mean(axis=1), atol=5e-5)


def test_draws_at_once_change_nothing(runs, monkeypatch):
    whole = controlled_unique(lambda: runs, MODELS, SHIFTS)
    monkeypatch.setattr("bidsapp.rsa.controlled._NUMBERS_AT_ONCE", 1)
    apart = controlled_unique(lambda: runs, MODELS, SHIFTS)
    np.testing.assert_allclose(whole.at_draws, apart.at_draws, atol=1e-6)


def test_region_is_scored_on_the_runs_that_it_has(runs):
    lacking = [replace(run, targets=run.targets.copy()) for run in runs]
    lacking[1].targets[1] = 0
    scores = controlled_unique(lambda: lacking, MODELS, SHIFTS)
    whole = controlled_unique(lambda: runs, MODELS, SHIFTS)
    np.testing.assert_array_equal(scores.at_draws[:, 0], whole.at_draws[:, 0])
    assert np.isnan(scores.unique.r[:, 1, 0, 1]).all()
    three = [runs[0], runs[2], runs[3]]
    alone = controlled_unique(lambda: three, MODELS, SHIFTS[:, [0, 2, 3]])
    np.testing.assert_allclose(scores.at_draws[:, 1], alone.at_draws[:, 1], atol=1e-6)


def test_run_that_a_participant_lacks_is_as_if_it_were_not_there(runs):
    nothing = lagged_pairs(40, 8, defined=np.zeros(40, bool))
    empty = ControlledRun(
        nothing,
        np.zeros((4 * P, 0), np.float32),
        np.zeros(P, bool),
        np.zeros((2, 0), np.float32),
    )
    scores = controlled_unique(lambda: [*runs, empty], MODELS, np.hstack([SHIFTS, SHIFTS[:, :1]]))
    plain = controlled_unique(lambda: runs, MODELS, SHIFTS)
    np.testing.assert_array_equal(scores.at_draws, plain.at_draws)


def test_single_model_has_no_pairs(runs):
    scores = controlled_unique(lambda: runs, {"all": slice(0, P)}, SHIFTS)
    assert scores.unique.r.shape == (0, 2, 1, 4)
    assert scores.at_draws.shape == (4, 2, 0)


def test_participant_without_any_region_has_no_scores(runs):
    nobody = [replace(run, targets=0 * run.targets) for run in runs]
    scores = controlled_unique(lambda: nobody, MODELS, SHIFTS)
    assert np.isnan(scores.unique.r).all()
    assert np.isnan(scores.at_draws).all()


def test_copy_of_the_control_adds_nothing_at_any_draw(runs):
    copies = [
        replace(run, columns=np.vstack([run.columns[[0, 1, 0, 1]]] * 2 + [run.columns[8:]]))
        for run in runs
    ]
    models = {"two": slice(0, 2), "copy": slice(2, 4)}
    scores = controlled_unique(lambda: copies, models, SHIFTS)
    assert scores.unique.constant.all()
    assert not scores.at_draws.any()


def test_unknown_features_of_a_control_leave_its_rows_empty(runs):
    unknown = [replace(run, known=np.array([True, True, False, True])) for run in runs]
    scores = controlled_unique(lambda: unknown, MODELS, SHIFTS)
    missing = np.array([list(MODELS)[control] == "one" for control, _ in pairs_of(3)])
    assert np.isnan(scores.unique.r[missing]).all()
    assert np.isfinite(scores.unique.r[~missing]).all()
    assert np.isnan(scores.at_draws[:, :, missing]).all()


@pytest.mark.parametrize(("brain", "distance"), [
    ("correlation", correlation_distance), ("euclidean", euclidean_distance),
])  # fmt: skip
@pytest.mark.parametrize("model", ["correlation", "euclidean"])
def test_further_columns_are_those_of_a_brain_that_follows_the_features(brain, distance, model):
    """Many voxels without noise have the first, and the Gram matrix the second."""
    rng = np.random.default_rng(0)
    n = 40
    pairs = lagged_pairs(n, 5, defined=np.arange(n) != 3)
    basis = np.linalg.qr(basis_of(n)[pairs.kept])[0]
    features = rng.normal(size=(n, 6))
    rdm, moments = rdm_with_moments(features, model)
    denoised = features[pairs.kept] - basis @ (basis.T @ features[pairs.kept])
    voxels = np.zeros((n, 20000))
    voxels[pairs.kept] = denoised @ rng.normal(size=(6, 20000))
    nothing = Removed(basis, np.zeros(pairs.n_pairs, np.float32), brain)
    targets = distance(voxels)[None]
    run = controlled_run(rdm[None], [model], [moments], targets, pairs, nothing)
    assert run.known.all()
    plain, strong, weak = run.columns[1:].astype(float)
    np.testing.assert_allclose(plain, run.columns[0], atol=1e-6)
    size = run.pairs.n_pairs
    assert strong @ run.targets[0] / size > 0.999
    whole = denoised @ denoised.T
    gram = -2 * whole[pairs.places]
    if brain == "euclidean":
        gram += (np.diag(whole)[:, None] + np.diag(whole))[pairs.places]
    for lag in set(pairs.lag.tolist()):
        gram[pairs.lag == lag] -= gram[pairs.lag == lag].mean()
    assert weak @ (gram / gram.std()) / size == pytest.approx(1, abs=1e-3)


def test_what_was_taken_out_of_the_brain_is_taken_out_of_the_control(runs):
    for run in runs:
        basis = basis_of(run.pairs.n_volumes)[run.pairs.kept]
        template = noise_template(run.pairs, np.linalg.qr(basis)[0], 0.4, "correlation")
        np.testing.assert_allclose(run.columns[P:] @ template, 0, atol=1e-4)
        assert np.abs(run.columns[:P] @ template).max() > 0.1  # targets are as they were


def test_features_without_moments_are_unknown():
    rng = np.random.default_rng(0)
    pairs = lagged_pairs(40, 5)
    rdm = correlation_distance(rng.normal(size=(40, 6)))[None]
    removed = Removed(basis_of(40), np.zeros(pairs.n_pairs, np.float32), "correlation")
    run = controlled_run(rdm, ["correlation"], [None], rdm, pairs, removed)
    assert not run.known.any()
    assert not run.columns[1:].any()
