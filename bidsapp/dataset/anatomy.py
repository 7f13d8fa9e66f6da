"""fMRIPrep's anatomical results: the T1w image and the transforms to and from templates."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from bidsapp.analysis.spec import Analysis
from bidsapp.dataset.filenames import parse_name
from bidsapp.errors import InputError

OWN_SPACES = frozenset({"T1w", "T2w"})  # a participant's; the others are templates'


def find_anatomy(folder: Path, session: str | None) -> Path | None:
    """Return the folder of anatomical results: above the sessions, or in one of them.

    Raises
    ------
    InputError
        Several sessions have such results, and none of them is the movie's.
    """
    found = [
        path for path in [folder / "anat", *sorted(folder.glob("ses-*/anat"))] if _is_anatomy(path)
    ]
    if len(found) < 2 or found[0] == folder / "anat":
        return found[0] if found else None
    preferred = folder / f"ses-{session}" / "anat"
    if preferred in found:
        return preferred
    raise InputError(
        f"{folder} has anatomical results in several sessions "
        f"({', '.join(path.parent.name for path in found)}): name the movie's session in "
        "the analysis"
    )


def check_one_anatomy(folder: Path, sessions: Sequence[str | None], space: str) -> None:
    """Make sure that runs in the participant's own space are aligned to one anatomical image.

    fMRIPrep 25.2 with ``--subject-anatomical-reference sessionwise``, or a run of fMRIPrep for each
    session, makes one T1w space a session, which have one name and are not aligned.

    Parameters
    ----------
    folder
        The participant's folder.
    sessions
        Those of the runs that are used.
    space
        Output space; in a template's, sessions are aligned.

    Raises
    ------
    InputError
        Two sessions that are used have anatomical images of their own.
    """
    own = [name for name in dict.fromkeys(sessions) if _is_anatomy(folder / f"ses-{name}" / "anat")]
    if space in OWN_SPACES and len(own) > 1 and not _is_anatomy(folder / "anat"):
        raise InputError(
            f"{folder} has anatomical results of its own in each of the sessions "
            f"{', '.join(map(str, own))}, whose spaces {space} are not aligned to each other: run "
            "fMRIPrep on all sessions at once (--subject-anatomical-reference unbiased or "
            "first-lex), or use a template's space with --output-space"
        )


def find_brain_masks(anatomy: Path | None) -> dict[str, Path]:
    """Return the masks of the anatomical image by space; any of several resolutions does."""
    found: dict[str, Path] = {}
    paths = [] if anatomy is None else sorted(anatomy.glob("*_desc-brain_mask.nii*"))
    for path in paths:
        name = parse_name(path)
        if name is not None:
            found[name.entities.get("space", "T1w")] = path
    return found


def _is_anatomy(folder: Path) -> bool:
    return any(any(folder.glob(pattern)) for pattern in ("*_xfm.*", "*_desc-preproc_T1w.nii*"))


def find_transforms(anatomy: Path | None) -> dict[str, Path]:
    """Return the ITK transforms of a folder by ``from->to``."""
    paths: Iterable[Path] = () if anatomy is None else sorted(anatomy.glob("*_mode-image_xfm.*"))
    found: dict[str, Path] = {}
    for path in paths:
        name = parse_name(path)
        if name is not None and name.extension in (".h5", ".txt", ".mat"):
            key = "->".join(name.entities.get(end, "") for end in ("from", "to"))
            found[key] = path
    return found


def check_transforms(
    transforms: Mapping[str, Path], analysis: Analysis, space: str, folder: Path
) -> None:
    """Make sure that a template can be reached at all; which will do is for the regions to say.

    Raises
    ------
    InputError
        There is no transform from the output space to any template, or none back.
    """
    used = []
    if analysis.functional.regions:
        used.append(analysis.functional.template)
    if analysis.atlas.regions:
        used.append(analysis.atlas.template)
    wanted = [template for template in used if template != space]
    for template in wanted:
        into = any(key.endswith(f"->{space}") for key in transforms)
        out_of = any(key.startswith(f"{space}->") for key in transforms)
        if not (into and out_of):
            label = folder.name
            raise InputError(
                f"{folder} has no transforms between {space} and a template "
                f"(such as {label}_from-{template}_to-{space}_mode-image_xfm.h5, both ways): "
                f"run fMRIPrep with {template} among its output spaces"
            )


def find_t1w(anatomy: Path | None, space: str) -> Path | None:
    """Return the preprocessed T1w image in a space; None where there is none."""
    if anatomy is None:
        return None
    for path in sorted(anatomy.glob("*_desc-preproc_T1w.nii*")):
        name = parse_name(path)
        if name is not None and name.entities.get("space", "T1w") == space:
            return path
    return None
