import numpy as np
import pytest
from rsa_plain import pairs_of, prepared_columns
from small_study import MIN_LAG_S

from bidsapp.rsa.ceiling import ceilings
from bidsapp.rsa.study import study_products


def by_loops(runs, mode):
    regions, participants = runs[0].targets.shape[:2]
    found = np.full((3, regions, participants, len(runs)), np.nan)
    kind = "centred" if mode == "replicate" else "lag-centred"
    for i, run in enumerate(runs):
        pairs = pairs_of(run, mode, MIN_LAG_S)
        for region in range(regions):
            z = {
                s: prepared_columns(rdm, pairs, kind)
                for s, rdm in enumerate(run.targets[region])
                if not np.isnan(rdm).all()
            }
            for s in z:
                others = [z[q] for q in z if q != s]
                if not others:
                    continue
                found[:, region, s, i] = (
                    np.mean([np.corrcoef(z[s], q)[0, 1] for q in others]),
                    np.corrcoef(z[s], np.mean(others, axis=0))[0, 1],
                    np.corrcoef(z[s], np.mean(list(z.values()), axis=0))[0, 1],
                )
    return np.nanmean(found, axis=-1)


@pytest.mark.parametrize("mode", ["replicate", "robust"])
def test_ceilings_by_explicit_loops(gappy_runs, mode):
    found = ceilings(getattr(study_products(gappy_runs, MIN_LAG_S), mode))
    expected = by_loops(gappy_runs, mode)
    np.testing.assert_allclose(found.paper, expected[0], atol=1e-6)
    np.testing.assert_allclose(found.lower, expected[1], atol=1e-6)
    np.testing.assert_allclose(found.upper, expected[2], atol=1e-6)
    assert (found.lower < found.upper).all()


def test_bounds_agree_with_rsatoolbox(runs):
    rsatoolbox = pytest.importorskip("rsatoolbox")
    run = runs[0]
    found = ceilings(study_products([run], MIN_LAG_S).replicate)
    for region in range(2):
        rdms = rsatoolbox.rdm.RDMs(run.targets[region].astype(float))
        low, high = rsatoolbox.inference.boot_noise_ceiling(
            rdms, method="corr", rdm_descriptor="index"
        )
        np.testing.assert_allclose(found.lower[region].mean(), low, atol=1e-5)
        np.testing.assert_allclose(found.upper[region].mean(), high, atol=1e-5)


def test_one_participant_has_no_ceiling(runs):
    for run in runs:
        run.targets[0, 1:] = np.nan
    found = ceilings(study_products(runs, MIN_LAG_S).robust)
    assert np.isnan(found.paper[0]).all()
    assert np.isnan(found.lower[0]).all()
    assert np.isnan(found.upper[0]).all()
    assert np.isfinite(found.paper[1]).all()
