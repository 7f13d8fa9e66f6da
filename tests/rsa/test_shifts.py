"""Every shift by Fourier transform against RDMs whose rows and columns are shifted one by one."""

from dataclasses import replace

import numpy as np
import pytest
from small_study import LENGTHS, MIN_LAG_S, undefine

from bidsapp.rsa.gram import defined_volumes, run_products
from bidsapp.rsa.pairs import all_pairs, lag_in_volumes, lagged_pairs
from bidsapp.rsa.rdm import to_square
from bidsapp.rsa.shifts import shifted_products

PREPARATION = {"replicate": "centred", "robust": "lag-centred"}


def pairs_of(run, mode, n):
    defined = defined_volumes(run.models, run.targets)
    if mode == "replicate":
        return all_pairs(n, defined)
    return lagged_pairs(n, lag_in_volumes(MIN_LAG_S, 2.0), run.trim_end, defined)


def shifted(rdms, kept, volumes):
    """Models' condensed RDMs with rows and columns of the kept volumes moved along the circle."""
    square = to_square(rdms)
    moved = np.full_like(square, np.nan)
    source = np.roll(kept, volumes)
    moved[:, kept[:, None], kept] = square[:, source[:, None], source]
    rows, columns = np.triu_indices(square.shape[-1], 1)
    return moved[:, rows, columns]


@pytest.mark.parametrize("trim_end", [3, 4])  # circles of odd and even length
@pytest.mark.parametrize("gaps", [(), (0, 5, 20, 21)])
@pytest.mark.parametrize("mode", ["replicate", "robust"])
def test_products_agree_with_explicit_shifts(runs, mode, gaps, trim_end):
    run = replace(runs[0], trim_end=trim_end)
    for volume in gaps:
        undefine(run.models[1], volume, LENGTHS[0])
    run.targets[1, 2] = np.nan
    pairs = pairs_of(run, mode, LENGTHS[0])
    found = shifted_products(run.models, run.targets, pairs, PREPARATION[mode], "1")
    assert found.n_volumes == len(pairs.kept)
    for volumes in range(found.n_volumes):
        moved = shifted(run.models, pairs.kept, volumes)
        explicit = run_products(moved, run.targets, pairs, PREPARATION[mode], "1")
        np.testing.assert_allclose(found.xy[volumes], explicit.xy, atol=2e-6)
        np.testing.assert_allclose(found.unshifted.xx, explicit.xx, atol=2e-6)  # does not change
    assert np.isnan(found.xy[:, 1, 2]).all()


def test_without_pairs_every_target_is_absent(runs):
    pairs = lagged_pairs(LENGTHS[0], 30)
    found = shifted_products(runs[0].models, runs[0].targets, pairs, "lag-centred", "1")
    assert not found.unshifted.present.any()
    assert np.isnan(found.xy).all()


def test_pairs_that_a_shift_would_change_are_refused(runs):
    pairs = all_pairs(LENGTHS[0])
    some = replace(pairs, index=pairs.index[:-1], lag=pairs.lag[:-1])
    with pytest.raises(ValueError, match="in part"):
        shifted_products(runs[0].models, runs[0].targets, some, "centred", "1")
