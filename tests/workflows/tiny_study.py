"""A study of a few voxels: raw data, fMRIPrep's derivatives, films, an atlas, and its analysis.

What it says of brains is noise with a little signal; it is there to be run through quickly and to
be broken in every way that real data are.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import nibabel
import numpy as np
import SimpleITK
import yaml

SHAPE = (8, 8, 6)
AFFINE = np.array([[4.0, 0, 0, -14], [0, 4, 0, -14], [0, 0, 4, -10], [0, 0, 0, 1]])
TR = 2.0
VOLUMES = 40
LOCALIZER_VOLUMES = 72
FRAME_RATE = 5
PARTICIPANTS = ("01", "02", "03")
RUNS = ("1", "2", "3", "4")
TEMPLATES = ("MNI152NLin6Asym", "MNI152NLin2009cAsym")
MOTION = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")
CENTRES = {"L": (-8.0, 4.0, 0.0), "R": (8.0, 4.0, 0.0)}


@dataclass(frozen=True)
class TinyStudy:
    """Where everything is; ``build`` writes it."""

    root: Path

    @property
    def bids(self) -> Path:
        return self.root / "bids"

    @property
    def fmriprep(self) -> Path:
        return self.root / "fmriprep"

    @property
    def stimuli(self) -> Path:
        return self.root / "stimuli"

    @property
    def atlas(self) -> Path:
        return self.root / "atlas"

    @property
    def analysis(self) -> Path:
        return self.root / "analysis.yaml"

    @property
    def out(self) -> Path:
        return self.root / "out"

    @property
    def work(self) -> Path:
        return self.root / "work"

    def preprocessed(self, participant: str, task: str, run: str, ending: str) -> Path:
        """Return a file of fMRIPrep's; in native space, if it is an image or belongs to one."""
        confounds = ending.startswith("desc-confounds")
        space = "" if confounds else "space-T1w_"
        return self.fmriprep / f"{_stem(participant, task, run)}_{space}{ending}"

    def bold(self, participant: str, run: str = "1") -> Path:
        return self.preprocessed(participant, "movie", run, "desc-preproc_bold.nii.gz")

    def events(self, participant: str, task: str, run: str = "1") -> Path:
        return self.bids / f"{_stem(participant, task, run)}_events.tsv"

    def film(self, run: str = "1") -> Path:
        return self.stimuli / f"seg_{run}.mkv"

    def transforms(self, participant: str) -> list[Path]:
        return sorted((self.fmriprep / f"sub-{participant}" / "anat").glob("*_xfm.h5"))

    def arguments(self, level: str, *more: object) -> list[str]:
        """Return the words of the command line."""
        words = [
            *(self.bids, self.out, level, "-d", f"fmriprep={self.fmriprep}"),
            *("--stimuli", self.stimuli, "--atlas", self.atlas, "--analysis", self.analysis),
            *("-w", self.work, "--nprocs", 1, "--mem-gb", 2, "--skip-bids-validation", *more),
        ]
        return [str(word) for word in words]

    def change_analysis(self, **changes: Any) -> None:
        write_analysis(self.analysis, **changes)

    def heavy_files(self) -> list[Path]:
        """Return what only computing leaves: steps' folders, matrices, tables, images."""
        steps = [path for path in self.work.rglob("*_wf") if path.is_dir()]
        patterns = ("*_relmat.*", "*_stats.*", "*.nii.gz", "sub-*.html", "group.html")
        return steps + [path for pattern in patterns for path in self.out.rglob(pattern)]

    def build(self) -> "TinyStudy":
        rng = np.random.default_rng(7)
        self._build_descriptions()
        write_atlas(self.atlas / "subj_vol_all")
        for run in RUNS:
            write_film(self.film(run), rng)
            self._write_feature_table(run, rng)
        self._write_transforms()
        for participant in PARTICIPANTS:
            self._build_participant(participant, rng)
        write_analysis(self.analysis)
        return self

    def _build_descriptions(self) -> None:
        common = {"BIDSVersion": "1.9.0", "License": "CC0"}
        write_json(
            self.bids / "dataset_description.json",
            {"Name": "tiny", **common, "Authors": ["A. Tester"]},
        )
        write_json(
            self.fmriprep / "dataset_description.json",
            {"Name": "f", **common, "GeneratedBy": [{"Name": "fMRIPrep", "Version": "24.1.1"}]},
        )
        write_lines(self.bids / "README", "A tiny study for tests; nobody was scanned.")
        for task in ("movie", "objectcategories"):
            content = {"RepetitionTime": TR, "TaskName": task}
            write_json(self.bids / f"task-{task}_bold.json", content)
        write_json(
            self.bids / "task-movie_events.json",
            {"frameidx": {"Description": "Number of the frame, from 1"}},
        )

    def _write_feature_table(self, run: str, rng: np.random.Generator) -> None:
        lines = ["onset\tduration\tfaces\ttalk"]
        lines += [
            f"{4 * i}\t4\t{rng.uniform():.3f}\t{rng.uniform():.3f}"
            for i in range(int(VOLUMES * TR / 4))
        ]
        write_lines(self.stimuli / f"ratings_run-{run}.tsv", *lines)

    def _write_transforms(self) -> None:
        for participant in PARTICIPANTS:
            folder = self.fmriprep / f"sub-{participant}" / "anat"
            folder.mkdir(parents=True)
            for template in TEMPLATES:
                for ends in (f"from-{template}_to-T1w", f"from-T1w_to-{template}"):
                    name = f"sub-{participant}_{ends}_mode-image_xfm.h5"
                    identity = SimpleITK.CompositeTransform([SimpleITK.AffineTransform(3)])
                    SimpleITK.WriteTransform(identity, str(folder / name))

    def _build_participant(self, participant: str, rng: np.random.Generator) -> None:
        anatomy = self.fmriprep / f"sub-{participant}" / "anat" / f"sub-{participant}"
        write_image(Path(f"{anatomy}_desc-preproc_T1w.nii.gz"), rng.normal(500, 50, SHAPE))
        for run in RUNS:
            frames = int(VOLUMES * TR * FRAME_RATE)
            lines = ["onset\tduration\tframeidx"]
            lines += [f"{i / FRAME_RATE:g}\t{1 / FRAME_RATE:g}\t{i + 1}" for i in range(frames)]
            data = rng.normal(1000, 20, (*SHAPE, VOLUMES))
            self._write_run(participant, "movie", run, data, lines, rng)
        data, lines = localizer_data(rng)
        self._write_run(participant, "objectcategories", "1", data, lines, rng)

    def _write_run(
        self,
        participant: str,
        task: str,
        run: str,
        data: np.ndarray,
        events: list[str],
        rng: np.random.Generator,
    ) -> None:
        stem = _stem(participant, task, run)
        volumes = data.shape[3]
        write_image(self.bids / f"{stem}_bold.nii.gz", data[:2, :2, :2])
        write_lines(self.bids / f"{stem}_events.tsv", *events)
        write_image(self.preprocessed(participant, task, run, "desc-preproc_bold.nii.gz"), data)
        write_json(
            self.preprocessed(participant, task, run, "desc-preproc_bold.json"),
            {"RepetitionTime": TR, "StartTime": TR / 2},
        )
        mask = self.preprocessed(participant, task, run, "desc-brain_mask.nii.gz")
        write_image(mask, np.ones(SHAPE, np.uint8))
        components = [f"a_comp_cor_{i:02d}" for i in range(5)]
        names = [*MOTION, *components, "cosine00"]
        values = rng.normal(0, 0.1, (volumes, len(names)))
        write_lines(
            self.preprocessed(participant, task, run, "desc-confounds_timeseries.tsv"),
            "\t".join(names),
            *("\t".join(f"{value:.5f}" for value in row) for row in values),
        )
        described = {
            "Method": "aCompCor", "Mask": "combined", "Retained": True, "VarianceExplained": 0.1,
        }  # fmt: skip
        write_json(
            self.preprocessed(participant, task, run, "desc-confounds_timeseries.json"),
            {name: {**described, "SingularValue": 9.0 - i} for i, name in enumerate(components)},
        )


def write_json(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_lines(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def write_image(path: Path, data: np.ndarray, tr: float = TR) -> None:
    """Write an image on the one grid there is; measured values are float32."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = np.uint8 if data.dtype == np.uint8 else np.float32
    image = nibabel.Nifti1Image(data.astype(kind), AFFINE)
    image.header.set_xyzt_units("mm", "sec")
    if data.ndim == 4:
        image.header.set_zooms((4, 4, 4, tr))
    nibabel.save(image, path)


def read_image(path: Path) -> np.ndarray:
    return np.asarray(nibabel.load(path).dataobj, np.float32)


def cut_off_unseen(path: Path) -> None:
    """Cut a gzip file off, but keep its end, where the length of the whole stands."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] + content[-4:])


def cut_off(path: Path, keep: float = 0.5) -> None:
    """Leave the first part of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])


def write_film(path: Path, rng: np.random.Generator, seconds: float = VOLUMES * TR) -> None:
    """Encode noise that changes every two seconds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shots = rng.integers(0, 256, (int(seconds / 2) + 1, 16, 24, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=FRAME_RATE)
        stream.height, stream.width, stream.pix_fmt = 16, 24, "bgr0"
        for index in range(int(seconds * FRAME_RATE)):
            shot = shots[index // (2 * FRAME_RATE)]
            frame = av.VideoFrame.from_ndarray(shot, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, FRAME_RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def write_atlas(folder: Path) -> None:
    """Write 50 probability images; the first two areas fill the back of the brain."""
    voxels = np.indices(SHAPE).reshape(3, -1)
    x, y, z = (AFFINE[:3, :3] @ voxels + AFFINE[:3, 3:]).reshape(3, *SHAPE)
    for side, sign in (("lh", -1), ("rh", 1)):
        for number in range(1, 26):
            data = np.zeros(SHAPE, np.float32)
            if number <= 2:
                half = z < 0 if number == 1 else z > 0
                data[(x * sign > 0) & (y < 0) & half] = 90
            write_image(folder / f"perc_VTPM_vol_roi{number}_{side}.nii.gz", data)


def localizer_data(rng: np.random.Generator) -> tuple[np.ndarray, list[str]]:
    """Blocks of faces and houses, and two places that prefer faces."""
    blocks = [(8.0 + 24 * i, "face" if i % 2 == 0 else "house") for i in range(6)]
    times = np.arange(LOCALIZER_VOLUMES) * TR + TR / 2
    course = np.zeros(LOCALIZER_VOLUMES)
    for onset, kind in blocks:
        if kind == "face":
            course[(times > onset + 4) & (times < onset + 20)] = 1
    voxels = np.indices(SHAPE).reshape(3, -1)
    points = (AFFINE[:3, :3] @ voxels + AFFINE[:3, 3:]).T
    data = rng.normal(1000, 5, (*SHAPE, LOCALIZER_VOLUMES))
    for centre in CENTRES.values():
        bump = np.exp(-((points - centre) ** 2).sum(axis=1) / (2 * 4.0**2)).reshape(SHAPE)
        data += 40 * bump[..., None] * course
    lines = [f"{onset:g}\t16\t{kind}" for onset, kind in blocks]
    return data, ["onset\tduration\ttrial_type", *lines]


def write_analysis(path: Path, **changes: Any) -> None:
    """Write the analysis; a change replaces a top-level key, None removes it."""
    search = {side: {"centre_mm": list(mm), "radius_mm": 8} for side, mm in CENTRES.items()}
    content: dict[str, Any] = {
        "name": "tiny",
        "movie": movie(),
        "localizer": localizer(),
        "functional": {
            "voxels": 10,
            "regions": [{"name": "FFA", "contrast": "face", "search": search}],
        },
        "atlas": {"regions": ["V1v", "V1d"]},
        "models": ["pixels", "ratings"],
        "feature_tables": [
            {"name": "ratings", "files": {run: f"ratings_run-{run}.tsv" for run in RUNS}}
        ],
    }
    content = {key: value for key, value in (content | changes).items() if value is not None}
    path.write_text(yaml.safe_dump(content, sort_keys=False))


def movie(**changes: Any) -> dict[str, Any]:
    runs = [{"run": run, "film": f"seg_{run}.*"} for run in RUNS]
    return {"task": "movie", "session": "movie", "runs": runs, "frame_step": 1, **changes}


def localizer(**changes: Any) -> dict[str, Any]:
    return {
        "task": "objectcategories",
        "session": "localizer",
        "runs": ["1"],
        "conditions": ["face", "house"],
        "contrasts": {"face": {"plus": ["face"], "minus": ["house"]}},
        **changes,
    }


def listing(*folders: Path) -> dict[Path, tuple[int, int]]:
    """Return size and time of change of every file and folder."""

    def below() -> Iterator[Path]:
        for folder in folders:
            yield from (folder, *folder.rglob("*"))

    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in below()}


def _stem(participant: str, task: str, run: str) -> str:
    session = "movie" if task == "movie" else "localizer"
    return (
        f"sub-{participant}/ses-{session}/func/"
        f"sub-{participant}_ses-{session}_task-{task}_run-{run}"
    )
