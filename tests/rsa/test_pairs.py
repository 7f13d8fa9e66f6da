from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidsapp.rsa.pairs import all_pairs, lag_in_volumes, lagged_pairs
from bidsapp.rsa.volumes import FilmVolumes, VolumeCount


def by_hand(min_lag, film, defined):
    """(condensed index, lag) of each pair, by the definition."""
    kept = [i for i in range(len(defined)) if defined[i] and film.used[i]]
    expected = []
    for index, (i, j) in enumerate(combinations(range(len(defined)), 2)):
        if i in kept and j in kept:
            apart = kept.index(j) - kept.index(i)
            if min_lag <= apart <= len(kept) - min_lag:
                expected.append((index, j - i))
    return sorted(expected)


volumes = st.integers(3, 25).flatmap(
    lambda n: st.tuples(
        st.just(n),
        st.integers(0, 8),
        st.integers(0, n - 1),
        st.lists(st.booleans(), min_size=n, max_size=n).map(np.array),
        st.lists(st.booleans(), min_size=n, max_size=n).map(np.array),
    )
)


@given(volumes)
def test_lagged_pairs_by_brute_force(case):
    n, min_lag, n_repeated, covered, defined = case
    film = FilmVolumes(covered, FilmVolumes.whole(n, n_repeated).repeated)
    pairs = lagged_pairs(n, min_lag, film, defined)
    by_pair = sorted(zip(pairs.index.tolist(), pairs.lag.tolist(), strict=True))
    assert by_pair == by_hand(min_lag, film, defined)
    assert (np.diff(pairs.lag) >= 0).all()
    assert pairs.kept.tolist() == [i for i in range(n - n_repeated) if covered[i] and defined[i]]
    assert (pairs.lag >= min_lag).all()


@given(volumes)
def test_every_volume_is_counted_once(case):
    n, _, n_repeated, covered, defined = case
    film = FilmVolumes(covered, FilmVolumes.whole(n, n_repeated).repeated)
    count = lagged_pairs(n, 1, film, defined).count
    assert count.used + count.repeated + count.uncovered + count.undefined == n
    assert count.repeated == n_repeated
    assert count.uncovered == (~covered[: n - n_repeated]).sum()
    assert count.undefined == (covered & ~defined)[: n - n_repeated].sum()


def test_all_pairs_are_all_pairs_of_defined_volumes():
    defined = np.array([True, True, False, True, True, True])
    pairs = all_pairs(6, defined)
    expected = [
        index for index, (i, j) in enumerate(combinations(range(6), 2)) if defined[i] and defined[j]
    ]
    assert sorted(pairs.index.tolist()) == expected
    assert pairs.n_pairs == 10
    assert pairs.count == VolumeCount(used=5, undefined=1)
    rows, columns = np.triu_indices(6, 1)
    np.testing.assert_array_equal(pairs.lag, (columns - rows)[pairs.index])


def test_no_pair_is_left_of_a_short_run():
    assert lagged_pairs(10, 6).n_pairs == 0


def test_wrong_length_of_defined_is_refused():
    with pytest.raises(ValueError, match="shape"):
        all_pairs(5, np.ones(4, dtype=bool))


@pytest.mark.parametrize(
    ("lag_s", "repetition_time", "volumes"),
    [(20, 2.0, 10), (20, 0.8, 25), (20, 3.0, 7), (0, 2.0, 0), (2.1, 0.7, 3), (4, 1.999, 3)],
)
def test_lag_in_volumes_rounds_up_but_not_for_rounding_errors(lag_s, repetition_time, volumes):
    assert lag_in_volumes(lag_s, repetition_time) == volumes
