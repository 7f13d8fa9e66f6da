"""Noise ceilings against rsatoolbox's own, and against plain loops for what it does not have."""

import warnings

import numpy as np
import pytest
from rsatoolbox.inference.noise_ceiling import boot_noise_ceiling
from rsatoolbox.rdm import RDMs
from scipy.io import loadmat
from scipy.stats import kendalltau

from bidsapp.rsa.cka import centred_kernels
from bidsapp.rsa.comparator_ceilings import noise_ceilings
from bidsapp.rsa.comparators import RSATOOLBOX, columns, compare
from bidsapp.rsa.pairs import all_pairs, lagged_pairs

N = 14
CKA = ("cka", "cka-debiased")


@pytest.fixture(scope="module")
def rdms():
    """Six participants' RDMs that share something; one has few different values."""
    rng = np.random.default_rng(5)
    common = rng.random(N * (N - 1) // 2)
    own = common + rng.random((6, len(common)))
    own[5] = np.round(own[5])
    return own


@pytest.fixture(scope="module")
def human(shared_data):
    """Human IT on 92 images (Kriegeskorte et al. 2008), (2 sessions, 4 participants, n_pairs)."""
    path = shared_data / "rdm92" / "92_brainRDMs.mat"
    if not path.is_file():
        pytest.skip(f"no RDMs of participants at {path}")
    stored = loadmat(path, squeeze_me=True)["RDMs"]
    upper = np.triu_indices(92, 1)
    return np.array([[rdm["RDM"][upper] for rdm in session] for session in stored.T])


def rsatoolbox_ceilings(method, rdms):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Noise ceiling for tau")
        return boot_noise_ceiling(RDMs(rdms), RSATOOLBOX[method])


def compare_plainly(method, x, y):
    return compare(method, x[None], y[None])[0, 0]


@pytest.mark.parametrize("method", RSATOOLBOX)
def test_the_means_are_rsatoolboxs(rdms, method):
    found = noise_ceilings(method, rdms).mean(axis=1)
    np.testing.assert_allclose(found, rsatoolbox_ceilings(method, rdms), rtol=1e-10)


@pytest.mark.parametrize("method", ["pearson", "spearman", "rho-a", "tau-a", "cosine"])
def test_robust_columns_of_some_pairs(rdms, method):
    """What rsatoolbox makes of the whole RDM with the other pairs missing."""
    pairs = lagged_pairs(N, 3)
    values, _ = columns(rdms, pairs, "robust")
    whole = np.full(rdms.shape, np.nan)
    whole[:, np.sort(pairs.index)] = values
    found = noise_ceilings(method, values).mean(axis=1)
    np.testing.assert_allclose(found, rsatoolbox_ceilings(method, whole), rtol=1e-10)


@pytest.mark.parametrize("method", CKA)
@pytest.mark.parametrize("dissimilarity", ["correlation", "euclidean"])
def test_cka_by_a_plain_loop(rdms, method, dissimilarity):
    debiased = method == "cka-debiased"
    kernels = [centred_kernels(rdm[None], dissimilarity, debiased=debiased)[0] for rdm in rdms]
    units = [kernel / np.sqrt((kernel**2).sum()) for kernel in kernels]
    lower, upper = noise_ceilings(method, rdms, dissimilarity)
    for s, unit in enumerate(units):
        of_others = np.mean([u for t, u in enumerate(units) if t != s], axis=0)
        of_all = np.mean(units, axis=0)
        assert lower[s] == pytest.approx(unit @ of_others / np.linalg.norm(of_others), abs=1e-12)
        assert upper[s] == pytest.approx(unit @ of_all / np.linalg.norm(of_all), abs=1e-12)


@pytest.mark.parametrize("method", CKA)
def test_the_pooled_kernel_of_cka_is_one_of_an_rdm(rdms, method):
    """With 1 - r it is that of the mean of RDMs, each divided by the norm of its kernel."""
    debiased = method == "cka-debiased"
    kernels = centred_kernels(rdms, "correlation", debiased=debiased)
    pooled = (rdms / np.linalg.norm(kernels, axis=1, keepdims=True)).mean(axis=0)
    expected = compare(method, pooled[None], rdms)[0]
    np.testing.assert_allclose(noise_ceilings(method, rdms)[1], expected, rtol=1e-10)


@pytest.mark.parametrize("method", ["pearson", "cosine", *CKA])
def test_no_rdm_has_a_higher_mean_similarity_than_the_pooled_one(rdms, method):
    highest = noise_ceilings(method, rdms)[1].mean()
    rng = np.random.default_rng(6)
    for candidate in (*rdms, rdms.mean(axis=0), *(rng.dirichlet(np.ones(6), 20) @ rdms)):
        assert compare(method, candidate[None], rdms).mean() <= highest + 1e-12


def test_two_participants(rdms):
    """The others of one are the other."""
    for method in (*RSATOOLBOX, *CKA):
        lower, upper = noise_ceilings(method, rdms[:2])
        np.testing.assert_allclose(lower, compare_plainly(method, *rdms[:2]), rtol=1e-10)
        assert (upper > lower).all()


@pytest.mark.parametrize("method", RSATOOLBOX)
@pytest.mark.parametrize("session", [0, 1])
def test_human_it_on_92_images(human, method, session):
    values, constant = columns(human[session], all_pairs(92), "replicate")
    assert not constant.any()
    found = noise_ceilings(method, values).mean(axis=1)
    np.testing.assert_allclose(found, rsatoolbox_ceilings(method, values), rtol=1e-10)


def test_human_it_by_kendalls_coefficient_written_out(human):
    (lower, _), values = noise_ceilings("tau-a", human[0]), human[0]
    ranks = np.argsort(np.argsort(values, axis=1), axis=1)  # hardly any ties
    expected = kendalltau(ranks[1:].sum(axis=0), values[0])[0]
    assert lower[0] == pytest.approx(expected, abs=1e-3)
