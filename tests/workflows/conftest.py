"""A tiny study, built once, and its command line, called in this process."""

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tiny_study import TinyStudy

from bidsapp.cli.run import main
from bidsapp.dataset.derivatives import OutputTree


@dataclass(frozen=True)
class Outcome:
    """What a user sees of a run: exit status, standard output, standard error."""

    status: int
    out: str
    err: str


Moviersa = Callable[..., Outcome]


@pytest.fixture(scope="session")
def built_study(tmp_path_factory: pytest.TempPathFactory) -> TinyStudy:
    return TinyStudy(tmp_path_factory.mktemp("study")).build()


@pytest.fixture
def study(built_study: TinyStudy, tmp_path: Path) -> TinyStudy:
    """A copy that a test may change."""
    shutil.copytree(built_study.root, tmp_path / "study")
    return TinyStudy(tmp_path / "study")


@pytest.fixture(autouse=True)
def _own_environment() -> Iterator[None]:
    """Undo what a run sets for the libraries it imports."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def moviersa(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Moviersa:
    """Call the command line; pytest holds the log, which else goes to standard error."""

    def call(*words: str) -> Outcome:
        capfd.readouterr()
        caplog.clear()
        with pytest.raises(SystemExit) as exit_, caplog.at_level(logging.WARNING, "bidsapp"):
            main(words)
        seen = capfd.readouterr()
        status = exit_.value.code
        assert isinstance(status, int)
        return Outcome(status, seen.out, seen.err + caplog.text)

    return call


@pytest.fixture
def plain_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports have tests of their own, and their figures take seconds."""
    monkeypatch.setattr("bidsapp.workflows.pages.participant_report", write_plainly)


def write_plainly(tree: OutputTree, participant: str, *_: object) -> None:
    tree.path("participant_report", sub=participant).write_text("a report")


@pytest.fixture
def refused(study: TinyStudy, moviersa: Moviersa) -> Callable[..., str]:
    """Run a level that must fail at once; return the one sentence that it says."""

    def call(status: int, *names: object, level: str = "participant", more=()) -> str:
        outcome = moviersa(*study.arguments(level, *more))
        assert (outcome.status, outcome.out) == (status, "")
        sentence = outcome.err.strip()
        assert sentence.startswith("moviersa: error: ")
        assert "\n" not in sentence
        for name in names:
            assert str(name) in sentence
        assert study.heavy_files() == []
        return sentence

    return call


@pytest.fixture(scope="session")
def films_done(built_study: TinyStudy, tmp_path_factory: pytest.TempPathFactory) -> TinyStudy:
    """The study with the stimulus level done."""
    study = TinyStudy(tmp_path_factory.mktemp("films") / "study")
    shutil.copytree(built_study.root, study.root)
    with pytest.raises(SystemExit) as exit_:
        main(study.arguments("stimulus"))
    assert exit_.value.code == 0
    return study


@pytest.fixture
def finished(films_done: TinyStudy, tmp_path: Path) -> TinyStudy:
    """A copy of the study with the stimulus level done, but not its scratch."""
    shutil.copytree(films_done.root, tmp_path / "done", ignore=shutil.ignore_patterns("work"))
    return TinyStudy(tmp_path / "done")


@pytest.fixture(scope="session")
def once_done(films_done: TinyStudy, tmp_path_factory: pytest.TempPathFactory) -> TinyStudy:
    """The study with the participant level done, with plain reports."""
    study = TinyStudy(tmp_path_factory.mktemp("once") / "study")
    shutil.copytree(films_done.root, study.root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bidsapp.workflows.pages.participant_report", write_plainly)
        with pytest.raises(SystemExit) as exit_:
            main(study.arguments("participant"))
    assert exit_.value.code == 0
    return study


@pytest.fixture
def succeeded(once_done: TinyStudy, tmp_path: Path) -> TinyStudy:
    """A copy of the study with the participant level done."""
    shutil.copytree(once_done.root, tmp_path / "succeeded")
    return TinyStudy(tmp_path / "succeeded")
