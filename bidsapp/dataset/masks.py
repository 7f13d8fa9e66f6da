"""Files of the user's own regions: which one is a participant's, its space, its labels."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bidsapp.analysis.regions import Side
from bidsapp.analysis.spec import Hemisphere, MaskRegion, MaskRegions, Region
from bidsapp.dataset.anatomy import OWN_SPACES
from bidsapp.dataset.filenames import inherited_files, parse_name
from bidsapp.dataset.textfiles import read_tsv
from bidsapp.errors import InputError, UsageError


@dataclass(frozen=True)
class GivenFile:
    """A region's file of one participant.

    Attributes
    ----------
    path
        The image.
    space
        The space that it is in, such as ``T1w``.
    label
        The region's number in it; None where the file is no dseg.
    """

    path: Path
    space: str
    label: int | None


@dataclass(frozen=True)
class GivenFiles:
    """All files of one participant: region to side to file; and sentences on absent ones."""

    files: Mapping[str, Mapping[Side, GivenFile]]
    missing: tuple[str, ...]


def find_given(
    root: Path, spec: MaskRegions, participant: str, session: str | None, space: str
) -> GivenFiles:
    """Find a participant's files.

    Parameters
    ----------
    root
        The dataset that they lie in.
    spec
        The analysis file's masks.
    participant, session
        What ``{participant}`` and ``{session}`` stand for, without ``sub-`` and ``ses-``.
    space
        The output space: that of a file whose name says none.

    Raises
    ------
    InputError
        A pattern fits several files or needs a session that there is not, a file's name says
        another space than the analysis, or a label is unknown.
    UsageError
        One file is everyone's, and nothing says in which template.
    """
    files: dict[str, dict[Side, GivenFile]] = {}
    missing = []
    for region in spec.regions:
        files[region.name] = {}
        for side in region.sides or (None,):
            path = _find_one(root, region.file_of(side), participant, session)
            name = Region(region.name, side).name
            if path is None:
                missing.append(
                    f"region {name}: no file in {root} fits {region.file_of(side)!r} for "
                    f"sub-{participant}"
                )
                continue
            files[region.name][side or "both"] = GivenFile(
                path, _space(path, region, side, space), _number(path, root, region, side)
            )
    return GivenFiles(files, tuple(missing))


def in_nobody(root: Path, spec: MaskRegions, participants: tuple[str, ...]) -> list[str]:
    """Name the patterns that fit no file of any participant, whatever the session."""
    patterns = {region.file_of(side) for region in spec.regions for side in region.sides or (None,)}
    return sorted(
        pattern
        for pattern in patterns
        if not any(
            any(root.glob(pattern.format(participant=label, session="*"))) for label in participants
        )
    )


def _find_one(root: Path, pattern: str, participant: str, session: str | None) -> Path | None:
    if "{session}" in pattern and session is None:
        raise InputError(
            f"{pattern!r} asks for a session, but the movie runs of sub-{participant} have none"
        )
    filled = pattern.format(participant=participant, session=session)
    found = sorted(path for path in root.glob(filled) if path.is_file())
    if len(found) > 1:
        names = ", ".join(path.relative_to(root).as_posix() for path in found)
        raise InputError(f"several files in {root} fit {filled!r}: {names}; narrow the pattern")
    return found[0] if found else None


def _space(path: Path, region: MaskRegion, side: Hemisphere | None, space: str) -> str:
    """Tell a file's space: what its name says, and the analysis must not say another."""
    name = parse_name(path)
    entities = {} if name is None else name.entities
    stated = entities.get("space") or entities.get("tpl")
    if stated and region.space and stated != region.space:
        raise InputError(
            f"{path} is in the space {stated} by its name, but the analysis says that region "
            f"{region.name} is in {region.space}: mend masks.regions, or rename the file"
        )
    one_for_all = "{participant}" not in region.file_of(side)
    if one_for_all and space in OWN_SPACES and not (region.space or stated):
        raise UsageError(
            f"region {region.name} is {path} for everyone, and neither its name nor the analysis "
            f"says its space, which cannot be each participant's own {space}: give "
            "masks.regions.space, such as MNI152NLin6Asym"
        )
    return region.space or stated or space


def _number(path: Path, root: Path, region: MaskRegion, side: Hemisphere | None) -> int | None:
    """Return a label's number, by the dseg's table where there is one."""
    label = region.label_of(side)
    if label is None:
        return None
    tables = inherited_files(path, root, ".tsv")
    if not tables:
        if isinstance(label, int):
            return label
        raise InputError(
            f"{path} has no table of its labels (a .tsv of the same name), so that the label "
            f"{label!r} of region {region.name} is unknown: add it, or give the label's number"
        )
    numbers = _read_labels(tables[-1])
    if isinstance(label, int):
        if label in numbers.values():
            return label
    elif label in numbers:
        return numbers[label]
    known = ", ".join(list(numbers)[:20]) + (" ..." if len(numbers) > 20 else "")
    raise InputError(
        f"{tables[-1]} has no label {label!r}, which region {region.name} asks for; it has {known}"
    )


def _read_labels(path: Path) -> dict[str, int]:
    table = read_tsv(path, text_columns=("name",))
    if not {"index", "name"} <= set(table.columns):
        raise InputError(f"{path} lacks the column index or name, which tables of labels need")
    numbers = pd.to_numeric(table["index"], errors="coerce")
    if any(not math.isfinite(n) or n != int(n) for n in numbers):
        raise InputError(f"{path} has an index that is no whole number: mend it")
    if table["name"].duplicated().any():
        twice = table["name"][table["name"].duplicated()].iloc[0]
        raise InputError(f"{path} has the name {twice!r} twice: give the label's number instead")
    return dict(zip(map(str, table["name"]), (int(n) for n in numbers), strict=True))
