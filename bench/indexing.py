"""Finding one participant's files among 200: time, memory, and what else is touched.

The tree has studyforrest's names, raw and of fMRIPrep, 54,000 of them; images are empty but for the
participant asked for. What a dry run of that one participant opens and lists is watched by an audit
hook of Python: inside other participants' folders there must be nothing.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from bench.processes import measured
from bench.standin.fmriprep import SCANS, write_names
from bench.standin.source import LOCALIZER, MOVIE, MOVIE_RUNS, scan_stem
from bidsapp.analysis.spec import default_analysis
from bidsapp.demo import anatomy, layout, warps
from bidsapp.demo.confounds import make_confounds
from bidsapp.demo.events import localizer_events, movie_events
from bidsapp.demo.film import FRAME_RATE, make_timeline, write_film
from bidsapp.demo.noise import draw_nuisance
from bidsapp.demo.size import LOCALIZER_VOLUMES, REPETITION_TIME

PARTICIPANTS, ASKED = 200, "007"
MOVIE_VOLUMES = 20
_OTHER_TASKS = ("movielocalizer", "retmapccw", "retmapclw", "retmapcon", "retmapexp")
_AFFINE = np.array([[-12.0, 0, 0, 66], [0, 12, 0, -106], [0, 0, 12, -56], [0, 0, 0, 1]])
_GRID = anatomy.Grid((12, 14, 10), _AFFINE)
# What the dry run is started by: every open and listing below the dataset is written down.
_WATCHER = """
import json, sys
root, report, words = sys.argv[1], sys.argv[2], sys.argv[3:]
seen = []
def watch(event, arguments):
    if event in ("open", "os.scandir", "os.listdir") and arguments:
        seen.append(str(arguments[0]))
sys.addaudithook(watch)
from bidsapp.cli.run import main
try:
    main(words)
finally:
    touched = sorted({path for path in seen if path.startswith(root)})
    with open(report, "w") as stream:
        json.dump([touched, sorted(sys.modules)], stream)
"""


def run(participants: int = PARTICIPANTS) -> dict[str, float]:
    """Measure a dry run of one participant.

    Parameters
    ----------
    participants
        In the dataset.

    Returns
    -------
    dict
        ``indexing_s`` wall and ``indexing_cpu_s`` processor time (under 30 s are wanted);
        ``indexing_peak_gb`` resident memory (under 1); ``indexing_files`` in the tree;
        ``indexing_foreign`` opened or listed in other participants' folders (none is wanted).
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        files = write_tree(root, participants)
        report = root / "touched.json"
        command = [sys.executable, "-c", _WATCHER, str(root), str(report), *words(root)]
        cost = measured(command)
        touched, _ = json.loads(report.read_text())
    return {
        "indexing_files": files,
        "indexing_s": cost.wall_s,
        "indexing_cpu_s": cost.processor_s,
        "indexing_peak_gb": cost.peak_gb,
        "indexing_foreign": len(foreign(touched)),
    }


def watch(root: Path, command_line: list[str]) -> tuple[list[str], list[str]]:
    """Run the application; return the paths below ``root`` that it touched, and modules imported.

    Its exit status is not looked at.
    """
    report = root / "touched.json"
    command = [sys.executable, "-c", _WATCHER, str(root), str(report), *command_line]
    subprocess.run(command, check=False, capture_output=True)
    touched, modules = json.loads(report.read_text())
    return touched, modules


def foreign(touched: list[str]) -> list[str]:
    """Return the paths in, or of, folders of other participants."""
    return [path for path in touched if "/sub-" in path and f"/sub-{ASKED}" not in path]


def words(root: Path) -> list[str]:
    """Command line of the dry run, without the program."""
    return [
        *(str(root / "bids"), str(root / "out"), "participant", "--dry-run"),
        *("--participant-label", ASKED, "--derivatives", f"fmriprep={root / 'fmriprep'}"),
        *("--analysis", str(root / "analysis.yaml"), "--stimuli", str(root / "stimuli")),
        *("--atlas", str(root / "atlas"), "--work-dir", str(root / "work")),
    ]


def write_tree(root: Path, participants: int) -> int:
    """Write the dataset; return the number of files in it."""
    bids, fmriprep = root / "bids", root / "fmriprep"
    layout.write_json(bids / "dataset_description.json", {"Name": "many", "BIDSVersion": "1.1.0"})
    for task in (MOVIE, LOCALIZER, *_OTHER_TASKS):
        content = {"TaskName": task, "RepetitionTime": REPETITION_TIME}
        layout.write_json(bids / f"task-{task}_bold.json", content)
    layout.write_derivatives_dataset(fmriprep)
    for number in range(1, participants + 1):
        label = f"{number:03d}"
        _write_raw_names(bids, label)
        write_names(fmriprep, label)
    _write_asked(root)
    return sum(1 for part in (bids, fmriprep) for path in part.rglob("*") if not path.is_dir())


def _write_raw_names(bids: Path, label: str) -> None:
    scans = [*SCANS, *((task, "1") for task in _OTHER_TASKS)]
    for task, run in scans:
        stem = bids / scan_stem(label, task, run)
        stem.parent.mkdir(parents=True, exist_ok=True)
        endings = ["bold.nii.gz", "bold.json", "defacemask.nii.gz"]
        endings += ["recording-cardresp_physio.tsv.gz"]
        endings += ["events.tsv"] if task in (MOVIE, LOCALIZER) else []
        endings += ["recording-eyegaze_physio.tsv.gz"] if task == MOVIE else []
        for ending in endings:
            path = stem.with_name(f"{stem.name}_{ending}")
            path.write_text("{}" if ending.endswith("json") else "")


def _write_asked(root: Path) -> None:
    """Give one participant's files content; and write what all share."""
    rng = np.random.default_rng(0)
    fmriprep = root / "fmriprep"
    for task, run in SCANS:
        movie = task == MOVIE
        volumes = MOVIE_VOLUMES if movie else LOCALIZER_VOLUMES
        stem = Path(scan_stem(ASKED, task, run))
        data = rng.integers(900, 1100, (*_GRID.shape, volumes), dtype=np.int16)
        _forget(fmriprep / stem)
        brain = np.ones(_GRID.shape, np.uint8)
        layout.write_preprocessed(fmriprep / stem, "T1w", data, brain, _GRID.affine)
        tissue = {"CSF": np.arange(200) < 20, "WM": np.arange(200) > 180}
        series = data.reshape(-1, volumes)[:200].T.astype(np.float32)
        motion = draw_nuisance(rng, volumes).motion
        layout.write_confounds(fmriprep / stem, make_confounds(series, motion, tissue))
        frames = round(MOVIE_VOLUMES * REPETITION_TIME * FRAME_RATE)
        conditions = ("body", "face", "house", "object", "scene", "scramble")
        events = movie_events(rng, frames) if movie else localizer_events(rng, conditions)
        events.to_csv(root / "bids" / f"{stem}_events.tsv", sep="\t", index=False)
    folder = fmriprep / f"sub-{ASKED}" / "ses-forrestgump" / "anat"
    prefix = f"sub-{ASKED}_ses-forrestgump"
    _forget(folder / prefix)
    warps.write_transforms(folder, prefix, warps.draw_warp(rng))
    t1w = rng.integers(0, 900, _GRID.shape, dtype=np.int16)
    layout.write_image(folder / f"{prefix}_desc-preproc_T1w.nii.gz", t1w, _GRID.affine, 1)
    anatomy.write_atlas(root / "atlas")
    seconds = MOVIE_VOLUMES * REPETITION_TIME
    for index in range(len(MOVIE_RUNS)):
        film = root / "stimuli" / f"fg_av_ger_seg{index}.mkv"
        write_film(film, make_timeline(seconds), 0, seconds)
    layout.write_json(root / "analysis.yaml", _analysis())  # JSON is YAML


def _forget(stem: Path) -> None:
    """Remove links to what was not downloaded."""
    for path in stem.parent.glob(f"{stem.name}_*"):
        if path.is_symlink():
            path.unlink()


def _analysis() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(default_analysis().read_text(encoding="utf-8"))
    content["models"] = ["pixels", "resnet18-untrained"]
    content["movie"] |= {"crop": None, "resize": None}
    return content
