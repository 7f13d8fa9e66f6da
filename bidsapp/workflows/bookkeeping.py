"""What every level does at its start and end: records, logs, exit status."""

import logging
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import yaml

from bidsapp import __version__
from bidsapp.analysis.spec import Analysis
from bidsapp.dataset.derivatives import OutputTree, SourceDataset
from bidsapp.errors import UsageError
from bidsapp.files import write_text
from bidsapp.reports.methods import methods_text
from bidsapp.reports.report import RunFacts
from bidsapp.settings import Settings, to_toml, versions

LOGGER = logging.getLogger(__name__)


def start(settings: Settings, analysis: Analysis) -> Path:
    """Make OUTPUT_DIR a dataset that describes itself; return this run's own log folder.

    Raises
    ------
    UsageError
        A folder cannot be written, or OUTPUT_DIR holds another analysis.
    """
    tree = OutputTree(settings.output_dir)
    sources = [
        SourceDataset("raw", settings.bids_dir),
        SourceDataset("fmriprep", settings.derivatives_dir),
    ]
    with _clear_refusal():
        tree.initialise(analysis, settings.output_space, sources)
    return log(settings, analysis)


def log(settings: Settings, analysis: Analysis) -> Path:
    """Save what is run and with what; return this run's own log folder.

    Raises
    ------
    UsageError
        A folder cannot be written.
    """
    tree = OutputTree(settings.output_dir)
    time = f"{datetime.now(UTC):%Y%m%d-%H%M%S}_{uuid4().hex[:8]}"
    content = yaml.safe_dump(analysis.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    texts = {
        "moviersa.toml": to_toml(settings),
        "analysis.yaml": content,
        "CITATION.md": methods_text(analysis, versions()),
    }
    with _clear_refusal():
        if settings.clean_workdir:
            shutil.rmtree(settings.work_dir, ignore_errors=True)
        settings.work_dir.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            write_text(tree.path("log", time=time, name=name), text)
    return tree.path("log", time=time, name="moviersa.toml").parent


@contextmanager
def _clear_refusal() -> Iterator[None]:
    """Say in one sentence that a folder cannot be written; permissions alone do not tell it."""
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"cannot write {error.filename}: {error.strerror}; choose another OUTPUT_DIR or "
            "--work-dir"
        ) from error


def facts_of(settings: Settings, warnings: tuple[str, ...]) -> RunFacts:
    """Say what a report tells of the run that made it."""
    return RunFacts(
        version=__version__,
        command=" ".join(sys.argv),
        settings=to_toml(settings),
        versions=versions(),
        warnings=warnings,
        space=settings.output_space,
    )


def say(text: str) -> int:
    """Print what was asked for; the exit status is 0."""
    sys.stdout.write(text)
    return 0


def end(failed: Mapping[str, str]) -> int:
    """Report what is missing; 0 only when nothing is."""
    for what, reason in failed.items():
        LOGGER.error("%s: %s", what, reason)
    return 1 if failed else 0
