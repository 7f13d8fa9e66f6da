import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest
from dataset_trees import AFFINE, SHAPE, write_nifti

from bidsapp.dataset.nifti import image_facts
from bidsapp.errors import InputError


def test_facts(tmp_path: Path) -> None:
    facts = image_facts(write_nifti(tmp_path / "a.nii.gz", (*SHAPE, 5), tr=1.4))
    assert (facts.shape, facts.n_volumes, facts.repetition_time) == (SHAPE, 5, 1.4)
    still = image_facts(write_nifti(tmp_path / "b.nii", SHAPE))
    assert (still.n_volumes, still.repetition_time) == (1, None)
    assert still.same_grid(facts)
    moved = image_facts(write_nifti(tmp_path / "c.nii.gz", SHAPE, affine=AFFINE + 0.01))
    assert not moved.same_grid(facts)


@pytest.mark.parametrize(
    ("unit", "stored", "seconds"),
    [
        ("sec", 2.0, 2.0),
        ("msec", 2000.0, 2.0),
        ("usec", 2e6, 2.0),
        ("hz", 2.0, None),
        ("sec", 0.0, None),
    ],
)
def test_time_units_are_heeded(
    tmp_path: Path, unit: str, stored: float, seconds: float | None
) -> None:
    image = nibabel.Nifti1Image(np.zeros((*SHAPE, 3), np.float32), AFFINE)
    image.header.set_zooms((3, 3, 3, stored))
    image.header.set_xyzt_units("mm", unit)
    nibabel.save(image, tmp_path / "a.nii")
    assert image_facts(tmp_path / "a.nii").repetition_time == seconds


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nii"])
@pytest.mark.parametrize("kept", [0.999, 0.5])
def test_truncated(tmp_path: Path, name: str, kept: float) -> None:
    path = write_nifti(tmp_path / name, (*SHAPE, 50))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(InputError, match=f"{name} is truncated"):
        image_facts(path)


def test_a_whole_file_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_nifti(tmp_path / "a.nii.gz", (*SHAPE, 50))

    def unpack(_: Path) -> int:
        raise AssertionError

    monkeypatch.setattr("bidsapp.dataset.nifti._unpacked_length", unpack)
    assert image_facts(path).n_volumes == 50


def test_several_gzip_members_are_whole(tmp_path: Path) -> None:
    """Some programs write blocks: the length stored at the end is then that of the last."""
    whole = gzip.decompress(write_nifti(tmp_path / "a.nii.gz", (*SHAPE, 5)).read_bytes())
    parts = (whole[:1000], whole[1000:5000], whole[5000:])
    (tmp_path / "b.nii.gz").write_bytes(b"".join(gzip.compress(part) for part in parts))
    assert image_facts(tmp_path / "b.nii.gz").n_volumes == 5


def test_missing_or_no_image(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a.nii.gz is missing"):
        image_facts(tmp_path / "a.nii.gz")
    (tmp_path / "link.nii.gz").symlink_to(tmp_path / "annex")
    with pytest.raises(InputError, match="a link to data that were not downloaded"):
        image_facts(tmp_path / "link.nii.gz")
    for content in (b"", b"no image", gzip.compress(b"no image")):
        (tmp_path / "b.nii.gz").write_bytes(content)
        with pytest.raises(InputError, match="no readable NIfTI"):
            image_facts(tmp_path / "b.nii.gz")
