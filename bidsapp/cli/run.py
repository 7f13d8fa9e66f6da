"""Start of ``moviersa``: settings and analysis in, one level out, exit status for the shell."""

import atexit
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from bidsapp.analysis.spec import Analysis, changed, default_analysis, read_analysis
from bidsapp.cli.ending import told_in_a_sentence
from bidsapp.cli.home import give_a_home
from bidsapp.cli.parser import parse
from bidsapp.errors import UsageError
from bidsapp.files import told_what_is_full
from bidsapp.settings import Settings

T = TypeVar("T")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 when all that was asked for is there, 64 on wrong usage."""
    with told_in_a_sentence("moviersa"):
        settings = parse(argv)
        with told_what_is_full(settings.output_dir, settings.work_dir):
            status = run(settings)
    sys.exit(status)


def run(settings: Settings) -> int:
    """Run one level; return the exit status."""
    logging.basicConfig(
        format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr
    )
    logging.getLogger("bidsapp").setLevel("DEBUG" if settings.verbose else "INFO")
    _prepare_environment(settings)
    if settings.reports_only:
        from bidsapp.workflows.pages import redraw

        return redraw(settings, effective_analysis(settings) if settings.analysis else None)
    analysis = effective_analysis(settings)
    # Imported late: nipype, nilearn and torch take seconds that --version need not wait for.
    from bidsapp.workflows.level import run_level

    return run_level(settings, analysis)


def effective_analysis(settings: Settings) -> Analysis:
    """Read the analysis file and narrow it to what the command line asks for.

    Raises
    ------
    UsageError
        ``--task-id``, ``--session-label``, ``--derivatives`` or ``--models`` contradict the
        analysis.
    """
    analysis = read_analysis(settings.analysis or default_analysis())
    if settings.task_id:
        analysis = _narrow_tasks(analysis, settings.task_id)
    _check_datasets(analysis, settings)
    if settings.session_label:
        _check_sessions(analysis, settings.session_label)
    if settings.models:
        analysis = _narrow_models(analysis, settings.models)
    return analysis


def _narrow_models(analysis: Analysis, asked: Sequence[str]) -> Analysis:
    """Take these models only, also where the analysis compares or maps some by name."""
    kept = set(asked)
    comparators, searchlight = analysis.comparators, analysis.searchlight
    compared = tuple(name for name in comparators.models if name in kept)
    none_left = bool(comparators.models) and not compared
    return changed(
        analysis,
        models=tuple(asked),
        dissimilarity=analysis.dissimilarity.model_copy(
            update={"models": _only(analysis.dissimilarity.models, kept)}
        ),
        comparators=comparators.model_copy(
            update={"models": compared} | ({"methods": ()} if none_left else {})
        ),
        searchlight=searchlight.model_copy(
            update={
                "models": tuple(name for name in searchlight.models if name in kept),
                "layers": _only(searchlight.layers, kept),
            }
        ),
    )


def _only(by_model: Mapping[str, T], kept: set[str]) -> dict[str, T]:
    return {name: value for name, value in by_model.items() if name in kept}


def _narrow_tasks(analysis: Analysis, asked: Sequence[str]) -> Analysis:
    localizer = analysis.localizer.task if analysis.localizer else None
    known = [task for task in (analysis.movie.task, localizer) if task]
    unknown = [task for task in asked if task not in known]
    if unknown:
        raise UsageError(f"--task-id {unknown[0]} is no task of the analysis ({', '.join(known)})")
    if analysis.movie.task not in asked:
        raise UsageError(f"--task-id must include the movie task, {analysis.movie.task}")
    if localizer in asked or localizer is None:
        return analysis
    if not (analysis.atlas.regions or analysis.masks.regions):
        raise UsageError(
            f"without --task-id {localizer} no region is left: the analysis has no atlas and no "
            "masks"
        )
    functional = analysis.functional.model_copy(update={"regions": ()})
    return changed(analysis, localizer=None, functional=functional)


def _check_datasets(analysis: Analysis, settings: Settings) -> None:
    used = [analysis.masks.dataset] if analysis.masks.regions else []
    unused = [name for name in settings.further_datasets if name not in used]
    if unused:
        takes = f"masks from {used[0]}" if used else "no masks"
        raise UsageError(
            f"--derivatives {unused[0]}=PATH is not used: the analysis takes {takes} "
            "(masks.dataset)"
        )


def _check_sessions(analysis: Analysis, asked: Sequence[str]) -> None:
    localizer = analysis.localizer.session if analysis.localizer else None
    wanted = [*analysis.movie.sessions, *([localizer] if localizer else [])]
    absent = [session for session in wanted if session not in asked]
    if absent:
        raise UsageError(
            f"--session-label leaves out ses-{absent[0]}, which the analysis needs "
            f"(sessions: {', '.join(dict.fromkeys(wanted))}); name it too, or use --task-id"
        )


def _prepare_environment(settings: Settings) -> None:
    """Set what libraries read at import: threads, and where they keep their caches."""
    for name in (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
    ):
        os.environ[name] = str(settings.omp_nthreads)
    caches = {
        "MPLCONFIGDIR": "matplotlib",
        "NIPYPE_CONFIG_DIR": "nipype",
        "XDG_CACHE_HOME": "cache",
    }
    place = _cache_folder(settings)
    for name, folder in caches.items():
        os.environ.setdefault(name, str(place / folder))
    give_a_home(place)
    os.environ["NO_ET"] = "1"  # nipype would ask the network for its newest version


def _cache_folder(settings: Settings) -> Path:
    """Return a folder of the work directory; for a dry run, which leaves nothing, a passing one."""
    inside = settings.work_dir / ".config"
    if not settings.dry_run:
        return inside
    try:
        folder = Path(tempfile.mkdtemp(prefix="moviersa-"))
    except FileNotFoundError:  # a read-only root without /tmp: there is nowhere else
        return inside
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
