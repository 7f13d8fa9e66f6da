from dataclasses import replace

import numpy as np
import pytest
from small_study import REPETITION_TIME, one_run

from bidsapp.rsa.components import components, layer_pairs, model_products, pair_loadings
from bidsapp.rsa.frame_pairs import APART_S, N_PAIRS, frame_pairs
from bidsapp.rsa.rdm import correlation_distance
from bidsapp.rsa.study import RunRDMs
from bidsapp.rsa.volumes import FilmVolumes

MIN_LAG_S = 20.0


@pytest.fixture(scope="module")
def long_runs():
    rng = np.random.default_rng(4)
    return [one_run(rng, str(i), n, layers=5, participants=1) for i, n in enumerate((150, 120, 90))]


@pytest.fixture(scope="module")
def found(long_runs):
    return {
        mode: components([model_products(run, mode, MIN_LAG_S) for run in long_runs], mode)
        for mode in ("replicate", "robust")
    }


def by_hand(runs, mode, its, component, sign):
    """Go through all pairs of all runs, best first, and take what is apart."""
    pairs = []
    for run in runs:
        chosen = layer_pairs(run, mode, MIN_LAG_S)
        rows, columns = np.triu_indices(chosen.n_volumes, 1)
        values = pair_loadings(run.models, chosen, mode, its, 2)[component]
        pairs += [
            (float(v), run.run, int(rows[i]), int(columns[i]))
            for v, i in zip(values, chosen.index, strict=True)
            if not run.film.repeated[columns[i]]
        ]
    pairs.sort(reverse=sign == "high")
    taken = []
    for value, run, a, b in pairs:
        near = any(
            abs(volume - other) * REPETITION_TIME < APART_S
            for _, its_run, *others in taken
            if its_run == run
            for other in others
            for volume in (a, b)
        )
        if not near:
            taken.append((value, run, a, b))
        if len(taken) == N_PAIRS:
            break
    return taken


def test_pairs_are_the_best_that_are_apart(long_runs, found):
    chosen = frame_pairs(iter(long_runs), found, MIN_LAG_S)
    assert len(chosen) == 2 * 2 * 2 * N_PAIRS
    for mode in ("replicate", "robust"):
        for component in (0, 1):
            for sign in ("high", "low"):
                own = [
                    (pair.loading, pair.run, pair.a, pair.b)
                    for pair in chosen
                    if (pair.mode, pair.component, pair.sign) == (mode, component, sign)
                ]
                expected = by_hand(long_runs, mode, found[mode], component, sign)
                assert [pair[1:] for pair in own] == [pair[1:] for pair in expected]
                np.testing.assert_allclose(
                    [pair[0] for pair in own], [pair[0] for pair in expected]
                )


def test_pairs_are_ones_that_the_mode_compares(long_runs, found):
    lengths = {run.run: n for run, n in zip(long_runs, (150, 120, 90), strict=True)}
    for pair in frame_pairs(long_runs, found, MIN_LAG_S):
        kept = lengths[pair.run] - 3  # the end shows film that the next run shows again
        assert pair.a < pair.b < kept
        if pair.mode == "robust":
            assert 10 <= pair.b - pair.a <= kept - 10


def test_film_that_two_runs_show_gives_no_pair_twice():
    """Four runs of one film; the last 20 volumes of each are seen again, with striking moments."""
    rng, n, shared = np.random.default_rng(0), 110, 20
    film = rng.normal(size=(4 * (n - shared) + shared, 5, 30))
    for second in range(n - shared, len(film), n - shared):
        film[[second + 1, second + 15], :2] += 3 * rng.normal(size=(1, 1, 30))
    starts = {str(i): i * (n - shared) for i in range(4)}
    runs = [
        RunRDMs(
            run,
            np.array([correlation_distance(film[at : at + n, layer]) for layer in range(5)]),
            np.empty((0, 0, n * (n - 1) // 2), np.float32),
            REPETITION_TIME,
            film=FilmVolumes.whole(n, n_repeated=shared if run != "3" else 0),
        )
        for run, at in starts.items()
    ]
    found = components([model_products(run, "replicate", MIN_LAG_S) for run in runs], "replicate")
    pairs = frame_pairs(runs, {"replicate": found}, MIN_LAG_S)
    moments = [(p.component, p.sign, starts[p.run] + p.a, starts[p.run] + p.b) for p in pairs]
    assert len(set(moments)) == len(moments) == 2 * 2 * N_PAIRS
    assert {(at + 1, at + 15) for at in (90, 180, 270)} & {moment[2:] for moment in moments}


def test_undefined_volume_is_in_no_pair(long_runs, found):
    rows, columns = np.triu_indices(150, 1)
    first = frame_pairs(long_runs, found, MIN_LAG_S)
    volume = next(pair.a for pair in first if pair.run == "0")
    models = long_runs[0].models.copy()
    models[1, (rows == volume) | (columns == volume)] = np.nan
    again = frame_pairs([replace(long_runs[0], models=models), *long_runs[1:]], found, MIN_LAG_S)
    assert all(volume not in (pair.a, pair.b) for pair in again if pair.run == "0")


def test_run_too_short_for_the_mode_gives_no_pairs(long_runs):
    short = [*long_runs[:2], one_run(np.random.default_rng(1), "short", 15, layers=5)]
    its = {"robust": components([model_products(r, "robust", MIN_LAG_S) for r in short], "robust")}
    assert {pair.run for pair in frame_pairs(short, its, MIN_LAG_S)} <= {"0", "1"}
    none = {"robust": components([model_products(short[2], "robust", MIN_LAG_S)], "robust")}
    assert frame_pairs(long_runs, none, MIN_LAG_S) == []


def test_a_component_that_there_is_not_has_no_pairs(long_runs):
    few = [replace(run, models=run.models[:2]) for run in long_runs]
    found = {"robust": components([model_products(r, "robust", MIN_LAG_S) for r in few], "robust")}
    assert {pair.component for pair in frame_pairs(few, found, MIN_LAG_S)} == {0}
