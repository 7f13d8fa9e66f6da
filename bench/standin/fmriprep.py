"""fMRIPrep 23.2's outputs, named after a real tree of it."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.standin.anatomy import CUT_OFF, Person, Place, Template, make_place
from bench.standin.bold import Planted, Written, write_bold
from bench.standin.confounds import confounds_table
from bench.standin.raw import write_link
from bench.standin.responses import START_TIME, localizer_responses, movie_responses
from bench.standin.size import Size
from bench.standin.source import LOCALIZER, LOCALIZER_RUNS, MOVIE, MOVIE_RUNS, Source, scan_stem
from bidsapp.analysis.spec import default_analysis, read_analysis
from bidsapp.arrays import Floats, Ints
from bidsapp.demo.layout import NATIVE_CODE, write_image
from bidsapp.demo.warps import FieldBox, write_transforms
from bidsapp.files import whole_file, write_text

# The anatomical scans are of an earlier session than film and localizer.
ANATOMY_SESSION = "forrestgump"
_T1W_SHAPE = (192, 256, 256)  # of 1 mm
_BOX_LOW, _BOX_HIGH = np.array([-91.0, -126.0, -72.0]), np.array([90.0, 91.0, 109.0])
SCANS = [(LOCALIZER, run) for run in LOCALIZER_RUNS] + [(MOVIE, run) for run in MOVIE_RUNS]
_SURFACES = (
    "desc-reg_sphere.surf.gii", "midthickness.surf.gii", "pial.surf.gii",
    "space-fsLR_desc-msmsulc_sphere.surf.gii", "space-fsLR_desc-reg_sphere.surf.gii",
    "sphere.surf.gii", "sulc.shape.gii", "thickness.shape.gii", "white.surf.gii",
)  # fmt: skip
_OF_ANATOMY = (
    "desc-ribbon_mask.nii.gz", "dseg.nii.gz", "label-CSF_probseg.nii.gz",
    "label-GM_probseg.nii.gz", "label-WM_probseg.nii.gz",
    "from-T1w_to-fsnative_mode-image_xfm.txt", "from-fsnative_to-T1w_mode-image_xfm.txt",
)  # fmt: skip
_OF_SCAN = (
    "desc-coreg_boldref", "desc-hmc_boldref",
    "from-boldref_to-T1w_mode-image_desc-coreg_xfm", "from-orig_to-boldref_mode-image_desc-hmc_xfm",
)  # fmt: skip


def write_root(fmriprep: Path, source: Source) -> None:
    """Write what stands at the root, for every participant a report too."""
    for name in ("dataset_description.json", "desc-aseg_dseg.tsv", "desc-aparcaseg_dseg.tsv"):
        fmriprep.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source.fmriprep / name, fmriprep / name)
    write_text(fmriprep / "logs" / "CITATION.md", "Simulated; fMRIPrep was not run.\n")
    for label in source.participants:
        write_text(fmriprep / f"sub-{label}.html", "<p>Simulated; fMRIPrep was not run.</p>\n")


def write_names(fmriprep: Path, label: str) -> None:
    """Write a participant's tree without content: sidecars, and links to what is not here."""
    folder = fmriprep / f"sub-{label}" / f"ses-{ANATOMY_SESSION}" / "anat"
    stem = f"sub-{label}_ses-{ANATOMY_SESSION}"
    surfaces = [f"hemi-{side}_{name}" for side in "LR" for name in _SURFACES]
    for name in (*_OF_ANATOMY, *surfaces):
        write_link(folder / f"{stem}_{name}", fmriprep, f"MD5E-s1--{label}{name}")
    images = {"desc-preproc_T1w": {"SkullStripped": False}, "desc-brain_mask": {"Type": "Brain"}}
    for name, content in images.items():
        _write_json(folder / f"{stem}_{name}.json", content)
        _link(folder / f"{stem}_{name}.nii.gz", fmriprep)
    for template in ("MNI152NLin6Asym", "MNI152NLin2009cAsym"):
        for way in (f"from-T1w_to-{template}", f"from-{template}_to-T1w"):
            _link(folder / f"{stem}_{way}_mode-image_xfm.h5", fmriprep)
    for task, run in SCANS:
        scan = scan_stem(label, task, run)
        for name in _OF_SCAN:
            _write_json(fmriprep / f"{scan}_{name}.json", {"RawSources": []})
            ending = ".txt" if name.endswith("xfm") else ".nii.gz"
            write_link(fmriprep / f"{scan}_{name}{ending}", fmriprep, f"MD5E-s1--{label}{name}")
        for name in (
            "space-T1w_desc-preproc_bold.nii.gz", "space-T1w_desc-brain_mask.nii.gz",
            "space-T1w_boldref.nii.gz", "desc-confounds_timeseries.tsv",
        ):  # fmt: skip
            _link(fmriprep / f"{scan}_{name}", fmriprep)
        _write_json(fmriprep / f"{scan}_space-T1w_desc-preproc_bold.json", _bold_metadata(task))
        _write_json(fmriprep / f"{scan}_space-T1w_desc-brain_mask.json", {"Type": "Brain"})


def _link(path: Path, root: Path) -> None:
    if not path.is_file():
        write_link(path, root, f"MD5E-s1--{path.name}")


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    if not path.exists():
        write_text(path, json.dumps(content, indent=2) + "\n")


def _bold_metadata(task: str) -> dict[str, Any]:
    return {
        "EchoTime": 0.030001,
        "RepetitionTime": 2.00000061,
        "SkullStripped": False,
        "SliceTimingCorrected": True,
        "StartTime": START_TIME,
        "TaskName": task,
    }


def write_anatomy(fmriprep: Path, template: Template, person: Person, size: Size) -> None:
    """Write the T1w image, its mask, and the composite transforms; what is there stays."""
    folder = fmriprep / f"sub-{person.label}" / f"ses-{ANATOMY_SESSION}" / "anat"
    stem = f"sub-{person.label}_ses-{ANATOMY_SESSION}"
    last = folder / f"{stem}_from-MNI152NLin2009cAsym_to-T1w_mode-image_xfm.h5"
    if not last.is_file():
        x, y, z = (int(n) + 1 for n in (_BOX_HIGH - _BOX_LOW) // size.transform_mm)
        box = FieldBox(tuple(_BOX_LOW.tolist()), (x, y, z), size.transform_mm)
        write_transforms(folder, stem, person.warp, box)
    picture = folder / f"{stem}_desc-preproc_T1w.nii.gz"
    if not picture.is_file():
        t1w, brain, affine = _t1w(template, person, size.t1w_mm)
        write_image(folder / f"{stem}_desc-brain_mask.nii.gz", brain, affine, NATIVE_CODE)
        write_image(picture, t1w, affine, NATIVE_CODE)


def _t1w(template: Template, person: Person, step: int) -> tuple[Ints, Ints, Floats]:
    """Picture the head, computed every ``step`` mm and repeated to 1 mm: image, brain, affine."""
    coarse = [n // step for n in _T1W_SHAPE]
    middle = person.warp.to_native(np.array([[0.0, -18.0, 0.0]]))[0]
    affine = np.eye(4)
    affine[:3, 3] = middle - (np.array(_T1W_SHAPE) - 1) / 2
    voxels = np.indices(coarse).reshape(3, -1).T
    points = step * voxels + (step - 1) / 2 + affine[:3, 3]
    there = person.warp.to_template(points)
    t1w = np.maximum(template.t1w(there) / 10, 0).astype(np.int16)
    brain = template.brain(there).astype(np.uint8)
    block = np.ones((step, step, step), np.uint8)
    return np.kron(t1w.reshape(coarse), block), np.kron(brain.reshape(coarse), block), affine


def write_scans(
    fmriprep: Path,
    source: Source,
    size: Size,
    template: Template,
    person: Person,
    courses: Mapping[str, Floats],
) -> None:
    """Write every preprocessed scan of a participant that is not there yet.

    Parameters
    ----------
    courses
        Movie run to the expected responses that driven voxels weigh, (volumes, k).
    """
    analysis = read_analysis(default_analysis())
    for task, run in SCANS:
        stem = scan_stem(person.label, task, run)
        if (fmriprep / f"{stem}_space-T1w_desc-preproc_bold.nii.gz").is_file():
            continue
        header = size.header(source, person.label, task, run)
        cut_off = task == LOCALIZER and person.label == CUT_OFF
        place = make_place(template, person, header, cut_off=cut_off)
        rng = np.random.default_rng([int(person.label), int(task == MOVIE), int(run)])
        if task == MOVIE:
            planted = movie_responses(place, courses[run], rng)
        else:
            events = source.real_events(f"{stem}_events.tsv")
            assert events is not None  # noqa: S101  # all of the localizer's are real
            planted = localizer_responses(analysis, person, place, pd.read_csv(events, sep="\t"))
        _write_scan(fmriprep / stem, place, planted, rng)


def _write_scan(stem: Path, place: Place, planted: list[Planted], rng: np.random.Generator) -> None:
    """Write a scan's files, the series last, so that where it is all others are."""
    bold = stem.with_name(f"{stem.name}_space-T1w_desc-preproc_bold.nii.gz")
    with whole_file(bold) as temporary:
        written = write_bold(temporary, place, planted, rng)
        _write_confounds(stem, written)
        space = stem.with_name(f"{stem.name}_space-T1w")
        affine = place.header.affine
        brain = place.brain.astype(np.uint8).reshape(place.header.shape, order="F")
        mean = written.mean.astype(np.float32).reshape(place.header.shape, order="F")
        for name, data in (("desc-brain_mask", brain), ("boldref", mean)):
            write_image(space.with_name(f"{space.name}_{name}.nii.gz"), data, affine, NATIVE_CODE)


def _write_confounds(stem: Path, written: Written) -> None:
    table, metadata = confounds_table(written)
    name = f"{stem.name}_desc-confounds_timeseries"
    text = table.to_csv(sep="\t", index=False, na_rep="n/a", float_format="%.8g")
    write_text(stem.with_name(f"{name}.tsv"), text)
    write_text(stem.with_name(f"{name}.json"), json.dumps(metadata, indent=2) + "\n")
