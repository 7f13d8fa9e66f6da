"""The stimulus level: RDMs of every model for every run, made once for a dataset."""

import logging
from collections.abc import Collection, Mapping
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
from bidsapp.vision.runs import PlacedRun
from bidsapp.workflows.bookkeeping import start
from bidsapp.workflows.engine import run_workflow
from bidsapp.workflows.film import FilmPlan, framing_of
from bidsapp.workflows.fingerprints import models_to_make
from bidsapp.workflows.inputs import find_inputs
from bidsapp.workflows.models import dissimilarity, model_rdm_files, note_warnings
from bidsapp.workflows.planning import plan_models
from bidsapp.workflows.steps import make_step, publish
from bidsapp.workflows.validation import validate_bids

LOGGER = logging.getLogger(__name__)


def run(settings: Settings, analysis: Analysis) -> int:
    """Run the stimulus level; return the exit status."""
    inputs = find_inputs(settings, analysis, everyone=True)
    plan = plan_models(settings, analysis, inputs)
    validate_bids(settings)
    for label, reason in inputs.unusable.items():
        LOGGER.warning("sub-%s does not count for the timing of frames: %s", label, reason)
    make_models(settings, analysis, plan, start(settings, analysis))
    return 0


def make_models(settings: Settings, analysis: Analysis, plan: FilmPlan, log_dir: Path) -> None:
    """Make the model RDMs that are missing or out of date; who comes second finds them made.

    Raises
    ------
    InputError
        A model failed; nothing after it makes sense.
    """
    for warning in plan.warnings:
        LOGGER.warning("%s", warning)
    with lock(settings.output_dir / "stimuli" / ".lock"):
        missing = models_to_make(settings, analysis, plan)
        _say_what_is_made(settings, analysis, missing)
        if missing:
            workflow = init_stimulus_wf(settings, analysis, plan, missing)
            crashes = run_workflow(workflow, settings, log_dir, parallel=False)
            if crashes:
                raise InputError("; ".join(crashes.values()))
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


def init_stimulus_wf(
    settings: Settings,
    analysis: Analysis,
    plan: FilmPlan,
    missing: Mapping[str, Mapping[str, str]],
) -> engine.Workflow:
    """Make the workflow that computes missing model RDMs, each run decoded once for all its models.

    Parameters
    ----------
    plan
        The film on the scanner's clock.
    missing
        Run to the models whose RDMs are to be made, and their fingerprints.

    Returns
    -------
    nipype workflow
        Per run: film → RDMs → published files.
    """
    workflow = engine.Workflow(name="stimulus_wf")
    for film in plan.runs:
        if film.run in missing:
            rdms = _rdms_node(settings, analysis, film, missing[film.run])
            publish(workflow, [rdms], f"publish_{film.run}", settings)
    return workflow


def _rdms_node(
    settings: Settings, analysis: Analysis, film: PlacedRun, models: Mapping[str, str]
) -> engine.Node:
    memory_gb = settings.mem_gb / 2
    rdms = ModelRDMs(
        film=film_to_plain(film),
        models=list(models),
        made_from=dict(models),
        version=__version__,
        labels=desc_labels(analysis.models),
        dissimilarities={model: dissimilarity(settings, analysis, model) for model in models},
        tables=[table.model_dump(mode="json") for table in analysis.feature_tables],
        stimuli_dir=str(settings.stimuli_dir),
        task=analysis.movie.task,
        framing=asdict(framing_of(analysis.movie)),
        hrf_s=analysis.movie.hrf_s,
        device=settings.device,
        memory_gb=memory_gb,
        scratch_gb=settings.scratch_gb,
        n_threads=settings.nprocs,
        use_gpu=settings.device.startswith("cuda"),
    )
    if settings.weights is not None:
        rdms.inputs.weights_dir = str(settings.weights)
    if settings.model_catalogue is not None:
        rdms.inputs.catalogue = str(settings.model_catalogue)
    # One at a time, with all cores: networks use whatever they are given.
    return make_step(rdms, f"rdms_{film.run}", memory_gb, settings.nprocs)
