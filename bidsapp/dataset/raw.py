"""The raw dataset: its participants, BOLD files, events and repetition times."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from bids.layout import BIDSLayout, BIDSLayoutIndexer

from bidsapp.dataset.filenames import inherited_metadata, parse_name, same_value
from bidsapp.dataset.textfiles import read_json, read_tsv
from bidsapp.errors import InputError, UsageError

Entities = Mapping[str, str]
BIDSFilters = Mapping[str, Mapping[str, Any]]

_OTHER_DATASETS = re.compile(r"^/(code|derivatives|models|sourcedata|stimuli|\.[^/]*)$")
_OTHER_DATATYPES = re.compile(r"^/sub-[^/]+/(ses-[^/]+/)?(?!ses-|func(/|$))[^/]+$")
# What programs put between columns instead.
_NO_TABS = {",": "commas", ";": "semicolons", " ": "blanks"}
# Entities that fMRIPrep adds to a name, and those of files that it joins into one.
_NOT_IN_RAW_NAME = frozenset({"space", "res", "den", "desc", "cohort", "echo", "part"})


@dataclass(frozen=True)
class RawDataset:
    """A raw BIDS dataset, of which only the functional files of some participants are indexed.

    Attributes
    ----------
    root
        BIDS_DIR.
    layout
        The PyBIDS layout.
    participants
        Labels without ``sub-``, sorted.
    filters
        PyBIDS filters by kind of file, of which ``bold`` is heeded (see `RunFinder`).
    """

    root: Path
    layout: BIDSLayout
    participants: tuple[str, ...]
    filters: BIDSFilters


def open_raw(
    bids_dir: Path,
    participants: Sequence[str] = (),
    database_dir: Path | None = None,
    bids_filters: BIDSFilters | None = None,
) -> RawDataset:
    """Open a raw dataset.

    Parameters
    ----------
    bids_dir
        The dataset.
    participants
        Labels without ``sub-``; none means all.
    database_dir
        Where PyBIDS keeps its index between runs, as long as no file comes or goes; None indexes
        the asked participants anew.
    bids_filters
        The content of a BIDS filter file.

    Raises
    ------
    InputError
        There is no such folder, it is no BIDS dataset, or it has no participant.
    UsageError
        A participant is not in the dataset.
    """
    if not bids_dir.is_dir():
        raise InputError(f"there is no folder {bids_dir}: check BIDS_DIR")
    if not (bids_dir / "dataset_description.json").is_file():
        raise InputError(
            f"{bids_dir} is not a BIDS dataset: it has no dataset_description.json; check BIDS_DIR"
        )
    read_json(bids_dir / "dataset_description.json")
    root = bids_dir.resolve()
    chosen = _choose(root, participants)
    layout = _layout(root, chosen, database_dir)
    return RawDataset(root, layout, chosen, bids_filters or {})


def participants_of(root: Path) -> tuple[str, ...]:
    """Return the labels of a dataset's participants, without ``sub-``, sorted."""
    folders = (folder for folder in root.glob("sub-*") if folder.is_dir())
    return tuple(sorted(folder.name.removeprefix("sub-") for folder in folders))


def _choose(root: Path, asked: Sequence[str]) -> tuple[str, ...]:
    present = participants_of(root)
    unknown = [label for label in asked if label not in present]
    if unknown:
        raise UsageError(
            f"{root} has no participant {', '.join(unknown)}; it has {', '.join(present) or 'none'}"
        )
    chosen = tuple(label for label in present if not asked or label in asked)
    if not chosen:
        raise InputError(f"{root} has no participant: there is no folder sub-*")
    return chosen


def _layout(root: Path, participants: Sequence[str], database_dir: Path | None) -> BIDSLayout:
    """Index the functional files of some participants, without metadata.

    A database on disk is kept per dataset, set of participants and state of their folders, so that
    none is mistaken, nor one that lacks files that came later.
    """
    others = re.compile(rf"^/sub-(?!({'|'.join(map(re.escape, participants))})(/|$))[^/]*$")
    indexer = BIDSLayoutIndexer(
        validate=False,
        index_metadata=False,
        ignore=[_OTHER_DATASETS, others, _OTHER_DATATYPES],
    )
    if database_dir is None:
        return BIDSLayout(root, validate=False, indexer=indexer)
    state = json.dumps([*participants, *_last_changes(root, participants)])
    key = hashlib.sha256(state.encode()).hexdigest()[:16]
    return BIDSLayout(root, validate=False, indexer=indexer, database_path=database_dir / key)


def _last_changes(root: Path, participants: Sequence[str]) -> list[tuple[str, int]]:
    """Return when each folder that is indexed last gained or lost a file, ns."""
    patterns = [
        f"sub-{label}{below}"
        for label in participants
        for below in ("", "/func", "/ses-*", "/ses-*/func")
    ]
    folders = [root, *(folder for pattern in patterns for folder in sorted(root.glob(pattern)))]
    return [(str(folder), folder.stat().st_mtime_ns) for folder in folders]


def has_task(raw: RawDataset, participant: str, task: str) -> bool:
    """Tell whether there is a raw BOLD image of a task."""
    query = {"subject": participant, "task": task, "suffix": "bold", "return_type": "filename"}
    return bool(raw.layout.get(**query))


def raw_images(raw: RawDataset, entities: Entities) -> list[Path]:
    """Find the raw BOLD images that a preprocessed one was made from.

    There are several where echoes, or magnitude and phase, are files of their own; none where the
    raw images are not there.

    Parameters
    ----------
    raw
        The dataset.
    entities
        Those of the preprocessed image's name; fMRIPrep keeps all but ``echo`` and ``part``, and
        adds ``space``, ``res`` and ``desc``. A name without ``run`` is run 1, and ``01`` is ``1``.
    """
    query = {
        "subject": entities["sub"],
        "task": entities["task"],
        "suffix": "bold",
        "extension": [".nii", ".nii.gz"],
        "return_type": "filename",
    }
    wanted = _acquired(entities)
    return [path for path in map(Path, raw.layout.get(**query)) if _is_bold(path, wanted)]


def _acquired(entities: Entities) -> dict[str, str]:
    """Keep what the raw file was called."""
    own = {key: value for key, value in entities.items() if key not in _NOT_IN_RAW_NAME}
    return {"run": "1", **own}


def _is_bold(path: Path, wanted: Entities) -> bool:
    name = parse_name(path)
    if name is None or name.suffix != "bold":
        return False
    its = _acquired(name.entities)
    return its.keys() == wanted.keys() and all(same_value(its[key], wanted[key]) for key in its)


def find_events(raw: RawDataset, entities: Entities) -> Path | None:
    """Find the events of a run, also by inheritance (one file for a task); None without any.

    Parameters are those of `raw_images`.
    """
    wanted = _acquired(entities)
    query = {
        "task": entities["task"],
        "suffix": "events",
        "extension": ".tsv",
        "return_type": "filename",
    }
    fitting: list[tuple[int, Path]] = []
    for path in map(Path, raw.layout.get(**query)):
        name = parse_name(path)
        if name is not None and _applies(name.entities, wanted):
            fitting.append((len(name.entities), path))
    return max(fitting)[1] if fitting else None


def _applies(its: Entities, wanted: Entities) -> bool:
    """Tell whether all that a file's name says holds for the run (BIDS' inheritance principle)."""
    return all(
        same_value(value, wanted.get(key))
        for key, value in its.items()
        if key not in _NOT_IN_RAW_NAME
    )


def repetition_time(raw: RawDataset, bold: Path) -> float | None:
    """Return the TR in seconds that the metadata of a raw BOLD image state, by inheritance.

    Only the key of BIDS counts: values nested in a copied DICOM header, often in milliseconds, do
    not.

    Raises
    ------
    InputError
        The value is no positive number.
    """
    here = bold.parent.resolve() / bold.name  # the root is resolved, and an image may be a link
    stated = inherited_metadata(here, raw.root).get("RepetitionTime")
    return None if stated is None else positive_seconds(stated, "RepetitionTime", bold)


def positive_seconds(stated: object, key: str, path: Path) -> float:
    """Return a stated time as a float.

    Raises
    ------
    InputError
        It is no positive, finite number.
    """
    if isinstance(stated, bool) or not isinstance(stated, int | float) or not 0 < stated < np.inf:
        raise InputError(f"the metadata of {path} give {key} as {stated!r}: it must be in seconds")
    return float(stated)


def read_events(path: Path) -> pd.DataFrame:
    """Read an events file, with numeric, finite ``onset`` and ``duration``.

    Raises
    ------
    InputError
        The file is no table, lacks a column, or a time in it is missing or no number.
    """
    events = read_tsv(path)
    header = str(events.columns[0]).strip()
    between = next((name for mark, name in _NO_TABS.items() if mark in header), None)
    if len(events.columns) == 1 and between is not None:
        raise InputError(
            f"{path} has {between} between its columns: BIDS wants tabs; save it as tab-separated "
            "text"
        )
    for column in ("onset", "duration"):
        if column not in events:
            raise InputError(f"{path} has no column {column!r}: it is no events file of BIDS")
        written = events[column]
        events[column] = pd.to_numeric(written, errors="coerce").astype(np.float64)
        wrong = np.flatnonzero(~np.isfinite(events[column].to_numpy()))
        if wrong.size:
            found = str(written.iloc[wrong[0]])
            hint = "write a decimal point, not a comma" if "," in found else "mend the file"
            raise InputError(
                f"{path}: {column} is no number in line {wrong[0] + 2} ({found}): {hint}"
            )
    return events
