from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import zscore

from bidsapp.errors import InputError, UsageError
from bidsapp.rsa.rdm import euclidean_distance, to_square
from bidsapp.vision.feature_tables import (
    check_table,
    table_coverage,
    table_features,
    table_span,
)
from bidsapp.vision.hemodynamics import canonical_hrf, interval_weights, response_coverage
from bidsapp.vision.runs import PlacedRun, check_span
from bidsapp.vision.stretches import Stretch

VOLUMES = 2.0 * np.arange(30) + 1
N_VOLUMES = (451, 441, 438, 488, 462, 439, 542, 338)


def write(path: Path, **columns: object) -> Path:
    pd.DataFrame(columns).to_csv(path, sep="\t", index=False, na_rep="n/a")
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Two features at 25 Hz over a minute."""
    rng = np.random.default_rng(0)
    n = 1500
    return write(
        tmp_path / "features.tsv",
        onset=np.arange(n) / 25,
        duration=np.full(n, 0.04),
        light=rng.normal(100, 10, n),
        faces=rng.integers(0, 4, n),
    )


@pytest.fixture
def placed() -> PlacedRun:
    """A run of which only the volumes matter."""
    stretch = Stretch(Path("a.mkv"), 0, 1500, Fraction(25), Fraction(25))
    return PlacedRun("1", stretch, np.array([0]), np.array([0.0]), VOLUMES)


def test_features_are_scored_and_convolved(table: Path) -> None:
    content = pd.read_csv(table, sep="\t")
    scored = zscore(content[["light", "faces"]].to_numpy(dtype=float), axis=0)
    # a fine convolution, each row's response taken at its middle
    age = VOLUMES[:, None] - (content["onset"].to_numpy() + 0.02)
    expected = np.where(age < 20, canonical_hrf(age), 0.0) @ scored * 0.04
    found = table_features(table, (), VOLUMES)
    assert found.shape == (30, 2)
    np.testing.assert_allclose(found, expected, atol=2e-4)
    np.testing.assert_allclose(table_features(table, ["faces"], VOLUMES)[:, 0], found[:, 1])


def test_splitting_a_row_changes_nothing(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.tsv", onset=[0, 10, 14], duration=[10, 4, 40], x=[1.0, 5.0, 2.0])
    split = write(
        tmp_path / "b.tsv", onset=[0, 3, 10, 14], duration=[3, 7, 4, 40], x=[1.0, 1.0, 5.0, 2.0]
    )
    np.testing.assert_allclose(
        table_features(whole, (), VOLUMES), table_features(split, (), VOLUMES), atol=1e-12
    )


def test_scores_can_be_those_of_the_whole_film(tmp_path: Path) -> None:
    one = write(tmp_path / "a.tsv", onset=[0, 10], duration=[10, 50], x=[1.0, 1.0])
    two = write(tmp_path / "b.tsv", onset=[0, 10], duration=[10, 50], x=[3.0, 3.0])
    found = table_features(one, (), VOLUMES, [one, two])
    expected = -interval_weights(np.array([0.0]), np.array([60.0]), VOLUMES)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    with pytest.raises(InputError, match="'x' is constant"):
        table_features(one, (), VOLUMES)


def test_rows_cover_responses_as_a_film_does(tmp_path: Path) -> None:
    """Times that are rounded leave seams, which are no gaps."""
    onset = 4 + np.arange(100) * 0.4
    table = write(tmp_path / "a.tsv", onset=onset, duration=np.full(100, 0.385), x=onset)
    covered = table_coverage(table, (), VOLUMES)
    whole = response_coverage(np.array([4.0]), np.array([39.985]), VOLUMES)
    np.testing.assert_allclose(covered, whole, atol=1e-9)
    assert (
        covered[1] == 0 < covered[2] < covered[11] < 1 == covered[12] == covered[21] > covered[22]
    )
    assert table_coverage(table, ["x"], VOLUMES, 8.0)[6] == 1


def test_volumes_that_no_row_reaches_are_undefined(table: Path) -> None:
    found = table_features(table, (), np.array([-1.0, 1.0, 79.0, 81.0]))
    np.testing.assert_array_equal(np.isnan(found).all(axis=1), [True, False, False, True])
    assert np.isnan(euclidean_distance(found)).sum() == 5


@pytest.mark.parametrize(
    ("first_s", "last_s", "said"),
    [
        (0, 60, []),
        (2, 57, []),
        (15, 60, ["run 1: 6 volumes come over a TR before the first row of t.tsv, which begins"]),
        (0, 45, ["run 1: 6 volumes come over a TR after the last row of t.tsv, which ends at"]),
    ],
)
def test_tables_that_begin_late_or_end_early_are_said(
    tmp_path: Path, placed: PlacedRun, first_s: float, last_s: float, said: list[str]
) -> None:
    half = (last_s - first_s) / 2
    path = write(
        tmp_path / "t.tsv", onset=[first_s, first_s + half], duration=[half, half], x=[1.0, 2.0]
    )
    found = check_span(table_span(path, ()), str(path), placed, 2.0, 20.0)
    assert len(found) == len(said)
    assert all(text.startswith(start) for text, start in zip(found, said, strict=True))


def test_tables_that_leave_volumes_without_features_are_refused(
    tmp_path: Path, placed: PlacedRun
) -> None:
    path = write(tmp_path / "t.tsv", onset=[0, 5], duration=[5, 5], x=[1.0, 2.0])
    with pytest.raises(InputError, match=r"t\.tsv, run 1: 15 of 30 .* which ends at 10\.0 s"):
        check_span(table_span(path, ()), str(path), placed, 2.0, 20.0)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"onset": [0.0], "x": [1.0]}, "no column 'duration'; it has onset, x"),
        ({"onset": [0.0], "duration": [1.0]}, "has no features"),
        ({"onset": [0.0, 1.0], "duration": [1.0, 1.0], "x": ["a", "b"]}, "'x' .* in line 2"),
        ({"onset": [0.0, 1.0], "duration": [1.0, 1.0], "x": [1.0, np.nan]}, "'x' .* in line 3"),
        ({"onset": [0.0, 1.0], "duration": [1.0, 0.0], "x": [1.0, 2.0]}, "above 0 s"),
        (
            {"onset": [0.0, 2.0, 3.0], "duration": [2.0, 1.5, 1.0], "x": [1.0, 2.0, 3.0]},
            "line 4 begins 0.5 s before line 3 ends",
        ),
        (
            {"onset": [0.0, 1.0, 9.0], "duration": [1.0, 2.0, 1.0], "x": [1.0, 2.0, 3.0]},
            "nothing is said of 6 s between lines 3 and 4",
        ),
        ({"onset": [5.0, 0.0], "duration": [5.0, 5.0], "x": [1.0, 2.0]}, "sort the rows"),
    ],
)
def test_broken_tables_are_named(
    tmp_path: Path, columns: dict[str, list[float]], message: str
) -> None:
    with pytest.raises(InputError, match=rf"broken\.tsv.*{message}"):
        table_features(write(tmp_path / "broken.tsv", **columns), (), VOLUMES)


def test_absent_tables_and_columns_are_named(table: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.tsv"):
        table_features(tmp_path / "absent.tsv", (), VOLUMES)
    with pytest.raises(InputError, match="no column 'sound'; it has onset, duration, light"):
        table_features(table, ["sound"], VOLUMES)


def test_correlation_needs_ten_columns() -> None:
    check_table("hash", 10, "correlation")
    check_table("light", 3, "euclidean")
    with pytest.raises(UsageError, match="'light' has 9 columns"):
        check_table("light", 9, "correlation")
    with pytest.raises(UsageError, match="too few for dissimilarity: cosine"):
        check_table("light", 9, "cosine")


def test_real_annotations_show_the_shared_film(shared_data: Path) -> None:
    folder = shared_data / "studyforrest-annotations"
    paths = [folder / f"conf_visual_run-{run}_events.tsv" for run in range(1, 9)]
    columns = ("brmean", "brlr", "brud", "norm_diff")
    # A short response, so that little of what was seen before the shared 16 s still counts.
    features = [
        table_features(path, columns, 2.0 * np.arange(n) + 1, paths[:1], hrf_s=4.0)
        for path, n in zip(paths, N_VOLUMES, strict=True)
    ]
    assert tuple(len(found) for found in features) == N_VOLUMES
    for before, after in pairwise(features):
        shared, elsewhere = before[-6:], before[-14:-8]
        ours, theirs = euclidean_distance(shared), euclidean_distance(after[2:8])
        assert np.corrcoef(ours, theirs)[0, 1] > 0.99
        assert np.corrcoef(shared.ravel(), after[2:8].ravel())[0, 1] > 0.99
        assert np.corrcoef(elsewhere.ravel(), after[2:8].ravel())[0, 1] < 0.8
    rdm = to_square(euclidean_distance(features[0]))
    assert rdm.shape == (451, 451)
    assert np.isfinite(rdm).all()
