"""All levels at full size on the stand-in, against reading the files and the bare GLM.

``python -m bench.full_size DIR [--participant 01] [--nprocs 2] [--memory 4]`` after
``python -m bench.standin DIR ...``. It prints ``name value`` lines and writes
``build/full_size.json``. Ratios are of processor time, which other work on a machine disturbs less
than wall time; every command is a process of its own, so that imports count on both sides.
"""

import argparse
import gzip
import json
import re
import shutil
import sys
from pathlib import Path

from bench.processes import Cost, measured
from bench.standin.options import standin_options
from bench.standin.source import LOCALIZER, MOVIE, MOVIE_RUNS, scan_stem
from bidsapp.analysis.spec import Localizer, read_analysis

RESULT = Path("build") / "full_size.json"
_DURATION = re.compile(r"^\* duration : ([0-9.]+)", re.MULTILINE)
_CHUNK = 1 << 24


def main() -> None:
    """Measure, or do one of the parts that are measured."""
    parser = argparse.ArgumentParser(prog="python -m bench.full_size", description=__doc__)
    parser.add_argument("directory", type=Path, help="where bench.standin wrote")
    parser.add_argument("--participant", default="01", metavar="LABEL")
    parser.add_argument("--nprocs", type=int, default=2)
    parser.add_argument("--memory", type=float, default=4.0, help="given to moviersa, GB")
    parser.add_argument("--models", nargs="+", default=[], help="instead of the stand-in's")
    parser.add_argument("--part", choices=("reading", "glm"), help="do this and measure nothing")
    words = parser.parse_args()
    if words.part == "reading":
        read_bold(words.directory, words.participant)
    elif words.part == "glm":
        bare_glm(words.directory, words.participant)
    else:
        options = ["--nprocs", str(words.nprocs), "--mem-gb", str(words.memory)]
        options += ["--models", *words.models] if words.models else []
        values = measure(words.directory, words.participant, options)
        RESULT.parent.mkdir(parents=True, exist_ok=True)
        RESULT.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def measure(root: Path, participant: str, more: list[str]) -> dict[str, float]:
    """Run every level and the parts it is held against; print what each costs.

    Parameters
    ----------
    root
        Where the stand-in is; results of earlier runs in it are removed.
    participant
        Whose level is measured.
    more
        Further options of every level.

    Returns
    -------
    dict
        Per command ``_s`` (wall), ``_cpu_s`` and ``_peak_gb``; per stage of the participant level
        its seconds and share; disk of work and results; ``participant_over_floor``: the participant
        level's processor time in those of reading the BOLD files and the bare GLM together.
    """
    values: dict[str, float] = {}

    def note(name: str, value: float) -> None:
        values[name] = value
        print(f"{name} {value:.6g}", flush=True)

    def cost(name: str, command: list[str]) -> Cost:
        found = measured(command, log=root / f"{name}.log")
        note(f"{name}_s", found.wall_s)
        note(f"{name}_cpu_s", found.processor_s)
        note(f"{name}_peak_gb", found.peak_gb)
        return found

    for folder in (root / "out", root / "work"):
        shutil.rmtree(folder, ignore_errors=True)
    this = [sys.executable, "-m", "bench.full_size", str(root), "--participant", participant]
    validated = [*standin_options(root), *more]  # once, by the level that runs first
    options = [*validated, "--skip-bids-validation"]
    app = [sys.executable, "-m", "bidsapp", str(root / "bids"), str(root / "out")]
    cost("stimulus", [*app, "stimulus", *validated])
    reading = cost("reading", [*this, "--part", "reading"])
    glm = cost("glm", [*this, "--part", "glm"])
    label = ["--participant-label", participant]
    cost("dry_run", [*app, "participant", *options, *label, "--dry-run"])
    level = cost("participant", [*app, "participant", *options, *label])
    note("participant_over_floor", level.processor_s / (reading.processor_s + glm.processor_s))
    cost("again", [*app, "participant", *options, *label])
    cost("group", [*app, "group", *options])
    for stage, seconds in stages(root / "work", participant).items():
        note(f"stage_{stage}_s", seconds)
    note("work_gb", disk_gb(root / "work"))
    note("out_gb", disk_gb(root / "out"))
    return values


def read_bold(root: Path, participant: str) -> None:
    """Unpack every preprocessed series that the analysis uses, keeping nothing."""
    for path in bold_files(root, participant):
        with gzip.open(path) as stream:
            while stream.read(_CHUNK):
                pass


def bold_files(root: Path, participant: str) -> list[Path]:
    """Return the localizer's series, and those of the movie."""
    runs = [(LOCALIZER, run) for run in _localizer(root).runs] + [(MOVIE, r) for r in MOVIE_RUNS]
    ending = "_space-T1w_desc-preproc_bold.nii.gz"
    return [root / "fmriprep" / (scan_stem(participant, *run) + ending) for run in runs]


def bare_glm(root: Path, participant: str) -> None:
    """Fit the localizer with nilearn alone, as a script would."""
    import numpy as np
    import pandas as pd
    from nilearn.glm.first_level import FirstLevelModel

    spec = _localizer(root)
    stem = scan_stem(participant, LOCALIZER, spec.runs[0])
    preprocessed = f"{root / 'fmriprep' / stem}"
    confounds = pd.read_csv(f"{preprocessed}_desc-confounds_timeseries.tsv", sep="\t")
    model = FirstLevelModel(
        t_r=2.0,
        slice_time_ref=0.4855,
        hrf_model=spec.hrf_model,
        drift_model="cosine",
        high_pass=1 / spec.high_pass_s,
        mask_img=f"{preprocessed}_space-T1w_desc-brain_mask.nii.gz",
        smoothing_fwhm=spec.smoothing_fwhm_mm,
        noise_model=spec.noise_model,
    )
    events = pd.read_csv(root / "bids" / f"{stem}_events.tsv", sep="\t")
    bold = f"{preprocessed}_space-T1w_desc-preproc_bold.nii.gz"
    model.fit(bold, events=events, confounds=confounds[list(spec.confounds)])
    columns = list(model.design_matrices_[0].columns)
    for contrast in spec.contrasts.values():
        vector = np.array([contrast.condition_weights.get(name, 0.0) for name in columns])
        model.compute_contrast(vector, stat_type="t", output_type="all")


def _localizer(root: Path) -> Localizer:
    localizer = read_analysis(root / "analysis.yaml").localizer
    assert localizer is not None  # noqa: S101  # the stand-in's analysis has one
    return localizer


def stages(work: Path, participant: str) -> dict[str, float]:
    """Return the seconds that each step of a participant's workflow took, by nipype's report."""
    folder = work / "participant_wf" / f"sub_{participant}_wf"
    found = {}
    for report in sorted(folder.glob("*/_report/report.rst")):
        match = _DURATION.search(report.read_text(encoding="utf-8"))
        if match is not None:
            found[report.parts[-3]] = float(match[1])
    return found


def disk_gb(folder: Path) -> float:
    """Size of all files below a folder, in GB."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e9


if __name__ == "__main__":
    main()
