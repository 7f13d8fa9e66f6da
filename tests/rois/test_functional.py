"""Planted peaks are found, and voxels are parted by the rules of place and contest."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st

from bidsapp.analysis.spec import FunctionalRegion, FunctionalRegions, SearchSphere
from bidsapp.rois.functional import (
    Peak,
    RegionPrior,
    carry_regions,
    find_peaks,
    find_regions,
    native_priors,
    regions_round_peaks,
)

SHAPE = (40, 30, 20)
AFFINE = np.array(
    [[-3.0, 0.1, 0.0, 58.0], [0.1, 3.0, 0.2, -44.0], [0.0, -0.2, 3.3, -30.0], [0.0, 0.0, 0.0, 1.0]]
)
BRAIN = np.zeros(SHAPE, dtype=bool)
BRAIN[2:-2, 2:-2, 1:-1] = True


def prior(name: str, contrast: str, side, centre, radius: float = 12.0) -> RegionPrior:
    return RegionPrior(name, contrast, side, tuple(map(float, centre)), radius)


def millimetres(shape=SHAPE, affine=AFFINE) -> np.ndarray:
    return np.moveaxis(np.indices(shape), 0, -1) @ affine[:3, :3].T + affine[:3, 3]


def bump(centre, height: float, width_mm: float = 5.0, shape=SHAPE, affine=AFFINE) -> np.ndarray:
    distance = np.linalg.norm(millimetres(shape, affine) - np.asarray(centre), axis=-1)
    return height * np.exp(-(distance**2) / (2 * width_mm**2))


def voxel_mm(i: int, j: int, k: int) -> np.ndarray:
    return AFFINE[:3, :3] @ (i, j, k) + AFFINE[:3, 3]


FFA = [prior("FFA", "face", "L", (-30, -10, -5)), prior("FFA", "face", "R", (30, -10, -5))]
FBA = [prior("FBA", "body", "L", (-30, -5, -3)), prior("FBA", "body", "R", (30, -5, -3))]


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=SHAPE)


@pytest.mark.parametrize("seed", range(5))
def test_planted_peaks_in_noise_are_found(seed):
    planted = {"L": voxel_mm(30, 12, 7), "R": voxel_mm(9, 12, 8)}
    t = noise(seed) + bump(planted["L"], 12) + bump(planted["R"], 10)
    far = voxel_mm(20, 26, 15)
    t += bump(far, 40)  # a stronger response that is not where the region is looked for
    priors = [prior("FFA", "face", side, mm + np.array([4, -5, 3])) for side, mm in planted.items()]
    (found,) = find_regions({"face": t}, {"face": t}, BRAIN, AFFINE, priors, FunctionalRegions())
    for peak in found.peaks:
        assert np.linalg.norm(np.subtract(peak.mm, planted[peak.hemisphere])) <= 4
    assert found.mask.sum() == 80
    assert found.flags == ()
    assert sum(found.n_voxels.values()) == 80
    right = millimetres()[found.mask][:, 0] > 0
    assert found.n_voxels == {"L": int((~right).sum()), "R": int(right.sum())}
    # The planted responses, not the noise, were chosen.
    signal = bump(planted["L"], 12) + bump(planted["R"], 10)
    assert signal[found.mask].mean() > 3 * signal[BRAIN & ~found.mask].max() / 4
    assert np.median(signal[found.mask]) > np.sort(signal[BRAIN])[-150]


def test_the_region_is_the_highest_voxels_of_both_spheres():
    """Against loops over voxels, on the anisotropic grid."""
    t = noise(3)
    spec = FunctionalRegions(voxels=50, sphere_mm=8)
    (found,) = find_regions({"face": t}, {"face": t}, BRAIN, AFFINE, FFA, spec)
    inside = []
    for voxel in itertools.product(*map(range, SHAPE)):
        mm = voxel_mm(*voxel)
        near = any(np.linalg.norm(mm - peak.mm) <= 8 for peak in found.peaks)
        if BRAIN[voxel] and near:
            inside.append((t[voxel], voxel))
    expected = {voxel for _, voxel in sorted(inside, reverse=True)[:50]}
    assert {tuple(map(int, v)) for v in np.argwhere(found.mask)} == expected


def test_the_radius_is_in_millimetres_and_includes_its_edge():
    affine = np.diag([2.0, 3.0, 4.5, 1.0])
    t = np.zeros((21, 21, 21))
    t[10, 10, 10] = 5
    centre = (20.0, 30.0, 45.0)
    spec = FunctionalRegions(voxels=10**6)
    (found,) = find_regions(
        {"face": t}, {"face": t}, np.ones(t.shape, bool), affine,
        [prior("FFA", "face", "R", centre, 3.0)], spec,
    )  # fmt: skip
    extent = [np.ptp(axis) for axis in np.nonzero(found.mask)]
    assert extent == [8, 6, 4]  # 9 mm either way: 4 voxels of 2 mm, 3 of 3 mm, 2 of 4.5 mm


def test_regions_of_one_contrast_are_parted_by_place():
    ofa, ffa = (0.0, -30.0, -5.0), (0.0, -6.0, -5.0)
    priors = [prior("OFA", "face", "R", ofa, 15.0), prior("FFA", "face", "R", ffa, 15.0)]
    # The stronger FFA response lies within OFA's radius too, yet must not become OFA's peak.
    t = bump((0, -17, -5), 20, 4) + bump((0, -28, -5), 8, 4)
    found = {
        r.name: r
        for r in find_regions({"face": t}, {"face": t}, BRAIN, AFFINE, priors, FunctionalRegions())
    }
    mm = millimetres()
    nearer_ofa = np.linalg.norm(mm - ofa, axis=-1) < np.linalg.norm(mm - ffa, axis=-1)
    assert found["OFA"].peaks[0].mm[1] < -18 < found["FFA"].peaks[0].mm[1]
    assert nearer_ofa[found["OFA"].mask].all()
    assert not nearer_ofa[found["FFA"].mask].any()


def test_a_contested_voxel_goes_to_the_higher_t_and_the_loser_refills():
    face, body = bump((30, -10, -5), 9), bump((30, -5, -3), 11)
    spec = FunctionalRegions()
    maps = {"face": face, "body": body}
    priors = [FFA[1], FBA[1]]
    ffa, fba = find_regions(maps, maps, BRAIN, AFFINE, priors, spec)
    free = spec.model_copy(update={"allow_overlap": True})
    ffa_free, fba_free = find_regions(maps, maps, BRAIN, AFFINE, priors, free)
    contested = ffa_free.mask & fba_free.mask
    assert contested.sum() > 10
    assert not (ffa.mask & fba.mask).any()
    np.testing.assert_array_equal(ffa.mask & contested, contested & (face > body) & ffa.mask)
    assert (fba.mask[contested & (body > face)]).all()
    assert (ffa.mask & ~ffa_free.mask).any()  # refilled
    assert ffa_free.mask.sum() == fba_free.mask.sum() == 80


def test_ties_go_to_the_nearer_peak():
    flat = {"face": np.ones(SHAPE), "body": np.ones(SHAPE)}
    peaks = [
        Peak("FFA", "R", (30, -10, -5), tuple(voxel_mm(10, 12, 8)), 1.0, 4.0),
        Peak("FBA", "R", (30, -5, -3), tuple(voxel_mm(10, 14, 8)), 1.0, 4.0),
    ]
    ffa, fba = regions_round_peaks(
        peaks, flat, BRAIN, AFFINE, [FFA[1], FBA[1]], FunctionalRegions()
    )
    to_ffa = np.linalg.norm(millimetres() - peaks[0].mm, axis=-1)
    to_fba = np.linalg.norm(millimetres() - peaks[1].mm, axis=-1)
    for mask, own, other in ((ffa.mask, to_ffa, to_fba), (fba.mask, to_fba, to_ffa)):
        lost = mask & (own > other + 1e-6)
        # A voxel nearer to the other peak is only taken where the other had no room for it.
        assert not (lost & (other < own[mask].min())).any()
    assert not (ffa.mask & fba.mask).any()
    assert ffa.mask[10, 12, 8]
    assert fba.mask[10, 14, 8]


names = ("A", "B", "C", "D")


@st.composite
def crowded_regions(draw):
    """Up to four regions on top of each other, of two contrasts, in small integer t (many ties)."""
    seed = draw(st.integers(0, 10**6))
    rng = np.random.default_rng(seed)
    coarse = draw(st.booleans())
    maps = {
        name: rng.integers(0, 4, (12, 12, 12)).astype(float)
        if coarse
        else rng.normal(size=(12, 12, 12))
        for name in ("face", "body", "scene")
    }
    mask = rng.random((12, 12, 12)) < draw(st.sampled_from([0.05, 0.6, 1.0]))
    priors = [
        prior(name, draw(st.sampled_from(sorted(maps))), side, rng.uniform(8, 26, 3), 10.0)
        for name in names[: draw(st.integers(1, 4))]
        for side in ("L", "R")
    ]
    contrast = {p.name: p.contrast for p in priors}
    priors = [prior(p.name, contrast[p.name], p.hemisphere, p.centre_mm, 10.0) for p in priors]
    return maps, mask, priors, FunctionalRegions(voxels=draw(st.integers(3, 90)))


SMALL = np.diag([3.0, 2.5, 3.3, 1.0])


@settings(max_examples=60)
@given(crowded_regions())
def test_laws_of_the_contest(crowd):
    maps, mask, priors, spec = crowd
    found = find_regions(maps, maps, mask, SMALL, priors, spec)
    mm = millimetres((12, 12, 12), SMALL)
    total = np.sum([region.mask for region in found], axis=0)
    assert total.max(initial=0) <= 1
    contrast = {p.name: p.contrast for p in priors}
    for region in found:
        assert region.mask.sum() == sum(region.n_voxels.values()) <= spec.voxels
        assert not (region.mask & ~mask).any()
        assert all(
            min(np.linalg.norm(v - p.mm) for p in region.peaks) <= 9 + 1e-3 for v in mm[region.mask]
        )
        assert (region.mask.sum() < spec.voxels) == any("voxels" in flag for flag in region.flags)
    # Stability: a free voxel of its spheres that a region would rather have does not exist.
    for region in found:
        t = maps[contrast[region.name]]
        if not region.mask.any():
            continue
        weakest = t[region.mask].min()
        rivals = [p for p in priors if p.contrast == contrast[region.name]]
        centres = np.array([p.centre_mm for p in rivals])
        owner = np.linalg.norm(mm[..., np.newaxis, :] - centres, axis=-1).argmin(axis=-1)
        own_cell = np.array([p.name == region.name for p in rivals])[owner]
        near = np.min([np.linalg.norm(mm - p.mm, axis=-1) for p in region.peaks], axis=0) <= 9
        wanted = mask & near & own_cell & ~region.mask & (t > weakest)
        for other in found:
            taken = wanted & other.mask
            assert (maps[contrast[other.name]][taken] >= t[taken]).all()
            wanted &= ~other.mask
        assert not wanted.any()


@settings(max_examples=20)
@given(crowded_regions(), st.randoms(use_true_random=False))
def test_the_order_of_the_regions_does_not_matter(crowd, random):
    maps, mask, priors, spec = crowd
    rng = np.random.default_rng(0)
    maps = {name: t + 1e-6 * rng.normal(size=t.shape) for name, t in maps.items()}
    shuffled = random.sample(priors, len(priors))
    one = {r.name: r.mask for r in find_regions(maps, maps, mask, SMALL, priors, spec)}
    two = {r.name: r.mask for r in find_regions(maps, maps, mask, SMALL, shuffled, spec)}
    for name, region in one.items():
        np.testing.assert_array_equal(region, two[name])


def test_weak_small_and_absent_regions_are_flagged():
    t = 0.1 * noise(1)
    outside = prior("TOS", "face", "L", (-500, 0, 0))
    corner = prior("RSC", "face", "R", voxel_mm(2, 2, 1), 4.0)
    t += bump(corner.centre_mm, 9)
    maps = {"face": t, "body": 0.1 * noise(2)}
    found = {
        r.name: r
        for r in find_regions(
            maps, maps, BRAIN, AFFINE, [*FBA, outside, corner], FunctionalRegions()
        )
    }
    assert found["FBA"].mask.sum() == 80
    assert any(flag.endswith("under 3.1") for flag in found["FBA"].flags)
    assert found["TOS"].mask.sum() == 0
    assert found["TOS"].flags == (
        "left hemisphere: no brain voxel within 12 mm of the search centre",
        "0 of 80 voxels",
    )
    n = found["RSC"].mask.sum()
    assert found["RSC"].flags == (
        f"right hemisphere: the localizer measured {found['RSC'].coverage['R']:.0%} of the search "
        "sphere, under 75%",
        f"spheres of 9 mm hold {n} voxels, fewer than the 80 asked for",
        f"{n} of 80 voxels",
    )
    assert 0.2 < found["RSC"].coverage["R"] < 0.75
    assert found["TOS"].coverage == {"L": 0}


def test_voxels_without_a_t_are_never_chosen():
    t = bump((30, -10, -5), 9)
    t[10:12] = np.nan
    (found,) = find_regions({"face": t}, {"face": t}, BRAIN, AFFINE, FFA, FunctionalRegions())
    assert np.isfinite(t[found.mask]).all()


def test_peaks_tie_to_the_nearer_centre():
    t = np.zeros(SHAPE)
    t[9, 11, 8] = t[12, 14, 8] = 5
    centre = voxel_mm(10, 11, 8)
    (peak,) = find_peaks(
        {"face": t}, {"face": t}, BRAIN, AFFINE, [prior("FFA", "face", "R", centre, 15)]
    )
    np.testing.assert_allclose(peak.mm, voxel_mm(9, 11, 8))


def test_the_movie_grid_keeps_the_spheres_in_millimetres():
    planted = {"L": voxel_mm(30, 12, 7), "R": voxel_mm(9, 12, 8)}
    t = 0.3 * noise(4) + bump(planted["L"], 12) + bump(planted["R"], 10)
    priors = [prior("FFA", "face", side, mm) for side, mm in planted.items()]
    found = find_regions({"face": t}, {"face": t}, BRAIN, AFFINE, priors, FunctionalRegions())
    movie = np.diag([2.5, 2.5, 2.5, 1.0])
    movie[:3, 3] = [-57.0, -40.0, -28.0]
    movie_brain = np.ones((46, 33, 22), dtype=bool)
    (carried,) = carry_regions(
        found, {"face": t}, AFFINE, movie_brain, movie, priors, FunctionalRegions()
    )
    assert carried.mask.shape == movie_brain.shape
    assert carried.mask.sum() == 80
    assert carried.peaks == found[0].peaks
    mm = millimetres(movie_brain.shape, movie)[carried.mask]
    nearest = np.min([np.linalg.norm(mm - p.mm, axis=1) for p in carried.peaks], axis=0)
    assert nearest.max() <= 9
    signal = sum(
        bump(planted[s], h, shape=movie_brain.shape, affine=movie)
        for s, h in (("L", 12), ("R", 10))
    )
    assert np.median(signal[carried.mask]) > np.sort(signal.ravel())[-150]


def test_the_same_grid_gives_the_same_voxels():
    maps = {"face": noise(5) + bump((30, -10, -5), 9), "body": noise(6) + bump((30, -5, -3), 9)}
    priors = [*FFA, *FBA]
    found = find_regions(maps, maps, BRAIN, AFFINE, priors, FunctionalRegions())
    again = carry_regions(found, maps, AFFINE, BRAIN, AFFINE, priors, FunctionalRegions())
    for one, two in zip(found, again, strict=True):
        np.testing.assert_array_equal(one.mask, two.mask)
        assert one.peaks == two.peaks


def test_beyond_the_localizers_view_there_is_no_region():
    t = bump((30, -10, -5), 9)
    (found,) = find_regions({"face": t}, {"face": t}, BRAIN, AFFINE, FFA, FunctionalRegions())
    away = AFFINE.copy()
    away[:3, 3] += 300
    peaks_there = [
        Peak(p.region, p.hemisphere, p.centre_mm, tuple(np.add(p.mm, 300)), p.t, p.z)
        for p in found.peaks
    ]
    carried = carry_regions(
        [replace(found, peaks=tuple(peaks_there))],
        {"face": t}, AFFINE, BRAIN, away, FFA, FunctionalRegions(),
    )  # fmt: skip
    assert carried[0].mask.sum() == 0
    assert carried[0].flags[-1] == "0 of 80 voxels"


def test_priors_are_carried_as_points():
    spec = FunctionalRegions(
        regions=(
            FunctionalRegion(
                name="FFA",
                contrast="face",
                search={
                    "L": SearchSphere(centre_mm=(-40, -52, -20), radius_mm=15),
                    "R": SearchSphere(centre_mm=(42, -52, -21), radius_mm=12),
                },
            ),
        )
    )
    shift = SimpleITK.TranslationTransform(3, [1.0, 2.0, 3.0])  # LPS
    left, right = native_priors(spec, shift)
    assert left == prior("FFA", "face", "L", (-41, -54, -17), 15.0)
    assert right == prior("FFA", "face", "R", (41, -54, -18), 12.0)


BOTH = {
    "L": SearchSphere(centre_mm=(-30, -10, -5), radius_mm=12),
    "R": SearchSphere(centre_mm=(30, -10, -5), radius_mm=12),
}


def found_by(spec: FunctionalRegions, t: np.ndarray, hemispheres="joined"):
    parted = spec.parted(hemispheres)
    priors = native_priors(parted, SimpleITK.Transform(3, SimpleITK.sitkIdentity))
    return {
        region.name: region
        for region in find_regions({"face": t}, {"face": t}, BRAIN, AFFINE, priors, parted)
    }


def test_separate_hemispheres_have_their_voxels_each():
    """The count holds for each hemisphere, also where the other's response is far stronger."""
    t = noise(4) + bump((-31, -11, -5), 20) + bump((29, -9, -5), 6)
    region = FunctionalRegion(name="FFA", contrast="face", search=BOTH)
    spec = FunctionalRegions(voxels=40, regions=(region,))
    both = found_by(spec, t)["FFA"]
    assert both.mask.sum() == 40
    assert both.n_voxels["L"] > 30
    sides = found_by(spec, t, "separate")
    assert set(sides) == {"FFA_L", "FFA_R"}
    for side, sign in (("L", -1), ("R", 1)):
        part = sides[f"FFA_{side}"]
        assert part.n_voxels == {side: 40}
        assert (millimetres()[part.mask][:, 0] * sign > 0).all()
        # The highest of its own sphere, against a plain sort.
        near = np.linalg.norm(millimetres() - part.peaks[0].mm, axis=-1) <= 9 + 1e-4
        lowest = np.sort(t[near & BRAIN])[-40]
        np.testing.assert_array_equal(part.mask, near & BRAIN & (t >= lowest))


def test_spheres_that_meet_at_the_midline_share_no_voxel():
    search = {
        "L": SearchSphere(centre_mm=(-3, -10, -5), radius_mm=6),
        "R": SearchSphere(centre_mm=(3, -10, -5), radius_mm=6),
    }
    region = FunctionalRegion(name="RSC", contrast="face", search=search)
    sides = found_by(FunctionalRegions(regions=(region,)), noise(8), "separate")
    assert not (sides["RSC_L"].mask & sides["RSC_R"].mask).any()
    assert sides["RSC_L"].mask.any()


def test_a_region_may_have_a_size_of_its_own():
    t = noise(5) + bump((-31, -11, -5), 9) + bump((29, -9, -5), 9)
    small = FunctionalRegion(name="FFA", contrast="face", search=BOTH, voxels=20, sphere_mm=6)
    greedy = FunctionalRegion(name="FFA", contrast="face", search=BOTH, voxels=500)
    found = found_by(FunctionalRegions(regions=(small,)), t)["FFA"]
    assert (found.wanted, found.mask.sum(), found.flags) == (20, 20, ())
    apart = [np.linalg.norm(millimetres()[found.mask] - peak.mm, axis=-1) for peak in found.peaks]
    assert np.min(apart, axis=0).max() <= 6 + 1e-4
    found = found_by(FunctionalRegions(regions=(greedy,)), t)["FFA"]
    n = found.mask.sum()
    assert f"spheres of 9 mm hold {n} voxels, fewer than the 500 asked for" in found.flags
    assert found.wanted == 500 > n


def test_coverage_counts_the_sphere_beyond_the_image():
    """Half of a sphere round a corner of the image's last plane lies outside."""
    here = voxel_mm(20, 0, 10)
    priors = [prior("OFA", "face", "L", here, 12.0)]
    everywhere = np.ones(SHAPE, bool)
    t = noise(2)
    (found,) = find_regions(
        {"face": t}, {"face": t}, everywhere, AFFINE, priors, FunctionalRegions()
    )
    count = sum(
        np.linalg.norm(AFFINE[:3, :3] @ step) <= 12
        for step in itertools.product(range(-5, 6), repeat=3)
    )
    inside = (np.linalg.norm(millimetres() - here, axis=-1) <= 12).sum()
    assert found.coverage["L"] == pytest.approx(inside / count)
    assert 0.5 < found.coverage["L"] < 0.65
    t[:, :3] = np.nan  # not measured either
    (found,) = find_regions(
        {"face": t}, {"face": t}, everywhere, AFFINE, priors, FunctionalRegions()
    )
    assert found.coverage["L"] < 0.35
    assert any("of the search sphere, under 75%" in flag for flag in found.flags)
