import logging
from pathlib import Path

import pytest
from dataset_trees import write_lines

from bidsapp.dataset.atlas import PUBLISHED_ORDER, open_atlas
from bidsapp.errors import InputError


def images(folder: Path) -> Path:
    for number in range(1, 26):
        for side in ("lh", "rh"):
            write_lines(folder / f"perc_VTPM_vol_roi{number}_{side}.nii.gz", "x")
    return folder


@pytest.mark.parametrize("inner", ["", "subj_vol_all"])
def test_the_downloads_layout(tmp_path: Path, inner: str) -> None:
    images(tmp_path / inner)
    atlas = open_atlas(tmp_path)
    assert atlas.labels == PUBLISHED_ORDER
    assert len(atlas.files) == 50
    assert atlas.files["R", 7].name == "perc_VTPM_vol_roi7_rh.nii.gz"
    assert atlas.directory == tmp_path / inner


@pytest.mark.parametrize("line", ["{}..... {}", "{:02d},{}", "roi{}: {}", "{}\t{}"])
@pytest.mark.parametrize("name", ["ROIfiles_Labeling.txt", "LUT.csv"])
def test_labels_come_from_the_download(tmp_path: Path, name: str, line: str) -> None:
    images(tmp_path)
    listed = [line.format(i, f"Area{26 - i}") for i in range(1, 26)]
    write_lines(tmp_path / name, "label,ROI", *listed)
    assert open_atlas(tmp_path).labels == tuple(f"Area{26 - i}" for i in range(1, 26))


def test_unreadable_labels_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    images(tmp_path)
    write_lines(tmp_path / "LUT.csv", "1,V1v")
    with caplog.at_level(logging.WARNING):
        assert open_atlas(tmp_path).labels == PUBLISHED_ORDER
    assert "does not list 25 areas" in caplog.text


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--atlas"):
        open_atlas(tmp_path / "nowhere")
    (images(tmp_path) / "perc_VTPM_vol_roi3_rh.nii.gz").unlink()
    with pytest.raises(InputError, match=r"lacks perc_VTPM_vol_roi3_rh.nii.gz: unpack"):
        open_atlas(tmp_path)
    for path in tmp_path.glob("*_lh*"):
        path.unlink()
    with pytest.raises(InputError, match="and 23 more"):
        open_atlas(tmp_path)


def test_real_atlas(shared_data: Path) -> None:
    folder = shared_data / "wang2015-volume"
    if not folder.is_dir():
        pytest.skip(f"no Wang atlas at {folder}")
    atlas = open_atlas(folder)
    assert atlas.labels == PUBLISHED_ORDER
    assert len(atlas.files) == 50
