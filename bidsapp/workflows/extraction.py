"""RDMs of models for films alone: no dataset, no scans, volumes counted from the film's length."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, floor
from pathlib import Path

import numpy as np

from bidsapp.arrays import Floats
from bidsapp.dataset.derivatives import (
    OutputTree,
    desc_labels,
    read_json,
    sidecar,
    stimulus_rdms_path,
    update_film_coverage,
    write_stimulus_rdms,
)
from bidsapp.dataset.frames import frame_onsets
from bidsapp.errors import InputError, UsageError
from bidsapp.files import lock
from bidsapp.vision.catalogue import ModelEntry
from bidsapp.vision.devices import Machine, batch_size, find_device, networks_memory
from bidsapp.vision.features import scratch_bytes
from bidsapp.vision.film import film_facts
from bidsapp.vision.model_rdms import ModelRDMs, model_rdms, share_decoding
from bidsapp.vision.model_recipe import Recipe
from bidsapp.vision.networks.loading import load_network
from bidsapp.vision.networks.network import layer_units
from bidsapp.vision.odd_films import odd_films, odd_windows
from bidsapp.vision.runs import PlacedRun, check_windows, nominal_frames, volumes_without_film
from bidsapp.vision.stretches import OtherRate, Stretch, cut
from bidsapp.workflows.film_events import check_onsets, of_one_rate, read_logs
from bidsapp.workflows.fingerprints import is_current, network_fingerprint, recorded

LOGGER = logging.getLogger(__name__)
_FEWEST_VOLUMES = 3


@dataclass(frozen=True)
class Timing:
    """When volumes were taken and frames are shown.

    Attributes
    ----------
    repetition_time
        In seconds.
    start_s
        Time of the first volume after the film's start, in seconds; None: half a TR.
    n_volumes
        None: as many as fit into the film.
    frame_step
        Every how many frames one is taken.
    shown_rate, other_rate
        See `cut`.
    first_frame_index
        What events call the film's first frame.
    """

    repetition_time: float
    start_s: float | None = None
    n_volumes: int | None = None
    frame_step: int = 5
    shown_rate: float | None = None
    other_rate: OtherRate = "refuse"
    first_frame_index: int = 1


@dataclass(frozen=True)
class FilmJob:
    """Models, films and where their RDMs go.

    Attributes
    ----------
    out
        Files are named as in an OUTPUT_DIR, below ``stimuli``.
    task
        In their names.
    films
        Placed runs.
    models
        Entries, each with the dissimilarity that is wanted.
    recipe, machine
        What is computed, and with what.
    weights
        Folder of checkpoints.
    scratch_bytes
        Disk that results may take; models that fit share one decoding.
    """

    out: Path
    task: str
    films: tuple[PlacedRun, ...]
    models: tuple[ModelEntry, ...]
    recipe: Recipe
    machine: Machine
    weights: Path | None
    scratch_bytes: float

    @property
    def repetition_time(self) -> float:
        """TR in s."""
        first, second = self.films[0].volume_times[:2]
        return float(second - first)

    @property
    def labels(self) -> dict[str, str]:
        """Model to its label in file names."""
        return desc_labels([entry.name for entry in self.models])

    def path(self, run: str, entry: ModelEntry) -> Path:
        """Return the file of a run and model."""
        tree = OutputTree(self.out)
        return stimulus_rdms_path(
            tree, self.task, run, self.labels[entry.name], entry.dissimilarity
        )

    def groups(self, film: PlacedRun, models: Sequence[ModelEntry]) -> Iterator[list[ModelEntry]]:
        """Group models that share one decoding."""
        return share_decoding(
            models,
            len(film.volume_times),
            self.scratch_bytes,
            networks_memory(self.machine),
            self.recipe.extraction.projection,
        )


def place_film(run: str, path: Path, timing: Timing, events: Path | None = None) -> PlacedRun:
    """Put a film's frames and its volumes on one clock, which begins with the film.

    Parameters
    ----------
    run
        Name of the run.
    path
        The film.
    timing
        When volumes are taken.
    events
        Events file whose onsets tell when frames were shown; None: at the film's rate.

    Raises
    ------
    InputError
        The film cannot be used, or is too short for the volumes.
    """
    stretch = cut(path, shown_rate=timing.shown_rate, other_rate=timing.other_rate)
    tr = timing.repetition_time
    n_volumes = timing.n_volumes or floor(stretch.duration_s / tr + 1e-6)
    if n_volumes < _FEWEST_VOLUMES:
        raise InputError(
            f"{path} lasts {stretch.duration_s:.1f} s, {n_volumes} volumes of {tr:g} s, and at "
            f"least {_FEWEST_VOLUMES} are needed"
        )
    if events is None and n_volumes > ceil(stretch.duration_s / tr - 1e-6):
        raise InputError(
            f"{path} lasts {stretch.duration_s:.1f} s, too short for {n_volumes} volumes of {tr:g} "
            "s; leave --volumes out, or give the film that was shown"
        )
    start = tr / 2 if timing.start_s is None else timing.start_s
    times = np.arange(n_volumes) * tr + start
    if events is None:
        rate = float(stretch.shown_rate)
        index, shown = nominal_frames(stretch.n_frames, rate, timing.frame_step)
    else:
        index, shown = _measured(run, stretch, events, timing)
    seen = shown < times[-1]
    if not seen.any():
        raise InputError(f"{path}, run {run}: no frame was shown before the last volume")
    return PlacedRun(run, stretch, index[seen], shown[seen], times)


def _measured(
    run: str, stretch: Stretch, events: Path, timing: Timing
) -> tuple[np.ndarray, np.ndarray]:
    logs, _ = read_logs(run, {"events": events}, timing.first_frame_index)
    logs, _ = of_one_rate(run, stretch, logs)
    onsets = frame_onsets(logs)
    for warning in check_onsets(run, stretch, logs, onsets):
        LOGGER.warning("%s", warning)
    sampled = (onsets.index % timing.frame_step == 0) & (onsets.index < stretch.n_frames)
    return onsets.index[sampled], onsets.onset_s[sampled]


def check_job(job: FilmJob) -> None:
    """Find what is wrong before anything is computed; log what is odd.

    Raises
    ------
    InputError, UsageError
        A checkpoint is absent or does not fit, the device or its memory does not do, a film is
        shorter than a window, or a file of that name holds another film or model.
    """
    find_device(job.machine.device, job.recipe.extraction.autocast)
    for entry in job.models:
        layer_units(entry)  # a layer that does not exist is an error now
        if entry.checkpoint is not None:
            load_network(entry, job.weights)  # whole, and of this architecture
        batch_size([entry], job.machine)
    odd = [*odd_films(job.recipe.framing, job.films), *odd_windows(job.models, job.films)]
    for sentence in odd:
        LOGGER.warning("%s", sentence)
    for film in job.films:
        check_windows(job.models, film)
        for sentence in volumes_without_film(film, job.repetition_time, job.recipe.hrf_s):
            LOGGER.warning("%s", sentence)
        for entry in job.models:
            _check_same(job.path(film.run, entry), film, entry)


def _check_same(path: Path, film: PlacedRun, entry: ModelEntry) -> None:
    """Do not put one film's or model's RDMs in the place of another's."""
    if recorded(path) is None:
        return
    there = read_json(sidecar(path))["Descriptors"]
    if there.get("film") != film.film.name:
        raise UsageError(
            f"{path} holds the RDMs of {there.get('film')}, not of {film.film.name}: name runs "
            "with --run, or give another folder with --out"
        )
    if there.get("model") != entry.name:
        raise UsageError(
            f"{path} holds the RDMs of the model {there.get('model')}, not of {entry.name}, whose "
            "label is the same: give another folder with --out, or another --task"
        )


def due(job: FilmJob, film: PlacedRun) -> dict[str, str]:
    """Return the models whose RDMs of a run are absent or out of date, with their fingerprints."""
    wanted = {
        entry.name: network_fingerprint(entry, film, job.recipe, job.weights)
        for entry in job.models
    }
    paths = {entry.name: job.path(film.run, entry) for entry in job.models}
    most = job.recipe.extraction.max_damaged
    return {
        name: made for name, made in wanted.items() if not is_current(paths[name], made, film, most)
    }


def extract_films(job: FilmJob) -> None:
    """Make the RDMs that are absent or out of date, a run and a group of models at a time.

    What is whole is kept: after a stop the same job goes on where it was. The film's coverage is
    added to the sidecars of RDMs that an earlier release made.

    Raises
    ------
    InputError, UsageError
        As `check_job` and `model_rdms`.
    """
    check_job(job)
    with lock(job.out / "stimuli" / ".lock"):
        for film in job.films:
            missing = due(job, film)
            if not missing:
                LOGGER.info("run %s: all there", film.run)
            models = [entry for entry in job.models if entry.name in missing]
            _say_what_is_made_again(job, film, models)
            coverage = film.coverage(job.recipe.hrf_s)
            for entry in job.models:
                if entry.name not in missing:
                    update_film_coverage(job.path(film.run, entry), coverage)
            for group in job.groups(film, models):
                for made in model_rdms(group, film, job.recipe, job.machine, job.weights):
                    _write(job, film, made, missing[made.entry.name], coverage)


def _write(
    job: FilmJob, film: PlacedRun, made: ModelRDMs, made_from: str, coverage: Floats
) -> None:
    path = job.path(film.run, made.entry)
    facts = film.described(made.entry.name, made_from)
    dissimilarity = made.entry.dissimilarity
    write_stimulus_rdms(
        path, made.layers, film.volume_times, facts, dissimilarity, made.notes, coverage
    )
    LOGGER.info("%s written", path)


def _say_what_is_made_again(job: FilmJob, film: PlacedRun, models: Sequence[ModelEntry]) -> None:
    stale = [entry.name for entry in models if job.path(film.run, entry).is_file()]
    if stale:
        LOGGER.warning(
            "run %s: the RDMs of %s were made from other input and are made again",
            film.run,
            ", ".join(stale),
        )


def describe_job(job: FilmJob) -> str:
    """Say what would be made, with its size; nothing is computed or written."""
    check_job(job)
    return "\n".join([*_lines(job), ""])


def _lines(job: FilmJob) -> Iterator[str]:
    for film in job.films:
        facts, n_volumes = film_facts(film.film), len(film.volume_times)
        missing = due(job, film)
        yield (
            f"run {film.run}: {film.film}, {facts.n_frames} frames at "
            f"{float(facts.frame_rate):.5g} Hz, {facts.width} x {facts.height}; "
            f"{len(film.frame_index)} frames taken, {n_volumes} volumes from "
            f"{film.volume_times[0]:g} s"
        )
        models = [entry for entry in job.models if entry.name in missing]
        for group in job.groups(film, models):
            names = ", ".join(entry.name for entry in group)
            yield f"  decoded once, {batch_size(group, job.machine)} frames at a time: {names}"
        for entry in job.models:
            yield f"  {_model_line(job, film, entry, missing)}"


def _model_line(job: FilmJob, film: PlacedRun, entry: ModelEntry, missing: dict[str, str]) -> str:
    path, n_volumes = job.path(film.run, entry), len(film.volume_times)
    units = layer_units(entry)
    scratch = scratch_bytes(entry, n_volumes, job.recipe.extraction.projection)
    size = 4 * len(units) * n_volumes * (n_volumes - 1) // 2
    old = "to be made again, from other input" if path.is_file() else "to be made"
    return (
        f"{path}: {entry.name}, {len(units)} layers, {sum(units.values())} units, "
        f"{scratch / 1e9:.3g} GB of scratch, {size / 1e6:.3g} MB; "
        f"{old if entry.name in missing else 'made'}"
    )
