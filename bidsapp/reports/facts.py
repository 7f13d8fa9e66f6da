"""What a page says of the run that made it; kept beside the figures, to draw the page again."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from bidsapp.errors import InputError
from bidsapp.files import write_text
from bidsapp.settings import ErrorBars
from bidsapp.vision.catalogue import ModelEntry


@dataclass(frozen=True)
class InputRun:
    """A run that the participant level was given.

    Attributes
    ----------
    task, run
        Entities.
    file
        The preprocessed series, below fMRIPrep's folder.
    n_volumes
        Number of volumes.
    repetition_time, start_time
        Seconds.
    grid
        Size in voxels and mm, such as ``80 x 80 x 35, 3 x 3 x 3.3 mm``.
    remark
        What is odd about it.
    """

    task: str
    run: str
    file: str
    n_volumes: int
    repetition_time: float
    start_time: float
    grid: str
    remark: str = ""


@dataclass(frozen=True)
class RunFacts:
    """What a page says of the run that made it.

    Attributes
    ----------
    version
        Of moviersa.
    command
        The command line, as typed.
    settings
        The settings, as TOML.
    versions
        Of each piece of software, by name.
    warnings
        Sentences for the head of the page.
    space
        Space of the outputs, such as ``T1w``.
    networks
        Each network's entry, with the dissimilarity that was taken, by the model's name, as far as
        known.
    error_bars
        Of the group's bars: standard deviation or standard error.
    input_runs
        A participant's runs.
    errors
        Report of each step that failed, by the step's name.
    """

    version: str
    command: str
    settings: str
    versions: Mapping[str, str]
    warnings: tuple[str, ...] = ()
    space: str = "T1w"
    networks: Mapping[str, ModelEntry] = field(default_factory=dict)
    error_bars: ErrorBars = "sd"
    input_runs: tuple[InputRun, ...] = ()
    errors: Mapping[str, str] = field(default_factory=dict)


_AS_JSON = TypeAdapter(RunFacts)


def write_facts(path: Path, facts: RunFacts) -> None:
    """Keep what a page says of its run."""
    write_text(path, _AS_JSON.dump_json(facts, indent=2).decode() + "\n")


def read_facts(path: Path) -> RunFacts:
    """Read what `write_facts` kept.

    Raises
    ------
    InputError
        The file is absent, or is none of this version's.
    """
    try:
        return _AS_JSON.validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror}; it is written by the level that makes the "
            "results: run that again"
        ) from error
    except ValidationError as error:
        raise InputError(
            f"{path} is not what this version writes; run the level that makes it again"
        ) from error
