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
