"""What each level does, from checked input to published results and a report."""

import logging
import shutil
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import yaml

from bidsapp import __version__
from bidsapp.analysis.spec import Analysis
from bidsapp.dataset.derivatives import OutputTree, SourceDataset
from bidsapp.dataset.description import check_same_analysis
from bidsapp.errors import InputError
from bidsapp.files import lock, write_text
from bidsapp.reports.methods import methods_text
from bidsapp.reports.report import RunFacts, group_report, participant_report
from bidsapp.settings import Settings, to_toml, versions
from bidsapp.workflows.dryrun import describe_group, describe_run
from bidsapp.workflows.engine import failed_participants, run_workflow
from bidsapp.workflows.film import FilmPlan, plan_film
from bidsapp.workflows.group import brain_rdm_files, init_group_wf
from bidsapp.workflows.inputs import (
    Inputs,
    check_folders,
    check_models,
    check_weights,
    find_inputs,
)
from bidsapp.workflows.participant import init_participants_wf
from bidsapp.workflows.stimulus import init_stimulus_wf, missing_models, model_rdm_files
from bidsapp.workflows.validation import validate_bids

LOGGER = logging.getLogger(__name__)


def run_level(settings: Settings, analysis: Analysis) -> int:
    """Run the level that the settings name; return the exit status.

    Returns
    -------
    int
        0 when everything asked for is there, 1 when a participant or a step is missing.
    """
    check_models(settings, analysis)
    check_folders(settings, analysis)
    check_same_analysis(settings.output_dir, analysis, settings.output_space)
    levels: Mapping[str, Callable[[Settings, Analysis], int]] = {
        "stimulus": _stimulus,
        "participant": _participant,
        "group": _group,
    }
    if settings.boilerplate_only:
        _start(settings, analysis)
        return 0
    return levels[settings.level](settings, analysis)


def _stimulus(settings: Settings, analysis: Analysis) -> int:
    inputs = find_inputs(settings, analysis, everyone=True)
    plan = plan_film(analysis, inputs.participants, settings.stimuli_dir)
    _check_models_to_make(settings, analysis, plan)
    if settings.dry_run:
        return _say(describe_run(settings, analysis, inputs, plan))
    validate_bids(settings)
    for label, reason in inputs.unusable.items():
        LOGGER.warning("sub-%s does not count for the timing of frames: %s", label, reason)
    _make_models(settings, analysis, plan, _start(settings, analysis))
    return 0


def _participant(settings: Settings, analysis: Analysis) -> int:
    inputs = find_inputs(settings, analysis)
    plan = None
    if settings.dry_run or missing_models(settings, analysis, _runs(inputs)):
        # Frames are placed by all participants' events: RDMs must not depend on who is asked.
        everyone = find_inputs(settings, analysis, everyone=True).participants
        plan = plan_film(analysis, everyone, settings.stimuli_dir)
        _check_models_to_make(settings, analysis, plan)
        if settings.dry_run:
            _say(describe_run(settings, analysis, inputs, plan))
            return _end(inputs.unusable)
    validate_bids(settings)
    log_dir = _start(settings, analysis)
    if plan is not None:
        _make_models(settings, analysis, plan, log_dir)
    workflow = init_participants_wf(
        settings, analysis, inputs.participants, model_rdm_files(settings, analysis)
    )
    failed = failed_participants(run_workflow(workflow, settings, log_dir))
    warnings = () if plan is None else plan.warnings
    for person in inputs.participants:
        if person.participant not in failed:
            facts = _facts(settings, (*person.missing, *warnings))
            tree = OutputTree(settings.output_dir)
            participant_report(tree, person.participant, analysis, facts, person.t1w)
    return _end({**inputs.unusable, **failed})


def _runs(inputs: Inputs) -> list[str]:
    """Movie runs that any participant has."""
    return sorted({run.run for person in inputs.participants for run in person.movie})


def _check_models_to_make(settings: Settings, analysis: Analysis, plan: FilmPlan) -> None:
    missing = missing_models(settings, analysis, [film.run for film in plan.runs])
    check_weights(settings, analysis, {model for models in missing.values() for model in models})


def _group(settings: Settings, analysis: Analysis) -> int:
    if settings.dry_run:
        return _say(describe_group(settings, analysis, brain_rdm_files(settings, analysis)))
    workflow = init_group_wf(settings, analysis)
    log_dir = _log(settings, analysis)
    crashes = run_workflow(workflow, settings, log_dir)
    if crashes:
        return _end(crashes)
    group_report(OutputTree(settings.output_dir), analysis, _facts(settings, ()))
    return 0


def _make_models(settings: Settings, analysis: Analysis, plan: FilmPlan, log_dir: Path) -> None:
    """Make the model RDMs that are missing; whoever comes second finds them made.

    Raises
    ------
    InputError
        A model failed; nothing after it makes sense.
    """
    runs = [film.run for film in plan.runs]
    with lock(settings.output_dir / "stimuli" / ".lock"):
        missing = missing_models(settings, analysis, runs)
        if not missing:
            LOGGER.info("model RDMs: all there")
            return
        LOGGER.info("model RDMs: %d to be made", sum(map(len, missing.values())))
        crashes = run_workflow(
            init_stimulus_wf(settings, analysis, plan, missing), settings, log_dir
        )
    if crashes:
        raise InputError("; ".join(crashes.values()))


def _start(settings: Settings, analysis: Analysis) -> Path:
    """Make OUTPUT_DIR a dataset that describes itself; return this run's own log folder."""
    tree = OutputTree(settings.output_dir)
    sources = [
        SourceDataset("raw", settings.bids_dir),
        SourceDataset("fmriprep", settings.derivatives_dir),
    ]
    tree.initialise(analysis, settings.output_space, sources)
    return _log(settings, analysis)


def _log(settings: Settings, analysis: Analysis) -> Path:
    """Save what is run and with what; return this run's own log folder."""
    if settings.clean_workdir:
        shutil.rmtree(settings.work_dir, ignore_errors=True)
    settings.work_dir.mkdir(parents=True, exist_ok=True)
    tree = OutputTree(settings.output_dir)
    time = f"{datetime.now(UTC):%Y%m%d-%H%M%S}_{uuid4().hex[:8]}"
    settings_file = tree.path("log", time=time, name="moviersa.toml")
    write_text(settings_file, to_toml(settings))
    content = yaml.safe_dump(analysis.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    write_text(tree.path("log", time=time, name="analysis.yaml"), content)
    write_text(tree.path("log", time=time, name="CITATION.md"), methods_text(analysis, versions()))
    return settings_file.parent


def _facts(settings: Settings, warnings: tuple[str, ...]) -> RunFacts:
    return RunFacts(
        version=__version__,
        command=" ".join(sys.argv),
        settings=to_toml(settings),
        versions=versions(),
        warnings=warnings,
        space=settings.output_space,
    )


def _say(text: str) -> int:
    sys.stdout.write(text)
    return 0


def _end(failed: Mapping[str, str]) -> int:
    """Report what is missing; 0 only when nothing is."""
    for what, reason in failed.items():
        LOGGER.error("%s: %s", what, reason)
    return 1 if failed else 0
