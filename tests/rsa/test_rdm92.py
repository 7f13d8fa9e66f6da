"""Human and monkey inferior temporal cortex on 92 images (Kriegeskorte et al. 2008, Neuron)."""

import numpy as np
import pytest
from rsatoolbox.rdm import RDMs
from rsatoolbox.rdm import compare as rsatoolbox_compare
from scipy.io import loadmat
from scipy.stats import kendalltau, rankdata, spearmanr

from bidsapp.rsa.ceiling import ceilings
from bidsapp.rsa.comparators import columns, compare
from bidsapp.rsa.gram import run_products
from bidsapp.rsa.pairs import all_pairs


def condensed(rdm):
    rdm = np.asarray(rdm, dtype=float)
    return rdm[np.triu_indices(92, 1)] if rdm.ndim == 2 else rdm


@pytest.fixture(scope="module")
def matrices(shared_data):
    folder = shared_data / "rdm92"
    if not folder.is_dir():
        pytest.skip(f"no RDMs of 92 images at {folder}")
    clusters = loadmat(folder / "faceAnimateInaniClustersRDM.mat", squeeze_me=True)
    models = loadmat(folder / "92_modelRDMs.mat", squeeze_me=True)["Models"]
    model = {str(rdm["name"]): condensed(rdm["RDM"]) for rdm in models}
    it = {str(rdm["name"]): condensed(rdm["RDM"]) for rdm in clusters["RDMs_mIT_hIT_fig1"]}
    return {
        "human": it["hITvisStim_316vx"],
        "monkey": it["mIT_674neurons"],
        "animacy": model["animacy"],
        "hmax": model["HMAX"],
        "v1": model["V1"],
    }


def products_of(matrices, transform):
    models = [matrices[name] for name in ("monkey", "animacy", "hmax", "v1")]
    targets = [matrices["human"], matrices["monkey"]]
    return run_products(
        np.array([transform(m) for m in models]),
        np.array([[transform(t) for t in targets]]),
        all_pairs(92),
        "centred",
        "1",
    )


def test_human_and_monkey_correlate_as_published(matrices):
    products = products_of(matrices, np.asarray)
    assert products.xy[0, 0, 0] == pytest.approx(0.4912, abs=5e-5)
    np.testing.assert_allclose(ceilings([products]).paper, [[0.4912, 0.4912]], atol=5e-5)


def test_products_of_ranks_are_spearmans_correlations(matrices):
    found = products_of(matrices, rankdata).xy[0, 0]
    np.testing.assert_allclose(found, [0.4389, 0.5882, 0.2217, 0.0393], atol=5e-5)
    expected = [
        spearmanr(matrices[name], matrices["human"])[0]
        for name in ("monkey", "animacy", "hmax", "v1")
    ]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_comparators_of_published_matrices(matrices):
    models = np.array([matrices[name] for name in ("monkey", "animacy", "hmax", "v1")])
    human = matrices["human"][None]
    x, _ = columns(models, all_pairs(92), "replicate")
    y, _ = columns(human, all_pairs(92), "replicate")
    published = [[0.4389], [0.5882], [0.2217], [0.0393]]
    np.testing.assert_allclose(compare("spearman", x, y), published, atol=5e-5)
    assert compare("pearson", x, y)[0, 0] == pytest.approx(0.4912, abs=5e-5)
    for method, name in (
        ("tau-a", "tau-a"), ("rho-a", "rho-a"), ("whitened", "corr_cov"), ("cka", "cosine_cov"),
    ):  # fmt: skip
        plain = rsatoolbox_compare(RDMs(models), RDMs(human), method=name)
        np.testing.assert_allclose(compare(method, x, y), plain, atol=1e-9, err_msg=method)
    np.testing.assert_allclose(
        compare("tau-a", x[:1], y), kendalltau(models[0], human[0])[0], atol=1e-5
    )
