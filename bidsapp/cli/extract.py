"""The options of ``moviersa-models extract``: words into a job, nothing else."""

import argparse
import logging
import os
import re
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from bidsapp.analysis.part import Autocast, Dissimilarity
from bidsapp.cli.home import give_a_home
from bidsapp.cli.limits import memory_gb
from bidsapp.errors import MoviersaError, UsageError

if TYPE_CHECKING:
    from bidsapp.vision.runs import PlacedRun
    from bidsapp.workflows.extraction import FilmJob


_OPTIONS = {
    "set movie.frame_timing to nominal": "leave --events out",
    "movie.first_frame_index": "--first-frame-index",
    "movie.frame_rate": "--frame-rate",
    "movie.other_rate": "--other-rate",
    "movie.letterbox": "--letterbox",
    "extraction.max_damaged": "--max-damaged",
}
"""What messages call keys of the analysis file, which there is none of here, and the options."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``extract``."""
    parser.add_argument("names", nargs="+", metavar="NAME", help="models")
    films = parser.add_argument_group("films and scans")
    films.add_argument("--film", nargs="+", type=Path, required=True, help="one file a run")
    films.add_argument("--tr", type=float, required=True, metavar="S", help="repetition time")
    films.add_argument(
        "--run", nargs="+", metavar="LABEL", help="names of the runs (default: 1, 2 ...)"
    )
    films.add_argument(
        "--volumes", nargs="+", type=int, metavar="N", help="of each film (default: as many as fit)"
    )
    films.add_argument(
        "--start-time",
        type=float,
        metavar="S",
        help="of the first volume, after the film's start (default: half a TR)",
    )
    films.add_argument(
        "--events",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="events of each film with each frame's onset (default: nominal)",
    )
    films.add_argument(
        "--first-frame-index",
        type=int,
        default=1,
        metavar="N",
        help="what the events call the film's first frame (default: 1)",
    )
    films.add_argument(
        "--frame-step", type=int, default=5, metavar="N", help="take every N-th frame (default: 5)"
    )
    films.add_argument("--frame-rate", type=float, metavar="HZ", help="as shown, if not the file's")
    films.add_argument(
        "--other-rate",
        choices=("by_time", "by_number"),
        default="refuse",
        help="how frames of a film of another rate than --frame-rate are matched (default: refuse)",
    )
    made = parser.add_argument_group("what is made")
    made.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the RDMs go")
    made.add_argument("--task", default="movie", help="in file names (default: movie)")
    made.add_argument(
        "--dissimilarity", choices=get_args(Dissimilarity), help="instead of the catalogue's"
    )
    made.add_argument(
        "--hrf-s",
        type=float,
        default=20.0,
        metavar="S",
        help="length of the response (default: 20)",
    )
    made.add_argument(
        "--letterbox",
        nargs=4,
        type=int,
        default=(0, 0, 0, 0),
        metavar="PIXELS",
        help="bars cut off: top, bottom, left, right",
    )
    made.add_argument(
        "--crop", type=int, metavar="PIXELS", help="side of a centred square (default: the largest)"
    )
    made.add_argument(
        "--resize", type=int, metavar="PIXELS", help="side that the square gets first"
    )
    made.add_argument(
        "--autocast", choices=get_args(Autocast), help="of a GPU's networks (default: none)"
    )
    made.add_argument(
        "--projection", type=int, metavar="N", help="dimensions left of larger layers"
    )
    made.add_argument(
        "--max-damaged",
        type=float,
        default=0.01,
        metavar="SHARE",
        help="of a run's frames that may be broken (default: 0.01)",
    )
    how = parser.add_argument_group("how it is run")
    how.add_argument("--weights", type=Path, metavar="DIR", help="folder of checkpoints")
    how.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 ... (default: auto)")
    how.add_argument(
        "--batch",
        type=int,
        default=32,
        metavar="N",
        help="windows at a time, at most, fewer where memory is short (default: 32)",
    )
    how.add_argument(
        "--nprocs",
        type=int,
        default=len(os.sched_getaffinity(0)),
        metavar="N",
        help="cores (default: all)",
    )
    how.add_argument(
        "--mem-gb",
        type=float,
        default=memory_gb(),
        metavar="GB",
        help="memory that may be used, in GB (default: 90%% of the machine's or the job's)",
    )
    how.add_argument(
        "--scratch-gb",
        type=float,
        default=50.0,
        metavar="GB",
        help="disk, in GB, that responses may take in the work directory (default: 50)",
    )
    how.add_argument(
        "-w",
        "--work-dir",
        type=Path,
        default=Path("work"),
        metavar="DIR",
        help="scratch (default: ./work)",
    )
    how.add_argument(
        "--dry-run",
        action="store_true",
        help="say what would be made, its size, and which models share a decoding",
    )


def run(given: Namespace) -> str:
    """Extract, or say what would be; return what is to be printed.

    Raises
    ------
    InputError, UsageError
        As `extract_films`; or options contradict each other.
    """
    logging.basicConfig(
        format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr
    )
    logging.getLogger("bidsapp").setLevel("INFO")
    _check(given)
    if not given.dry_run:
        give_a_home(given.work_dir / ".config")
    # Imported late: torch takes seconds.
    import torch

    from bidsapp.workflows.extraction import describe_job, extract_films

    torch.set_num_threads(given.nprocs)
    with _told_in_options():
        job = _job(given)
        if given.dry_run:
            return describe_job(job)
        extract_films(job)
    paths = [job.path(film.run, entry) for film in job.films for entry in job.models]
    return "".join(f"{path}\n" for path in paths)


@contextmanager
def _told_in_options() -> Iterator[None]:
    """Let errors name options where they name keys of an analysis file."""
    try:
        yield
    except MoviersaError as error:
        said = str(error)
        for key, option in _OPTIONS.items():
            said = said.replace(key, option)
        raise type(error)(said) from error


def _job(given: Namespace) -> "FilmJob":
    from bidsapp.analysis.processing import Extraction
    from bidsapp.vision.catalogue import find_model
    from bidsapp.vision.devices import Machine
    from bidsapp.vision.framing import Framing
    from bidsapp.vision.model_recipe import Recipe
    from bidsapp.workflows.extraction import FilmJob

    entries = [find_model(name, given.model_catalogue) for name in given.names]
    if given.dissimilarity is not None:
        changed = {"dissimilarity": given.dissimilarity}
        entries = [entry.model_copy(update=changed) for entry in entries]
    extraction = Extraction(
        autocast=given.autocast, projection=given.projection, max_damaged=given.max_damaged
    )
    framing = Framing(tuple(given.letterbox), given.crop, given.resize)
    half = int(given.mem_gb / 2 * 1e9)
    return FilmJob(
        out=given.out,
        task=given.task,
        films=tuple(_films(given)),
        models=tuple(entries),
        recipe=Recipe(framing, given.hrf_s, extraction),
        machine=Machine(given.work_dir, half, given.device, given.batch),
        weights=given.weights,
        scratch_bytes=given.scratch_gb * 1e9,
    )


def _films(given: Namespace) -> "Iterator[PlacedRun]":
    """Put each film and its volumes on one clock."""
    from bidsapp.workflows.extraction import Timing, place_film

    n_films = len(given.film)
    runs = given.run or [str(number + 1) for number in range(n_films)]
    volumes, events = given.volumes or [None] * n_films, given.events or [None] * n_films
    for run, film, n_volumes, log in zip(runs, given.film, volumes, events, strict=True):
        timing = Timing(
            given.tr,
            start_s=given.start_time,
            n_volumes=n_volumes,
            frame_step=given.frame_step,
            shown_rate=given.frame_rate,
            other_rate=given.other_rate,
            first_frame_index=given.first_frame_index,
        )
        yield place_film(run, film.expanduser(), timing, log)


def _check(given: Namespace) -> None:
    """Refuse what no option may be."""
    n_films = len(given.film)
    for option, values in (
        ("--run", given.run),
        ("--volumes", given.volumes),
        ("--events", given.events),
    ):
        if values is not None and len(values) != n_films:
            raise UsageError(f"{option} has {len(values)} values for {n_films} films")
    labels = [given.task, *(given.run or ())]
    for label in labels:
        if not re.fullmatch("[0-9a-zA-Z]+", label):
            raise UsageError(f"{label!r} is no label: letters and digits")
    for option, names in (("--run", given.run or ()), ("NAME", given.names)):
        if len(set(names)) != len(names):
            raise UsageError(f"{option}: {', '.join(names)} has one twice")
    for option, least in (
        ("tr", 1e-3),
        ("hrf_s", 1e-3),
        ("mem_gb", 1e-3),
        ("scratch_gb", 1e-9),
        ("frame_step", 1),
        ("batch", 1),
        ("nprocs", 1),
        ("crop", 1),
        ("resize", 1),
        ("projection", 100),
        ("frame_rate", 1e-3),
    ):
        value = getattr(given, option)
        if value is not None and not isfinite(value):
            raise UsageError(f"--{option.replace('_', '-')} {value:g} is no finite number")
        if value is not None and value < least:
            raise UsageError(f"--{option.replace('_', '-')} {value:g} must be at least {least:g}")
    if min(given.letterbox) < 0 or min(given.volumes or [1]) < 1:
        raise UsageError("--letterbox and --volumes take no negative numbers")
    if not isfinite(given.start_time or 0):
        raise UsageError(f"--start-time {given.start_time:g} is no finite number")
    if not 0 <= given.max_damaged <= 1:
        raise UsageError(f"--max-damaged {given.max_damaged:g} must be a share, from 0 to 1")
    if given.other_rate != "refuse" and given.frame_rate is None:
        raise UsageError("--other-rate needs --frame-rate: other than which?")
