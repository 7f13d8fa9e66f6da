from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
import rsatoolbox.rdm
from dataset_trees import AFFINE, SHAPE
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bidsapp.dataset.images import write_image, write_segmentation
from bidsapp.dataset.rdms import read_rdms, write_rdms
from bidsapp.dataset.textfiles import read_json, read_table, sidecar, write_json, write_table
from bidsapp.errors import InputError
from bidsapp.rsa.rdm import UnitMoments

COLUMNS = {name: {"Description": name} for name in ("participant", "run", "roi", "r", "n")}


def rdms(n: int, k: int) -> np.ndarray:
    return np.random.default_rng(n).uniform(0, 2, (k, n * (n - 1) // 2)).astype(np.float32)


def test_a_table_keeps_labels_and_missing_values(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "participant": ["01", "02"],
            "run": ["01", "2"],
            "roi": ["V1v", None],
            "r": [0.123456789, np.nan],
            "n": [3, 4],
        }
    )
    write_table(tmp_path / "a_stats.tsv", table, COLUMNS)
    lines = (tmp_path / "a_stats.tsv").read_text().splitlines()
    assert lines[1:] == ["01\t01\tV1v\t0.123457\t3", "02\t2\tn/a\tn/a\t4"]
    back = read_table(tmp_path / "a_stats.tsv")
    assert list(back["participant"]) == ["01", "02"]
    assert list(back["run"]) == ["01", "2"]
    assert back["r"].isna().tolist() == [False, True]
    assert list(read_json(tmp_path / "a_stats.json")) == list(table)


def test_an_empty_table_keeps_its_columns(tmp_path: Path) -> None:
    write_table(tmp_path / "a.tsv", pd.DataFrame(columns=list(COLUMNS)), COLUMNS)
    back = read_table(tmp_path / "a.tsv")
    assert list(back) == list(COLUMNS)
    assert back.empty


def test_every_column_is_described(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"differ in \['n', 'x'\]"):
        write_table(
            tmp_path / "a.tsv",
            pd.DataFrame(columns=["participant", "run", "roi", "r", "x"]),
            COLUMNS,
        )
    assert not (tmp_path / "a.tsv").exists()


def test_unreadable_tables_and_json(tmp_path: Path) -> None:
    for reader in (read_table, read_json, read_rdms):
        with pytest.raises(InputError, match="gone"):
            reader(tmp_path / "gone.h5")
    (tmp_path / "a.tsv").write_text("")
    with pytest.raises(InputError, match="no table"):
        read_table(tmp_path / "a.tsv")
    (tmp_path / "a.json").write_text("[1]")
    with pytest.raises(InputError, match="must hold a JSON object"):
        read_json(tmp_path / "a.json")


def test_json_takes_what_numpy_gives(tmp_path: Path) -> None:
    content = {
        "array": np.arange(3),
        "number": np.float32(0.5),
        "nan": np.nan,
        "path": Path("a") / "b",
        "tuple": (1, {"deep": np.int64(2)}),
    }
    write_json(tmp_path / "a.json", content)
    assert read_json(tmp_path / "a.json") == {
        "array": [0, 1, 2],
        "number": 0.5,
        "nan": None,
        "path": "a/b",
        "tuple": [1, {"deep": 2}],
    }


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(n=st.integers(2, 12), k=st.integers(1, 4))
def test_rdms_come_back_and_rsatoolbox_opens_them(tmp_path: Path, n: int, k: int) -> None:
    values = rdms(n, k)
    values[0, np.triu_indices(n, 1)[0] == 0] = np.nan
    names = [f"region{i}" for i in range(k)]
    path = tmp_path / "a_relmat.h5"
    write_rdms(
        path, values, names, "region", 2.0 * np.arange(n) + 1, {"participant": "01", "run": "1"}
    )
    back = read_rdms(path)
    np.testing.assert_array_equal(back.rdms, values)
    assert back.rdms.dtype == np.float32
    assert back.names == tuple(names)
    np.testing.assert_array_equal(back.onsets_s, 2.0 * np.arange(n) + 1)
    assert back.descriptors == {"participant": "01", "run": "1"}
    container = rsatoolbox.rdm.load_rdm(str(path))
    assert list(container.rdm_descriptors["region"]) == names
    matrix = container.get_matrices()[0]
    np.testing.assert_array_equal(matrix[np.triu_indices(n, 1)], values[0])


def test_equal_rdms_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a.h5", "b.h5"):
        write_rdms(tmp_path / name, rdms(5, 2), ["x", "y"], "layer", np.arange(5.0), {"model": "m"})
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    described = read_json(tmp_path / "a.json")
    assert described["Rows"] == {"Descriptor": "layer", "Names": ["x", "y"]}
    assert described["Directed"] is False


def moments(n: int, k: int) -> list[UnitMoments]:
    rng = np.random.default_rng(n)
    layers = [UnitMoments(rng.normal(size=n), rng.uniform(size=n), 100 + i) for i in range(k)]
    layers[0].mean[1] = layers[0].sd[1] = np.nan
    return layers


@pytest.mark.parametrize("k", [1, 3])
def test_moments_come_back_and_rsatoolbox_ignores_them(tmp_path: Path, k: int) -> None:
    expected, names = moments(6, k), [f"layer{i}" for i in range(k)]
    for path in (tmp_path / "a.h5", tmp_path / "b.h5"):
        write_rdms(path, rdms(6, k), names, "layer", np.arange(6.0), {}, moments=expected)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    back = read_rdms(tmp_path / "a.h5").moments
    assert back is not None
    for one, other in zip(back, expected, strict=True):
        np.testing.assert_array_equal(one.mean, other.mean)
        np.testing.assert_array_equal(one.sd, other.sd)
        assert one.n_units == other.n_units
    plain = tmp_path / "plain.h5"
    write_rdms(plain, rdms(6, k), names, "layer", np.arange(6.0), {})
    assert read_rdms(plain).moments is None
    opened = [rsatoolbox.rdm.load_rdm(str(path)) for path in (tmp_path / "a.h5", plain)]
    assert opened[0] == opened[1]
    assert opened[0].subset("layer", "layer0").n_rdm == 1


@pytest.mark.parametrize(("n", "k"), [(6, 1), (5, 2)])
def test_moments_that_do_not_fit(tmp_path: Path, n: int, k: int) -> None:
    path, names, wrong = tmp_path / "a.h5", ["x", "y"], moments(n, k)
    with pytest.raises(ValueError, match="moments do not fit 2 names and 6 onsets"):
        write_rdms(path, rdms(6, 2), names, "layer", np.arange(6.0), {}, moments=wrong)


def test_rdms_that_do_not_fit(tmp_path: Path) -> None:
    for names, n in ((["x"], 5), (["x", "y"], 4)):
        with pytest.raises(ValueError, match="do not fit"):
            write_rdms(tmp_path / "a.h5", rdms(5, 2), names, "layer", np.arange(n), {})
    (tmp_path / "b.h5").write_bytes(b"no HDF5")
    with pytest.raises(InputError, match=r"b.h5 is no RDM file"):
        read_rdms(tmp_path / "b.h5")


@pytest.mark.parametrize(
    ("data", "stored"),
    [
        (np.ones(SHAPE, np.bool_), np.uint8),
        (np.full(SHAPE, 25, np.int64), np.int16),
        (np.full(SHAPE, 0.1), np.float32),
    ],
)
def test_images_keep_values_grid_and_type(tmp_path: Path, data: np.ndarray, stored: type) -> None:
    affine = AFFINE.copy()
    affine[0, 0] *= -1
    path = tmp_path / "sub-01_space-MNI152NLin6Asym_mask.nii.gz"
    write_image(path, data, affine, {"Type": "ROI"})
    image = nibabel.load(path)
    assert image.get_data_dtype() == stored
    np.testing.assert_array_equal(np.asarray(image.dataobj), data.astype(stored))
    np.testing.assert_allclose(image.affine, affine, rtol=1e-6)
    assert read_json(sidecar(path)) == {"Type": "ROI"}
    first = path.read_bytes()
    write_image(path, data, affine, {"Type": "ROI"})
    assert path.read_bytes() == first


def test_native_space_needs_its_reference(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="SpatialReference"):
        write_image(tmp_path / "sub-01_space-T1w_mask.nii.gz", np.ones(SHAPE), AFFINE, {})
    assert list(tmp_path.iterdir()) == []


def test_a_segmentation_has_its_table(tmp_path: Path) -> None:
    path = tmp_path / "sub-01_space-T1w_dseg.nii.gz"
    write_segmentation(
        path, np.zeros(SHAPE, np.int64), AFFINE, ["V1v", "V1d"], {"SpatialReference": "x"}
    )
    assert (tmp_path / "sub-01_space-T1w_dseg.tsv").read_text() == "index\tname\n1\tV1v\n2\tV1d\n"
    assert set(read_json(tmp_path / "sub-01_space-T1w_dseg.json")) == {
        "SpatialReference",
        "index",
        "name",
    }
