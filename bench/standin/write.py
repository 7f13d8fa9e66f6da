"""Write the whole stand-in: ``bids fmriprep stimuli atlas analysis.yaml truth.json``."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from bench.standin import fmriprep as derivatives
from bench.standin.anatomy import DRIVEN, Person, Template, draw_person
from bench.standin.raw import write_raw
from bench.standin.responses import START_TIME, movie_courses
from bench.standin.size import FULL, Size
from bench.standin.source import ANNOTATIONS, FRAME_RATE, MOVIE, MOVIE_RUNS, Source
from bidsapp.analysis.spec import Analysis, default_analysis
from bidsapp.demo.film import make_timeline, write_film
from bidsapp.files import write_text

TABLE = "annotations"
MODELS = (TABLE, "pixels", "resnet18-untrained-96px")


def write_standin(
    directory: Path, shared: Path, participants: Sequence[str], size: Size = FULL
) -> Path:
    """Write the stand-in; what a run before has written whole stays as it is.

    Parameters
    ----------
    directory
        Folder to write below.
    shared
        Folder of real data.
    participants
        Whose images are "downloaded", without ``sub-``.
    size
        The real one, or a small one.

    Returns
    -------
    Path
        ``directory``.

    Raises
    ------
    ValueError
        A participant did not watch the film.
    """
    source = Source(shared)
    unknown = sorted(set(participants) - set(source.participants))
    if unknown:
        raise ValueError(f"no participant {', '.join(unknown)} in {source.dataset}")
    annotations = size.annotations(source)
    write_raw(directory / "bids", source, size, participants)
    _write_stimuli(directory / "stimuli", source, size, annotations)
    _write_atlas(directory / "atlas", source)
    people = [draw_person(source, size, label) for label in participants]
    template, root = Template(source), directory / "fmriprep"
    derivatives.write_root(root, source)
    for person in people:
        courses = movie_courses(annotations, _times(source, size, person.label))
        derivatives.write_anatomy(root, template, person, size)
        derivatives.write_scans(root, source, size, template, person, courses)
    for label in source.participants:
        derivatives.write_names(root, label)
    write_text(directory / "truth.json", json.dumps(_truth(people), indent=1) + "\n")
    content = analysis_content(size)
    Analysis.model_validate(content)
    write_text(directory / "analysis.yaml", yaml.safe_dump(content, sort_keys=False))
    return directory


def _times(source: Source, size: Size, participant: str) -> dict[str, Any]:
    headers = {run: size.header(source, participant, MOVIE, run) for run in MOVIE_RUNS}
    return {
        run: np.arange(header.volumes) * header.repetition_time + START_TIME
        for run, header in headers.items()
    }


def _write_atlas(folder: Path, source: Source) -> None:
    if not folder.is_symlink():
        folder.symlink_to(source.atlas.resolve())


def _write_stimuli(
    folder: Path, source: Source, size: Size, annotations: Mapping[str, pd.DataFrame]
) -> None:
    """Write a film that has nothing to do with the annotations, and the annotations as tables."""
    starts = size.film_starts_s(source)
    length = [len(table) / FRAME_RATE for table in annotations.values()]
    timeline = make_timeline(starts[-1] + max(length))
    for index, (run, start) in enumerate(zip(MOVIE_RUNS, starts, strict=True)):
        film = folder / f"fg_av_ger_seg{index}.mkv"
        if not film.is_file():
            write_film(film, timeline, start, length[index])
        text = annotations[run].to_csv(sep="\t", index=False, float_format="%.6g")
        write_text(folder / f"annotations_run-{run}.tsv", text)


def analysis_content(size: Size) -> dict[str, Any]:
    """Return the default analysis with models that need no checkpoint."""
    content: dict[str, Any] = yaml.safe_load(default_analysis().read_text(encoding="utf-8"))
    content["name"] = "studyforrest stand-in"
    content["movie"] |= {"crop": None, "resize": None}  # the film's frames are small
    content["functional"]["voxels"] = size.region_voxels
    content["models"] = list(MODELS)
    content["feature_tables"] = [
        {
            "name": TABLE,
            "files": {run: f"annotations_run-{run}.tsv" for run in MOVIE_RUNS},
            "columns": list(ANNOTATIONS),
        }
    ]
    return content


def _truth(people: Sequence[Person]) -> dict[str, Any]:
    return {
        "driven": DRIVEN,
        "model": TABLE,
        "peaks_mm": {
            person.label: {
                region: {side: np.round(point, 2).tolist() for side, point in sides.items()}
                for region, sides in person.peaks.items()
            }
            for person in people
        },
    }
