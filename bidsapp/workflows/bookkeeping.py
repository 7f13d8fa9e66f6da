"""What every level does at its start and end: records, logs, exit status."""

import logging
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import yaml

from bidsapp import __version__
from bidsapp.analysis.spec import Analysis
from bidsapp.dataset.derivatives import OutputTree, SourceDataset
from bidsapp.dataset.fmriprep import release
from bidsapp.errors import UsageError
from bidsapp.files import write_text
from bidsapp.reports.facts import RunFacts
from bidsapp.reports.methods import methods, renderings
from bidsapp.settings import FMRIPREP, RAW, Settings, to_toml, versions
from bidsapp.vision.catalogue import ModelEntry
from bidsapp.workflows.models import model_entry

LOGGER = logging.getLogger(__name__)


def start(settings: Settings, analysis: Analysis) -> Path:
    """Make OUTPUT_DIR a dataset that describes itself; return this run's own log folder.

    Raises
    ------
    UsageError
        A folder cannot be written, or OUTPUT_DIR holds another analysis.
    """
    _initialise(settings, analysis)
    return log(settings, analysis)


def _initialise(settings: Settings, analysis: Analysis) -> None:
    sources = [
        SourceDataset(RAW, settings.bids_dir),
        SourceDataset(FMRIPREP, settings.derivatives_dir),
        *(SourceDataset(name, path) for name, path in settings.further_datasets.items()),
    ]
    with _clear_refusal():
        OutputTree(settings.output_dir).initialise(analysis, settings.full_space, sources)


def log(settings: Settings, analysis: Analysis, n_participants: int | None = None) -> Path:
    """Save what is run and with what; return this run's own log folder.

    Parameters
    ----------
    n_participants
        Of the group, where that is known.

    Raises
    ------
    UsageError
        A folder cannot be written.
    """
    tree = OutputTree(settings.output_dir)
    time = f"{datetime.now(UTC):%Y%m%d-%H%M%S}_{uuid4().hex[:8]}"
    citations = _citations(settings, analysis, n_participants)
    content = yaml.safe_dump(analysis.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    texts = {
        "moviersa.toml": to_toml(settings),
        "analysis.yaml": content,
        **{f"CITATION.{ending}": text for ending, text in citations},
    }
    with _clear_refusal():
        if settings.clean_workdir:
            _clean(settings.work_dir)
        settings.work_dir.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            write_text(tree.path("log", time=time, name=name), text)
    return tree.path("log", time=time, name="moviersa.toml").parent


def withdraw(settings: Settings, analysis: Analysis, participants: Iterable[str]) -> None:
    """Remove what OUTPUT_DIR holds of participants: their folders and reports.

    Results of an earlier run must not pass for results of one that fails or finds fewer runs. What
    has not changed since is in the work directory and is published again at once.

    Raises
    ------
    UsageError
        Something cannot be removed, or OUTPUT_DIR holds another analysis.
    """
    tree = OutputTree(settings.output_dir)
    _withdraw(
        settings,
        analysis,
        [
            path
            for label in participants
            for path in (tree.root / f"sub-{label}", tree.path("participant_report", sub=label))
        ],
    )


def withdraw_group(settings: Settings, analysis: Analysis) -> None:
    """Remove what OUTPUT_DIR holds of the group, its tables and report, as `withdraw` does.

    Raises
    ------
    UsageError
        Something cannot be removed, or OUTPUT_DIR holds another analysis.
    """
    tree = OutputTree(settings.output_dir)
    _withdraw(settings, analysis, [tree.root / "group", tree.path("group_report")])


def _withdraw(settings: Settings, analysis: Analysis, paths: Iterable[Path]) -> None:
    old = [path for path in paths if path.exists()]
    if not old:
        return
    _initialise(settings, analysis)  # refuses to touch another analysis
    with _clear_refusal():
        for path in old:
            _remove(path)


def _clean(work_dir: Path) -> None:
    """Empty the work directory but for the libraries' caches, which this process uses already."""
    for path in work_dir.iterdir() if work_dir.is_dir() else ():
        if path.name != ".config":
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


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


def _citations(
    settings: Settings, analysis: Analysis, n_participants: int | None
) -> Iterable[tuple[str, str]]:
    """Return what this run did, in each format, by the ending of its file."""
    text = methods(
        analysis,
        _versions(settings),
        _networks(settings, analysis),
        settings.level,
        space=settings.output_space,
        n_participants=n_participants,
    )
    return renderings(text).items()


def _versions(settings: Settings) -> dict[str, str]:
    """Return the versions of what computes here, and of fMRIPrep where its outputs are at hand."""
    made = (settings.derivatives_dir / "dataset_description.json").is_file()
    fmriprep = release(settings.derivatives_dir) if made else None
    return versions() | ({"fMRIPrep": fmriprep} if fmriprep else {})


def _networks(settings: Settings, analysis: Analysis) -> dict[str, ModelEntry]:
    networks = [name for name in analysis.models if analysis.feature_table(name) is None]
    return {name: model_entry(settings, analysis, name) for name in networks}


def facts_of(settings: Settings, analysis: Analysis, warnings: tuple[str, ...]) -> RunFacts:
    """Say what a report tells of the run that made it."""
    return RunFacts(
        version=__version__,
        command=" ".join(sys.argv),
        settings=to_toml(settings),
        versions=_versions(settings),
        warnings=warnings,
        space=settings.output_space,
        networks=_networks(settings, analysis),
        error_bars=settings.error_bars,
    )


def say(text: str) -> int:
    """Print what was asked for; the exit status is 0."""
    sys.stdout.write(text)
    return 0


def end(failed: Mapping[str, str]) -> int:
    """Report who or what failed; 0 when nothing did.

    A movie run missing for a participant who has enough others is a warning and no failure.
    """
    for what, reason in failed.items():
        LOGGER.error("%s: %s", what, reason)
    return 1 if failed else 0
