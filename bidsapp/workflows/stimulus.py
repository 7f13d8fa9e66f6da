"""The stimulus level: RDMs of every model for every run, made once for a dataset."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from nipype.pipeline import engine

from bidsapp.analysis.spec import Analysis
from bidsapp.dataset.derivatives import OutputTree, desc_labels
from bidsapp.interfaces.films import ModelRDMs, film_to_plain
from bidsapp.interfaces.staging import Publish
from bidsapp.settings import Settings
from bidsapp.vision.catalogue import find_model
from bidsapp.vision.clips import FilmRun
from bidsapp.workflows.film import FilmPlan


def model_rdm_files(settings: Settings, analysis: Analysis) -> dict[str, list[Path]]:
    """Name the RDM file of every run and model: run to files in the order of the models."""
    tree, labels = OutputTree(settings.output_dir), desc_labels(analysis.models)
    stats = {model: _statistic(settings, analysis, model) for model in analysis.models}
    task = analysis.movie.task
    return {
        run.run: [
            tree.path("stimulus_rdms", task=task, run=run.run, stat=stats[model], desc=label)
            for model, label in labels.items()
        ]
        for run in analysis.movie.runs
    }


def missing_models(
    settings: Settings, analysis: Analysis, runs: Sequence[str]
) -> dict[str, list[str]]:
    """Tell which models lack their RDM file: run to models; complete runs are left out."""
    files = model_rdm_files(settings, analysis)
    missing = {
        run: [
            model
            for model, path in zip(analysis.models, files[run], strict=True)
            if not path.is_file()
        ]
        for run in runs
    }
    return {run: models for run, models in missing.items() if models}


def init_stimulus_wf(
    settings: Settings,
    analysis: Analysis,
    plan: FilmPlan,
    missing: Mapping[str, Sequence[str]],
) -> engine.Workflow:
    """Make the workflow that computes missing model RDMs, each run decoded once for all its models.

    Parameters
    ----------
    plan
        The film on the scanner's clock.
    missing
        Run to the models whose RDMs are to be made.

    Returns
    -------
    nipype workflow
        Per run: film → RDMs → published files.
    """
    workflow = engine.Workflow(name="stimulus_wf")
    for film in plan.runs:
        if film.run in missing:
            rdms = _rdms_node(settings, analysis, film, missing[film.run])
            publish = engine.Node(
                Publish(output_dir=str(settings.output_dir)),
                name=f"publish_{film.run}",
                run_without_submitting=True,
            )
            workflow.connect(rdms, "staged", publish, "staged")
    return workflow


def _rdms_node(
    settings: Settings, analysis: Analysis, film: FilmRun, models: Sequence[str]
) -> engine.Node:
    memory_gb = settings.mem_gb / 2
    step = ModelRDMs(
        film=film_to_plain(film),
        models=list(models),
        labels=desc_labels(analysis.models),
        tables=[table.model_dump(mode="json") for table in analysis.feature_tables],
        stimuli_dir=str(settings.stimuli_dir),
        task=analysis.movie.task,
        hrf_s=analysis.movie.hrf_s,
        device=settings.device,
        memory_gb=memory_gb,
        scratch_gb=settings.scratch_gb,
        n_threads=settings.nprocs,
    )
    if analysis.movie.crop is not None:
        step.inputs.crop = analysis.movie.crop
    if settings.weights is not None:
        step.inputs.weights_dir = str(settings.weights)
    if settings.model_catalogue is not None:
        step.inputs.catalogue = str(settings.model_catalogue)
    # One at a time, with all cores: networks use whatever they are given.
    return engine.Node(step, name=f"rdms_{film.run}", n_procs=settings.nprocs, mem_gb=memory_gb)


def _statistic(settings: Settings, analysis: Analysis, model: str) -> str:
    table = analysis.feature_table(model)
    entry = table or find_model(model, settings.model_catalogue)
    return f"{entry.dissimilarity}distance"
