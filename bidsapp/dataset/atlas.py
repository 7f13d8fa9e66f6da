"""The probabilistic atlas of Wang et al. (2015), in the layout in which it is published."""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bidsapp.errors import InputError

Hemisphere = Literal["L", "R"]

_LOG = logging.getLogger(__name__)
_SIDES: Mapping[Hemisphere, str] = {"L": "lh", "R": "rh"}
_WHERE = "https://scholar.princeton.edu/napl/resources"

# The areas in the order of their numbers (Wang et al. 2015, doi:10.1093/cercor/bhu277).
PUBLISHED_ORDER = (
    *("V1v", "V1d", "V2v", "V2d", "V3v", "V3d", "hV4", "VO1", "VO2", "PHC1", "PHC2"),
    *("MST", "hMT", "LO2", "LO1", "V3b", "V3a"),
    *("IPS0", "IPS1", "IPS2", "IPS3", "IPS4", "IPS5", "SPL1", "FEF"),
)


@dataclass(frozen=True)
class ProbabilisticAtlas:
    """Files of the atlas.

    Attributes
    ----------
    labels
        The 25 areas, in the order of their numbers 1 ... 25.
    files
        Hemisphere and number to the image of probabilities, in per cent.
    directory
        Folder of the images.
    """

    labels: tuple[str, ...]
    files: Mapping[tuple[Hemisphere, int], Path]
    directory: Path


def open_atlas(directory: Path) -> ProbabilisticAtlas:
    """Find the atlas's 50 images, in ``directory`` or in ``subj_vol_all`` below it.

    Labels are those of ``ROIfiles_Labeling.txt`` or ``LUT.csv`` where one is there, else the
    published ones.

    Raises
    ------
    InputError
        The folder or an image is missing.
    """
    if not directory.is_dir():
        raise InputError(
            f"there is no atlas folder {directory}: get the atlas from {_WHERE} and give --atlas"
        )
    inner = directory / "subj_vol_all"
    folder = inner if inner.is_dir() else directory
    files: dict[tuple[Hemisphere, int], Path] = {}
    missing: list[str] = []
    for hemisphere, side in _SIDES.items():
        for number in range(1, len(PUBLISHED_ORDER) + 1):
            name = f"perc_VTPM_vol_roi{number}_{side}.nii"
            present = [path for path in (folder / f"{name}.gz", folder / name) if path.is_file()]
            if present:
                files[hemisphere, number] = present[0]
            else:
                missing.append(f"{name}.gz")
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise InputError(
            f"the atlas in {folder} lacks {', '.join(missing[:3])}{more}: "
            f"unpack all of the download of {_WHERE}"
        )
    return ProbabilisticAtlas(_labels(directory), files, folder)


def _labels(directory: Path) -> tuple[str, ...]:
    for folder in (directory, directory.parent):
        for name in ("ROIfiles_Labeling.txt", "LUT.csv"):
            path = folder / name
            if path.is_file():
                return _read_labels(path)
    return PUBLISHED_ORDER


def _read_labels(path: Path) -> tuple[str, ...]:
    """Read lines of a number and a name, whatever stands between them."""
    text = path.read_text(encoding="utf-8", errors="replace")
    pairs = re.findall(r"^\D*?(\d+)[^0-9A-Za-z]+([A-Za-z]\w*)[^\w\n]*$", text, re.MULTILINE)
    labels = {int(number): name for number, name in pairs}
    wanted = range(1, len(PUBLISHED_ORDER) + 1)
    if not all(number in labels for number in wanted):
        _LOG.warning("%s does not list 25 areas; the published order is used", path)
        return PUBLISHED_ORDER
    return tuple(labels[number] for number in wanted)
