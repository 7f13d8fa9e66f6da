"""The preprocessed files of one run, and whether they fit each other and the raw data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bidsapp.arrays import Floats
from bidsapp.dataset.filenames import (
    BIDSName,
    inherited_files,
    inherited_metadata,
    parse_name,
    same_value,
)
from bidsapp.dataset.nifti import ImageFacts, check_first_volume, image_facts
from bidsapp.dataset.raw import (
    RawDataset,
    find_events,
    positive_seconds,
    raw_bold,
    repetition_time,
)
from bidsapp.errors import InputError

TR_TOLERANCE_S = 1e-3

# PyBIDS' names of the entities that a filter file may name, as file names spell them.
_ENTITIES = {
    "session": "ses",
    "acquisition": "acq",
    "ceagent": "ce",
    "reconstruction": "rec",
    "direction": "dir",
    "run": "run",
    "echo": "echo",
    "part": "part",
}


@dataclass(frozen=True)
class PreprocessedRun:
    """One preprocessed run, whose files are known to fit each other.

    Attributes
    ----------
    participant, session, task, run
        Entities; ``run`` is spelled as in the analysis.
    bold, mask, confounds, confounds_metadata, events
        Files; ``events`` None where the run has none.
    n_volumes
        Number of volumes.
    repetition_time, start_time
        Seconds; ``start_time`` is when, after its onset, a volume is taken to be measured.
    shape, affine
        Grid of the BOLD image.
    """

    participant: str
    session: str | None
    task: str
    run: str
    bold: Path
    mask: Path
    confounds: Path
    confounds_metadata: Path
    events: Path | None
    n_volumes: int
    repetition_time: float
    start_time: float
    shape: tuple[int, int, int]
    affine: Floats


@dataclass(frozen=True)
class RunFinder:
    """Finds the runs of one participant in one space."""

    derivatives: Path
    raw: RawDataset
    participant: str
    space: str
    sessions: tuple[str, ...]

    def absent(self, session: str | None, task: str, run: str) -> str:
        """Say that a run is not there."""
        where = f"session {session}, " if session else ""
        only = f" (only sessions {', '.join(self.sessions)} are used)" if self.sessions else ""
        return (
            f"no preprocessed BOLD of sub-{self.participant}, {where}task {task}, run {run}, "
            f"space {self.space} in {self.derivatives}{only}"
        )

    def find(
        self, session: str | None, task: str, run: str, middle: bool
    ) -> PreprocessedRun | None:
        """Find a run and check its files; None where there is no BOLD image of it."""
        bold = self._bold(session, task, run)
        if bold is None:
            return None
        name = _parsed(bold)
        its_session = name.entities.get("ses")
        facts = image_facts(bold)
        mask = self._mask(bold, name)
        if not image_facts(mask).same_grid(facts):
            raise InputError(f"{mask} and {bold} have different grids: run fMRIPrep again")
        check_first_volume(bold, mask)
        confounds = self._confounds(bold, name)
        _check_length(confounds, facts, bold)
        raw_image = raw_bold(self.raw, self.participant, its_session, task, run)
        metadata = inherited_metadata(bold, self.derivatives)
        seconds = self._repetition_time(bold, facts, metadata, raw_image)
        return PreprocessedRun(
            participant=self.participant,
            session=its_session,
            task=task,
            run=run,
            bold=bold,
            mask=mask,
            confounds=confounds,
            confounds_metadata=self._confounds_metadata(confounds),
            events=find_events(self.raw, self.participant, its_session, task, run),
            n_volumes=facts.n_volumes,
            repetition_time=seconds,
            start_time=seconds / 2 if middle else _start_time(metadata, seconds, bold),
            shape=facts.shape,
            affine=facts.affine,
        )

    def _bold(self, session: str | None, task: str, run: str) -> Path | None:
        folder = self.derivatives / f"sub-{self.participant}"
        pattern = f"func/*_task-{task}_*_desc-preproc_bold.nii*"
        fitting = [
            path
            for path in sorted([*folder.glob(pattern), *folder.glob(f"ses-*/{pattern}")])
            if self._is_wanted(_parsed(path), session, task, run)
        ]
        if len(fitting) > 1:
            raise InputError(
                f"several BOLD images are run {run} of task {task} of sub-{self.participant}: "
                f"{', '.join(path.name for path in fitting)}; choose with --bids-filter-file"
            )
        return fitting[0] if fitting else None

    def _is_wanted(self, name: BIDSName, session: str | None, task: str, run: str) -> bool:
        its = name.entities
        return (
            (its.get("task"), its.get("space")) == (task, self.space)
            and session in (None, its.get("ses"))
            and (not self.sessions or its.get("ses") in self.sessions)
            and same_value(its.get("run", "1"), run)
            and all(
                _passes(its.get(_ENTITIES[key]), value)
                for key, value in self.raw.filters.get("bold", {}).items()
                if key in _ENTITIES
            )
        )

    def _mask(self, bold: Path, name: BIDSName) -> Path:
        return _beside(bold, {**name.entities, "desc": "brain"}, ["mask"], (".nii.gz", ".nii"))

    def _confounds(self, bold: Path, name: BIDSName) -> Path:
        entities = {k: v for k, v in name.entities.items() if k not in ("space", "res", "den")}
        # fMRIPrep before 20.2 wrote "regressors".
        suffixes = ["timeseries", "regressors"]
        return _beside(bold, {**entities, "desc": "confounds"}, suffixes, (".tsv",))

    def _confounds_metadata(self, confounds: Path) -> Path:
        found = inherited_files(confounds, self.derivatives, ".json")
        if not found:
            raise InputError(
                f"{confounds.with_suffix('.json')} is missing: without it the CompCor components "
                "cannot be told apart; run fMRIPrep (1.4 or newer) again"
            )
        return found[-1]

    def _repetition_time(
        self, bold: Path, facts: ImageFacts, metadata: Mapping[str, Any], raw_image: Path | None
    ) -> float:
        """Return the TR of a run; every source that states one must agree within 1 ms."""
        stated: dict[str, float] = {}
        if metadata.get("RepetitionTime") is not None:
            stated["fMRIPrep's metadata"] = positive_seconds(
                metadata["RepetitionTime"], "RepetitionTime", bold
            )
        if facts.repetition_time is not None:
            stated["the header"] = facts.repetition_time
        if raw_image is not None:
            in_raw = repetition_time(self.raw, raw_image)
            if in_raw is not None:
                stated["the raw metadata"] = in_raw
        if not stated:
            raise InputError(
                f"no repetition time of {bold} in metadata or header: add RepetitionTime"
            )
        if max(stated.values()) - min(stated.values()) > TR_TOLERANCE_S:
            values = ", ".join(f"{value:g} s in {source}" for source, value in stated.items())
            raise InputError(f"repetition times of {bold} differ: {values}; mend the wrong one")
        return next(iter(stated.values()))


def _parsed(path: Path) -> BIDSName:
    name = parse_name(path)
    if name is None:
        raise InputError(f"{path} has no BIDS name: rename or remove it")
    return name


def _passes(value: str | None, wanted: object) -> bool:
    """Apply one filter of a BIDS filter file: a value, a list, null (no such entity) or ``*``."""
    if wanted is None or wanted == "*":
        return (value is None) == (wanted is None)
    several = wanted if isinstance(wanted, list) else [wanted]
    return value is not None and any(same_value(value, str(one)) for one in several)


def _beside(
    bold: Path, entities: Mapping[str, str], suffixes: Sequence[str], extensions: Sequence[str]
) -> Path:
    """Find the file beside ``bold`` with just these entities."""
    for suffix in suffixes:
        for path in sorted(bold.parent.glob(f"*_{suffix}.*")):
            name = parse_name(path)
            if name is None or name.suffix != suffix or name.extension not in extensions:
                continue
            if name.entities.keys() == entities.keys() and name.matches(entities):
                return path
    parts = "_".join(f"{key}-{value}" for key, value in entities.items())
    expected = bold.with_name(f"{parts}_{suffixes[0]}{extensions[0]}")
    raise InputError(
        f"{expected} is missing, and {bold.name} cannot be used without: run fMRIPrep again"
    )


def _check_length(confounds: Path, facts: ImageFacts, bold: Path) -> None:
    with confounds.open("rb") as stream:
        rows = sum(1 for line in stream if line.strip()) - 1
    if rows != facts.n_volumes:
        raise InputError(
            f"{confounds} has {rows} rows but {bold.name} has {facts.n_volumes} volumes: "
            "run fMRIPrep again"
        )


def _start_time(metadata: Mapping[str, Any], repetition_time_s: float, bold: Path) -> float:
    stated = metadata.get("StartTime")
    if stated is None:
        return repetition_time_s / 2
    if isinstance(stated, bool) or not isinstance(stated, int | float):
        raise InputError(
            f"the metadata of {bold} give StartTime as {stated!r}: it must be in seconds"
        )
    if not 0 <= stated <= repetition_time_s:
        raise InputError(
            f"the metadata of {bold} give StartTime {stated:g} s, outside of one volume"
        )
    return float(stated)
