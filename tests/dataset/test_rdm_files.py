"""What no level writes into an RDM file is refused in one sentence that names the file."""

from pathlib import Path

import numpy as np
import pytest
from h5py import File

from bidsapp.dataset.rdms import read_rdms, write_rdms
from bidsapp.errors import InputError
from bidsapp.rsa.rdm import UnitMoments

N, PAIRS = 6, np.triu_indices(6, 1)
VALUES = np.random.default_rng(0).uniform(0.1, 2, (2, 15)).astype(np.float32)
REGIONS, LAYERS = {"participant": "01", "run": "3"}, {"model": "alexnet", "run": "3"}


def pair(earlier: int, later: int) -> int:
    return int(np.flatnonzero((PAIRS[0] == earlier) & (PAIRS[1] == later))[0])


def without(volume: int, rdms: np.ndarray) -> np.ndarray:
    """Leave a volume undefined."""
    return np.where((PAIRS[0] == volume) | (PAIRS[1] == volume), np.nan, rdms)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sub-01_task-movie_run-3_relmat.h5"


def write(path: Path, rdms: np.ndarray, kind="region", dissimilarity="correlation", moments=()):
    names = ["FFA", "V1v"] if kind == "region" else ["conv1", "conv2"]
    facts = REGIONS if kind == "region" else LAYERS
    write_rdms(path, rdms, names, kind, 2.0 * np.arange(N), facts, dissimilarity, moments=moments)


def changed(path: Path, place: str, value: object) -> None:
    """Put something else into a file that is otherwise whole."""
    with File(path, "r+") as file:
        if place in file.attrs:
            file.attrs[place] = value
        else:
            del file[place]
            file[place] = value


def refused(path: Path, *words: str) -> None:
    with pytest.raises(InputError) as caught:
        read_rdms(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    for word in (*words, "again"):
        assert word in message


def test_volumes_may_be_undefined_and_regions_missing(path):
    for rdms in (without(2, VALUES), np.array([without(2, VALUES[0]), without(5, VALUES[1])]),
                 np.array([VALUES[0], np.full(15, np.nan)]), np.full((2, 15), np.nan)):  # fmt: skip
        write(path, rdms)
        np.testing.assert_array_equal(read_rdms(path).rdms, rdms.astype(np.float32))


def test_a_value_missing_of_two_defined_volumes(path):
    rdms = without(2, VALUES)
    rdms[1, pair(1, 4)] = rdms[1, pair(3, 5)] = np.nan
    write(path, rdms)
    refused(
        path,
        "(participant 01, run 3)",
        "region V1v has nan for volumes 1 and 4 (the first of a run is 0)",
        "both have values in other pairs",
        "delete the file and run the participant level for sub-01 again",
    )


def test_a_missing_value_that_all_regions_share(path):
    rdms = VALUES.copy()
    rdms[:, pair(0, 1)] = np.nan
    write(path, rdms)
    refused(path, "region FFA has nan for volumes 0 and 1")


@pytest.mark.parametrize("value", [np.inf, -np.inf])
@pytest.mark.parametrize("gaps", [False, True])
def test_infinite_values(path, value, gaps):
    rdms = without(2, VALUES) if gaps else VALUES.copy()
    rdms[1, pair(2, 3)] = value  # of an undefined volume, where there are gaps
    write(path, rdms)
    refused(path, f"region V1v has {value:g} for volumes 2 and 3")


@pytest.mark.parametrize(
    ("dissimilarity", "value"),
    [("correlation", -0.1), ("cosine", 2.1), ("euclidean", -3.0), ("euclidean", np.inf)],
)
def test_a_layers_values_are_distances(path, dissimilarity, value):
    rdms = VALUES.copy()
    rdms[0, pair(0, 5)] = value
    write(path, rdms, "layer", dissimilarity)
    refused(
        path,
        "(model alexnet, run 3)",
        f"layer conv1 has {value:g} for volumes 0 and 5",
        f"no {dissimilarity} distance",
        "delete the file and run the stimulus level again",
    )


def test_rounding_and_regions_without_expected_noise_pass(path):
    rdms = VALUES.copy()
    rdms[0, :2] = -1e-7, 2.0000002
    write(path, rdms, "layer")
    assert read_rdms(path).rdms[0, 0] < 0
    rdms[0, :2] = -0.2, 2.1
    write(path, rdms)
    assert read_rdms(path).rdms[0, 0] < 0
    write(path, 1000 * VALUES, "layer", "euclidean")
    assert read_rdms(path).rdms.max() > 2


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ("dissimilarities", VALUES[:, :14], "14 pairs, which do not fit 6 volumes"),
        ("dissimilarities", VALUES[:1], "1 RDMs and the names of 2 regions"),
        ("dissimilarities", VALUES[0], "shape (15,)"),
        ("dissimilarities", VALUES[:, :0], "0 pairs, which do not fit 6 volumes"),
        ("dissimilarities", np.full((2, 15), b"x"), "no RDM file"),
        ("rdm_descriptors/region", np.array(["FFA", "FFA"], "S"), "the region FFA is there twice"),
        ("rdm_descriptors/region", np.array(["FFA"], "S"), "2 RDMs and the names of 1 regions"),
        ("rdm_descriptors/region", 3, "no RDM file"),
        ("pattern_descriptors/onset_s", 2.0 * np.arange(5), "15 pairs, which do not fit 5 volumes"),
        ("pattern_descriptors/onset_s", [0.0, 2, 4, 4, 6, 8], "do not follow each other in time"),
        ("pattern_descriptors/onset_s", [0.0, 2, np.nan, 6, 8, 10], "do not follow each other"),
        ("pattern_descriptors/onset_s", np.zeros((6, 2)), "shape"),
        ("pattern_descriptors/onset_s", [b"x"] * 6, "no RDM file"),
        ("dissimilarity_measure", "crossnobis", "unknown dissimilarity"),
        ("unit_moments/mean", np.ones((2, 5)), "unit_moments do not fit 2 regions and 6 volumes"),
        ("unit_moments/sd", np.ones((1, 6)), "no RDM file"),
        ("unit_moments/n_units", [b"x", b"y"], "no RDM file"),
    ],
)
def test_parts_that_do_not_fit(path, place, value, words):
    moments = [UnitMoments(np.ones(N), np.ones(N), 3) for _ in range(2)]
    write(path, VALUES, moments=moments)
    changed(path, place, value)
    refused(path, words)


@pytest.mark.parametrize(
    "part", ["dissimilarities", "rdm_descriptors", "pattern_descriptors", "descriptors"]
)
def test_parts_that_are_absent(path, part):
    write(path, VALUES)
    with File(path, "r+") as file:
        del file[part]
    refused(path, "no RDM file of this app")


def test_files_that_are_cut_off_or_no_hdf5(path):
    write(path, VALUES)
    whole = path.read_bytes()
    for content in (b"", b"no HDF5", *(whole[:end] for end in range(8, len(whole), 500))):
        path.write_bytes(content)
        refused(path, "no RDM file of this app")
