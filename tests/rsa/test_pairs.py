from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidsapp.rsa.pairs import all_pairs, lag_in_volumes, lagged_pairs


def by_hand(n_volumes, min_lag, trim, defined):
    """(condensed index, lag) of each pair, by the definition."""
    kept = [i for i in range(n_volumes - trim) if defined[i]]
    found = []
    for index, (i, j) in enumerate(combinations(range(n_volumes), 2)):
        if i in kept and j in kept:
            apart = kept.index(j) - kept.index(i)
            if min_lag <= apart <= len(kept) - min_lag:
                found.append((index, j - i))
    return sorted(found)


@given(
    st.integers(3, 25).flatmap(
        lambda n: st.tuples(
            st.just(n),
            st.integers(0, 8),
            st.integers(0, n - 1),
            st.lists(st.booleans(), min_size=n, max_size=n),
        )
    )
)
def test_lagged_pairs_by_brute_force(case):
    n, min_lag, trim, defined = case
    pairs = lagged_pairs(n, min_lag, trim, np.array(defined))
    found = sorted(zip(pairs.index.tolist(), pairs.lag.tolist(), strict=True))
    assert found == by_hand(n, min_lag, trim, defined)
    assert (np.diff(pairs.lag) >= 0).all()
    assert pairs.n_dropped == (n - trim) - sum(defined[: n - trim])
    assert pairs.kept.tolist() == [i for i in range(n - trim) if defined[i]]
    assert (pairs.lag >= min_lag).all()


def test_pairs_without_others_are_the_rest_in_order():
    pairs, others = all_pairs(12), lagged_pairs(12, 3, 1)
    rest = pairs.without(others)
    assert sorted([*rest.index, *others.index]) == sorted(pairs.index)
    assert (np.diff(rest.lag) >= 0).all()
    assert pairs.without(pairs).n_pairs == 0


def test_all_pairs_are_all_pairs_of_defined_volumes():
    defined = np.array([True, True, False, True, True, True])
    pairs = all_pairs(6, defined)
    expected = [
        index for index, (i, j) in enumerate(combinations(range(6), 2)) if defined[i] and defined[j]
    ]
    assert sorted(pairs.index.tolist()) == expected
    assert pairs.n_pairs == 10
    assert pairs.n_dropped == 1
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
