import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest
from dataset_trees import AFFINE, SHAPE, write_nifti

from bidsapp.dataset.nifti import check_first_volume, image_facts
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


@pytest.mark.parametrize("lost", [1, 4, 8])
@pytest.mark.parametrize("members", [1, 2])
def test_without_the_end_of_gzip(tmp_path: Path, lost: int, members: int) -> None:
    """All voxels are there, but no reader takes a file whose checksum or length is cut."""
    whole = gzip.decompress(write_nifti(tmp_path / "a.nii.gz", (*SHAPE, 5)).read_bytes())
    parts = (whole,) if members == 1 else (whole[:1000], whole[1000:])
    path = blocks(tmp_path / "b.nii.gz", *parts)
    path.write_bytes(path.read_bytes()[:-lost])
    with pytest.raises(InputError, match=r"b\.nii\.gz is truncated"):
        image_facts(path)


def test_zeros_behind_the_end_of_gzip_are_passed_over(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii.gz", (*SHAPE, 5))
    path.write_bytes(path.read_bytes() + bytes(512))
    assert image_facts(path).n_volumes == 5


def test_a_whole_file_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_nifti(tmp_path / "a.nii.gz", (*SHAPE, 50))

    def unpack(*_: object) -> bool:
        raise AssertionError

    monkeypatch.setattr("bidsapp.dataset.nifti._unpacks_to", unpack)
    assert image_facts(path).n_volumes == 50


def test_several_gzip_members_are_whole(tmp_path: Path) -> None:
    """Some programs write blocks: the length stored at the end is then that of the last."""
    whole = gzip.decompress(write_nifti(tmp_path / "a.nii.gz", (*SHAPE, 5)).read_bytes())
    parts = (whole[:1000], whole[1000:5000], whole[5000:])
    (tmp_path / "b.nii.gz").write_bytes(b"".join(gzip.compress(part) for part in parts))
    assert image_facts(tmp_path / "b.nii.gz").n_volumes == 5


def blocks(path: Path, *parts: bytes) -> Path:
    """Write a gzip file of several members."""
    path.write_bytes(b"".join(gzip.compress(part) for part in parts))
    return path


@pytest.mark.parametrize("kept", ["whole members", "part of the last", "nothing but the first"])
def test_several_gzip_members_cut_off(tmp_path: Path, kept: str) -> None:
    whole = gzip.decompress(write_nifti(tmp_path / "a.nii.gz", (*SHAPE, 5)).read_bytes())
    parts = [whole[:1000], whole[1000:5000], whole[5000:]]
    path = tmp_path / "b.nii.gz"
    if kept == "part of the last":
        content = blocks(path, *parts).read_bytes()
        path.write_bytes(content[:-100])
    else:
        blocks(path, *parts[: 2 if kept == "whole members" else 1])
    with pytest.raises(InputError, match=r"b\.nii\.gz is truncated"):
        image_facts(path)


def test_what_the_look_at_the_end_cannot_see(tmp_path: Path) -> None:
    """The stated limit: a file whose end stands though its middle is gone passes until read."""
    path = write_nifti(tmp_path / "a.nii.gz", (*SHAPE, 50))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] + content[-4:])
    assert image_facts(path).n_volumes == 50


def test_other_dimensions(tmp_path: Path) -> None:
    write_nifti(tmp_path / "five.nii.gz", (*SHAPE, 1, 3))
    with pytest.raises(InputError, match=r"five\.nii\.gz has 5 dimensions"):
        image_facts(tmp_path / "five.nii.gz")
    assert image_facts(write_nifti(tmp_path / "one.nii.gz", (*SHAPE, 1))).n_volumes == 1


def flip_a_bit(path: Path) -> None:
    """Change what unpacks without complaint, so that only the checksum tells."""
    whole = gzip.decompress(path.read_bytes())
    stored = bytearray(gzip.compress(whole, compresslevel=0))
    stored[len(stored) // 2] ^= 1
    path.write_bytes(bytes(stored))


def test_masks_are_checked_to_the_last_bit(tmp_path: Path) -> None:
    bold = write_nifti(tmp_path / "bold.nii.gz", (*SHAPE, 5))
    mask = write_nifti(tmp_path / "mask.nii.gz", SHAPE)
    check_first_volume(bold, mask)
    flip_a_bit(mask)
    assert image_facts(mask).n_volumes == 1
    with pytest.raises(InputError, match=r"mask\.nii\.gz is damaged: copy or make it again"):
        check_first_volume(bold, mask)


def test_masks_without_voxels_or_sense(tmp_path: Path) -> None:
    bold = write_nifti(tmp_path / "bold.nii.gz", (*SHAPE, 5))
    for value, message in ((0.0, "is empty"), (np.nan, "not finite")):
        image = nibabel.Nifti1Image(np.full(SHAPE, value, np.float32), AFFINE)
        nibabel.save(image, tmp_path / "mask.nii.gz")
        with pytest.raises(InputError, match=message):
            check_first_volume(bold, tmp_path / "mask.nii.gz")


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
