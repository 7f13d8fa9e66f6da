"""What the steps of the null keep in files comes back as it was."""

from dataclasses import fields

import numpy as np
import pytest

from bidsapp.interfaces.shift_null import read_nulls, read_parts, write_nulls, write_parts
from bidsapp.rsa.gram import RunProducts
from bidsapp.rsa.shifts import shifted_parts
from bidsapp.rsa.study import RunRDMs
from bidsapp.rsa.volumes import FilmVolumes
from bidsapp.tables.null import RegionNull

MODES = ("replicate", "robust")


@pytest.fixture
def run():
    """Three participants, of whom one lacks a region and one a volume."""
    rng = np.random.default_rng(0)
    n = 40
    models, targets = rng.random((3, n * (n - 1) // 2)), rng.random((2, 3, n * (n - 1) // 2))
    targets[1, 2] = np.nan
    rows, columns = np.triu_indices(n, 1)
    targets[:, 0, (rows == 5) | (columns == 5)] = np.nan
    film = FilmVolumes.whole(n, n_repeated=2)
    return RunRDMs("07", models.astype("f4"), targets.astype("f4"), 2.0, film)


@pytest.mark.parametrize("modes", [MODES, ("robust",)])
def test_products_of_each_region_come_back(run, tmp_path, modes):
    parts = shifted_parts(run, 20.0, modes)
    assert len(parts) == 2
    write_parts(tmp_path / "products.npz", parts)
    for region in (0, 1):
        again = read_parts(tmp_path / "products.npz", region)
        for part, copy in zip(parts, again, strict=True):
            np.testing.assert_array_equal(copy.participants, part.participants)
            assert list(copy.products) == list(modes)
            for mode in modes:
                own, kept = part.of_region(region).products[mode], copy.products[mode]
                for name in ("xy", "given", "in_run"):
                    np.testing.assert_array_equal(getattr(kept, name), getattr(own, name))
                for field in fields(RunProducts):
                    expected = getattr(own.unshifted, field.name)
                    if field.name != "yy":
                        np.testing.assert_array_equal(getattr(kept.unshifted, field.name), expected)
                participants = np.arange(len(part.participants))[:1]
                assert kept.of(participants).n_volumes == own.n_volumes


def test_scores_and_their_notes_come_back(tmp_path):
    scores = np.random.default_rng(0).normal(size=(5, 2))
    nulls = [
        RegionNull("V1", "robust", "ols", scores, None),
        RegionNull("V1", "robust", "ridge", None, "no p_null: näher"),
    ]
    write_nulls(tmp_path / "null.npz", nulls)
    first, second = read_nulls(tmp_path / "null.npz")
    np.testing.assert_array_equal(first.scores, scores)
    assert first.note is None
    assert second == nulls[1]
