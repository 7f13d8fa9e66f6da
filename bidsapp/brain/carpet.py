"""A few voxels of every region as measured and as denoised, for a carpet plot."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bidsapp.arrays import Bools, Floats, Ints

MAX_VOXELS = 120  # of all regions together: what a picture can show


@dataclass(frozen=True)
class Carpet:
    """Series of some voxels (Power 2017, doi 10.1016/j.neuroimage.2016.08.009).

    Attributes
    ----------
    regions
        Region of each of the n voxels.
    before, after
        (n_volumes, n_voxels): as measured, less the mean, and denoised; both in standard deviations
        of the voxel as measured, over volumes that are not censored. Censored volumes are NaN in
        ``after``.
    """

    regions: tuple[str, ...]
    before: Floats
    after: Floats


def carpet(kept: Mapping[str, Bools], measured: Floats, denoised: Floats, left: Bools) -> Carpet:
    """Choose voxels evenly from each region.

    Parameters
    ----------
    kept
        Region to its voxels, (n_all,); none of them constant.
    measured, denoised
        (n_volumes, n_all).
    left
        (n_volumes,): volumes that are not censored.
    """
    share = max(MAX_VOXELS // max(len(kept), 1), 1)
    chosen = {name: _evenly(np.flatnonzero(inside), share) for name, inside in kept.items()}
    places = np.concatenate([*chosen.values(), np.empty(0, np.intp)])
    before = measured[:, places].astype(np.float64)
    before -= before[left].mean(axis=0)
    deviation = before[left].std(axis=0)
    return Carpet(
        regions=tuple(name for name, its in chosen.items() for _ in its),
        before=before / deviation,
        after=denoised[:, places] / deviation,
    )


def _evenly(places: Ints, n: int) -> Ints:
    """Take at most ``n`` of some places, evenly spaced."""
    if len(places) <= n:
        return places
    chosen: Ints = places[np.linspace(0, len(places) - 1, n).round().astype(int)]
    return chosen
