"""The raw dataset: its participants, BOLD files, events and repetition times."""

import hashlib
import json
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from bids.layout import BIDSLayout, BIDSLayoutIndexer, Query

from bidsapp.dataset.filenames import inherited_metadata, parse_name, same_value
from bidsapp.dataset.textfiles import read_json, read_tsv
from bidsapp.errors import InputError, UsageError

BIDSFilters = Mapping[str, Mapping[str, Any]]

_OTHER_DATASETS = re.compile(r"^/(code|derivatives|models|sourcedata|stimuli|\.[^/]*)$")
_OTHER_DATATYPES = re.compile(r"^/sub-[^/]+/(ses-[^/]+/)?(?!ses-|func(/|$))[^/]+$")


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
        PyBIDS filters by kind of file, of which ``bold`` is heeded, as fMRIPrep has them.
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
        Where PyBIDS keeps its index between runs; None indexes the asked participants anew.
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


def _choose(root: Path, asked: Sequence[str]) -> tuple[str, ...]:
    folders = (folder for folder in root.glob("sub-*") if folder.is_dir())
    present = sorted(folder.name.removeprefix("sub-") for folder in folders)
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

    A database on disk is kept per dataset and set of participants, so that none is mistaken.
    """
    others = re.compile(rf"^/sub-(?!({'|'.join(map(re.escape, participants))})(/|$))[^/]*$")
    indexer = BIDSLayoutIndexer(
        validate=False,
        index_metadata=False,
        ignore=[_OTHER_DATASETS, others, _OTHER_DATATYPES],
    )
    if database_dir is None:
        return BIDSLayout(root, validate=False, indexer=indexer)
    key = hashlib.sha256(json.dumps([str(root), *participants]).encode()).hexdigest()[:16]
    return BIDSLayout(root, validate=False, indexer=indexer, database_path=database_dir / key)


def raw_bold(
    raw: RawDataset, participant: str, session: str | None, task: str, run: str
) -> Path | None:
    """Find the raw BOLD image of a run; None where there is none.

    Parameters
    ----------
    raw
        The dataset.
    participant, session, task, run
        Entities; session None means any. A name without ``run`` is run 1, and ``01`` is ``1``.

    Raises
    ------
    InputError
        Several images fit.
    """
    query: dict[str, Any] = {
        "subject": participant,
        "task": task,
        "suffix": "bold",
        "extension": [".nii", ".nii.gz"],
        "return_type": "filename",
    }
    query |= {key: _query(value) for key, value in raw.filters.get("bold", {}).items()}
    with warnings.catch_warnings():
        # PyBIDS warns of filters it does not know; what they leave over is checked here.
        warnings.filterwarnings("ignore", module="bids")
        paths = [Path(path) for path in raw.layout.get(**query, invalid_filters="allow")]
    found = [path for path in paths if _is_run(path, participant, session, task, run)]
    if len(found) > 1:
        raise InputError(
            f"several BOLD images are run {run} of task {task} of sub-{participant}: "
            f"{', '.join(path.name for path in found)}; choose with --bids-filter-file"
        )
    return found[0] if found else None


def _query(value: object) -> object:
    """Read a filter file's null and ``*`` as fMRIPrep does."""
    if value is None:
        return Query.NONE
    return Query.ANY if value == "*" else value


def _is_run(path: Path, participant: str, session: str | None, task: str, run: str) -> bool:
    name = parse_name(path)
    if name is None or name.suffix != "bold":
        return False
    its = name.entities
    return (
        (its.get("sub"), its.get("task")) == (participant, task)
        and (session is None or its.get("ses") == session)
        and same_value(its.get("run", "1"), run)
    )


def find_events(
    raw: RawDataset, participant: str, session: str | None, task: str, run: str
) -> Path | None:
    """Find the events of a run, also by inheritance (one file for a task); None without any.

    Parameters are those of `raw_bold`.
    """
    wanted = {"sub": participant, "ses": session, "task": task, "run": run}
    query = {"task": task, "suffix": "events", "extension": ".tsv", "return_type": "filename"}
    fitting: list[tuple[int, Path]] = []
    for path in map(Path, raw.layout.get(**query)):
        name = parse_name(path)
        if name is not None and _applies(name.entities, wanted):
            fitting.append((len(name.entities), path))
    return max(fitting)[1] if fitting else None


def _applies(entities: Mapping[str, str], wanted: Mapping[str, str | None]) -> bool:
    return all(
        key not in wanted or wanted[key] is None or same_value(value, wanted[key])
        for key, value in entities.items()
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
    if len(events.columns) == 1 and "," in str(events.columns[0]):
        raise InputError(
            f"{path} has commas between its columns: BIDS wants tabs; save it as tab-separated text"
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
