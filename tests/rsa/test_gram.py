import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rsa_plain import prepared_columns

from bidsapp.rsa.gram import defined_volumes, lag_products, run_products
from bidsapp.rsa.pairs import all_pairs, lagged_pairs
from bidsapp.rsa.rdm import to_square
from bidsapp.rsa.volumes import FilmVolumes


def explicit(run, pairs, preparation):
    columns = np.vstack([run.models, run.targets.reshape(-1, run.targets.shape[-1])])
    return np.array([prepared_columns(c, pairs, preparation) for c in columns])


@pytest.mark.parametrize("preparation", ["centred", "lag-centred"])
def test_products_are_explicit_correlations(runs, preparation):
    run = runs[0]
    pairs = (
        all_pairs(40) if preparation == "centred" else lagged_pairs(40, 3, FilmVolumes.whole(40, 3))
    )
    products = run_products(run.models, run.targets, pairs, preparation, run.run)
    z = explicit(run, pairs, preparation)
    gram = z @ z.T / pairs.n_pairs
    np.testing.assert_allclose(products.xx, gram[:4, :4], atol=1e-6)
    np.testing.assert_allclose(products.xy.reshape(6, 4), gram[4:, :4], atol=1e-6)
    for region in range(2):
        rows = slice(4 + 3 * region, 7 + 3 * region)
        np.testing.assert_allclose(products.yy[region], gram[rows, rows], atol=1e-6)
    raw = run.models[:, pairs.index].astype(float)
    np.testing.assert_allclose(products.x_mean, raw.mean(axis=1), rtol=1e-6)
    if preparation == "centred":
        np.testing.assert_allclose(products.x_sd, raw.std(axis=1), rtol=1e-6)
    assert products.present.all()
    assert products.n_pairs == pairs.n_pairs


def test_more_pairs_than_a_block_agree_with_float64():
    rng = np.random.default_rng(3)
    models = (1 + 0.01 * rng.normal(size=(3, 200 * 199 // 2))).astype(np.float32)
    targets = (models[:2] + 0.01 * rng.normal(size=models[:2].shape))[None].astype(np.float32)
    products = run_products(models, targets, all_pairs(200), "centred", "1")
    expected = np.corrcoef(np.vstack([models, targets[0]]).astype(float))
    np.testing.assert_allclose(products.xx, expected[:3, :3], atol=1e-6)
    np.testing.assert_allclose(products.xy[0], expected[3:, :3], atol=1e-6)
    np.testing.assert_allclose(products.yy[0], expected[3:, 3:], atol=1e-6)


def test_products_agree_with_float64_however_much_depends_on_lag():
    rng = np.random.default_rng(4)
    n, min_lags = 200, (0, 7, 30)
    defined = rng.random(n) > 0.03
    pairs = all_pairs(n, defined)
    far = lagged_pairs(n, 10, FilmVolumes.whole(n, 8), defined)
    columns = rng.normal(1, 0.05, (7, n * (n - 1) // 2))
    columns[3:] += 0.3 * columns[:1]
    columns[::2, pairs.index] += np.cos(pairs.lag / 40.0)  # most of the variance
    columns = columns.astype(np.float32)
    models, targets = columns[:3], columns[3:].reshape(2, 2, -1)
    centred = lag_products(models, targets, pairs, min_lags, "1")
    lag_centred = run_products(models, targets, far, "lag-centred", "1")
    expected = [np.corrcoef(columns[:, pairs.index[pairs.lag >= lag]]) for lag in min_lags]
    expected.append(np.corrcoef([prepared_columns(c, far, "lag-centred") for c in columns]))
    for products, r in zip((*centred, lag_centred), expected, strict=True):
        np.testing.assert_allclose(products.xx, r[:3, :3], atol=1e-6)
        np.testing.assert_allclose(products.xy.reshape(4, 3), r[3:, :3], atol=1e-6)
        np.testing.assert_allclose(products.yy, [r[3:5, 3:5], r[5:, 5:]], atol=1e-6)
    raw = columns[:, far.index].astype(float)
    assert lag_centred.n_pairs == far.n_pairs
    np.testing.assert_allclose(lag_centred.x_mean, raw[:3].mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(lag_centred.y_mean.ravel(), raw[3:].mean(axis=1), rtol=1e-6)


def test_a_target_that_lag_centring_leaves_without_variance_is_absent(runs):
    run, pairs = runs[0], all_pairs(40)
    far = lagged_pairs(40, 3, FilmVolumes.whole(40, 3))
    run.targets[0, 1, far.index] = 0.7 + 0.001 * far.lag
    centred = run_products(run.models, run.targets, pairs, "centred", "1")
    lag_centred = run_products(run.models, run.targets, far, "lag-centred", "1")
    assert centred.present.all()
    np.testing.assert_array_equal(lag_centred.present, [[True, False, True], [True, True, True]])
    assert np.isnan(lag_centred.xy[0, 1]).all()


@settings(max_examples=20)
@given(st.permutations(range(14)), st.integers(0, 10_000))
def test_order_of_volumes_changes_no_centred_product(order, seed):
    rdms = np.random.default_rng(seed).normal(1, 0.2, (4, 14 * 13 // 2))
    moved = np.array([to_square(rdm)[np.ix_(order, order)][np.triu_indices(14, 1)] for rdm in rdms])
    plain, permuted = (
        run_products(its[:2], its[2:].reshape(1, 2, -1), all_pairs(14), "centred", "1")
        for its in (rdms, moved)
    )
    for name in ("xx", "xy", "yy", "x_mean", "y_sd"):
        np.testing.assert_allclose(getattr(permuted, name), getattr(plain, name), atol=1e-6)


def test_each_least_lag_is_as_if_computed_alone(runs):
    run, min_lags = runs[0], (3, 0, 10, 10, 39)
    pairs = all_pairs(40)
    for lag, products in zip(
        min_lags, lag_products(run.models, run.targets, pairs, min_lags, "1"), strict=True
    ):
        far = pairs.index[pairs.lag >= lag]
        columns = np.vstack([run.models, run.targets.reshape(6, -1)])[:, far].astype(float)
        if lag == 39:  # a single pair has no variance
            assert products.n_pairs == 1
            assert not products.present.any()
            continue
        expected = np.corrcoef(columns)
        assert products.n_pairs == len(far)
        np.testing.assert_allclose(products.xx, expected[:4, :4], atol=2e-6)
        np.testing.assert_allclose(products.xy.reshape(6, 4), expected[4:, :4], atol=2e-6)
        np.testing.assert_allclose(products.x_mean, columns[:4].mean(axis=1), rtol=1e-6)
        np.testing.assert_allclose(products.y_sd.ravel(), columns[4:].std(axis=1), rtol=1e-5)


def test_no_pair_far_enough_leaves_every_target_absent(runs):
    (products,) = lag_products(runs[0].models, runs[0].targets, all_pairs(40), (40,), "1")
    assert products.n_pairs == 0
    assert not products.present.any()


def test_missing_and_constant_targets_are_absent_and_constant_layers_are_zero(runs):
    run = runs[0]
    run.targets[0, 1] = np.nan
    run.targets[1, 2] = 0.7
    run.models[3] = 1.1
    products = run_products(run.models, run.targets, all_pairs(40), "centred", "1")
    expected = np.ones((2, 3), dtype=bool)
    expected[0, 1] = expected[1, 2] = False
    np.testing.assert_array_equal(products.present, expected)
    assert np.isnan(products.xy[0, 1]).all()
    assert np.isnan(products.yy[1, :, 2]).all()
    assert products.x_sd[3] == 0
    assert not products.xx[3].any()
    assert not products.xy[0, 0, 3].any()
    np.testing.assert_allclose(np.diag(products.xx), [1, 1, 1, 0])


def test_undefined_volumes_are_those_of_layers_and_of_each_participant(gappy_runs):
    run = gappy_runs[0]
    defined = defined_volumes(run.models, run.targets)
    assert [np.flatnonzero(~own).tolist() for own in defined] == [[5, 9], [5], [5]]


def test_undefined_volumes_are_left_out_of_every_column(gappy_runs):
    run = gappy_runs[0]
    defined = defined_volumes(run.models, run.targets).all(axis=0)
    products = run_products(run.models, run.targets, all_pairs(40, defined), "centred", "1")
    assert products.volumes.undefined == 2
    assert products.n_pairs == 38 * 37 // 2
    assert products.present.all()


def test_missing_targets_say_nothing_about_volumes(gappy_runs):
    assert defined_volumes(gappy_runs[1].models, gappy_runs[1].targets).all()


def test_undefined_pairs_are_refused(gappy_runs):
    run = gappy_runs[0]
    with pytest.raises(ValueError, match="run 1: an RDM has values that are not finite"):
        run_products(run.models, run.targets, all_pairs(40), "centred", "1")


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_any_function_of_circular_lag_changes_nothing_in_lag_centred_products(seed):
    rng = np.random.default_rng(seed)
    n, trim = 24, 2
    models = rng.normal(1, 0.2, (2, n * (n - 1) // 2))
    targets = rng.normal(1, 0.2, (1, 2, n * (n - 1) // 2))
    pairs = lagged_pairs(n, 2, FilmVolumes.whole(n, trim))
    plain = run_products(models, targets, pairs, "lag-centred", "1")
    moved = targets.copy()
    moved[0, 1, pairs.index] += rng.normal(size=n)[pairs.lag]
    changed = run_products(models, moved, pairs, "lag-centred", "1")
    np.testing.assert_allclose(changed.xy, plain.xy, atol=1e-6)
    np.testing.assert_allclose(changed.yy, plain.yy, atol=1e-6)


def test_a_column_that_is_a_function_of_lag_alone_is_constant():
    rng = np.random.default_rng(0)
    n = 30
    pairs = lagged_pairs(n, 3)
    models = rng.normal(1, 0.2, (2, n * (n - 1) // 2)).astype(np.float32)
    models[1, pairs.index] = np.exp(-pairs.lag / 5.0)
    products = run_products(models, models[None, :1], pairs, "lag-centred", "1")
    assert products.x_sd[1] == 0
    assert not products.xx[1].any()
