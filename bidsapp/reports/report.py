"""Reports: one self-contained HTML page per participant, and one for the group."""

from pathlib import Path

from bidsapp.analysis.spec import Analysis
from bidsapp.dataset.derivatives import OutputTree
from bidsapp.files import write_text
from bidsapp.reports.facts import RunFacts, write_facts
from bidsapp.reports.group import group_sections
from bidsapp.reports.outputs import Outputs, read_volume
from bidsapp.reports.page import render
from bidsapp.reports.participant import participant_sections

__all__ = ["RunFacts", "group_report", "participant_report"]


def participant_report(
    tree: OutputTree, participant: str, analysis: Analysis, facts: RunFacts, background: Path | None
) -> Path:
    """Write a participant's page and its figures from the files in the tree of outputs.

    Parameters
    ----------
    tree
        The outputs; tables, RDM files and masks are read from it.
    participant
        Label without ``sub-``.
    analysis, facts
        What was run, and how.
    background
        Anatomical image in the space of the outputs; None draws regions on white.

    Returns
    -------
    Path
        ``sub-<participant>.html``. A file that is absent or lacks a column is named in its place.

    Raises
    ------
    InputError
        The anatomical image cannot be read.
    """
    outputs = Outputs(tree, analysis, facts.space)
    anatomy = read_volume(background) if background is not None else None
    sections = participant_sections(outputs, participant, facts, anatomy)
    page = render(f"sub-{participant}", _subtitle(analysis), sections, facts.version)
    path = tree.path("participant_report", sub=participant)
    write_text(path, page)
    write_facts(tree.path("participant_facts", sub=participant), facts)
    return path


def group_report(
    tree: OutputTree,
    analysis: Analysis,
    facts: RunFacts,
    stimuli: Path | None = None,
    atlas: Path | None = None,
) -> Path:
    """Write the group's page and its figures from the tables in the tree of outputs.

    Parameters
    ----------
    tree
        The outputs; tables, RDM files' records and masks are read from it.
    analysis, facts
        What was run, and how.
    stimuli
        Folder of the films; None leaves pictures of film frames out, and says so.
    atlas
        Folder of the atlas; None leaves its areas on the cortex out, and says so.

    Returns
    -------
    Path
        ``group.html``. A table that is absent or lacks a column is named in its place.
    """
    sections = group_sections(Outputs(tree, analysis, facts.space), facts, stimuli, atlas)
    page = render("Group", _subtitle(analysis), sections, facts.version)
    path = tree.path("group_report")
    write_text(path, page)
    write_facts(tree.path("group_facts"), facts)
    return path


def _subtitle(analysis: Analysis) -> str:
    return f"{analysis.name}: vision models and the visual brain during a film"
