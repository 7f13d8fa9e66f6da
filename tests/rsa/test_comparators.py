"""Comparators against SciPy's, rsatoolbox called plainly, and definitions written out."""

import numpy as np
import pytest
from comparator_noise import found_in_noise
from rsatoolbox.rdm import RDMs
from rsatoolbox.rdm import compare as rsatoolbox_compare
from rsatoolbox.rdm.compare import _cosine_cov_weighted_slow
from scipy import stats

from bidsapp.rsa.comparators import columns, compare, problem, untested
from bidsapp.rsa.pairs import all_pairs, lagged_pairs
from bidsapp.rsa.rdm import to_square
from bidsapp.rsa.volumes import FilmVolumes

N = 24
N_PAIRS = N * (N - 1) // 2
METHODS = ("pearson", "spearman", "rho-a", "tau-a", "cosine", "whitened", "cka", "cka-debiased")


@pytest.fixture
def rdms():
    """Five RDMs that share something; the last has few different values."""
    rng = np.random.default_rng(0)
    common = rng.random(N_PAIRS)
    found = [common + rng.random(N_PAIRS) for _ in range(4)]
    return np.array([*found, np.round(2 * common)]).astype(np.float32)


def tau_a(x, y):
    """Concordant less discordant pairs of entries, over all pairs."""
    upper = np.triu_indices(len(x), 1)
    signs = [np.sign(v[:, None] - v)[upper] for v in (x, y)]
    return (signs[0] * signs[1]).mean()


def rho_a(x, y, rng):
    """Spearman's correlation, mean over random orders of ties."""

    def ranks(values):
        return np.argsort(np.lexsort((rng.random(len(values)), values)))

    return np.mean([np.corrcoef(ranks(x), ranks(y))[0, 1] for _ in range(4000)])


PLAIN = {
    "pearson": lambda x, y: stats.pearsonr(x, y)[0],
    "spearman": lambda x, y: stats.spearmanr(x, y)[0],
    "tau-a": tau_a,
    "cosine": lambda x, y: x @ y / np.linalg.norm(x) / np.linalg.norm(y),
}


@pytest.mark.parametrize("method", PLAIN)
@pytest.mark.parametrize("mode", ["replicate", "robust"])
def test_agreement_with_plain_definitions(rdms, method, mode):
    pairs = all_pairs(N) if mode == "replicate" else lagged_pairs(N, 3, FilmVolumes.whole(N, 2))
    values, _ = columns(rdms, pairs, mode)
    x, y = values[:2], values[2:]
    expected = [[PLAIN[method](a, b) for b in y] for a in x]
    np.testing.assert_allclose(compare(method, x, y), expected, atol=1e-9)


def test_tau_a_without_ties_is_scipys_tau(rdms):
    values, _ = columns(rdms, all_pairs(N), "replicate")
    expected = stats.kendalltau(values[0], values[1])[0]
    assert compare("tau-a", values[:1], values[1:2])[0, 0] == pytest.approx(expected, abs=1e-12)


def test_rho_a_is_the_mean_over_random_ties(rdms):
    values, _ = columns(rdms, all_pairs(N), "replicate")
    expected = rho_a(values[0], values[4], np.random.default_rng(1))
    assert compare("rho-a", values[:1], values[4:])[0, 0] == pytest.approx(expected, abs=2e-3)


def test_whitening_is_a_generalised_least_squares_correlation(rdms):
    """The inverse of the pairs' covariance, written out, weighs the products."""
    values, _ = columns(rdms, all_pairs(N), "replicate")
    a, b = (v - v.mean() for v in values[:2])
    rows, others = np.triu_indices(N, 1)
    contrast = np.zeros((N_PAIRS, N))
    contrast[np.arange(N_PAIRS), rows], contrast[np.arange(N_PAIRS), others] = 1, -1
    weight = np.linalg.inv((contrast @ contrast.T) ** 2)
    expected = a @ weight @ b / np.sqrt((a @ weight @ a) * (b @ weight @ b))
    found = compare("whitened", values[:1], values[1:2])[0, 0]
    assert found == pytest.approx(expected, abs=1e-9)
    assert found == pytest.approx(_cosine_cov_weighted_slow(a[None], b[None])[0, 0], abs=1e-5)


def test_rsatoolbox_called_plainly_gives_the_same(rdms):
    values, _ = columns(rdms, all_pairs(N), "replicate")
    x, y = RDMs(rdms[:2].astype(float)), RDMs(rdms[2:].astype(float))
    for method, name in (
        ("pearson", "corr"), ("spearman", "spearman"), ("rho-a", "rho-a"), ("tau-a", "tau-a"),
        ("cosine", "cosine"), ("whitened", "corr_cov"), ("cka", "cosine_cov"),
    ):  # fmt: skip
        np.testing.assert_allclose(
            compare(method, values[:2], values[2:]),
            rsatoolbox_compare(x, y, method=name),
            atol=1e-9,
            err_msg=method,
        )


def test_columns_are_in_the_order_of_the_volumes_kept(rdms):
    defined = np.ones(N, dtype=bool)
    defined[[3, 11]] = False
    values, constant = columns(rdms, all_pairs(N, defined), "replicate")
    expected = to_square(rdms)[:, defined][:, :, defined]
    np.testing.assert_array_equal(to_square(values), expected)
    assert not constant.any()


def test_robust_columns_have_no_mean_at_any_lag(rdms):
    pairs = lagged_pairs(N, 3)
    values, _ = columns(rdms, pairs, "robust")
    rows, others = np.triu_indices(N, 1)
    lag = np.minimum(others - rows, N - (others - rows))
    lag = lag[lag >= 3]
    for k in set(lag.tolist()):
        np.testing.assert_allclose(values[:, lag == k].mean(axis=1), 0, atol=1e-7)


@pytest.mark.parametrize("mode", ["replicate", "robust"])
def test_a_constant_column_is_told_from_rounding(rdms, mode):
    rdms[1] = 0.7
    pairs = all_pairs(N) if mode == "replicate" else lagged_pairs(N, 3)
    _, constant = columns(rdms, pairs, mode)
    np.testing.assert_array_equal(constant, [False, True, False, False, False])


def test_a_run_without_pairs_has_no_columns(rdms):
    values, constant = columns(rdms, lagged_pairs(N, N), "robust")
    assert values.shape == (5, 0)
    assert constant.all()


def test_what_is_not_applied_says_why():
    for mode in ("replicate", "robust"):
        for method in METHODS:
            pairs = problem(method, mode, "layer")
            assert (pairs is not None) == (
                mode == "robust" and method in ("whitened", "cka", "cka-debiased")
            )
            if untested(method, mode):
                assert method in ("cosine", "cka")
    assert "offset" in problem("cka", "replicate", "prediction")
    assert problem("cosine", "robust", "prediction") is None


def test_values_that_are_not_tested_are_never_negative():
    rng = np.random.default_rng(4)
    for _ in range(50):
        values = rng.random((2, N_PAIRS))
        for method in (m for m in METHODS if untested(m, "replicate")):
            assert compare(method, values[:1], values[1:])[0, 0] >= 0


def test_autocorrelation_inflates_replicate_and_not_robust():
    white, slow = (found_in_noise(strength, n=200, draws=8) for strength in (0.0, 0.4))
    for (mode, method), value in slow.items():
        if mode == "robust":
            assert abs(value) < 0.01, method
        elif method != "spearman":  # whose ranks the few near pairs move little
            assert value > white[mode, method] + 0.08, method
    assert white["replicate", "cka"] > 0.2  # though nothing is shared
    assert abs(white["replicate", "cka-debiased"]) < 0.02
