"""Preprocessed BOLD, made and written volume by volume, so that memory does not grow with it."""

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np

from bench.standin.anatomy import Place
from bench.standin.source import RunHeader
from bidsapp.arrays import Bools, Floats, Ints
from bidsapp.demo.noise import MIXTURE, Nuisance, draw_nuisance, slow_waves, smooth_fields

BASELINE, OUTSIDE = 1000.0, 40.0
NOISE_SD, OUTSIDE_SD, DRIFT_SD = 10.0, 3.0, 5.0
SHARED_SD, SHARED_IN_TISSUE_SD = 3.0, 14.0
_BURN_IN = 10
_SAMPLE = 4000  # voxels of the brain that stand for it in the confounds


@dataclass(frozen=True)
class Planted:
    """Response of some voxels: at volume t, ``courses[t] @ loads`` is added to ``voxels``.

    ``voxels`` (n,) flat indices; ``courses`` (volumes, k); ``loads`` (k, n).
    """

    voxels: Ints
    courses: Floats
    loads: Floats


@dataclass(frozen=True)
class Written:
    """What is known of a run after it was written.

    ``mean`` (voxels,); ``sample`` (volumes, m) series of the tissues and of some of the brain;
    ``in_tissue`` masks (m,) of "CSF" and "WM" in it.
    """

    mean: Floats
    sample: Floats
    in_tissue: dict[str, Bools]
    nuisance: Nuisance


def write_bold(
    path: Path, place: Place, planted: Sequence[Planted], rng: np.random.Generator
) -> Written:
    """Write one run as int16, gzip level 1; autocorrelated noise, drift and shared time courses.

    Parameters
    ----------
    path
        A temporary name; the caller renames.
    place
        Grid, brain and tissues.
    planted
        Responses.
    rng
        Draws everything.
    """
    header = place.header
    count = header.volumes
    nuisance = draw_nuisance(rng, count)
    drifts = slow_waves(count, cutoff_s=min(200.0, count)) * np.sqrt(count)
    courses = np.column_stack([nuisance.shared, drifts]).astype(np.float32)
    fields = _fields(rng, place, nuisance.shared.shape[1], courses.shape[1])
    texture = _flat(smooth_fields(rng, header.shape, 1), header)[0]
    baseline = np.where(place.brain, BASELINE * (1 + 0.05 * texture), OUTSIDE).astype(np.float32)
    spread = np.where(place.brain, NOISE_SD, OUTSIDE_SD).astype(np.float32)
    in_sample = _choose(rng, place)
    sample = np.empty((count, len(in_sample)), np.float32)
    total = np.zeros(len(baseline))
    noise = _Noise(rng, len(baseline))
    with path.open("wb") as raw, gzip.GzipFile("", "wb", 1, raw, mtime=0) as stream:
        stream.write(nifti_header(header))
        for t in range(count):
            volume = baseline + spread * noise.next() + courses[t] @ fields
            for part in planted:
                volume[part.voxels] += part.courses[t] @ part.loads
            stored = np.rint(np.maximum(volume, 0)).astype(np.int16)
            stream.write(stored.tobytes())
            sample[t] = stored[in_sample]
            total += stored
    masks = {name: mask[in_sample] for name, mask in place.tissues.items()}
    return Written(total / count, sample, masks, nuisance)


class _Noise:
    """Sum of AR(1) processes of unit variance in every voxel, one volume after the other."""

    def __init__(self, rng: np.random.Generator, voxels: int) -> None:
        self._rng = rng
        scale = 1 / np.sqrt(sum(spread**2 for _, spread in MIXTURE))
        self._parts = [(np.float32(a), np.float32(sd * scale)) for a, sd in MIXTURE]
        self._states = [sd * self._fresh(voxels) for _, sd in self._parts]
        for _ in range(_BURN_IN):
            self.next()

    def _fresh(self, voxels: int) -> Floats:
        return self._rng.standard_normal(voxels, dtype=np.float32)

    def next(self) -> Floats:
        for state, (a, sd) in zip(self._states, self._parts, strict=True):
            state *= a
            state += sd * np.sqrt(1 - a * a) * self._fresh(len(state))
        return np.sum(self._states, axis=0)


def _fields(rng: np.random.Generator, place: Place, shared: int, count: int) -> Floats:
    """Smooth maps of shared time courses and drifts, (count, voxels)."""
    fields = _flat(smooth_fields(rng, place.header.shape, count), place.header)
    tissues = place.tissues["CSF"] | place.tissues["WM"]
    fields[:shared] *= np.where(tissues, SHARED_IN_TISSUE_SD, SHARED_SD)
    fields[shared:] *= DRIFT_SD / np.sqrt(max(1, count - shared))
    fields *= place.brain
    return fields


def _flat(maps: Floats, header: RunHeader) -> Floats:
    """Turn (voxels in C order, k) into (k, voxels with x fastest)."""
    volumes = maps.reshape(*header.shape, -1)
    return np.ascontiguousarray(volumes.transpose(3, 2, 1, 0).reshape(volumes.shape[3], -1))


def _choose(rng: np.random.Generator, place: Place) -> Ints:
    brain = np.flatnonzero(place.brain)
    some = rng.choice(brain, min(_SAMPLE, len(brain)), replace=False)
    tissues = np.flatnonzero(place.tissues["CSF"] | place.tissues["WM"])
    return np.union1d(some, tissues)


def nifti_header(header: RunHeader) -> bytes:
    """Return the first bytes of an int16 series' file."""
    built = nibabel.Nifti1Header()
    built.set_data_dtype(np.int16)
    built.set_data_shape((*header.shape, header.volumes))
    built.set_qform(header.affine, 1)
    built.set_sform(header.affine, 1)
    built.set_zooms((*built.get_zooms()[:3], header.repetition_time))
    built.set_xyzt_units("mm", "sec")
    built["vox_offset"] = 352
    return bytes(built.binaryblock) + bytes(4)
