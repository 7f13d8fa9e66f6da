"""Right, exchanged, mixed and another participant's transforms, on made-up participants.

The participants differ by some degrees, millimetres and waves; real ones differ by more, as the
origins of their anatomical images lie centimetres apart.
"""

from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import pytest

from bidsapp.analysis.spec import FunctionalRegions
from bidsapp.demo import anatomy, warps
from bidsapp.rois.landing import (
    LEAST_OVERLAP,
    WORST_ROUND_TRIP_MM,
    Landing,
    atlas_points,
    land,
    search_points,
)
from bidsapp.rois.transforms import template_transforms

TEMPLATE, SPACE = warps.TEMPLATES[0], "T1w"
N = 8


@dataclass(frozen=True)
class Person:
    """A participant's files."""

    anatomy: anatomy.Anatomy
    transforms: dict[str, Path]
    bold_mask: Path
    brain_mask: Path


def save(path: Path, data: np.ndarray, grid: anatomy.Grid) -> Path:
    nibabel.save(nibabel.Nifti1Image(data.astype(np.uint8).reshape(grid.shape), grid.affine), path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("landing")


@pytest.fixture(scope="module")
def people(folder: Path) -> list[Person]:
    made = []
    for seed in range(N):
        drawn = anatomy.draw_anatomy(np.random.default_rng(seed))
        warps.write_transforms(folder, f"sub-{seed}", drawn.warp)
        files = {
            "->".join(ends): folder / f"sub-{seed}_from-{ends[0]}_to-{ends[1]}_mode-image_xfm.h5"
            for template in warps.TEMPLATES
            for ends in ((SPACE, template), (template, SPACE))
        }
        scan, whole = drawn.grids["first"], anatomy.anatomical_grid(drawn)
        masks = [
            save(folder / f"{seed}_{name}.nii.gz", anatomy.in_brain(
                drawn.warp.to_template(grid.points())), grid)
            for name, grid in (("bold", scan), ("brain", whole))
        ]  # fmt: skip
        made.append(Person(drawn, files, *masks))
    return made


@pytest.fixture(scope="module")
def template_mask(folder: Path) -> Path:
    grid = anatomy.template_grid()
    return save(folder / "template_mask.nii.gz", anatomy.in_brain(grid.points()), grid)


@pytest.fixture(scope="module")
def points(folder: Path) -> np.ndarray:
    anatomy.write_atlas(folder)
    files = {
        (side, number): folder / f"subj_vol_all/perc_VTPM_vol_roi{number}_{side.lower()}h.nii.gz"
        for side in ("L", "R")
        for number in range(1, 26)
    }
    found = atlas_points(files, [1, 2, 3, 7])
    assert 200 < len(found) < 8 * 80
    assert np.mean(anatomy.atlas_areas(found[:40]) == 1) > 0.8
    return found


def landing(person: Person, files: dict[str, Path], points, template_mask: Path) -> Landing:
    transforms = template_transforms(files, TEMPLATE, SPACE)
    masks = (person.brain_mask, template_mask)
    return land(TEMPLATE, points, transforms, person.bold_mask, masks)


def exchanged(files: dict[str, Path]) -> dict[str, Path]:
    there, back = f"{SPACE}->{TEMPLATE}", f"{TEMPLATE}->{SPACE}"
    return files | {there: files[back], back: files[there]}


def test_right_transforms(people, points, template_mask):
    for person in people:
        right = landing(person, person.transforms, points, template_mask)
        assert list(right.faults()) == list(right.flags()) == []
        assert right.round_trip_mm < 0.02
        assert right.overlap > 0.99
        assert right.in_brain > 0.98
        assert right.in_view == 1


def test_exchanged_files_come_back_and_do_not_overlap(people, points, template_mask):
    for person in people:
        wrong = landing(person, exchanged(person.transforms), points, template_mask)
        assert wrong.round_trip_mm < 0.2  # a pair that is exchanged is a pair still
        assert wrong.overlap < LEAST_OVERLAP - 0.03
        assert any("exchanged" in fault for fault in wrong.faults())


def test_files_of_two_participants_do_not_come_back(people, points, template_mask):
    for i, person in enumerate(people):
        there = f"{SPACE}->{TEMPLATE}"
        mixed = person.transforms | {there: people[i - 1].transforms[there]}
        wrong = landing(person, mixed, points, template_mask)
        assert wrong.round_trip_mm > 3 * WORST_ROUND_TRIP_MM
        assert any("not of one participant" in fault for fault in wrong.faults())


def test_the_pair_of_another_participant(people, points, template_mask):
    """Nine in ten are refused, the rest is flagged; the closest lie 5 mm apart."""
    wrong = [
        landing(person, people[i - j].transforms, points, template_mask)
        for i, person in enumerate(people)
        for j in range(1, N)
    ]
    assert np.mean([bool(list(one.faults())) for one in wrong]) > 0.85
    assert all(list(one.faults()) or list(one.flags()) for one in wrong)


def test_without_masks_of_the_anatomy_only_gross_errors_are_seen(people, points):
    transforms = template_transforms(people[0].transforms, TEMPLATE, SPACE)
    right = land(TEMPLATE, points, transforms, people[0].bold_mask)
    assert right.overlap is None
    assert "overlap" not in str(right)
    far = land(TEMPLATE, points + np.array([0, 0, 400]), transforms, people[0].bold_mask)
    assert far.in_view == 0
    assert np.isnan(far.in_brain)
    assert any("no region" in fault for fault in far.faults())
    corners = np.array([[0.0, -60, 4], [60, -100, 25], [-60, -100, 25], [60, -100, -30]])
    beside = land(TEMPLATE, corners, transforms, people[0].bold_mask)
    assert beside.in_view == 1
    assert beside.in_brain == 0.25
    assert any("only 25% of the regions' points" in fault for fault in beside.faults())


def test_a_partial_field_of_view_is_flagged_and_no_fault(people, points, template_mask, folder):
    """As of a participant whose occipital pole is not in the images."""
    person = people[0]
    image = nibabel.load(person.bold_mask)
    cut = image.slicer[:, 10:, :]
    nibabel.save(cut, folder / "cut.nii.gz")
    partial = Person(person.anatomy, person.transforms, folder / "cut.nii.gz", person.brain_mask)
    found = landing(partial, partial.transforms, points, template_mask)
    assert found.in_view < 0.8
    assert list(found.faults()) == []
    assert any("outside of the field of view" in flag for flag in found.flags())


def test_another_template_as_the_space_of_the_output(people, points, folder):
    """The way from one template to the other leads through the participant's anatomy."""
    second = points * warps.SECOND_SCALE + warps.SECOND_SHIFT_MM
    transforms = template_transforms(people[0].transforms, TEMPLATE, warps.TEMPLATES[1])
    grid = anatomy.template_grid()
    first = warps.in_first_template(warps.TEMPLATES[1], grid.points())
    mask = save(folder / "second.nii.gz", anatomy.in_brain(first), grid)
    right = land(TEMPLATE, points, transforms, mask)
    assert list(right.faults()) == list(right.flags()) == []
    there = [
        transforms.to_template.TransformPoint((point * warps.LPS).tolist()) for point in points[:20]
    ]
    np.testing.assert_allclose(np.array(there) * warps.LPS, second[:20], atol=0.3)


def test_points_of_search_spheres():
    search = {"L": {"centre_mm": [-40, -50, -20], "radius_mm": 12}}
    region = {"name": "FFA", "contrast": "face", "search": search}
    found = search_points(FunctionalRegions.model_validate({"regions": [region]}))
    assert found.shape == (7, 3)
    np.testing.assert_allclose(found[0], [-40, -50, -20])
    assert set(np.linalg.norm(found - found[0], axis=1).round(6)) == {0.0, 6.0}
    assert search_points(FunctionalRegions()).shape == (0, 3)


def test_points_of_the_real_atlas(shared_data):
    folder = shared_data / "wang2015-volume" / "subj_vol_all"
    if not folder.is_dir():
        pytest.skip(f"no atlas at {folder}")
    files = {("L", n): next(folder.glob(f"perc_VTPM_vol_roi{n}_lh.nii*")) for n in (1, 13, 23)}
    found = atlas_points(files, [1, 13, 23])  # V1v, hMT and IPS5, which is absent on the left
    assert 20 < len(found) < 240
    assert (found[:, 0] < 5).all()
    assert (found[:, 1] < -40).all()
