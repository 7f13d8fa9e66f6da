"""The preprocessed files of one run, and whether they fit each other and the raw data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bidsapp.arrays import Floats
from bidsapp.dataset.alternatives import instead
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
    raw_images,
    repetition_time,
)
from bidsapp.errors import InputError

TR_TOLERANCE_S = 1e-3

# This one lost the TR of the headers and misplaced the masks in templates; the next mended both.
_FAULTY_RELEASE = "23.2.0"

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

    def same_grid(self, other: "PreprocessedRun") -> bool:
        """Tell whether both runs have the same voxels (affines within 1e-3 mm)."""
        near = np.allclose(self.affine, other.affine, rtol=0, atol=1e-3)
        return self.shape == other.shape and bool(near)


@dataclass(frozen=True)
class RunFinder:
    """Finds the runs of one participant in one space.

    Attributes
    ----------
    derivatives, raw
        fMRIPrep's output, and the dataset that it was made from.
    participant
        Label without ``sub-``.
    space, resolution
        Space of the BOLD, and fMRIPrep's ``res-`` ("native" for none; None where there is one).
    sessions
        Use these sessions only; none means all.
    release
        Version of fMRIPrep, where its output says so.
    """

    derivatives: Path
    raw: RawDataset
    participant: str
    space: str
    resolution: str | None = None
    sessions: tuple[str, ...] = ()
    release: str | None = None

    @property
    def folder(self) -> Path:
        """The participant's folder."""
        return self.derivatives / f"sub-{self.participant}"

    @property
    def full_space(self) -> str:
        """Space and resolution as ``--output-space`` has them."""
        return self.space + (f":res-{self.resolution}" if self.resolution else "")

    def absent(self, session: str | None, task: str, runs: Sequence[str]) -> str:
        """Say that runs are not there."""
        where = f"session {session}, " if session else ""
        only = f" (only sessions {', '.join(self.sessions)} are used)" if self.sessions else ""
        which = f"{'run' if len(runs) == 1 else 'runs'} {', '.join(runs)}"
        return (
            f"no preprocessed BOLD of sub-{self.participant}, {where}task {task}, {which}, "
            f"space {self.full_space} in {self.derivatives}{only}"
        )

    def instead(self, task: str) -> str:
        """Say what there is of a task of which no run was found, and what to type."""
        return instead(self.folder, task, self.full_space)

    def find(
        self, session: str | None, task: str, run: str, middle: bool
    ) -> PreprocessedRun | None:
        """Find a run and check its files; None where there is no BOLD image of it."""
        bold = self._bold(session, task, run)
        if bold is None:
            return None
        name = _parsed(bold)
        facts = image_facts(bold)
        if facts.n_volumes < 2:
            raise InputError(
                f"{bold} holds one volume and no time series: run fMRIPrep again on a BOLD image "
                "of four dimensions"
            )
        mask = self._mask(bold, name)
        if not image_facts(mask).same_grid(facts):
            raise InputError(
                f"{mask} and {bold} have different grids, and a mask must lie on the voxels of its "
                "BOLD: run fMRIPrep again"
            )
        check_first_volume(bold, mask)
        confounds = self._confounds(bold, name)
        _check_length(confounds, facts, bold)
        metadata = inherited_metadata(bold, self.derivatives)
        seconds = self._repetition_time(bold, facts, metadata)
        return PreprocessedRun(
            participant=self.participant,
            session=name.entities.get("ses"),
            task=task,
            run=run,
            bold=bold,
            mask=mask,
            confounds=confounds,
            confounds_metadata=self._confounds_metadata(confounds),
            events=find_events(self.raw, name.entities),
            n_volumes=facts.n_volumes,
            repetition_time=seconds,
            start_time=seconds / 2 if middle else _start_time(metadata, seconds, bold),
            shape=facts.shape,
            affine=facts.affine,
        )

    def _bold(self, session: str | None, task: str, run: str) -> Path | None:
        pattern = f"func/*_task-{task}_*_desc-preproc_bold.nii*"
        paths = sorted([*self.folder.glob(pattern), *self.folder.glob(f"ses-*/{pattern}")])
        fitting = [path for path in paths if self._is_wanted(_parsed(path), session, task, run)]
        resolutions = sorted({_parsed(path).entities.get("res", "native") for path in fitting})
        if len(resolutions) > 1:
            raise InputError(
                f"the BOLD of run {run} of task {task} of sub-{self.participant} is there in "
                f"several resolutions of {self.space} ({', '.join(resolutions)}): choose one, such "
                f"as --output-space {self.space}:res-{resolutions[0]}"
            )
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
            and self.resolution in (None, its.get("res", "native"))
            and its.get("part", "mag") == "mag"
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
        if self.release == _FAULTY_RELEASE and self.space != "T1w":
            raise InputError(
                f"{self.derivatives} was made by fMRIPrep {_FAULTY_RELEASE}, whose masks in "
                f"{self.space} are misplaced (its release notes say so): run 23.2.1 or newer, or "
                "use --output-space T1w"
            )
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

    def _repetition_time(self, bold: Path, facts: ImageFacts, metadata: Mapping[str, Any]) -> float:
        """Return the TR of a run; every source that states one must agree within 1 ms."""
        stated: dict[str, float] = {}
        if metadata.get("RepetitionTime") is not None:
            stated["fMRIPrep's metadata"] = positive_seconds(
                metadata["RepetitionTime"], "RepetitionTime", bold
            )
        if facts.repetition_time is not None and self.release != _FAULTY_RELEASE:
            stated["the header"] = facts.repetition_time
        for image in raw_images(self.raw, _parsed(bold).entities)[:1]:  # echoes have one TR
            in_raw = repetition_time(self.raw, image)
            if in_raw is not None:
                stated["the raw metadata"] = in_raw
        if "VolumeTiming" in metadata and "RepetitionTime" not in metadata:
            raise InputError(
                f"the metadata of {bold} give VolumeTiming and no RepetitionTime: only volumes at "
                "one constant repetition time can be analysed"
            )
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
        lines = sum(1 for line in stream if line.strip())
    if not lines:
        raise InputError(f"{confounds} is empty: run fMRIPrep again")
    rows = lines - 1
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
