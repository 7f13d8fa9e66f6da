"""The group level: everything that OUTPUT_DIR holds, compared over participants."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from nipype.pipeline import engine

from bidsapp.analysis.spec import Analysis
from bidsapp.dataset.derivatives import ROBUST_RDMS, OutputTree, read_json, read_rdms, sidecar
from bidsapp.errors import InputError
from bidsapp.interfaces.comparators import GroupComparators
from bidsapp.interfaces.controlled import ControlledNull
from bidsapp.interfaces.film_volumes import PlainVolumes, robust_volumes
from bidsapp.interfaces.shift_null import ShiftedRunProducts, ShiftNull
from bidsapp.interfaces.similarity import GroupStatistics
from bidsapp.interfaces.summary import GroupQuality
from bidsapp.reports.report import group_report
from bidsapp.rsa.controlled_run import N_CONTROL
from bidsapp.settings import Settings
from bidsapp.tables.scores import asks_controlled
from bidsapp.workflows.bookkeeping import end, facts_of, log, say, withdraw_group
from bidsapp.workflows.coverage import plain_volumes
from bidsapp.workflows.engine import run_workflow
from bidsapp.workflows.models import (
    absent_models,
    model_rdm_files,
    plan_warnings,
    without_coverage,
)
from bidsapp.workflows.steps import join, make_step, publish

LOGGER = logging.getLogger(__name__)
_MIN_RUNS = 3
_UNIQUE = "unique_"  # and the participant's label
_NULL = "null_"  # and the region's name: the steps that take minutes


def run(settings: Settings, analysis: Analysis) -> int:
    """Run the group level; return the exit status."""
    brain_rdms = brain_rdm_files(settings, analysis)
    if settings.dry_run:
        return say(_describe(settings, analysis, brain_rdms))
    workflow = init_group_wf(settings, analysis)
    lacking = _lacking(settings, analysis, brain_rdms)
    without = (f"{participant}: {reason}" for participant, reason in lacking.items())
    warnings = (*_left_out(settings, brain_rdms), *without)
    for warning in warnings:
        LOGGER.warning("%s", warning)
    log_dir = log(settings, analysis, len(_counted(brain_rdms)))
    withdraw_group(settings, analysis)
    crashes = run_workflow(workflow, settings, log_dir, told=(_NULL, _UNIQUE))
    if any(not step.endswith(".comparators") for step in crashes):
        return end(crashes)
    facts = facts_of(settings, analysis, (*warnings, *plan_warnings(settings, analysis)))
    tree = OutputTree(settings.output_dir)
    group_report(tree, analysis, facts, settings.stimuli, settings.atlas)
    return end(crashes | lacking)


def brain_rdm_files(
    settings: Settings, analysis: Analysis, desc: str | None = None
) -> dict[str, dict[str, Path]]:
    """Find every participant's RDM files in OUTPUT_DIR: run to participant to file.

    Those of robust are called otherwise (``desc``) than those of replicate.
    """
    tree, movie = OutputTree(settings.output_dir), analysis.movie
    found: dict[str, dict[str, Path]] = {}
    for run in movie.runs:
        files = {
            label: tree.find(
                "brain_rdms",
                label,
                task=movie.task,
                run=run.run,
                space=settings.output_space,
                stat=f"{analysis.dissimilarity.brain}distance",
                desc=desc,
            )
            for label in tree.participants()
        }
        found[run.run] = {label: path for label, path in files.items() if path is not None}
    return {run: files for run, files in found.items() if files}


def _counted(brain_rdms: Mapping[str, Mapping[str, Path]]) -> set[str]:
    """Name the participants that have RDMs."""
    return {label for files in brain_rdms.values() for label in files}


def _left_out(settings: Settings, brain_rdms: Mapping[str, Mapping[str, Path]]) -> tuple[str, ...]:
    """Name participants that have a folder in OUTPUT_DIR and no RDMs there."""
    counted = _counted(brain_rdms)
    tree = OutputTree(settings.output_dir)
    return tuple(
        f"sub-{label} is left out: {tree.root} has no RDMs of it in space {settings.output_space}; "
        "run the participant level for it"
        for label in tree.participants()
        if label not in counted
    )


def _lacking(
    settings: Settings, analysis: Analysis, brain_rdms: Mapping[str, Mapping[str, Path]]
) -> dict[str, str]:
    """Say who has RDMs but not the comparators that the analysis asks for."""
    if not analysis.comparators.methods:
        return {}
    known = comparator_tables(settings, analysis)
    counted = _counted(brain_rdms)
    return {
        f"sub-{label}": "its comparators are missing in OUTPUT_DIR, and it is left out of the "
        "group's: run the participant level for it again"
        for label in sorted(counted - known.keys())
    }


def init_group_wf(settings: Settings, analysis: Analysis) -> engine.Workflow:
    """Make the workflow of the group.

    Returns
    -------
    nipype workflow
        All RDM files → each run's products with shifted models → each region's scores → statistics,
        and tables of quality → published tables; participants' comparators and all RDM files →
        theirs.

    Raises
    ------
    InputError
        OUTPUT_DIR has too few runs of any participant, or lacks the models' RDMs.
    """
    brain_rdms = brain_rdm_files(settings, analysis)
    _check(settings, analysis, brain_rdms)
    first = next(iter(next(iter(brain_rdms.values())).values()))
    repetition_time = _spacing(first)
    robust_rdms = brain_rdm_files(settings, analysis, ROBUST_RDMS)
    models = model_rdm_files(settings, analysis)
    study: dict[str, Any] = {
        "analysis": analysis.model_dump(mode="json"),
        "model_rdms": {run: [str(path) for path in models[run]] for run in brain_rdms},
        "brain_rdms": _as_text(brain_rdms),
        "robust_rdms": _as_text(robust_rdms),
        "film_volumes": {
            run: plain_volumes(settings, analysis, run, repetition_time) for run in brain_rdms
        },
        "repetition_time": repetition_time,
    }
    seed = settings.random_seed
    sizes = _sizes(brain_rdms, models, analysis)
    nulls = join(len(analysis.region_names), "nulls")
    n_procs = settings.omp_nthreads
    similarity = [str(path) for path in similarity_tables(settings, analysis, brain_rdms)]
    statistics = make_step(
        GroupStatistics(**study, tables=similarity, seed=seed),
        "statistics",
        sizes.statistics_gb,
        n_procs,
    )
    tables = _quality_files(settings, analysis, brain_rdms)
    quality = make_step(GroupQuality(tables=tables, task=analysis.movie.task), "quality", 0.2, 1)
    workflow = engine.Workflow(name="group_wf")
    shifted = join(len(brain_rdms), "shifted")
    for i, run in enumerate(brain_rdms):
        products = make_step(
            ShiftedRunProducts(**study, run=run), f"shifted_{run}", sizes.shifted_gb, 1
        )
        workflow.connect(products, "products", shifted, f"in{i + 1}")
    for i, region in enumerate(analysis.region_names):
        scored = ShiftNull(**study, region=region, seed=seed)
        null = make_step(scored, f"{_NULL}{region}", sizes.null_gb, 1)
        workflow.connect(shifted, "out", null, "products")
        workflow.connect(null, "scores", nulls, f"in{i + 1}")
    workflow.connect(nulls, "out", statistics, "nulls")
    if asks_controlled(analysis):
        people = sorted(_counted(brain_rdms))
        controlled = join(len(people), "controlled")
        for i, label in enumerate(people):
            scored = ControlledNull(**study, participant=label, seed=seed)
            step = make_step(scored, f"{_UNIQUE}{label}", sizes.controlled_gb, 1)
            if analysis.statistics.null_draws.unique:
                workflow.connect(shifted, "out", step, "products")
            workflow.connect(step, "scores", controlled, f"in{i + 1}")
        workflow.connect(controlled, "out", statistics, "controlled")
    publish(workflow, [statistics, quality], "publish", settings)
    compared = comparator_tables(settings, analysis)
    if compared:
        comparators = make_step(
            GroupComparators(
                **study,
                participants=list(compared),
                tables=[str(path) for path in compared.values()],
                seed=seed,
            ),
            "comparators",
            max(1.0, sizes.statistics_gb),
            n_procs,
        )
        publish(workflow, [comparators], "publish_comparators", settings)
    return workflow


def _as_text(files: Mapping[str, Mapping[str, Path]]) -> dict[str, dict[str, str]]:
    return {
        run: {label: str(path) for label, path in by_label.items()}
        for run, by_label in files.items()
    }


def similarity_tables(
    settings: Settings, analysis: Analysis, brain_rdms: Mapping[str, Mapping[str, Path]]
) -> list[Path]:
    """Find the similarity tables in OUTPUT_DIR of the participants that have RDMs."""
    tree, task = OutputTree(settings.output_dir), analysis.movie.task
    paths = [
        tree.find("participant_stats", label, task=task, desc="similarity")
        for label in sorted(_counted(brain_rdms))
    ]
    return [path for path in paths if path is not None]


def comparator_tables(settings: Settings, analysis: Analysis) -> dict[str, Path]:
    """Find the participants' comparators in OUTPUT_DIR, if the analysis has any."""
    if not analysis.comparators.methods:
        return {}
    tree, task = OutputTree(settings.output_dir), analysis.movie.task
    paths = {
        label: tree.find("participant_stats", label, task=task, desc="comparators")
        for label in tree.participants()
    }
    return {label: path for label, path in paths.items() if path is not None}


def _quality_files(
    settings: Settings, analysis: Analysis, brain_rdms: Mapping[str, Mapping[str, Path]]
) -> dict[str, list[str]]:
    """Name each participant's tables of runs and quality; none for one whose are not there."""
    tree, task = OutputTree(settings.output_dir), analysis.movie.task
    found = {}
    for label in sorted(_counted(brain_rdms)):
        paths = [
            tree.find("participant_stats", label, task=task, desc=desc)
            for desc in ("runs", "quality")
        ]
        found[label] = [str(path) for path in paths] if all(paths) else []
    return found


@dataclass(frozen=True)
class _Sizes:
    """RDMs of the longest run in GB, as float32, and what steps take that read them run by run.

    ``residuals_gb`` is what all controls leave of a participant's regions, and ``shifts_gb`` the
    correlations of that with all columns, at every shift of all runs.
    """

    models_gb: float
    brains_gb: float
    residuals_gb: float
    shifts_gb: float

    @property
    def shifted_gb(self) -> float:
        """Memory of one run's products for every shift, and its imports."""
        return 0.7 + 3 * (self.models_gb + self.brains_gb)

    @property
    def null_gb(self) -> float:
        """Memory of one region's test, and its imports."""
        return 0.7

    @property
    def controlled_gb(self) -> float:
        """Memory of what models add to each other in one participant, and its imports."""
        return 0.7 + 12 * self.models_gb + 2 * self.shifts_gb + 2 * self.residuals_gb

    @property
    def statistics_gb(self) -> float:
        """Memory of the statistics: two runs meet as one follows the other, and models' files.

        Measured without the libraries: 2.1 times the brains', 5.1 times the models' (components).
        """
        return 0.5 + 2.5 * self.brains_gb + 5.5 * self.models_gb


def _sizes(
    brain_rdms: Mapping[str, Mapping[str, Path]],
    models: Mapping[str, Sequence[Path]],
    analysis: Analysis,
) -> _Sizes:
    longest = max(
        len(read_rdms(next(iter(files.values()))).onsets_s) for files in brain_rdms.values()
    )
    first = models[next(iter(brain_rdms))]
    n_layers = sum(len(read_rdms(path).names) for path in first)
    column_gb = longest**2 / 2 * 4 / 1e9
    everyone = {label for by_label in brain_rdms.values() for label in by_label}
    n_brains = 2 * len(everyone) * len(analysis.region_names)  # each mode has its own
    n_columns = (len(analysis.models) + N_CONTROL) * n_layers  # of all controls together
    at_a_shift_gb = len(analysis.region_names) * n_columns * 4 / 1e9
    shifts_gb = len(brain_rdms) * longest * at_a_shift_gb
    n_residuals = (len(analysis.models) + 3) * len(analysis.region_names)  # and the regions' RDMs
    return _Sizes(n_layers * column_gb, n_brains * column_gb, n_residuals * column_gb, shifts_gb)


def _check(
    settings: Settings, analysis: Analysis, brain_rdms: Mapping[str, Mapping[str, Path]]
) -> None:
    if len(brain_rdms) < _MIN_RUNS:
        raise InputError(
            f"{settings.output_dir} holds brain RDMs of {len(brain_rdms)} movie runs in space "
            f"{settings.output_space}; the group needs {_MIN_RUNS}: run the participant level first"
        )
    missing = absent_models(settings, analysis, list(brain_rdms))
    if missing:
        run, models = next(iter(missing.items()))
        raise InputError(
            f"{settings.output_dir} lacks the RDMs of {', '.join(models)} for run {run}: "
            "run the stimulus level first"
        )
    outdated = _outdated(settings, analysis, brain_rdms)
    if outdated:
        raise InputError("; ".join(outdated))


def _outdated(
    settings: Settings, analysis: Analysis, brain_rdms: Mapping[str, Mapping[str, Path]]
) -> list[str]:
    """Say what an earlier release made, or what was made for other model RDMs than are there."""
    if without_coverage(settings, analysis, list(brain_rdms)):
        return [
            f"{settings.output_dir} holds model RDMs of an earlier release, which do not say how "
            "much of each response the film covers: run the stimulus level again (it runs no "
            "network), and the participant level for all participants"
        ]
    robust_rdms = brain_rdm_files(settings, analysis, ROBUST_RDMS)
    repetition_time = _spacing(next(iter(next(iter(brain_rdms.values())).values())))
    absent, others = set(), set()
    for run, files in brain_rdms.items():
        volumes = plain_volumes(settings, analysis, run, repetition_time)
        for label in files:
            robust = robust_rdms.get(run, {}).get(label)
            if robust is None:
                absent.add(label)
            elif not _same_volumes(robust, volumes):
                others.add(label)
    again = "run the participant level for them again"
    reasons = {
        "there are no RDMs of the mode robust, which an earlier release did not make": absent,
        "robust's RDMs are of other volumes than the model RDMs say now": others,
    }
    return [
        f"{settings.output_dir}, sub-{', sub-'.join(sorted(labels))}: {reason}; {again}"
        for reason, labels in reasons.items()
        if labels
    ]


def _same_volumes(robust: Path, volumes: PlainVolumes) -> bool:
    """Tell whether RDMs of robust were denoised on the volumes that it would use now."""
    described = read_json(sidecar(robust))
    left_out = described.get("VolumesLeftOut")
    in_robust = robust_volumes(volumes, described["Volumes"]["Count"])
    return left_out == np.flatnonzero(~in_robust).tolist()


def _spacing(path: Path) -> float:
    """Repetition time of an RDM file, in seconds."""
    onsets = read_rdms(path).onsets_s
    return float(onsets[1] - onsets[0])


def _describe(
    settings: Settings, analysis: Analysis, brain_rdms: Mapping[str, Mapping[str, Path]]
) -> str:
    """Say what the group level would use."""
    lines = [f"moviersa group, analysis '{analysis.name}', space {settings.full_space}", ""]
    for run in analysis.movie.runs:
        found = brain_rdms.get(run.run, {})
        lines.append(
            f"  run {run.run}: RDMs of {len(found)} participants: {' '.join(sorted(found))}"
        )
    lines += [f"  {sentence}" for sentence in _left_out(settings, brain_rdms)]
    missing = absent_models(settings, analysis, list(brain_rdms))
    lines += [f"  run {run}: no RDMs of {', '.join(models)}" for run, models in missing.items()]
    if brain_rdms and not missing:
        lines += [f"  {sentence}" for sentence in _outdated(settings, analysis, brain_rdms)]
    return "\n".join([*lines, ""])
