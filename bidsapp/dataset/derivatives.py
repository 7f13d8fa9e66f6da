"""What the app writes and where; how it is stored is known to the modules imported here."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from bidsapp.analysis.spec import Analysis, Dissimilarity
from bidsapp.dataset.description import ROBUST_RDMS, SourceDataset, describe
from bidsapp.dataset.film_coverage import FilmCoverage, read_film_coverage
from bidsapp.dataset.images import STANDARD_SPACES, write_image, write_segmentation
from bidsapp.dataset.rdm_file import NoiseRemoved, RDMFile
from bidsapp.dataset.rdms import (
    read_rdms,
    update_film_coverage,
    write_rdms,
    write_stimulus_rdms,
)
from bidsapp.dataset.textfiles import (
    read_json,
    read_table,
    sidecar,
    write_json,
    write_table,
)
from bidsapp.errors import UsageError

__all__ = [
    "ROBUST_RDMS",
    "STANDARD_SPACES",
    "FilmCoverage",
    "NoiseRemoved",
    "OutputTree",
    "RDMFile",
    "SourceDataset",
    "bids_uri",
    "desc_labels",
    "read_film_coverage",
    "read_json",
    "read_rdms",
    "read_table",
    "sidecar",
    "stimulus_rdms_path",
    "update_film_coverage",
    "write_image",
    "write_json",
    "write_rdms",
    "write_segmentation",
    "write_stimulus_rdms",
    "write_table",
]

_LABEL = re.compile(r"[0-9a-zA-Z+]+")
_FREE_NAME = re.compile(r"[0-9a-zA-Z][\w.+-]*")
_FREE_ENTITIES = ("name", "time")


@dataclass(frozen=True)
class OutputTree:
    """The folder of results, and the one place that knows how files in it are called."""

    root: Path

    def path(self, kind: str, **entities: str | None) -> Path:
        """Return the path of one kind of file; ``names.json`` lists the kinds and their entities.

        Parameters
        ----------
        kind
            A key of ``names.json``, such as ``brain_rdms``.
        **entities
            BIDS entities by short key (``sub``, ``ses``, ``task``, ``run``, ...). None leaves one
            out; those with a default in ``names.json`` may be left out.

        Raises
        ------
        ValueError
            The kind or an entity of it is unknown, a needed one is missing, or a value is no label.
        """
        pattern = _patterns().get(kind)
        if pattern is None:
            raise ValueError(f"unknown kind of file {kind!r}; known: {', '.join(_patterns())}")
        known = re.findall(r"\{(\w+)", pattern)
        given = {key: value for key, value in entities.items() if value is not None}
        for key, value in given.items():
            if key not in known:
                raise ValueError(f"{kind} has no entity {key!r}; it has {', '.join(known)}")
            if not (_FREE_NAME if key in _FREE_ENTITIES else _LABEL).fullmatch(value):
                raise ValueError(f"{value!r} is no valid value of {key!r}")
        return self.root / _fill(pattern, given)

    def initialise(self, analysis: Analysis, space: str, sources: Sequence[SourceDataset]) -> None:
        """Make the folder a BIDS dataset that describes itself, and record the analysis.

        Parameters
        ----------
        analysis
            What is run.
        space
            The output space, such as ``T1w``.
        sources
            The datasets that the results come from; their names are those of the BIDS URIs.

        Raises
        ------
        UsageError
            The folder already holds the results of another analysis or space.
        """
        labels = desc_labels((*analysis.models, *analysis.searchlight.names))
        describe(self.root, analysis, space, sources, labels)

    def find(self, kind: str, sub: str, **entities: str | None) -> Path | None:
        """Return a participant's file in whatever session it is; None where there is none.

        Parameters
        ----------
        kind, sub, **entities
            As for `path`, without ``ses``.
        """
        folders = sorted(self.root.glob(f"sub-{sub}/ses-*"))
        sessions = [None, *(folder.name.removeprefix("ses-") for folder in folders)]
        paths = [self.path(kind, sub=sub, ses=session, **entities) for session in sessions]
        return next((path for path in paths if path.is_file()), None)

    def participants(self) -> tuple[str, ...]:
        """Return the participants that have a folder here, sorted, without ``sub-``."""
        folders = (p for p in self.root.glob("sub-*") if p.is_dir())
        return tuple(sorted(folder.name.removeprefix("sub-") for folder in folders))


def stimulus_rdms_path(
    tree: OutputTree, task: str, run: str, label: str, dissimilarity: Dissimilarity
) -> Path:
    """Return the path of one model's RDMs for one run of a task; ``label`` stands for the model."""
    return tree.path(
        "stimulus_rdms", task=task, run=run, stat=f"{dissimilarity}distance", desc=label
    )


@cache
def _patterns() -> dict[str, str]:
    text = files("bidsapp.dataset").joinpath("names.json").read_text(encoding="utf-8")
    return {str(kind): str(pattern) for kind, pattern in json.loads(text).items()}


def _fill(pattern: str, entities: Mapping[str, str]) -> str:
    """Fill ``{entity}`` and ``{entity=default}``; a part in brackets needs its entity."""

    def value(match: re.Match[str]) -> str:
        key, default = match["key"], match["default"]
        if key not in entities and default is None:
            raise ValueError(f"{key!r} is needed to name {pattern}")
        return entities.get(key, default)

    def optional(match: re.Match[str]) -> str:
        part = match[1]
        wanted = re.findall(r"\{(\w+)", part)
        return part if all(key in entities for key in wanted) else ""

    return re.sub(
        r"\{(?P<key>\w+)(?:=(?P<default>\w+))?\}", value, re.sub(r"\[(.*?)\]", optional, pattern)
    )


def desc_labels(names: Sequence[str]) -> dict[str, str]:
    """Map each name of the catalogue to its ``desc`` label: the name without non-alphanumerics.

    Raises
    ------
    UsageError
        Two names give the same label, or a name has nothing to make a label of.
    """
    labels: dict[str, str] = {}
    for name in dict.fromkeys(names):
        label = re.sub(r"[^0-9a-zA-Z]", "", name)
        if not label:
            raise UsageError(f"the name {name!r} has no letter or digit: rename it")
        twin = next((other for other, its in labels.items() if its == label), None)
        if twin is not None:
            raise UsageError(
                f"{twin!r} and {name!r} would both be written as desc-{label}: rename one of them"
            )
        labels[name] = label
    return labels


def bids_uri(dataset: str, root: Path, path: Path) -> str:
    """Name ``path`` inside the linked dataset as a BIDS URI: ``bids:fmriprep:sub-01/...``."""
    return f"bids:{dataset}:{path.relative_to(root).as_posix()}"
