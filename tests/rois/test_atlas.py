"""Maximum probability against the published map, and against loops."""

from itertools import product

import nibabel as nib
import numpy as np
import pytest
import SimpleITK

from bidsapp.errors import InputError, UsageError
from bidsapp.rois.atlas import atlas_regions, carry_atlas, maximum_probability, read_atlas
from bidsapp.rois.boxes import Box
from bidsapp.rois.landing import atlas_points
from bidsapp.rois.transforms import carry_image
from bidsapp.tables.regions import RunCounts, whole_rows

LABELS = tuple(
    "V1v V1d V2v V2d V3v V3d hV4 VO1 VO2 PHC1 PHC2 MST hMT LO2 LO1 V3b V3a "
    "IPS0 IPS1 IPS2 IPS3 IPS4 IPS5 SPL1 FEF".split()
)
KEEP = LABELS[:11]
IDENTITY = SimpleITK.Transform(3, SimpleITK.sitkIdentity)


def by_loops(p: np.ndarray) -> np.ndarray:
    """The rule in words, voxel by voxel."""
    labels = np.zeros(p.shape[1:], dtype=int)
    for voxel in product(*map(range, p.shape[1:])):
        here = p[(slice(None), *voxel)]
        if 1 - here.sum() >= here.sum():
            continue
        best = np.flatnonzero(here == here.max())
        if len(best) > 1:
            mean = np.zeros(len(p))
            for step in product((-1, 0, 1), repeat=3):
                other = np.add(voxel, step)
                inside = ((other >= 0) & (other < p.shape[1:])).all()
                if inside and any(step):
                    mean += p[(slice(None), *other)] / 26
            best = best[np.isclose(mean[best], mean[best].max(), atol=1e-9)]
        labels[voxel] = best[0] + 1
    return labels


@pytest.mark.parametrize("seed", range(4))
def test_maximum_probability_against_loops(seed):
    # Tenths over four areas: many ties, and sums of exactly one half.
    p = np.random.default_rng(seed).integers(0, 5, (4, 6, 5, 7)) / 10
    expected = by_loops(p)
    assert (expected == 0).any()
    np.testing.assert_array_equal(maximum_probability(p), expected)
    np.testing.assert_array_equal(maximum_probability(p.astype(np.float32)), expected)
    lowest = maximum_probability(p, ties="lowest")
    np.testing.assert_array_equal(lowest, np.where(expected > 0, p.argmax(axis=0) + 1, 0))
    assert (lowest != expected).any()


def test_hemispheres_that_meet_and_areas_left_out():
    left, right = np.zeros((2, 3, 4, 1, 1))
    left[:, :, 0, 0] = [[0.6, 0.7, 0.1, 0.2], [0.1, 0.0, 0.2, 0.7], [0.0, 0.1, 0.0, 0.0]]
    right[:, :, 0, 0] = [[0.1, 0.1, 0.2, 0.1], [0.7, 0.1, 0.2, 0.0], [0.0, 0.6, 0.1, 0.1]]
    found = atlas_regions({"L": left, "R": right}, ("a", "b", "c"), ("b", "c", "a"))
    # Voxel 0: right b .7 beats left a .6; 1: left a .7 beats right c .6; 3: left b alone.
    assert found.dseg.ravel().tolist() == [1, 3, 0, 1]
    assert found.n_voxels == {"b": {"L": 1, "R": 1}, "c": {"L": 0, "R": 0}, "a": {"L": 1, "R": 0}}
    assert found.empty == ("c",)
    assert found.mask("b").ravel().tolist() == [True, False, False, True]
    only_a = atlas_regions({"L": left, "R": right}, ("a", "b", "c"), ("a",))
    assert only_a.dseg.ravel().tolist() == [0, 1, 0, 0]  # left out areas keep their ground
    with pytest.raises(UsageError, match="no area 'V9'; the atlas has a, b, c"):
        atlas_regions({"L": left, "R": right}, ("a", "b", "c"), ("V9",))


def write_atlas(folder, volumes: dict, affine: np.ndarray) -> dict:
    files = {}
    for (side, area), data in volumes.items():
        files[side, area] = folder / f"perc_VTPM_vol_roi{area}_{side.lower()}h.nii.gz"
        nib.save(nib.Nifti1Image(data.astype(np.uint8), affine), files[side, area])
    return files


@pytest.fixture
def small_atlas(tmp_path):
    rng = np.random.default_rng(2)
    affine = np.array([[-2.0, 0, 0, 30], [0, 2.0, 0, -40], [0, 0, 2.0, -20], [0, 0, 0, 1]])
    volumes = {}
    for side, area in product("LR", (1, 2, 3)):
        data = np.zeros((30, 32, 28))
        low = rng.integers(0, 14, 3)
        part = tuple(slice(a, a + 12) for a in low)
        data[part] = rng.integers(1, 40, (12, 12, 12))
        volumes[side, area] = data
    return write_atlas(tmp_path, volumes, affine), volumes, affine


def test_cropping_and_stacking_change_nothing(small_atlas):
    files, volumes, affine = small_atlas
    turn = SimpleITK.Euler3DTransform((0, 0, 0), 0.2, -0.1, 0.15, (3.0, -2.0, 4.0))
    target = np.array([[3.0, 0.1, 0, -35], [0, 3.0, -0.2, -30], [0, 0.1, 3.3, -20], [0, 0, 0, 1]])
    carried = carry_atlas(read_atlas(files), turn, (24, 22, 18), target)
    for (side, area), data in volumes.items():
        alone = carry_image(data / 100, affine, turn, (24, 22, 18), target)
        assert alone.max() > 0.1
        np.testing.assert_allclose(carried[side][area - 1], alone, atol=1e-6)


def test_volumes_may_be_series_of_one(small_atlas, tmp_path):
    files, volumes, affine = small_atlas
    plain, points = read_atlas(files), atlas_points(files, [1, 2])
    series = {key: data[..., None] for key, data in volumes.items()}
    files = write_atlas(tmp_path, series, affine)
    for side, probabilities in read_atlas(files).probabilities.items():
        np.testing.assert_array_equal(probabilities, plain.probabilities[side])
    np.testing.assert_array_equal(atlas_points(files, [1, 2]), points)


def test_broken_volumes_are_named(small_atlas, tmp_path):
    files, volumes, affine = small_atlas

    def carry():
        return carry_atlas(read_atlas(files), IDENTITY, (4, 4, 4), affine)

    def replace(data, its_affine=affine):
        nib.save(nib.Nifti1Image(data.astype(np.float32), its_affine), files["R", 2])

    replace(volumes["R", 2] * 3)
    with pytest.raises(InputError, match=r"roi2_rh\.nii\.gz must hold percentages from 0 to 100"):
        carry()
    replace(volumes["R", 2] * np.nan)
    with pytest.raises(InputError, match="must hold percentages"):
        carry()
    replace(volumes["R", 2], np.eye(4))
    with pytest.raises(InputError, match="lies on another grid"):
        carry()
    files["R", 2].write_bytes(files["R", 1].read_bytes()[:500])
    with pytest.raises(InputError, match=r"roi2_rh\.nii\.gz is cut off or broken"):
        carry()


def test_an_area_found_in_nobody_is_empty_and_fractions_are_refused(small_atlas):
    files, volumes, affine = small_atlas
    for side in "LR":
        nib.save(nib.Nifti1Image(0 * volumes[side, 2].astype(np.uint8), affine), files[side, 2])
    shape = volumes["L", 1].shape
    carried = carry_atlas(read_atlas(files), IDENTITY, shape, affine)
    assert not carried["L"][1].any()
    np.testing.assert_allclose(carried["R"][2], volumes["R", 3] / 100, atol=1e-6)
    assert atlas_regions(carried, ("a", "b", "c"), ("b",)).empty == ("b",)
    for side in "LR":
        for area in (1, 3):
            data = (volumes[side, area] / 100).astype(np.float32)
            nib.save(nib.Nifti1Image(data, affine), files[side, area])
    with pytest.raises(InputError, match="none is above 1"):
        carry_atlas(read_atlas(files), IDENTITY, shape, affine)


@pytest.fixture(scope="module")
def wang(shared_data):
    folder = shared_data / "wang2015-volume/subj_vol_all"
    files = {
        (side, area): folder / f"perc_VTPM_vol_roi{area}_{name}.nii.gz"
        for side, name in (("L", "lh"), ("R", "rh"))
        for area in range(1, 26)
    }
    published = {
        side: folder / f"maxprob_vol_{name}.nii.gz" for side, name in (("L", "lh"), ("R", "rh"))
    }
    return files, {side: nib.load(path) for side, path in published.items()}


@pytest.fixture(scope="module")
def wang_read(wang):
    return read_atlas(wang[0])


@pytest.fixture(scope="module")
def on_the_published_grid(wang, wang_read):
    """Probabilities and published labels in the box of the eleven areas, 1 mm."""
    published = wang[1]
    labels = {side: np.asarray(image.dataobj).astype(int) for side, image in published.items()}
    ours = np.isin(labels["L"], range(1, 12)) | np.isin(labels["R"], range(1, 12))
    low, high = np.argwhere(ours).min(axis=0), np.argwhere(ours).max(axis=0) + 1
    affine = published["L"].affine.copy()
    affine[:3, 3] += affine[:3, :3] @ low
    x, y, z = (int(n) for n in high - low)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    carried = carry_atlas(wang_read, IDENTITY, (x, y, z), affine)
    return carried, {side: label[box] for side, label in labels.items()}


def test_the_published_grid_is_untouched_by_resampling(wang, on_the_published_grid):
    files, published = wang
    carried, labels = on_the_published_grid
    assert published["L"].shape == (182, 218, 182)
    low = np.argwhere(
        np.isin(published["L"].dataobj, range(1, 12))
        | np.isin(published["R"].dataobj, range(1, 12))
    ).min(axis=0)
    part = tuple(slice(a, a + n) for a, n in zip(low, labels["L"].shape, strict=True))
    for side, area in (("L", 1), ("R", 7), ("L", 15)):
        percent = np.asarray(nib.load(files[side, area]).dataobj)[part]
        assert percent.any()
        np.testing.assert_allclose(carried[side][area - 1] * 100, percent, atol=1e-4)


def test_against_the_published_labels(on_the_published_grid):
    carried, published = on_the_published_grid
    found = atlas_regions(carried, LABELS, KEEP, ties="lowest")
    both = published["L"] + published["R"]  # they never meet
    eleven = (both >= 1) & (both <= 11)
    assert eleven.sum() == 40704
    assert (found.dseg[eleven] > 0).all()
    differ = found.dseg[eleven] != both[eleven]
    assert differ.mean() < 0.005
    assert differ.sum() == 69
    assert found.empty == ()
    for side in ("L", "R"):
        for label, name in enumerate(KEEP, start=1):
            assert found.n_voxels[name][side] >= (published[side] == label).sum() * 0.98


def test_ties_are_all_that_differs_from_the_published_labels(on_the_published_grid):
    carried, published = on_the_published_grid
    for side, p in carried.items():
        ours, theirs = maximum_probability(p), published[side]
        eleven = (theirs >= 1) & (theirs <= 11)
        assert (ours[eleven] > 0).all()
        leaders = (p > p.max(axis=0) - 1e-5).sum(axis=0)
        assert (ours == theirs)[eleven & (leaders == 1)].all()
        # In ties the published labels follow the neighbours no better than chance does.
        assert 0.01 < (ours != theirs)[eleven].mean() < 0.013


GRIDS = {
    # The posterior part of fMRIPrep's own grid, as if it were the atlas's template: L, R per area.
    "2009c, 2 mm": (
        [459, 391, 398, 328, 241, 263, 179, 60, 139, 125, 80],
        [415, 380, 372, 370, 279, 250, 179, 98, 120, 69, 118],
    ),
    "3 x 3 x 3.3 mm": (
        [121, 106, 112, 88, 65, 70, 44, 18, 34, 33, 18],
        [111, 105, 107, 99, 72, 70, 48, 25, 30, 18, 33],
    ),
}


@pytest.mark.parametrize("grid", GRIDS)
def test_on_other_grids_labels_differ_at_borders_only(wang, wang_read, shared_data, grid):
    published = wang[1]
    shape, affine = (60, 38, 30), np.diag([3.0, 3.0, 3.3, 1.0])
    affine[:3, 3] = [-88.5, -110.0, -45.0]
    if grid == "2009c, 2 mm":
        name = "tpl-MNI152NLin2009cAsym_res-02_desc-brain_mask.nii.gz"
        image = nib.load(shared_data / "templates" / name)
        shape, affine = (image.shape[0], 60, 60), image.affine
    carried = carry_atlas(wang_read, IDENTITY, shape, affine)
    found = atlas_regions(carried, LABELS, KEEP)
    every = atlas_regions(carried, LABELS, LABELS)

    # The published labels of the eight voxels round each voxel of this grid.
    labels = sum(np.asarray(image.dataobj).astype(int) for image in published.values())
    between = np.linalg.inv(published["L"].affine) @ affine
    where = np.moveaxis(np.indices(shape), 0, -1) @ between[:3, :3].T + between[:3, 3]
    low = np.clip(np.floor(where + 1e-6).astype(int), 0, np.array(labels.shape) - 2)
    round_it = np.stack([labels[tuple((low + step).T)].T for step in product((0, 1), repeat=3)])
    inside = ((round_it >= 1) & (round_it <= 11)).all(axis=0)
    alike = inside & (round_it == round_it[0]).all(axis=0)
    # Amid published labels of the eleven there is a label; amid equal ones it is that label.
    assert inside.sum() > alike.sum() > 300
    assert (every.dseg[inside] > 0).all()
    np.testing.assert_array_equal(found.dseg[alike], round_it[0][alike])
    for side, counts in zip("LR", GRIDS[grid], strict=True):
        ours = [found.n_voxels[name][side] for name in KEEP]
        np.testing.assert_allclose(ours, counts, atol=2)


THREE_MM = np.diag([3.0, 3.0, 3.3, 1.0])
THREE_MM[:3, 3] = [-88.5, -110.0, -45.0]
SMALL_AREAS = ("MST", "hMT", "IPS3", "IPS4", "IPS5", "SPL1", "FEF")


@pytest.fixture(scope="module")
def at_three_mm(wang_read):
    """Small areas on a 3 x 3 x 3.3 mm grid, hemispheres separate: in a box, and on an image."""
    extent = wang_read.extent_mm([LABELS.index(name) for name in SMALL_AREAS])
    box = Box.around(extent, THREE_MM, 9.0)
    in_box = carry_atlas(wang_read, IDENTITY, box.shape, box.affine)
    on_image = carry_atlas(wang_read, IDENTITY, (60, 36, 42), THREE_MM)
    return (
        box,
        atlas_regions(in_box, LABELS, SMALL_AREAS, "separate"),
        atlas_regions(on_image, LABELS, SMALL_AREAS, "separate"),
        atlas_regions(on_image, LABELS, SMALL_AREAS),
    )


def test_a_box_finds_what_the_image_finds_and_what_it_cuts_off(at_three_mm):
    box, found, on_image, _ = at_three_mm
    shape = on_image.dseg.shape
    np.testing.assert_array_equal(box.place(found.dseg, shape), on_image.dseg)
    outside = {name: found.mask(name).sum() - on_image.mask(name).sum() for name in found.regions}
    assert outside["FEF_L"] > 0  # the image ends 5 mm behind the origin
    assert outside["hMT_L"] == outside["hMT_R"] == 0


def test_small_areas_at_three_mm_may_be_empty(at_three_mm):
    """The published map at 1 mm has 3 voxels of MST on the left, 6 of IPS4 and none of IPS5."""
    _, found, _, joined = at_three_mm
    counts = {name: sum(sides.values()) for name, sides in found.n_voxels.items()}
    assert found.regions[:4] == ("MST_L", "MST_R", "hMT_L", "hMT_R")
    left = [counts[f"{name}_L"] for name in SMALL_AREAS]
    right = [counts[f"{name}_R"] for name in SMALL_AREAS]
    np.testing.assert_allclose(left, [0, 17, 11, 5, 2, 2, 13], atol=1)
    np.testing.assert_allclose(right, [1, 11, 43, 13, 7, 7, 6], atol=1)
    assert found.empty == ("MST_L",)
    for name in SMALL_AREAS:
        sides = joined.n_voxels[name]
        both = joined.mask(name)
        assert both.sum() == sum(sides.values())
    rows = whole_rows(
        "atlas",
        found.n_voxels,
        RunCounts(("1", "2"), [counts, counts], [counts, counts]),
        0.75,
    )
    flags = {row["roi"]: row["flags"] for row in rows}
    assert flags["MST_L"] == "no voxel in the left hemisphere; 0 voxels in a movie run: no RDM"
    assert flags["MST_R"] == f"{counts['MST_R']} voxels in a movie run: no RDM"
    assert flags["IPS5_L"] == f"{counts['IPS5_L']} voxels in a movie run: no RDM"
    assert flags["hMT_R"] == ""
    assert next(row for row in rows if row["roi"] == "MST_L")["coverage"] is None
    of_both = {name: sum(sides.values()) for name, sides in joined.n_voxels.items()}
    rows = whole_rows("atlas", joined.n_voxels, RunCounts(("1",), [of_both], [of_both]), 0.75)
    (left, _) = (row for row in rows if row["roi"] == "MST")
    assert "no voxel in the left hemisphere" in left["flags"]


def test_separate_hemispheres_are_the_halves_of_the_joined(at_three_mm):
    _, _, separate, joined = at_three_mm
    for name in SMALL_AREAS:
        left, right = separate.mask(f"{name}_L"), separate.mask(f"{name}_R")
        np.testing.assert_array_equal(left | right, joined.mask(name))
        assert not (left & right).any()
        assert {"L": left.sum(), "R": right.sum()} == joined.n_voxels[name]
