"""Points and images carried through an asymmetric warp, and through real transform files."""

import numpy as np
import pytest
import SimpleITK

from bidsapp.errors import InputError
from bidsapp.rois.transforms import (
    carry_image,
    carry_points,
    read_transform,
    template_transforms,
)

NATIVE_SHAPE = (44, 40, 36)
# Oblique, anisotropic, left-handed: nothing that a mistaken axis would survive.
NATIVE_AFFINE = np.array(
    [
        [-2.0, 0.1, 0.2, 40.0],
        [0.1, 2.4, -0.3, -52.0],
        [0.15, 0.25, 2.9, -45.0],
        [0.0, 0.0, 0.0, 1.0],
    ]
)
POINTS = np.array([[-14.0, -21.0, 12.0], [9.0, 11.0, -16.0], [22.0, -8.0, 3.0], [-5.0, 2.0, 17.0]])


def smooth_warp(seed: int, largest_mm: float) -> SimpleITK.DisplacementFieldTransform:
    """A warp without any symmetry, on a 6 mm grid."""
    rng = np.random.default_rng(seed)
    field = rng.normal(size=(24, 24, 24, 3)) + np.array([0.4, -0.2, 0.3])
    for axis in range(3):
        for _ in range(12):
            field = (np.roll(field, 1, axis) + 2 * field + np.roll(field, -1, axis)) / 4
    field *= largest_mm / np.abs(field).max()
    image = SimpleITK.GetImageFromArray(field, isVector=True)
    image.SetSpacing([6.0] * 3)
    image.SetOrigin([-70.0] * 3)
    return SimpleITK.DisplacementFieldTransform(image)


def affine_step(matrix: np.ndarray, shift: list[float]) -> SimpleITK.AffineTransform:
    step = SimpleITK.AffineTransform(3)
    step.SetMatrix(matrix.ravel().tolist())
    step.SetTranslation(shift)
    return step


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A composite as ANTs writes it (affine and warp), its inverse, and their files."""
    folder = tmp_path_factory.mktemp("xfm")
    matrix = np.array([[1.06, 0.05, 0.0], [-0.04, 0.95, 0.07], [0.02, -0.06, 1.03]])
    linear, warp = affine_step(matrix, [6.0, -9.0, 4.0]), smooth_warp(1, 6.0)
    forward = SimpleITK.CompositeTransform([linear, warp])
    field = SimpleITK.TransformToDisplacementField(
        forward, SimpleITK.sitkVectorFloat64, [54, 54, 54], [-80.0] * 3, [3.0] * 3
    )
    inverse = SimpleITK.DisplacementFieldTransform(
        SimpleITK.InvertDisplacementField(field, 100, 0.001, 1e-5, False)
    )
    files = {
        "T1w->MNI152NLin6Asym": folder / "from-T1w_to-MNI152NLin6Asym_mode-image_xfm.h5",
        "MNI152NLin6Asym->T1w": folder / "from-MNI152NLin6Asym_to-T1w_mode-image_xfm.h5",
    }
    SimpleITK.WriteTransform(forward, str(files["T1w->MNI152NLin6Asym"]))
    SimpleITK.WriteTransform(inverse, str(files["MNI152NLin6Asym->T1w"]))
    return files


def blob(point_mm: np.ndarray, shape: tuple[int, int, int], affine: np.ndarray) -> np.ndarray:
    """A narrow Gaussian round a point, as an image."""
    mm = np.indices(shape).reshape(3, -1).T @ affine[:3, :3].T + affine[:3, 3]
    return np.exp(-((mm - point_mm) ** 2).sum(axis=1) / (2 * 3.0**2)).reshape(shape)


def centre_of_mass(image: np.ndarray, affine: np.ndarray) -> np.ndarray:
    weights = np.where(image > 0.3, image, 0).ravel()
    mm = np.indices(image.shape).reshape(3, -1).T @ affine[:3, :3].T + affine[:3, 3]
    return weights @ mm / weights.sum()


@pytest.mark.parametrize("point", POINTS)
def test_a_template_point_lands_where_the_template_image_does(pair, point):
    transforms = template_transforms(pair, "MNI152NLin6Asym", "T1w")
    template_affine = np.array([[-2.0, 0, 0, 60], [0, 2.0, 0, -60], [0, 0, 2.0, -56], [0, 0, 0, 1]])
    image = blob(point, (60, 60, 56), template_affine)
    moved = carry_image(image, template_affine, transforms.to_native, NATIVE_SHAPE, NATIVE_AFFINE)
    landed = centre_of_mass(moved, NATIVE_AFFINE)
    right = carry_points(transforms.to_template, point)[0]
    assert np.linalg.norm(landed - right) < 0.7

    reversed_direction = carry_points(transforms.to_native, point)[0]
    flip = np.array([-1.0, -1.0, 1.0])
    lps_for_ras = np.array(transforms.to_template.TransformPoint(point.tolist()))
    half_flipped = carry_points(transforms.to_template, point * flip)[0]
    assert np.linalg.norm(landed - reversed_direction) > 8
    assert np.linalg.norm(landed - lps_for_ras) > 8
    assert np.linalg.norm(landed - half_flipped) > 8
    assert np.linalg.norm(landed - point) > 4


def test_points_go_there_and_back(pair):
    transforms = template_transforms(pair, "MNI152NLin6Asym", "T1w")
    there = carry_points(transforms.to_template, POINTS)
    np.testing.assert_allclose(carry_points(transforms.to_native, there), POINTS, atol=0.05)


def test_a_shift_known_by_hand():
    # +5 mm along ITK's x (LPS) is -5 mm in RAS.
    shift = SimpleITK.TranslationTransform(3, [5.0, 3.0, 2.0])
    np.testing.assert_allclose(
        carry_points(shift, np.array([[1.0, 2.0, 3.0]])), [[-4.0, -1.0, 5.0]]
    )


def test_resampling_equals_interpolation_by_hand():
    rng = np.random.default_rng(0)
    data, affine = rng.normal(size=(7, 6, 5)), np.diag([2.0, 2.0, 2.0, 1.0])
    target = np.diag([2.0, 2.0, 2.0, 1.0])
    target[:3, 3] = [1.0, 0.0, 0.0]
    identity = SimpleITK.Transform(3, SimpleITK.sitkIdentity)
    moved = carry_image(data, affine, identity, (6, 6, 5), target)
    np.testing.assert_allclose(moved, (data[:-1] + data[1:]) / 2, atol=1e-6)
    nearest = carry_image(data, affine, identity, (7, 6, 5), affine, "nearest")
    np.testing.assert_array_equal(nearest, data.astype(np.float32))


def test_several_images_at_once_equal_each_alone(pair):
    data = np.random.default_rng(3).normal(size=(20, 20, 20, 3))
    transform = read_transform(pair["MNI152NLin6Asym->T1w"])
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    affine[:3, 3] = -30
    together = carry_image(data, affine, transform, (15, 15, 15), affine)
    alone = [carry_image(data[..., k], affine, transform, (15, 15, 15), affine) for k in range(3)]
    np.testing.assert_array_equal(together, np.stack(alone, axis=-1))
    single = carry_image(data[..., :1], affine, transform, (15, 15, 15), affine)
    np.testing.assert_array_equal(single, together[..., :1])


def test_outside_the_field_of_view():
    identity = SimpleITK.Transform(3, SimpleITK.sitkIdentity)
    far = np.eye(4)
    far[:3, 3] = 100
    moved = carry_image(np.ones((4, 4, 4)), np.eye(4), identity, (2, 2, 2), far, outside=np.nan)
    assert np.isnan(moved).all()


def test_the_output_in_the_template_itself_needs_no_transform():
    transforms = template_transforms({}, "MNI152NLin6Asym", "MNI152NLin6Asym")
    assert transforms.exact
    assert transforms.files == ()
    np.testing.assert_array_equal(carry_points(transforms.to_template, POINTS), POINTS)


@pytest.fixture
def bridged(pair, tmp_path):
    """Files of the other template only, and a bridge between the two templates."""
    other = {key.replace("6Asym", "2009cAsym"): path for key, path in pair.items()}
    bridge = tmp_path / "tpl-MNI152NLin2009cAsym_from-MNI152NLin6Asym_mode-image_xfm.h5"
    step = affine_step(np.diag([1.02, 0.99, 1.01]), [0.0, 3.0, -2.0])
    SimpleITK.WriteTransform(SimpleITK.CompositeTransform([step, smooth_warp(7, 3.0)]), str(bridge))
    return other, bridge


def test_a_bridge_is_composed_with_the_other_template(bridged):
    other, bridge = bridged
    transforms = template_transforms(other, "MNI152NLin6Asym", "T1w", bridge=bridge)
    assert transforms.exact
    assert set(transforms.files) == {bridge, *other.values()}
    # Native points go to the other template first, then over the bridge (fixed: 2009c).
    native_to_2009c = read_transform(other["MNI152NLin2009cAsym->T1w"])
    by_hand = carry_points(read_transform(bridge), carry_points(native_to_2009c, POINTS))
    np.testing.assert_allclose(carry_points(transforms.to_native, POINTS), by_hand, atol=1e-6)
    back = carry_points(transforms.to_template, by_hand)
    np.testing.assert_allclose(back, POINTS, atol=0.15)
    without = carry_points(read_transform(other["T1w->MNI152NLin2009cAsym"]), by_hand)
    assert np.linalg.norm(without - POINTS, axis=1).min() > 2


def test_another_template_only_when_allowed(bridged):
    other, _ = bridged
    with pytest.raises(InputError, match="--allow-template-mismatch"):
        template_transforms(other, "MNI152NLin6Asym", "T1w")
    transforms = template_transforms(other, "MNI152NLin6Asym", "T1w", allow_mismatch=True)
    assert not transforms.exact


def test_one_direction_does_not_do(pair):
    half = {"T1w->MNI152NLin6Asym": pair["T1w->MNI152NLin6Asym"]}
    with pytest.raises(InputError, match=r"found: T1w->MNI152NLin6Asym"):
        template_transforms(half, "MNI152NLin6Asym", "T1w")


def test_a_space_that_is_another_template_is_reached_through_the_anatomy(pair, bridged):
    other, _ = bridged
    transforms = template_transforms(pair | other, "MNI152NLin6Asym", "MNI152NLin2009cAsym")
    # Both templates stand on the same files here, so that the way there leads back.
    np.testing.assert_allclose(carry_points(transforms.to_template, POINTS), POINTS, atol=0.05)


def test_unreadable_transforms(tmp_path, pair):
    with pytest.raises(InputError, match=r"no transform at .*absent\.h5"):
        read_transform(tmp_path / "absent.h5")
    broken = tmp_path / "broken.h5"
    broken.write_bytes(pair["T1w->MNI152NLin6Asym"].read_bytes()[:3000])
    with pytest.raises(InputError, match=r"broken\.h5 as an ITK transform"):
        read_transform(broken)


def test_real_transforms(shared_data):
    folder = shared_data / "transforms/nitransforms/tests/data"
    composite = read_transform(folder / "affine-antsComposite.h5")
    assert composite.GetName() == "CompositeTransform"
    oblique = read_transform(folder / "affine-oblique.itk.tfm")
    # The .tfm file's own numbers, applied by hand: p' = A (p - c) + t + c in LPS.
    matrix = np.array(oblique.GetParameters()[:9]).reshape(3, 3)
    shift, centre = np.array(oblique.GetParameters()[9:]), np.array(oblique.GetFixedParameters())
    flip = np.array([-1.0, -1.0, 1.0])
    by_hand = (((POINTS * flip) - centre) @ matrix.T + shift + centre) * flip
    np.testing.assert_allclose(carry_points(oblique, POINTS), by_hand, atol=1e-9)


def test_the_same_real_affine_in_afnis_words(shared_data):
    """AFNI writes the RAS matrix of the same affine; it must agree with what we make of ITK's."""
    folder = shared_data / "transforms/nitransforms/tests/data"
    itk = read_transform(folder / "affine-RAS.itk.tfm")
    rows = [
        line.split()
        for line in (folder / "affine-RAS.afni").read_text().splitlines()
        if line[:1] != "#"
    ]
    # AFNI works in DICOM order, which is ITK's LPS.
    matrix = np.array(rows, dtype=float).reshape(3, 4)
    flip = np.diag([-1.0, -1.0, 1.0])
    by_hand = (POINTS @ flip) @ matrix[:, :3].T + matrix[:, 3]
    np.testing.assert_allclose(carry_points(itk, POINTS), by_hand @ flip, atol=1e-3)


def test_a_list_of_transforms_is_refused(shared_data):
    folder = shared_data / "transforms/nitransforms/tests/data"
    with pytest.raises(InputError, match="lists 9 transforms"):
        read_transform(folder / "itktflist.tfm")
