"""The tiny study made into others: other names, sessions, TR, spaces, grids, and masks."""

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK
from tiny_study import (
    AFFINE,
    CENTRES,
    RUNS,
    SHAPE,
    TR,
    VOLUMES,
    TinyStudy,
    write_film,
    write_image,
    write_json,
    write_lines,
)

from bidsapp.dataset.runs import PreprocessedRun

MNI = "MNI152NLin2009cAsym"
TWO = ("01", "02")
EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


def bare_run(participant: str, **fields: object) -> PreprocessedRun:
    """Return a movie run whose files are nowhere: its times and events count alone."""
    nowhere = Path("nowhere")
    run = PreprocessedRun(
        participant=participant,
        session=None,
        task="movie",
        run=RUNS[0],
        bold=nowhere,
        mask=nowhere,
        confounds=nowhere,
        confounds_metadata=nowhere,
        events=None,
        n_volumes=VOLUMES,
        repetition_time=TR,
        start_time=TR / 2,
        shape=(1, 1, 1),
        affine=np.eye(4),
    )
    return replace(run, **fields)


def keep(study: TinyStudy, participants: tuple[str, ...] = TWO) -> None:
    """Take the other participants out."""
    for root in (study.bids, study.fmriprep):
        for folder in root.glob("sub-*"):
            if folder.name.removeprefix("sub-") not in participants:
                shutil.rmtree(folder)


def write_shift(path: Path, x_mm: float) -> None:
    """Write a transform that carries points along x."""
    step = SimpleITK.AffineTransform(3)
    step.SetTranslation([x_mm, 0.0, 0.0])
    SimpleITK.WriteTransform(SimpleITK.CompositeTransform([step]), str(path))


def rename(root: Path, new_name: Callable[[str], str]) -> None:
    """Rename files below a folder by their path from it."""
    for path in sorted(root.rglob("*")):
        if path.is_file():
            target = root / new_name(path.relative_to(root).as_posix())
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)
    for folder in sorted(root.rglob("*"), reverse=True):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def two_sessions(study: TinyStudy, tr: float = 1.5) -> None:
    """Give the movie another name and TR and two sessions; leave no localizer and no events."""
    keep(study)

    def name(path: str) -> str:
        run = re.search("_run-([12])_", path)
        path = path.replace("ses-movie", "ses-first" if run else "ses-second")
        return path.replace("task-movie", "task-film")

    for root in (study.bids, study.fmriprep):
        for folder in root.glob("sub-*/ses-localizer"):
            shutil.rmtree(folder)
        rename(root, name)
    for path in (*study.bids.glob("task-*"), *study.bids.rglob("*_events.tsv")):
        path.unlink()
    write_json(study.bids / "task-film_bold.json", {"RepetitionTime": tr, "TaskName": "film"})
    for path in study.fmriprep.rglob("*_desc-preproc_bold.nii.gz"):
        write_image(path, np.asarray(nibabel.load(path).dataobj), tr)
    for path in study.fmriprep.rglob("*_desc-preproc_bold.json"):
        write_json(path, {"RepetitionTime": tr, "StartTime": 0.4})
    shutil.rmtree(study.stimuli)
    rng = np.random.default_rng(3)
    for run in RUNS:
        write_film(study.stimuli / f"part{run}.mkv", rng, VOLUMES * tr)
        lines = [f"{3 * i}\t3\t{rng.uniform():.3f}" for i in range(int(VOLUMES * tr / 3))]
        write_lines(study.stimuli / f"ratings_{run}.tsv", "onset\tduration\ttalk", *lines)
    shutil.copyfile(EXAMPLES / "two-sessions.yaml", study.analysis)


def masks_of(study: TinyStudy) -> Path:
    """Write the dataset of masks that the example asks for; sub-02 lacks two files."""
    root = study.root / "rois"
    write_json(root / "dataset_description.json", {"Name": "rois", "BIDSVersion": "1.9.0"})
    x, y, z = millimetres()
    for label in TWO:
        stem = root / f"sub-{label}" / "anat" / f"sub-{label}"
        loc = ((y < 0) & (z > 0)).astype(np.uint8)
        if label == "01":
            write_image(Path(f"{stem}_space-T1w_label-LOC_mask.nii.gz"), loc)
        for side, sign in (("L", -1), ("R", 1)):
            ffa = ((x * sign > 0) & (y > 4)).astype(np.uint8)
            path = Path(f"{stem}_hemi-{side}_space-T1w_label-FFA_mask.nii.gz")
            if (label, side) != ("02", "L"):
                write_image(path, ffa)
        dseg = np.where(y < -6, np.where(x < 0, 1, 2), 0).astype(np.uint8)
        write_image(Path(f"{stem}_desc-visual_dseg.nii.gz"), dseg)
        table = ("index\tname", "1\tleft-V1", "2\tright-V1")
        write_lines(Path(f"{stem}_desc-visual_dseg.tsv"), *table)
    probability = np.where((abs(x) > 8) & (y > -4), 0.7, 0.2).astype(np.float32)
    write_image(root / "tpl-MNI152NLin6Asym_label-hMT_probseg.nii.gz", probability)
    return root


def in_template_space(study: TinyStudy) -> None:
    """Say that the BOLD is in the template, one voxel (4 mm) to the front of native space."""
    keep(study)
    rename(study.fmriprep, lambda path: path.replace("_space-T1w_", f"_space-{MNI}_"))
    for label in TWO:
        anatomy = study.fmriprep / f"sub-{label}" / "anat" / f"sub-{label}"
        native = Path(f"{anatomy}_desc-preproc_T1w.nii.gz")
        shutil.copyfile(native, f"{anatomy}_space-{MNI}_desc-preproc_T1w.nii.gz")
        for ends, mm in ((f"T1w_to-{MNI}", 4.0), (f"{MNI}_to-T1w", -4.0)):
            # ITK's y points to the back; an image's transform carries points against its way.
            moved = SimpleITK.TranslationTransform(3, (0.0, mm, 0.0))
            composite = SimpleITK.CompositeTransform([moved])
            path = f"{anatomy}_from-{ends}_mode-image_xfm.h5"
            SimpleITK.WriteTransform(composite, path)


def move_grid(study: TinyStudy, runs: tuple[str, ...], voxels: int) -> None:
    """Cut the first voxels along x, y and z off some movie runs' images: another affine."""
    affine = AFFINE.copy()
    affine[:3, 3] += affine[:3, :3] @ (voxels, voxels, voxels)
    for run in runs:
        for ending in ("desc-preproc_bold", "desc-brain_mask"):
            for path in study.fmriprep.rglob(f"*_task-movie_run-{run}_*{ending}.nii.gz"):
                image = nibabel.load(path)
                data = np.asanyarray(image.dataobj)[voxels:, voxels:, voxels:]
                moved = nibabel.Nifti1Image(data, affine, image.header)
                nibabel.save(moved, path)


def without_back_of(study: TinyStudy, label: str, task: str, from_mm: float) -> None:
    """Leave the back of the brain out of a task's field of view."""
    y = millimetres()[1]
    for path in study.fmriprep.rglob(f"sub-{label}_*_task-{task}_*_desc-brain_mask.nii.gz"):
        write_image(path, (y >= from_mm).astype(np.uint8))


def millimetres() -> np.ndarray:
    """Return where the voxels of the study's grid are, (3, x, y, z)."""
    voxels = np.indices(SHAPE).reshape(3, -1)
    return (AFFINE[:3, :3] @ voxels + AFFINE[:3, 3:]).reshape(3, *SHAPE)


def search(radius_mm: float = 8, shift_mm: float = 0.0) -> dict[str, dict[str, object]]:
    """Return the search spheres of the localizer's two responses."""
    return {
        side: {"centre_mm": [x, y + shift_mm, z], "radius_mm": radius_mm}
        for side, (x, y, z) in CENTRES.items()
    }
