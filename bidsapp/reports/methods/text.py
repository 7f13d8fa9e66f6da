"""The methods text of a run: sentences that hold for this analysis only, with works cited."""

from collections.abc import Mapping
from dataclasses import dataclass

from bidsapp.analysis.spec import Analysis
from bidsapp.reports.methods.comparison import (
    comparators,
    searchlight,
    similarity,
    statistics,
    unique,
)
from bidsapp.reports.methods.data import brain, models
from bidsapp.reports.methods.regions import atlas_regions, functional_regions, mask_regions
from bidsapp.reports.methods.wording import called, cite, works
from bidsapp.vision.catalogue import ClipInput


@dataclass(frozen=True)
class Methods:
    """Paragraphs with their titles, and the works cited in them, in full."""

    paragraphs: tuple[tuple[str, str], ...]
    references: tuple[str, ...]


def methods(
    analysis: Analysis, versions: Mapping[str, str], inputs: Mapping[str, ClipInput]
) -> Methods:
    """Describe what this analysis does.

    Parameters
    ----------
    analysis
        The analysis; parts that it does not use are not mentioned.
    versions
        Version of each piece of software by name, as far as known (``moviersa``, ``fMRIPrep``,
        ``nilearn``, ...).
    inputs
        What each network is given, by the model's name, as far as known.
    """
    parts = (
        ("Software and data", _software(analysis, versions)),
        ("Functional regions", functional_regions(analysis, versions)),
        ("Atlas regions", atlas_regions(analysis, versions)),
        ("Regions from masks", mask_regions(analysis)),
        ("Brain dissimilarity", brain(analysis)),
        ("Models", models(analysis, versions, inputs)),
        ("Similarity of models and brain", similarity(analysis)),
        ("What models explain beyond each other", unique(analysis)),
        ("Comparators", comparators(analysis, versions)),
        ("Searchlight", searchlight(analysis)),
        ("Statistics over participants", statistics(analysis)),
    )
    paragraphs = tuple((title, text) for title, text in parts if text)
    said = " ".join(text for _, text in paragraphs)
    cited = sorted(work["full"] for work in works().values() if work["short"] in said)
    return Methods(paragraphs, tuple(cited))


def methods_text(
    analysis: Analysis, versions: Mapping[str, str], inputs: Mapping[str, ClipInput]
) -> str:
    """Return the methods of this analysis as Markdown, with the list of works cited."""
    text = methods(analysis, versions, inputs)
    parts = ["# Methods", *(f"## {title}\n\n{body}" for title, body in text.paragraphs)]
    parts += ["## References", "\n".join(f"- {work}" for work in text.references)]
    return "\n\n".join(parts) + "\n"


def _software(analysis: Analysis, versions: Mapping[str, str]) -> str:
    movie = analysis.movie
    return (
        f"The analysis {analysis.name} compares responses to a film (task {movie.task}, "
        f"{len(movie.runs)} runs) with vision models. It was computed with "
        f"{called('moviersa', versions)}, which runs its steps with {called('nipype', versions)} "
        f"({cite('nipype')}) on data in the Brain Imaging Data Structure ({cite('bids')}). "
        f"Preprocessing was done before by {called('fMRIPrep', versions)} ({cite('fmriprep')}) "
        f"and is described in its own report. The method follows {cite('paper')}."
    )
