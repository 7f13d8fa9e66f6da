"""Carrying points and images between a template and a participant's native space.

An ITK transform maps the points of its *fixed* image to those of its *moving* image, so that images
go one way and points the other: fMRIPrep's ``from-T1w_to-MNI..._xfm.h5`` (fixed: MNI, moving: T1w)
makes an MNI image out of a T1w image, and carries an MNI point to the T1w space. Millimetres are
RAS outside this module and LPS inside ITK.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import h5py
import numpy as np
import SimpleITK

from bidsapp.arrays import Floats
from bidsapp.errors import InputError

FMRIPREP_TEMPLATE = "MNI152NLin2009cAsym"  # the one that fMRIPrep always makes
Shape = tuple[int, int, int]

_LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_INTERPOLATORS = {"linear": SimpleITK.sitkLinear, "nearest": SimpleITK.sitkNearestNeighbor}
# The grid on which a warp between templates is inverted: an ample box round an MNI brain.
_BOX_ORIGIN_MM, _BOX_SIZE, _BOX_STEP_MM = (-110.0, -120.0, -110.0), (56, 68, 61), 4.0


@dataclass(frozen=True)
class TemplateTransforms:
    """The two transforms between a template and the space of the output.

    Attributes
    ----------
    to_native
        Resamples template *images* onto native grids, and carries native *points* to template ones.
    to_template
        Resamples native *images* onto template grids, and carries template *points* to native ones.
    exact
        False where another template's transform stands in (``--allow-template-mismatch``).
    files
        The transform files used; none for the identity.
    route
        Spaces passed on the way from the template to the output's, both included.
    """

    to_native: SimpleITK.Transform
    to_template: SimpleITK.Transform
    exact: bool
    files: tuple[Path, ...]
    route: tuple[str, ...]


@dataclass(frozen=True)
class _Step:
    """One file on the way to another space, perhaps walked against its direction."""

    file: Path
    end: str
    inverted: bool = False


_Steps = Mapping[tuple[str, str], _Step]


def read_transform(path: Path) -> SimpleITK.Transform:
    """Read an ITK transform: a composite (.h5), text (.txt, .tfm) or an ANTs affine (.mat).

    Raises
    ------
    InputError
        The file is absent, is no ITK transform, or is a text file with a list of transforms (of
        which ITK would silently use the first).
    """
    if not path.is_file():
        raise InputError(f"no transform at {path}; copy it there or run fMRIPrep again")
    try:
        if path.suffix == ".h5":
            _check_whole(path)
        transform: SimpleITK.Transform = SimpleITK.ReadTransform(str(path))
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"cannot read {path} as an ITK transform: it is cut off, or of a kind that ITK does "
            "not know; copy it anew or run fMRIPrep again"
        ) from error
    if path.suffix in {".txt", ".tfm"} and transform.GetName() != "CompositeTransform":
        count = path.read_text(encoding="utf-8", errors="replace").count("#Transform ")
        if count > 1:
            raise InputError(
                f"{path} lists {count} transforms; give one, or one composite transform"
            )
    return transform


def _check_whole(path: Path) -> None:
    """Raise an OSError for an HDF5 file that was cut off, of which ITK's own HDF5 says 25 lines."""
    # Not locked: some file systems of clusters refuse that, and nothing is written.
    h5py.File(path, "r", locking=False).close()


def carry_points(transform: SimpleITK.Transform, points_mm: Floats) -> Floats:
    """Map points from the transform's fixed space to its moving space.

    Template points go to native space by the transform that carries native *images* to the template
    (``from-T1w_to-MNI...``, or `TemplateTransforms.to_template`).

    Parameters
    ----------
    transform
        An ITK transform.
    points_mm
        (n, 3) points in RAS mm of the fixed image's space.

    Returns
    -------
    Floats
        (n, 3) points in RAS mm of the moving image's space.
    """
    flip = _LPS_FROM_RAS.diagonal()[:3]
    points = np.asarray(points_mm, dtype=np.float64).reshape(-1, 3) * flip
    moved = [transform.TransformPoint(point.tolist()) for point in points]
    return np.asarray(moved, dtype=np.float64).reshape(-1, 3) * flip


def carry_image(
    data: Floats,
    affine: Floats,
    transform: SimpleITK.Transform,
    target_shape: Shape,
    target_affine: Floats,
    interpolation: Literal["linear", "nearest"] = "linear",
    outside: float = 0.0,
) -> Floats:
    """Resample an image onto another grid through an ITK transform.

    Parameters
    ----------
    data
        (x, y, z), or (x, y, z, k) for k images at once.
    affine
        (4, 4) voxel to RAS mm, of `data`.
    transform
        Maps points of the target grid to points of `data`: ``from-MNI..._to-T1w`` for a template
        image that goes to a native grid.
    target_shape, target_affine
        The grid of the result.
    interpolation
        ``nearest`` for labels.
    outside
        Value where the target grid leaves the field of view of `data`.

    Returns
    -------
    Floats
        float32, `target_shape` (+ k).
    """
    origin, spacing, direction = _geometry(target_affine)
    moved = SimpleITK.Resample(
        _itk_image(data, affine),
        [int(n) for n in target_shape],
        transform,
        _INTERPOLATORS[interpolation],
        origin,
        spacing,
        direction,
        outside,
        SimpleITK.sitkVectorFloat32 if data.ndim == 4 else SimpleITK.sitkFloat32,
    )
    array = SimpleITK.GetArrayFromImage(moved)
    if data.ndim == 4:  # ITK forgets the axis of one image alone
        array = array.reshape(*array.shape[:3], -1)
    return np.ascontiguousarray(array.swapaxes(0, 2))


def template_transforms(
    available: Mapping[str, Path],
    template: str,
    space: str,
    bridge: Path | None = None,
    allow_mismatch: bool = False,
) -> TemplateTransforms:
    """Find the way between a template and the space of the output.

    The participant's own files come first. Failing those, `bridge` is composed with the files of
    `FMRIPREP_TEMPLATE`. Failing that too, and only if `allow_mismatch`, those files are taken as if
    they were the template's own, and ``exact`` is False.

    Parameters
    ----------
    available
        ``"T1w->MNI152NLin6Asym": path`` and so on: the files of fMRIPrep's ``anat`` folder.
    template
        The space that the atlas or the search centres live in, such as ``MNI152NLin6Asym``.
    space
        The space of the output, such as ``T1w``.
    bridge
        ITK transform that carries images from `template` to `FMRIPREP_TEMPLATE`.
    allow_mismatch
        Accept another template's transform.

    Raises
    ------
    InputError
        There is no way, or a file on it cannot be read.
    """
    steps = {_ends(key): _Step(path, _ends(key)[1]) for key, path in available.items()}
    bridged = dict(steps)
    if bridge is not None:
        bridged[template, FMRIPREP_TEMPLATE] = _Step(bridge, FMRIPREP_TEMPLATE)
        bridged[FMRIPREP_TEMPLATE, template] = _Step(bridge, template, inverted=True)
    attempts = [(steps, template), (bridged, template)]
    if allow_mismatch:
        attempts.append((steps, FMRIPREP_TEMPLATE))
    for known, start in attempts:
        there, back = _route(known, start, space), _route(known, space, start)
        if there is not None and back is not None:
            files = dict.fromkeys(step.file for step in (*there, *back))
            return TemplateTransforms(
                _compose(there),
                _compose(back),
                exact=start == template,
                files=tuple(files),
                route=(start, *(step.end for step in there)),
            )
    raise InputError(_no_way(available, template, space))


def _ends(key: str) -> tuple[str, str]:
    start, _, end = key.partition("->")
    return start, end


def _route(steps: _Steps, start: str, end: str) -> tuple[_Step, ...] | None:
    """Find the shortest chain of files that carries an image from one space to another."""
    routes: dict[str, tuple[_Step, ...]] = {start: ()}
    queue = deque([start])
    while queue:
        here = queue.popleft()
        if here == end:
            return routes[here]
        for (first, then), step in steps.items():
            if first == here and then not in routes:
                routes[then] = (*routes[here], step)
                queue.append(then)
    return None


def _compose(route: Sequence[_Step]) -> SimpleITK.Transform:
    """Join a route's files; ITK applies the last of a composite first, to points of the end."""
    transforms = [
        _inverse(read_transform(step.file)) if step.inverted else read_transform(step.file)
        for step in route
    ]
    if not transforms:
        return SimpleITK.Transform(3, SimpleITK.sitkIdentity)
    return transforms[0] if len(transforms) == 1 else SimpleITK.CompositeTransform(transforms)


def _inverse(transform: SimpleITK.Transform) -> SimpleITK.Transform:
    """Invert a transform; a warp between templates numerically, within a box round the brain."""
    if transform.IsLinear():
        inverse: SimpleITK.Transform = transform.GetInverse()
        return inverse
    field = SimpleITK.TransformToDisplacementField(
        transform, SimpleITK.sitkVectorFloat64, _BOX_SIZE, _BOX_ORIGIN_MM, [_BOX_STEP_MM] * 3
    )
    inverse_field = SimpleITK.InvertDisplacementField(
        field,
        maximumNumberOfIterations=50,
        maxErrorToleranceThreshold=0.01,
        meanErrorToleranceThreshold=0.0001,
        enforceBoundaryCondition=False,
    )
    return SimpleITK.DisplacementFieldTransform(inverse_field)


def _no_way(available: Mapping[str, Path], template: str, space: str) -> str:
    have = ", ".join(sorted(available)) or "none"
    return (
        f"no transforms between {template} and {space} (found: {have}); run fMRIPrep with "
        f"--output-spaces {template}, give a transform from {template} to {FMRIPREP_TEMPLATE}, "
        "or accept an error of some millimetres with --allow-template-mismatch"
    )


def _geometry(affine: Floats) -> tuple[list[float], list[float], list[float]]:
    """Split a RAS affine into ITK's origin, spacing and row-major direction, in LPS."""
    lps = _LPS_FROM_RAS @ np.asarray(affine, dtype=np.float64)
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    direction = lps[:3, :3] / spacing
    return lps[:3, 3].tolist(), spacing.tolist(), direction.ravel().tolist()


def _itk_image(data: Floats, affine: Floats) -> SimpleITK.Image:
    # ITK's arrays run z, y, x.
    array = np.ascontiguousarray(np.asarray(data, dtype=np.float32).swapaxes(0, 2))
    image = SimpleITK.GetImageFromArray(array, isVector=data.ndim == 4)
    origin, spacing, direction = _geometry(affine)
    image.SetOrigin(origin)
    image.SetSpacing(spacing)
    image.SetDirection(direction)
    return image
