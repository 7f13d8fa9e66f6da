"""What fMRIPrep's releases name and state differently, and a tiny tree in the form of each.

From the lists of expected outputs in its repository (``.circleci/ds*_outputs.txt`` at the tags) and
its release notes.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from dataset_trees import SHAPE, VOLUMES, Tree, write_json, write_lines, write_nifti

MNI = "MNI152NLin2009cAsym"


@dataclass(frozen=True)
class Release:
    """One release's ways.

    Attributes
    ----------
    version
        As ``dataset_description.json`` has it.
    run
        How run 1 is written.
    suffix
        Of the table of confounds.
    maker
        Key of ``dataset_description.json`` that names fMRIPrep.
    start_time
        Whether the sidecars state StartTime and SliceTimingCorrected.
    letters
        First letters of the components of the masks combined, CSF and WM.
    t1w_resolution
        Whether the anatomical images in a template have the BOLD's ``res``.
    coregistered
        Whether the reference images are called ``desc-coreg`` and ``desc-hmc``.
    """

    version: str
    run: str = "0{}"
    suffix: str = "timeseries"
    maker: str = "GeneratedBy"
    start_time: bool = True
    letters: str = "acw"
    t1w_resolution: bool = True
    coregistered: bool = True

    def __str__(self) -> str:
        return self.version


_OLD = {"run": "{}", "letters": "aaa", "t1w_resolution": False, "coregistered": False}
RELEASES = (
    Release(
        "1.5.10",
        suffix="regressors",
        maker="PipelineDescription",
        start_time=False,
        **(_OLD | {"run": "0{}"}),
    ),
    Release("20.2.0", start_time=False, **_OLD),
    Release("20.2.7", **_OLD),
    Release("21.0.4", **(_OLD | {"letters": "acw"})),
    Release("22.1.1", coregistered=False),
    Release("23.0.2", coregistered=False),
    Release("23.1.4", coregistered=False),
    Release("23.2.0"),
    Release("23.2.3"),
    Release("24.1.1"),
    Release("25.2.5"),
)


def build(root: Path, release: Release, space: str, resolution: str | None = None) -> Tree:
    """Write a participant's raw data and what a release of fMRIPrep makes of them."""
    full = space + (f":{resolution}" if resolution else "")
    tree = Tree(root, run_label=release.run, spaces=(full,)).build("01")
    maker = {"Name": "fMRIPrep", "Version": release.version}
    write_json(
        tree.fmriprep / "dataset_description.json",
        {"Name": "f", release.maker: maker if release.maker[0] == "P" else [maker]},
    )
    for path in sorted(tree.fmriprep.rglob("*_desc-confounds_timeseries.tsv")):
        _write_confounds(path, release)
    for path in sorted(tree.fmriprep.rglob("*_desc-confounds_timeseries.*")):
        path.rename(path.with_name(path.name.replace("timeseries", release.suffix)))
    for path in sorted(tree.fmriprep.rglob("*_desc-preproc_bold.json")):
        timing = {"StartTime": 0.975, "SliceTimingCorrected": True} if release.start_time else {}
        write_json(path, {"RepetitionTime": 2.0, **timing})
        _write_references(path, release)
    if release.version == "23.2.0":
        for path in sorted(tree.fmriprep.rglob("*_desc-preproc_bold.nii.gz")):
            _lose_repetition_time(path)
    for path in sorted(tree.fmriprep.rglob(f"anat/*_space-{space}_res-*_desc-preproc_T1w.nii.gz")):
        if not release.t1w_resolution:
            path.rename(path.with_name(path.name.replace(f"_res-{resolution}", "")))
    return tree


def _write_confounds(path: Path, release: Release) -> None:
    """Write components of three masks, derivatives without a first value, and their metadata."""
    rng = np.random.default_rng(0)
    counts: dict[str, int] = {}
    metadata = {}
    for mask, letter in zip(("combined", "CSF", "WM"), release.letters, strict=True):
        for i in range(6):
            number = counts.get(letter, 0)
            counts[letter] = number + 1
            metadata[f"{letter}_comp_cor_{number:02d}"] = {
                "Method": "aCompCor", "Mask": mask, "Retained": True, "SingularValue": 9.0 - i,
            }  # fmt: skip
    columns = {name: rng.normal(size=VOLUMES) for name in [*metadata, "trans_x", "cosine00"]}
    if release.coregistered:
        columns["edge_comp_00"] = rng.normal(size=VOLUMES)
        metadata["edge_comp_00"] = {"Method": "EdgeRegressor", "Mask": "Edge", "Retained": True}
    lines = ["\t".join([*columns, "framewise_displacement"])]
    for row in zip(*columns.values(), strict=True):
        moved = "n/a" if len(lines) == 1 else "0.1"
        lines.append("\t".join([*(f"{value:.6f}" for value in row), moved]))
    write_lines(path, *lines)
    path.with_suffix(".json").write_text(json.dumps(metadata))


def _write_references(sidecar: Path, release: Release) -> None:
    """Write the files beside the BOLD that no one reads, but that a reader might stumble over."""
    stem = sidecar.name.split("_space-")[0]
    if release.coregistered:
        endings = ("desc-coreg_boldref.nii.gz", "desc-hmc_boldref.nii.gz", "desc-brain_mask.nii.gz")
        transform = "from-boldref_to-T1w_mode-image_desc-coreg_xfm.txt"
    else:
        endings = ("boldref.nii.gz", "desc-brain_mask.nii.gz")
        transform = "from-scanner_to-T1w_mode-image_xfm.txt"
    for ending in endings:
        write_nifti(sidecar.with_name(f"{stem}_{ending}"), SHAPE)
    (sidecar.with_name(f"{stem}_{transform}")).write_text("#Insight Transform File V1.0\n")


def _lose_repetition_time(path: Path) -> None:
    """Write a header as of an image without time, as one release did."""
    image = nibabel.load(path)
    image.header.set_zooms((*image.header.get_zooms()[:3], 1.0))
    nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj), None, image.header), path)


def duplicate(paths: list[Path], old: str, new: str) -> None:
    """Copy files under names in which one part is another."""
    for path in paths:
        shutil.copy(path, path.with_name(path.name.replace(old, new)))
