"""What the sidecars of model RDMs say of the film, and how it is added to older ones."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bidsapp.dataset.film_coverage import FilmCoverage, of_all, read_film_coverage
from bidsapp.dataset.rdms import read_rdms, update_film_coverage, write_stimulus_rdms
from bidsapp.dataset.textfiles import read_json, sidecar, write_json
from bidsapp.errors import InputError
from bidsapp.rsa.rdm import rdm_with_moments

N = 6
COVERAGE = np.array([0.0, 0.123456, 0.9, 0.97, 1.0, 1.0])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """RDMs of two layers; each leaves another volume undefined."""
    path = tmp_path / "model_relmat.h5"
    layers = {}
    for layer, undefined in (("one", 0), ("two", 3)):
        patterns = np.random.default_rng(undefined).normal(size=(N, 9))
        patterns[undefined] = np.nan
        layers[layer] = rdm_with_moments(patterns, "correlation")
    facts, notes = {"model": "m"}, {"Frames": {"Taken": 9, "Broken": 0}}
    write_stimulus_rdms(path, layers, np.arange(N), facts, "correlation", notes, COVERAGE)
    return path


def read(path: Path) -> FilmCoverage:
    film = read_film_coverage(path)
    assert film is not None
    return film


def change_volumes(path: Path, **changes: Any) -> None:
    """Change what the sidecar says of the volumes; None removes an entry."""
    content = read_json(sidecar(path))
    volumes = content["Volumes"] | changes
    content["Volumes"] = {key: value for key, value in volumes.items() if value is not None}
    write_json(sidecar(path), content)


def make_older(path: Path) -> None:
    """Leave what the first release wrote."""
    change_volumes(path, Coverage=None, CoverageDescription=None, Undefined=None)


def as_bits(path: Path) -> tuple[bytes, int]:
    return path.read_bytes(), path.stat().st_mtime_ns


def test_coverage_is_read_from_the_sidecar_alone(path: Path) -> None:
    path.unlink()
    film = read(path)
    np.testing.assert_array_equal(film.coverage, [0, 0.1235, 0.9, 0.97, 1, 1])
    np.testing.assert_array_equal(np.flatnonzero(film.undefined), [0, 3])
    volumes = read_json(sidecar(path))["Volumes"]
    assert (volumes["Count"], volumes["Descriptor"], volumes["Undefined"]) == (N, "onset_s", [0, 3])


def test_it_is_added_to_files_that_lack_it(path: Path) -> None:
    complete, rdms = read_json(sidecar(path)), as_bits(path)
    make_older(path)
    assert read_film_coverage(path) is None
    assert update_film_coverage(path, COVERAGE)
    assert read_json(sidecar(path)) == complete
    described = as_bits(sidecar(path))
    assert not update_film_coverage(path, COVERAGE)
    assert as_bits(sidecar(path)) == described
    assert as_bits(path) == rdms
    assert read_rdms(path).moments is not None


def test_another_coverage_takes_the_place_of_the_old(path: Path) -> None:
    assert update_film_coverage(path, COVERAGE / 2)
    np.testing.assert_allclose(read(path).coverage, COVERAGE / 2, atol=6e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {"Coverage": None},
        {"Undefined": None},
        {"Coverage": [1.0] * (N - 1)},
        {"Coverage": [1.0] * (N - 1) + [1.1]},
        {"Coverage": [1.0] * (N - 1) + [float("nan")]},
        {"Coverage": "whole"},
        {"Undefined": 3},
        {"Undefined": [N]},
        {"Undefined": [-1]},
        {"Undefined": [0.5]},
        {"Undefined": ["x"]},
        {"Count": "6"},
    ],
)
def test_what_makes_no_sense_is_refused_and_can_be_mended(
    path: Path, changes: dict[str, Any]
) -> None:
    complete = read_json(sidecar(path))
    change_volumes(path, **changes)
    with pytest.raises(InputError, match=r"model_relmat\.json: .* run the stimulus level again"):
        read_film_coverage(path)
    assert update_film_coverage(path, COVERAGE)
    assert read_json(sidecar(path)) == complete


def test_a_missing_sidecar_is_named(path: Path) -> None:
    sidecar(path).unlink()
    with pytest.raises(InputError, match=r"cannot read .*model_relmat\.json"):
        read_film_coverage(path)


def test_coverage_must_be_of_the_files_volumes(path: Path) -> None:
    with pytest.raises(InputError, match=r"relmat\.h5 has 6 volumes, and the run has 5: delete it"):
        update_film_coverage(path, COVERAGE[1:])
    rdms = read_rdms(path).rdms
    with pytest.raises(ValueError, match="coverage of 5 volumes, RDMs of 6"):
        FilmCoverage.of(COVERAGE[1:], rdms)


def test_models_together_know_what_each_of_them_knows() -> None:
    def film(coverage: list[float], undefined: list[int]) -> FilmCoverage:
        return FilmCoverage(np.array(coverage), np.isin(np.arange(3), undefined))

    both = of_all([film([0.1, 0.9, 1], [0]), film([0.2, 0.8, 1], [2])])
    np.testing.assert_array_equal(both.coverage, [0.1, 0.8, 1])
    np.testing.assert_array_equal(both.undefined, [True, False, True])
