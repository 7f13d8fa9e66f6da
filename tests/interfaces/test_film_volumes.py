"""What volumes know of the film, sent between steps, for scans as long as the models' or not."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidsapp.dataset.derivatives import FilmCoverage
from bidsapp.interfaces.film_volumes import (
    count_scan,
    robust_volumes,
    volumes_from_plain,
    volumes_to_plain,
)
from bidsapp.rsa.volumes import VolumeCount

COVERAGE = np.array([0.0, 0.5, 0.95, 1.0, 1.0, 1.0, 1.0, 1.0])
UNDEFINED = np.isin(np.arange(8), [3, 7])
PLAIN = volumes_to_plain(FilmCoverage(COVERAGE, UNDEFINED), 0.95, n_repeated=2)


def test_plain_values_survive_json_and_give_back_the_volumes() -> None:
    sent = json.loads(json.dumps(PLAIN))
    assert sent == PLAIN
    film = volumes_from_plain(sent)
    np.testing.assert_array_equal(film.covered, COVERAGE >= 0.95)
    np.testing.assert_array_equal(np.flatnonzero(film.repeated), [6, 7])
    assert film.covered.dtype == film.repeated.dtype == np.bool_


@pytest.mark.parametrize(
    ("n_volumes", "volumes", "count"),
    [
        (8, [2, 4, 5], VolumeCount(used=3, repeated=2, uncovered=2, undefined=1)),
        # A scan that breaks off lacks what models know of its end.
        (5, [2, 4], VolumeCount(used=2, uncovered=2, undefined=1)),
        # What comes after the models' last volume shows a film that they do not know.
        (11, [2, 4, 5], VolumeCount(used=3, repeated=2, uncovered=5, undefined=1)),
    ],
)
def test_scans_shorter_and_longer_than_the_models(
    n_volumes: int, volumes: list[int], count: VolumeCount
) -> None:
    used = robust_volumes(PLAIN, n_volumes)
    assert used.shape == (n_volumes,)
    assert np.flatnonzero(used).tolist() == volumes
    assert count_scan(PLAIN, np.zeros(n_volumes, bool)) == count


def test_a_censored_volume_is_undefined_unless_it_is_left_out_anyway() -> None:
    censored = np.isin(np.arange(8), [0, 4, 6])
    assert count_scan(PLAIN, censored) == VolumeCount(2, repeated=2, uncovered=2, undefined=2)


@given(st.data())
def test_counts_of_a_scan_add_up(data: st.DataObject) -> None:
    n_models, n_volumes = (data.draw(st.integers(1, 12)) for _ in range(2))
    film = FilmCoverage(
        np.array(data.draw(st.lists(st.floats(0, 1), min_size=n_models, max_size=n_models))),
        np.array(data.draw(st.lists(st.booleans(), min_size=n_models, max_size=n_models))),
    )
    plain = volumes_to_plain(film, 0.5, data.draw(st.integers(0, n_models)))
    censored = np.array(data.draw(st.lists(st.booleans(), min_size=n_volumes, max_size=n_volumes)))
    count = count_scan(plain, censored)
    assert count.used + count.repeated + count.uncovered + count.undefined == n_volumes
    assert count.used == (robust_volumes(plain, n_volumes) & ~censored).sum()
