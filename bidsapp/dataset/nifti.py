"""What the header of a NIfTI image says, and a cheap look at whether the file is whole."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError

from bidsapp.arrays import Floats, without_idle_axes
from bidsapp.errors import InputError
from bidsapp.files import read_whole

_GZIP_MAGIC = b"\x1f\x8b"
_TO_SECONDS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6, "unknown": 1.0}
_CHUNK = 1 << 24


@dataclass(frozen=True)
class ImageFacts:
    """Grid of an image, and its number and spacing of volumes.

    Attributes
    ----------
    shape
        Voxels along x, y, z.
    affine
        (4, 4), voxels to RAS mm.
    n_volumes
        1 for an image without time.
    repetition_time
        Seconds; None where the header does not say.
    """

    shape: tuple[int, int, int]
    affine: Floats
    n_volumes: int
    repetition_time: float | None

    def same_grid(self, other: "ImageFacts") -> bool:
        """Tell whether both images have the same voxels (affines within 1e-3 mm)."""
        return self.shape == other.shape and bool(np.allclose(self.affine, other.affine, atol=1e-3))


def image_facts(path: Path) -> ImageFacts:
    """Read the header of an image and check that the file is long enough for it.

    A compressed file is not read: gzip stores the length of its content at its end. Only where that
    does not fit (a file cut off, or written in blocks) is the file unpacked, without keeping it, to
    count. What this cannot see, damage that leaves the end as it was, is found by the checksum when
    the file is read to its end, and no result is made of it.

    Raises
    ------
    InputError
        The file is absent, is no NIfTI image of three or four dimensions, or is cut off.
    """
    if not path.is_file():
        raise InputError(f"{path} is missing (or is a link to data that were not downloaded)")
    try:
        image: Any = nibabel.load(path)
    except (ImageFileError, OSError, EOFError, zlib.error, ValueError) as error:
        raise InputError(f"{path} is no readable NIfTI image: copy or make it again") from error
    if len(image.shape) not in (3, 4):
        raise InputError(
            f"{path} has {len(image.shape)} dimensions, and an image of a scan has 3 or 4: make it "
            "again"
        )
    header = image.header
    item = header.get_data_dtype().itemsize
    expected = int(image.dataobj.offset) + int(np.prod(image.shape)) * item
    if not _is_whole(path, expected):
        raise InputError(f"{path} is truncated: copy or make it again")
    shape = (*image.shape, 1, 1, 1)[:4]
    return ImageFacts(
        shape=(int(shape[0]), int(shape[1]), int(shape[2])),
        affine=np.asarray(image.affine, np.float64),
        n_volumes=int(shape[3]),
        repetition_time=_repetition_time(header),
    )


def check_first_volume(bold: Path, mask: Path) -> None:
    """Make sure that a mask has voxels and that an image's first volume is finite in them.

    The rest of the image is checked when it is read, which is done only once.

    Raises
    ------
    InputError
        The mask is empty, damaged, not finite or of several volumes, or the first volume is damaged
        or not finite.
    """
    with _readable(mask):
        kind: Any = type(nibabel.load(mask))
        values = without_idle_axes(np.asarray(kind.from_bytes(read_whole(mask)).dataobj))
    if values.ndim != 3:
        raise InputError(f"{mask} holds several volumes, and a mask has one: run fMRIPrep again")
    if not np.isfinite(values).all():
        raise InputError(f"{mask} has values that are not finite: run fMRIPrep again")
    inside = values > 0
    if not inside.any():
        raise InputError(f"{mask} is empty: run fMRIPrep again")
    with _readable(bold):
        image: Any = nibabel.load(bold)
        first = np.asarray(image.dataobj[..., 0])
    broken = int(np.count_nonzero(~np.isfinite(first[inside])))
    if broken:
        raise InputError(
            f"{bold} has values that are not finite in {broken} voxels of its first volume: "
            "run fMRIPrep again"
        )


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Say in one sentence that an image is damaged."""
    try:
        yield
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise InputError(f"{path} is damaged: copy or make it again") from error


def _repetition_time(header: Any) -> float | None:  # noqa: ANN401 (nibabel has no type for it)
    zooms = header.get_zooms()
    unit = header.get_xyzt_units()[1]
    if len(zooms) < 4 or unit not in _TO_SECONDS or zooms[3] <= 0:
        return None
    # The header stores float32: more digits than these are noise.
    return round(float(zooms[3]) * _TO_SECONDS[unit], 6)


def _is_whole(path: Path, expected: int) -> bool:
    """Tell whether ``path`` unpacks to at least ``expected`` bytes, and ends as it should."""
    with path.open("rb") as stream:
        if stream.read(2) != _GZIP_MAGIC:
            return path.stat().st_size >= expected
        stream.seek(-4, 2)
        stored = int.from_bytes(stream.read(4), "little")
    return stored == expected % 2**32 or _unpacks_to(path, expected)


def _unpacks_to(path: Path, expected: int) -> bool:
    """Tell whether gzip's members, one or several, give so many bytes and the last one ends.

    A member ends with the checksum and length of its content, without which no reader takes it.
    """
    length, ended = 0, False
    unpacker = zlib.decompressobj(wbits=31)
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                while chunk:
                    length += len(unpacker.decompress(chunk))
                    ended, chunk = unpacker.eof, unpacker.unused_data
                    if ended:
                        unpacker = zlib.decompressobj(wbits=31)
    except zlib.error:  # damage, or what readers pass over: zeros behind the last member
        pass
    return ended and length >= expected
