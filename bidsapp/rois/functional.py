"""Category-selective regions: the peak near a prior centre, a sphere round it, its highest voxels.

Per region and hemisphere the peak t is looked for within the search radius; the spheres of both
hemispheres are joined and the voxels of highest t are taken. Two rules part what is shared:

- *place*, between regions of one contrast, which t cannot separate: a peak, and a voxel, belong to
  the nearest of the contrast's prior centres;
- *contest*, between regions of different contrasts: a voxel that several regions choose goes to the
  one with the higher t in its own contrast, ties to the nearer peak; the losers refill from their
  own spheres until nothing changes. This is deferred acceptance (Gale and Shapley 1962,
  doi 10.2307/2312726), so that the result does not depend on the order of the regions.

``allow_overlap`` leaves voxels unparted (peaks still follow the place rule).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import SimpleITK

from bidsapp.analysis.spec import FunctionalRegions, Hemisphere
from bidsapp.arrays import Bools, Floats, Ints
from bidsapp.rois.boxes import Box
from bidsapp.rois.images import same_grid
from bidsapp.rois.transforms import carry_image, carry_points

_ROUNDING_MM = 1e-4  # a voxel at exactly the radius is inside, whatever the affine's last digits
_SIDES = {"L": "left", "R": "right"}
MillimetrePoint = tuple[float, float, float]


@dataclass(frozen=True)
class RegionPrior:
    """Where a region is looked for in one hemisphere: native RAS mm."""

    name: str
    contrast: str
    hemisphere: Hemisphere
    centre_mm: MillimetrePoint
    radius_mm: float


@dataclass(frozen=True)
class Peak:
    """The voxel of highest t near a prior centre: native RAS mm."""

    region: str
    hemisphere: Hemisphere
    centre_mm: MillimetrePoint
    mm: MillimetrePoint
    t: float
    z: float


@dataclass(frozen=True)
class FoundRegion:
    """A region's voxels on a grid, the peaks that they surround, and what a reader should know.

    Attributes
    ----------
    name, mask, peaks
        What was found, see `find_regions`.
    n_voxels
        Voxels of each hemisphere.
    wanted
        Voxels that the region was to have.
    coverage
        Hemisphere to the part of its search sphere that was measured, from 0 to 1.
    flags
        Plain sentences on what is weak.
    """

    name: str
    mask: Bools
    peaks: tuple[Peak, ...]
    n_voxels: Mapping[Hemisphere, int]
    wanted: int
    coverage: Mapping[Hemisphere, float]
    flags: tuple[str, ...]


@dataclass(frozen=True)
class _Voxels:
    """The voxels of a brain mask: flat indices into the grid and RAS mm, (n,) and (n, 3)."""

    shape: tuple[int, ...]
    affine: Floats
    index: Ints
    mm: Floats

    @classmethod
    def of(cls, mask: Bools, affine: Floats) -> "_Voxels":
        mm = np.argwhere(mask) @ affine[:3, :3].T + affine[:3, 3]
        return cls(mask.shape, affine, np.flatnonzero(mask), mm)

    def distances(self, points_mm: Sequence[MillimetrePoint]) -> Floats:
        """Distance in mm of each point to each voxel, (n_points, n)."""
        points = np.asarray(points_mm, dtype=np.float64).reshape(-1, 1, 3)
        distances: Floats = np.sqrt(((self.mm - points) ** 2).sum(axis=-1))
        return distances

    def within(self, point_mm: MillimetrePoint, radius_mm: float) -> int:
        """Count all voxels of the grid in a sphere, in the brain or not, in the image or not."""
        corners = np.add(point_mm, radius_mm * np.array(list(product((-1, 1), repeat=3))))
        apart = np.linalg.norm(Box.around(corners, self.affine).millimetres() - point_mm, axis=-1)
        return int((apart <= radius_mm + _ROUNDING_MM).sum())


@dataclass(frozen=True)
class _Candidates:
    """What one region may take: per voxel its t, the distance to the nearest peak and that peak.

    ``ranked`` holds the positions of allowed voxels, best first; ``n_voxels`` is how many are
    wanted, ``n_near`` how many the spheres hold.
    """

    t: Floats
    distance: Floats
    nearest: Ints
    ranked: Ints
    n_voxels: int
    n_near: int


def native_priors(spec: FunctionalRegions, to_template: SimpleITK.Transform) -> list[RegionPrior]:
    """Carry the template's search centres to native space, as points.

    Parameters
    ----------
    spec
        Regions with centres in RAS mm of ``spec.template``.
    to_template
        `TemplateTransforms.to_template`: what resamples native images onto the template carries
        template points to native space.
    """
    searches = [
        (region, side, sphere) for region in spec.regions for side, sphere in region.search.items()
    ]
    centres = carry_points(to_template, np.array([sphere.centre_mm for _, _, sphere in searches]))
    return [
        RegionPrior(region.name, region.contrast, side, _point(centre), sphere.radius_mm)
        for (region, side, sphere), centre in zip(searches, centres, strict=True)
    ]


def find_regions(
    t_maps: Mapping[str, Floats],
    z_maps: Mapping[str, Floats],
    brain_mask: Bools,
    affine: Floats,
    priors: Sequence[RegionPrior],
    spec: FunctionalRegions,
) -> list[FoundRegion]:
    """Find every region on the localizer's grid.

    Parameters
    ----------
    t_maps, z_maps
        Contrast name to its (x, y, z) map.
    brain_mask, affine
        The grid of the maps.
    priors
        See `native_priors`.
    spec
        Sphere radius, number of voxels, lowest z of a peak, overlap.

    Returns
    -------
    list of FoundRegion
        One per region name, in the order of `priors`; weak or small ones are kept and flagged.
    """
    peaks = find_peaks(t_maps, z_maps, brain_mask, affine, priors)
    return regions_round_peaks(peaks, t_maps, brain_mask, affine, priors, spec)


def carry_regions(
    found: Sequence[FoundRegion],
    t_maps: Mapping[str, Floats],
    affine: Floats,
    brain_mask: Bools,
    target_affine: Floats,
    priors: Sequence[RegionPrior],
    spec: FunctionalRegions,
) -> list[FoundRegion]:
    """Choose the regions' voxels anew on another grid of the same space.

    The t maps (on the grid of `affine`) are resampled linearly to the grid of `brain_mask` and
    `target_affine`, unless that is the same grid; the spheres keep their place in mm, and the
    contest is held again. Voxels beyond the localizer's field of view belong to no region.
    """
    carried = t_maps
    shape = next(iter(t_maps.values())).shape
    if not same_grid(shape, affine, brain_mask.shape, target_affine):
        identity = SimpleITK.Transform(3, SimpleITK.sitkIdentity)
        x, y, z = brain_mask.shape
        carried = {
            name: carry_image(t, affine, identity, (x, y, z), target_affine, outside=np.nan)
            for name, t in t_maps.items()
        }
    peaks = [peak for region in found for peak in region.peaks]
    return regions_round_peaks(peaks, carried, brain_mask, target_affine, priors, spec)


def find_peaks(
    t_maps: Mapping[str, Floats],
    z_maps: Mapping[str, Floats],
    brain_mask: Bools,
    affine: Floats,
    priors: Sequence[RegionPrior],
) -> list[Peak]:
    """Find the highest t within each prior's radius, among voxels nearest to that prior's centre.

    A prior without such a voxel in the brain has no peak. Ties go to the voxel nearer the centre.
    """
    voxels = _Voxels.of(brain_mask, affine)
    peaks = []
    for prior in priors:
        t = t_maps[prior.contrast].ravel()[voxels.index]
        distance = voxels.distances([prior.centre_mm])[0]
        inside = (distance <= prior.radius_mm + _ROUNDING_MM) & np.isfinite(t)
        rivals = [p for p in priors if p.contrast == prior.contrast]
        inside &= _nearest(voxels, rivals) == rivals.index(prior)
        positions = np.flatnonzero(inside)
        if positions.size:
            best = positions[np.lexsort((distance[positions], -t[positions]))[0]]
            z = float(z_maps[prior.contrast].ravel()[voxels.index[best]])
            place = _point(voxels.mm[best])
            peaks.append(
                Peak(prior.name, prior.hemisphere, prior.centre_mm, place, float(t[best]), z)
            )
    return peaks


def regions_round_peaks(
    peaks: Sequence[Peak],
    t_maps: Mapping[str, Floats],
    brain_mask: Bools,
    affine: Floats,
    priors: Sequence[RegionPrior],
    spec: FunctionalRegions,
) -> list[FoundRegion]:
    """Choose each region's voxels from the spheres round its peaks, by the rules of this module."""
    voxels = _Voxels.of(brain_mask, affine)
    names = list(dict.fromkeys(prior.name for prior in priors))
    own_peaks = {name: tuple(peak for peak in peaks if peak.region == name) for name in names}
    candidates = [
        _candidates(name, own_peaks[name], t_maps, voxels, priors, spec) for name in names
    ]
    if spec.allow_overlap:
        chosen = [region.ranked[: region.n_voxels] for region in candidates]
    else:
        chosen = _settle(candidates)
    return [
        _found(name, own_peaks[name], region, positions, voxels, priors, spec)
        for name, region, positions in zip(names, candidates, chosen, strict=True)
    ]


def _candidates(
    name: str,
    peaks: Sequence[Peak],
    t_maps: Mapping[str, Floats],
    voxels: _Voxels,
    priors: Sequence[RegionPrior],
    spec: FunctionalRegions,
) -> _Candidates:
    contrast = next(prior.contrast for prior in priors if prior.name == name)
    t = t_maps[contrast].ravel()[voxels.index]
    wanted = spec.voxels_of(name)
    if not peaks:
        nothing = np.zeros(t.shape, dtype=np.intp)
        none = np.flatnonzero(nothing)
        return _Candidates(t, np.full(t.shape, np.inf), nothing, none, wanted, 0)
    distances = voxels.distances([peak.mm for peak in peaks])
    nearest, distance = distances.argmin(axis=0), distances.min(axis=0)
    allowed = (distance <= spec.sphere_of(name) + _ROUNDING_MM) & np.isfinite(t)
    n_near = int(allowed.sum())
    if not spec.allow_overlap:
        rivals = [prior for prior in priors if prior.contrast == contrast]
        own = np.array([prior.name == name for prior in rivals])
        allowed &= own[_nearest(voxels, rivals)]
    positions = np.flatnonzero(allowed)
    order = np.lexsort((distance[positions], -t[positions]))
    return _Candidates(t, distance, nearest, positions[order], wanted, n_near)


def _nearest(voxels: _Voxels, priors: Sequence[RegionPrior]) -> Ints:
    """Tell which prior's centre each voxel is nearest to."""
    centres = [prior.centre_mm for prior in priors]
    nearest: Ints = voxels.distances(centres).argmin(axis=0)
    return nearest


def _settle(regions: Sequence[_Candidates]) -> list[Ints]:
    """Hold the contest: positions of each region's voxels, disjoint.

    Whoever holds a voxel keeps it unless a stronger region asks for it, so barring the losers for
    good is safe and the rounds end.
    """
    t = np.stack([region.t for region in regions])
    distance = np.stack([region.distance for region in regions])
    free = np.ones(t.shape, dtype=bool)
    while True:
        chosen = [
            region.ranked[mine[region.ranked]][: region.n_voxels]
            for region, mine in zip(regions, free, strict=True)
        ]
        claims = np.zeros(t.shape, dtype=bool)
        for row, positions in zip(claims, chosen, strict=True):
            row[positions] = True
        contested = np.flatnonzero(claims.sum(axis=0) > 1)
        if not contested.size:
            return chosen
        strength = np.where(claims[:, contested], t[:, contested], -np.inf)
        strongest = strength == strength.max(axis=0)
        winner = np.where(strongest, distance[:, contested], np.inf).argmin(axis=0)
        losers = claims[:, contested]
        losers[winner, np.arange(contested.size)] = False
        free[:, contested] &= ~losers


def _found(
    name: str,
    peaks: tuple[Peak, ...],
    region: _Candidates,
    positions: Ints,
    voxels: _Voxels,
    priors: Sequence[RegionPrior],
    spec: FunctionalRegions,
) -> FoundRegion:
    mask = np.zeros(voxels.shape, dtype=bool)
    mask.flat[voxels.index[positions]] = True
    sides = [peaks[i].hemisphere for i in region.nearest[positions]]
    own = [prior for prior in priors if prior.name == name]
    counts = {prior.hemisphere: sides.count(prior.hemisphere) for prior in own}
    coverage = {prior.hemisphere: _coverage(prior, region, voxels) for prior in own}
    flags = [*_peak_flags(peaks, own, spec), *_coverage_flags(coverage, spec.min_coverage)]
    if peaks and region.n_near < region.n_voxels:
        flags.append(
            f"spheres of {spec.sphere_of(name):g} mm hold {region.n_near} voxels, "
            f"fewer than the {region.n_voxels} asked for"
        )
    if len(positions) < region.n_voxels:
        flags.append(f"{len(positions)} of {region.n_voxels} voxels")
    return FoundRegion(name, mask, peaks, counts, region.n_voxels, coverage, tuple(flags))


def _coverage(prior: RegionPrior, region: _Candidates, voxels: _Voxels) -> float:
    """Return the part of a search sphere's voxels, of all there are, that was measured."""
    near = voxels.distances([prior.centre_mm])[0] <= prior.radius_mm + _ROUNDING_MM
    there = voxels.within(prior.centre_mm, prior.radius_mm)
    return float((near & np.isfinite(region.t)).sum() / there) if there else 0.0


def _peak_flags(
    peaks: Sequence[Peak], priors: Sequence[RegionPrior], spec: FunctionalRegions
) -> list[str]:
    """Say in plain words which peaks are weak or absent."""
    with_peak = {peak.hemisphere for peak in peaks}
    absent = [
        f"{_SIDES[prior.hemisphere]} hemisphere: no brain voxel within "
        f"{prior.radius_mm:g} mm of the search centre"
        for prior in priors
        if prior.hemisphere not in with_peak
    ]
    weak = [
        f"{_SIDES[peak.hemisphere]} hemisphere: the peak has z {peak.z:.2f}, "
        f"under {spec.min_peak_z:g}"
        for peak in peaks
        if peak.z < spec.min_peak_z
    ]
    return absent + weak


def _coverage_flags(coverage: Mapping[Hemisphere, float], least: float) -> list[str]:
    return [
        f"{_SIDES[side]} hemisphere: the localizer measured {share:.0%} of the search sphere, "
        f"under {least:.0%}"
        for side, share in coverage.items()
        if 0 < share < least  # nothing at all is said of the peak already
    ]


def _point(mm: Floats) -> MillimetrePoint:
    x, y, z = (float(value) for value in mm)
    return x, y, z
