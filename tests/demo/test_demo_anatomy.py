"""Where the demo plants its regions."""

import itertools

import nibabel
import numpy as np
import pytest

from bidsapp.demo import anatomy


@pytest.fixture(scope="module", params=[0, 1, 2])
def person(request):
    return anatomy.draw_anatomy(np.random.default_rng(request.param))


def test_peaks_lie_off_their_search_centres_and_apart(person):
    peaks = []
    for region, (_, centres, radius) in anatomy.SEARCH.items():
        for side, centre in centres.items():
            place = person.warp.to_template(person.peaks[region][side][None])[0]
            low, high = anatomy.PEAK_OFFSET_MM
            assert low - 0.01 <= np.linalg.norm(place - centre) <= high + 0.01
            carried = person.warp.to_native(np.array([centre], dtype=float))[0]
            assert np.linalg.norm(person.peaks[region][side] - carried) < radius - 2
            peaks.append(place)
    apart = [np.linalg.norm(one - other) for one, other in itertools.combinations(peaks, 2)]
    assert min(apart) >= anatomy.APART_MM


@pytest.mark.parametrize("grid", ["first", "second", "localizer"])
def test_regions_are_large_enough_and_disjoint(person, grid):
    planted = anatomy.planted_voxels(person, person.grids[grid])
    assert set(planted) == {*anatomy.SEARCH, *anatomy.ATLAS_REGIONS}
    assert min(len(voxels) for voxels in planted.values()) >= 80
    together = np.concatenate(list(planted.values()))
    assert len(np.unique(together)) == len(together)


def test_grids_differ_by_no_whole_voxels(person):
    first, second, localizer = (person.grids[k] for k in ("first", "second", "localizer"))
    for one, other in itertools.combinations((first, second, localizer), 2):
        voxels = (one.affine[:3, 3] - other.affine[:3, 3]) / anatomy.VOXEL_MM
        assert np.abs(voxels - voxels.round()).min() > 0.1


def test_atlas_has_all_files_with_probabilities_in_percent(tmp_path):
    anatomy.write_atlas(tmp_path)
    files = sorted((tmp_path / "subj_vol_all").iterdir())
    assert len(files) == 50
    image = nibabel.load(tmp_path / "subj_vol_all" / "perc_VTPM_vol_roi1_lh.nii.gz")
    assert image.affine[0, 0] == -2
    left = anatomy.atlas_probabilities()["L"]
    assert np.array_equal(image.get_fdata(dtype=np.float32), left[0])
    assert 50 < left.sum(axis=0).max() <= 100
    x = anatomy.Grid(anatomy.ATLAS_SHAPE, anatomy.ATLAS_AFFINE).points()[:, 0]
    assert not left.reshape(25, -1)[:, x >= 0].any()
