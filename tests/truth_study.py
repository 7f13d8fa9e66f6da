"""The demo analysed through the app's own workflows, and parts of it again with one thing wrong."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from nipype.interfaces.base import SimpleInterface, TraitedSpec

from bidsapp.analysis.spec import Analysis, read_analysis
from bidsapp.dataset.derivatives import (
    ROBUST_RDMS,
    OutputTree,
    read_rdms,
    write_rdms,
    write_table,
)
from bidsapp.demo.check import Results
from bidsapp.demo.size import MOVIE_SESSION, MOVIE_TASK, REPETITION_TIME, SMALL
from bidsapp.demo.stimuli import Stimuli
from bidsapp.demo.write import write_brains
from bidsapp.interfaces.film_volumes import PlainVolumes
from bidsapp.interfaces.similarity import ParticipantSimilarity
from bidsapp.rsa.rdm import to_square
from bidsapp.settings import Settings, make_settings
from bidsapp.tables.columns import describe
from bidsapp.workflows.coverage import plain_volumes
from bidsapp.workflows.engine import run_workflow
from bidsapp.workflows.group import brain_rdm_files, init_group_wf
from bidsapp.workflows.inputs import find_inputs
from bidsapp.workflows.models import model_rdm_files
from bidsapp.workflows.participant import init_participants_wf, init_single_participant_wf
from bidsapp.workflows.planning import plan_models
from bidsapp.workflows.stimulus import make_models


@dataclass(frozen=True)
class Study:
    """A demo dataset, and where the app's results for it are."""

    settings: Settings
    analysis: Analysis

    @property
    def directory(self) -> Path:
        """The dataset with its truth."""
        return self.settings.bids_dir.parent

    @property
    def results(self) -> Results:
        """What the checks look at."""
        return Results(self.directory, self.settings.output_dir)


def make_study(directory: Path, seed: int, film: Path, stimuli: Stimuli) -> Study:
    """Write the small demo's brains for one seed; the film stays where it is."""
    write_brains(directory, seed, SMALL, stimuli)
    settings = make_settings(
        {
            "bids_dir": directory / "bids",
            "output_dir": directory / "out",
            "level": "participant",
            "derivatives": {"fmriprep": directory / "fmriprep"},
            "stimuli": film,
            "atlas": directory / "atlas",
            "work_dir": directory / "work",
            "nprocs": 1,
            "omp_nthreads": 1,
            "mem_gb": 4,
        }
    )
    return Study(settings, read_analysis(directory / "analysis.yaml"))


def run_models(study: Study) -> None:
    """Make the models' RDMs."""
    plan = plan_models(study.settings, study.analysis, find_inputs(study.settings, study.analysis))
    make_models(study.settings, study.analysis, plan, study.directory / "logs")


def run_brains(study: Study) -> None:
    """Run the participants and the group on RDMs of the models that are there."""
    settings, analysis = study.settings, study.analysis
    inputs = find_inputs(settings, analysis)
    workflow = init_participants_wf(
        settings, analysis, inputs.participants, model_rdm_files(settings, analysis)
    )
    assert run_workflow(workflow, settings, study.directory / "logs") == {}
    group = init_group_wf(settings, analysis)
    assert run_workflow(group, settings, study.directory / "logs") == {}


def find_regions_again(study: Study, output_dir: Path, template: str | None = None) -> Results:
    """Repeat the steps that find regions, from the t maps that are there."""
    settings, tree = study.settings, OutputTree(output_dir)
    no_models = {run.run: [] for run in study.analysis.movie.runs}
    volumes = film_volumes(study)
    for person in find_inputs(settings, study.analysis).participants:
        workflow = init_single_participant_wf(settings, study.analysis, person, no_models, volumes)
        functional, atlas = (workflow.get_node(name).interface for name in ("functional", "atlas"))
        functional.inputs.t_maps = _maps(study, functional, "t")
        functional.inputs.z_maps = _maps(study, functional, "z")
        tables = []
        for name, step in (("functional", functional), ("atlas", atlas)):
            if template is not None:
                step.inputs.spec = {**step.inputs.spec, "template": template}
            found = _run(step, output_dir, f"{name}_{person.participant}")
            tables.append(pd.read_csv(found.table, sep="\t"))
        path = tree.path("participant_stats", **_movie(person.participant), desc="regions")
        write_table(path, pd.concat(tables), describe("regions", "participant"))
    return Results(study.directory, output_dir)


def compare_again(study: Study, output_dir: Path, swapped: Mapping[str, str]) -> Results:
    """Repeat the comparison with every run's models taken from another run."""
    settings, analysis = study.settings, study.analysis
    models = model_rdm_files(settings, analysis)
    brains, robust = (brain_rdm_files(settings, analysis, desc) for desc in (None, ROBUST_RDMS))
    for label in study.results.truth["peaks_mm"]:
        step = ParticipantSimilarity(
            analysis=analysis.model_dump(mode="json"),
            model_rdms={run: [str(path) for path in models[swapped[run]]] for run in models},
            brain_rdms={run: {label: str(files[label])} for run, files in brains.items()},
            robust_rdms={run: {label: str(files[label])} for run, files in robust.items()},
            film_volumes=film_volumes(study),
            repetition_time=REPETITION_TIME,
            entities=_movie(label),
        )
        _run(step, output_dir, label)
    return Results(study.directory, output_dir)


def film_volumes(study: Study) -> dict[str, PlainVolumes]:
    """Say which volumes of each run the robust mode uses, as steps take it."""
    return {
        run.run: plain_volumes(study.settings, study.analysis, run.run, REPETITION_TIME)
        for run in study.analysis.movie.runs
    }


def shift_models(study: Study, output_dir: Path, volumes: int) -> Results:
    """Write the models' RDMs as if every frame had been shown some volumes later or earlier."""
    shutil.copytree(study.settings.output_dir, output_dir)
    for path in (output_dir / "stimuli").glob("*_relmat.h5"):
        file = read_rdms(path)
        square = to_square(file.rdms)
        n = square.shape[-1]
        first, last = max(-volumes, 0), n - max(volumes, 0)
        kept, moved = slice(first, last), np.full_like(square, np.nan)
        moved[:, first + volumes : last + volumes, first + volumes : last + volumes] = square[
            :, kept, kept
        ]
        rows, columns = np.triu_indices(n, 1)
        write_rdms(
            path, moved[:, rows, columns], file.names, "layer", file.onsets_s, file.descriptors
        )
    return Results(study.directory, output_dir)


def _maps(study: Study, functional: SimpleInterface, statistic: str) -> dict[str, str]:
    tree, entities = OutputTree(study.settings.output_dir), functional.inputs.entities
    return {
        contrast: str(tree.path("statmap", **entities, contrast=contrast, stat=statistic))
        for contrast in study.analysis.localizer.contrasts
    }


def _run(step: SimpleInterface, output_dir: Path, name: str) -> TraitedSpec:
    """Run one step in a folder of its own and publish what it staged."""
    cwd = output_dir.with_name(f"{output_dir.name}_{name}")
    cwd.mkdir(parents=True)
    outputs = step.run(cwd=str(cwd)).outputs
    shutil.copytree(outputs.staged, output_dir, dirs_exist_ok=True)
    return outputs


def _movie(participant: str) -> dict[str, str]:
    return {"sub": participant, "ses": MOVIE_SESSION, "task": MOVIE_TASK}
