"""The stimulus level: RDMs of every model for every run, made once for a dataset."""

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from nipype.pipeline import engine

from bidsapp import __version__
from bidsapp.analysis.spec import Analysis
from bidsapp.dataset.derivatives import desc_labels
from bidsapp.errors import InputError
from bidsapp.files import lock
from bidsapp.interfaces.films import ModelRDMs, film_to_plain
from bidsapp.settings import Settings
from bidsapp.vision.devices import Machine, networks_memory
from bidsapp.vision.model_rdms import share_decoding
from bidsapp.vision.runs import PlacedRun
from bidsapp.workflows.bookkeeping import start
from bidsapp.workflows.coverage import add_coverage
from bidsapp.workflows.engine import run_workflow
from bidsapp.workflows.film import FilmPlan, recipe_of
from bidsapp.workflows.fingerprints import models_to_make
from bidsapp.workflows.inputs import find_inputs
from bidsapp.workflows.models import model_entry, model_rdm_files, note_warnings
from bidsapp.workflows.planning import memory_bytes, plan_models
from bidsapp.workflows.steps import make_step, publish
from bidsapp.workflows.validation import validate_bids

LOGGER = logging.getLogger(__name__)

_Step = tuple[PlacedRun, Mapping[str, str]]  # a run, and models that share its decoding


def run(settings: Settings, analysis: Analysis) -> int:
    """Run the stimulus level; return the exit status."""
    inputs = find_inputs(settings, analysis, everyone=True)
    plan = plan_models(settings, analysis, inputs)
    validate_bids(settings, inputs.participants)
    for label, reason in inputs.unusable.items():
        LOGGER.warning("sub-%s does not count for the timing of frames: %s", label, reason)
    make_models(settings, analysis, plan, start(settings, analysis))
    return 0


def make_models(settings: Settings, analysis: Analysis, plan: FilmPlan, log_dir: Path) -> None:
    """Make the model RDMs that are missing or out of date; who comes second finds them made.

    The film's coverage is added to the sidecars of the others, if an earlier release made them.

    Raises
    ------
    InputError
        A model failed, which is said after the others were made; no level can go on without it.
    """
    for warning in plan.warnings:
        LOGGER.warning("%s", warning)
    with lock(settings.output_dir / "stimuli" / ".lock"):
        missing = models_to_make(settings, analysis, plan)
        _say_what_is_made(settings, analysis, missing)
        steps = _steps(settings, analysis, plan, missing)
        crashes = _run_steps(settings, analysis, steps, log_dir) if steps else {}
        if crashes:
            raise InputError("; ".join(crashes.values()))
        add_coverage(settings, analysis, plan)
        note_warnings(settings, analysis, plan.warnings)


def _say_what_is_made(
    settings: Settings, analysis: Analysis, missing: Mapping[str, Collection[str]]
) -> None:
    if not missing:
        LOGGER.info("model RDMs: all there")
        return
    LOGGER.info("model RDMs: %d to be made", sum(map(len, missing.values())))
    files = model_rdm_files(settings, analysis)
    for run, models in missing.items():
        paths = dict(zip(analysis.models, files[run], strict=True))
        stale = [model for model in models if paths[model].is_file()]
        if stale:
            LOGGER.warning(
                "run %s: the RDMs of %s were made from other input and are made again",
                run,
                ", ".join(stale),
            )


def _run_steps(
    settings: Settings, analysis: Analysis, steps: Sequence[_Step], log_dir: Path
) -> dict[str, str]:
    """Run steps and return the failed; each is published before the next, so a stop loses one."""
    together = settings.nipype_plugin_file is not None  # a cluster may run them side by side
    crashes: dict[str, str] = {}
    for batch in [steps] if together else [[step] for step in steps]:
        workflow = init_stimulus_wf(settings, analysis, batch)
        crashes |= run_workflow(workflow, settings, log_dir, parallel=False)
        if crashes and settings.stop_on_first_crash:
            break
    return crashes


def init_stimulus_wf(
    settings: Settings, analysis: Analysis, steps: Sequence[_Step]
) -> engine.Workflow:
    """Make the workflow that computes model RDMs, the film decoded once a step.

    Parameters
    ----------
    steps
        Runs on the scanner's clock, each with models and their fingerprints.

    Returns
    -------
    nipype workflow
        Per step: film → RDMs → published files.
    """
    workflow = engine.Workflow(name="stimulus_wf")
    for film, models in steps:
        rdms = _rdms_node(settings, analysis, film, models)
        publish(workflow, [rdms], rdms.name.replace("rdms", "publish", 1), settings)
    return workflow


def _steps(
    settings: Settings,
    analysis: Analysis,
    plan: FilmPlan,
    missing: Mapping[str, Mapping[str, str]],
) -> list[_Step]:
    return [
        (film, models)
        for film in plan.runs
        for models in _groups(settings, analysis, film, missing.get(film.run, {}))
    ]


def _groups(
    settings: Settings, analysis: Analysis, film: PlacedRun, models: Mapping[str, str]
) -> Iterator[dict[str, str]]:
    """Group missing models, and their fingerprints, by what decodes the film together."""
    tables = {name: models[name] for name in models if analysis.feature_table(name)}
    if tables:
        yield tables
    entries = [model_entry(settings, analysis, name) for name in models if name not in tables]
    machine = Machine(settings.work_dir, memory_bytes(settings), settings.device)
    here = settings.nipype_plugin_file is None
    for group in share_decoding(
        entries,
        len(film.volume_times),
        settings.scratch_gb * 1e9,
        networks_memory(machine) if here else machine.memory_bytes,
        analysis.extraction.projection,
    ):
        yield {entry.name: models[entry.name] for entry in group}


def _rdms_node(
    settings: Settings, analysis: Analysis, film: PlacedRun, models: Mapping[str, str]
) -> engine.Node:
    labels = desc_labels(analysis.models)
    tables = [table for name in models if (table := analysis.feature_table(name)) is not None]
    networks = [name for name in models if analysis.feature_table(name) is None]
    entries = [model_entry(settings, analysis, name) for name in networks]
    recipe = recipe_of(analysis)
    memory_gb = memory_bytes(settings) / 1e9
    rdms = ModelRDMs(
        film=film_to_plain(film),
        models=[entry.model_dump(mode="json") for entry in entries],
        made_from=dict(models),
        version=__version__,
        labels=labels,
        tables=[table.model_dump(mode="json") for table in tables],
        stimuli_dir=str(settings.stimuli_dir),
        task=analysis.movie.task,
        framing=asdict(recipe.framing),
        hrf_s=recipe.hrf_s,
        extraction=recipe.extraction.model_dump(mode="json"),
        device=settings.device,
        memory_gb=memory_gb,
        n_threads=settings.nprocs,
        use_gpu=settings.device.startswith("cuda"),
    )
    if settings.weights is not None:
        rdms.inputs.weights_dir = str(settings.weights)
    # One at a time, with all cores and all memory: networks use whatever they are given.
    name = f"rdms_{film.run}_{labels[next(iter(models))]}"
    return make_step(rdms, name, settings.mem_gb, settings.nprocs)
