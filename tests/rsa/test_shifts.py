"""Every shift by Fourier transform against RDMs whose rows and columns are shifted one by one."""

from dataclasses import replace

import numpy as np
import pytest
from rsa_plain import prepared_columns
from small_study import LENGTHS, MIN_LAG_S, undefine

from bidsapp.rsa.gram import defined_volumes
from bidsapp.rsa.pairs import all_pairs, lag_in_volumes, lagged_pairs
from bidsapp.rsa.rdm import to_square
from bidsapp.rsa.shifts import shifted_parts, shifted_products
from bidsapp.rsa.volumes import FilmVolumes

PREPARATION = {"replicate": "centred", "robust": "lag-centred"}


def pairs_of(run, mode):
    n = LENGTHS[0]
    defined = defined_volumes(run.models, run.targets).all(axis=0)
    if mode == "replicate":
        return all_pairs(n, defined)
    return lagged_pairs(n, lag_in_volumes(MIN_LAG_S, 2.0), run.film, defined)


def shifted(column, pairs, volumes):
    """A prepared column whose square matrix has rows and columns moved along the circle."""
    whole = np.zeros(pairs.n_volumes * (pairs.n_volumes - 1) // 2)
    whole[pairs.index] = column
    square = to_square(whole)
    moved = np.zeros_like(square)
    source = np.roll(pairs.kept, volumes)
    moved[pairs.kept[:, None], pairs.kept] = square[source[:, None], source]
    return moved[np.triu_indices(pairs.n_volumes, 1)][pairs.index]


@pytest.mark.parametrize("n_repeated", [3, 4])  # circles of odd and even length
@pytest.mark.parametrize("gaps", [(), (0, 5, 20, 21)])
@pytest.mark.parametrize("mode", ["replicate", "robust"])
def test_products_agree_with_explicit_shifts(runs, mode, gaps, n_repeated):
    run = replace(runs[0], film=FilmVolumes.whole(LENGTHS[0], n_repeated))
    for volume in gaps:
        undefine(run.models[1], volume, LENGTHS[0])
    run.targets[1, 2] = np.nan
    pairs = pairs_of(run, mode)
    found = shifted_products(run.models, run.targets, pairs, PREPARATION[mode], "1")
    assert found.n_volumes == len(pairs.kept)
    x = [prepared_columns(layer, pairs, PREPARATION[mode]) for layer in run.models]
    y = prepared_columns(run.targets[0, 1], pairs, PREPARATION[mode])
    for volumes in range(found.n_volumes):
        moved = np.array([shifted(column, pairs, volumes) for column in x])
        np.testing.assert_allclose(found.xy[volumes, 0, 1], moved @ y / len(y), atol=2e-6)
        xx = moved @ moved.T / len(y)
        np.testing.assert_allclose(found.unshifted.xx, xx, atol=2e-6)  # does not change
    assert np.isnan(found.xy[:, 1, 2]).all()


def test_no_shift_is_what_the_products_are(runs):
    for mode, preparation in PREPARATION.items():
        found = shifted_products(
            runs[0].models, runs[0].targets, pairs_of(runs[0], mode), preparation, "1"
        )
        np.testing.assert_allclose(found.xy[0], found.unshifted.xy, atol=1e-6)


def test_regions_at_once_change_nothing(runs, monkeypatch):
    whole = shifted_parts(runs[0], MIN_LAG_S, list(PREPARATION))
    monkeypatch.setattr("bidsapp.rsa.shifts._TARGETS_AT_ONCE", 1)
    apart = shifted_parts(runs[0], MIN_LAG_S, list(PREPARATION))
    for mode in PREPARATION:
        np.testing.assert_allclose(
            whole[0].products[mode].xy, apart[0].products[mode].xy, atol=1e-7
        )


def test_without_pairs_every_target_is_absent(runs):
    pairs = lagged_pairs(LENGTHS[0], 30)
    found = shifted_products(runs[0].models, runs[0].targets, pairs, "lag-centred", "1")
    assert not found.unshifted.present.any()
    assert np.isnan(found.xy).all()


def test_a_region_may_be_given_without_an_rdm(runs):
    """Who has the region in replicate has it in robust too, if only without a volume."""
    targets = runs[0].targets.copy()
    targets[:, 1] = np.nan
    given = np.ones(targets.shape[:2], bool)
    nothing = lagged_pairs(LENGTHS[0], 3, defined=np.zeros(LENGTHS[0], bool))
    for pairs, n_volumes in ((pairs_of(runs[0], "robust"), LENGTHS[0] - 3), (nothing, 0)):
        told, plain = (
            shifted_products(runs[0].models, targets, pairs, "lag-centred", "1", given=those)
            for those in (given, None)
        )
        assert told.n_volumes == plain.n_volumes == n_volumes
        assert told.given.all()
        assert told.of(np.array([1])).given.all()
        assert plain.given.tolist() == [[True, False, True]] * 2
        np.testing.assert_array_equal(told.xy, plain.xy)
        assert np.isnan(told.xy[:, :, 1]).all()


def test_pairs_that_a_shift_would_change_are_refused(runs):
    pairs = all_pairs(LENGTHS[0])
    some = replace(pairs, index=pairs.index[:-1], lag=pairs.lag[:-1])
    with pytest.raises(ValueError, match="in part"):
        shifted_products(runs[0].models, runs[0].targets, some, "centred", "1")
