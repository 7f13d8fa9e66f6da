"""The methods text of a run: sentences that hold for this analysis only, with works cited."""

import re
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
from bidsapp.reports.methods.wording import called, cite, words
from bidsapp.reports.methods.works import works
from bidsapp.settings import Level
from bidsapp.vision.catalogue import ModelEntry


@dataclass(frozen=True)
class Methods:
    """Paragraphs with their titles, with marks for works (`wording.cite`), and the works' keys."""

    paragraphs: tuple[tuple[str, str], ...]

    @property
    def cited(self) -> tuple[str, ...]:
        """Keys of the works cited, in the order in which they are."""
        marks = re.findall(r"@\{(\w+)\}", " ".join(body for _, body in self.paragraphs))
        return tuple(key for key in dict.fromkeys(marks) if key in works())


def methods(
    analysis: Analysis,
    versions: Mapping[str, str],
    networks: Mapping[str, ModelEntry],
    level: Level = "group",
    *,
    space: str = "T1w",
    n_participants: int | None = None,
) -> Methods:
    """Describe what this analysis does, up to a level.

    Parameters
    ----------
    analysis
        The analysis; parts that it does not use are not mentioned.
    versions
        Version of each piece of software by name, as far as known (``moviersa``, ``fMRIPrep``,
        ``nilearn``, ...).
    networks
        Each network's entry, with the dissimilarity that was taken, by the model's name, as far as
        known.
    level
        What was run: ``stimulus`` is models alone, ``group`` all of it.
    space
        Of the outputs, such as ``T1w``.
    n_participants
        Of the group, where that is known: of one there are no tests.
    """
    models_alone = (
        ("Software and data", _software(analysis, versions)),
        ("Models", models(analysis, versions, networks)),
    )
    of_a_participant = (
        models_alone[0],
        ("Functional regions", functional_regions(analysis, versions, space)),
        ("Atlas regions", atlas_regions(analysis, versions, space)),
        ("Regions from masks", mask_regions(analysis)),
        ("Brain dissimilarity", brain(analysis, space)),
        models_alone[1],
        ("Similarity of models and brain", similarity(analysis)),
        ("What models explain beyond each other", unique(analysis)),
        ("Comparators", comparators(analysis, versions)),
        ("Searchlight", searchlight(analysis)),
    )
    of_the_group = (
        *of_a_participant,
        ("Statistics over participants", statistics(analysis, n_participants)),
    )
    parts = {"stimulus": models_alone, "participant": of_a_participant, "group": of_the_group}
    return Methods(tuple((title, text) for title, text in parts[level] if text))


def _software(analysis: Analysis, versions: Mapping[str, str]) -> str:
    movie = analysis.movie
    n_runs = f"{len(movie.runs)} run{'s' if len(movie.runs) > 1 else ''}"
    dataset = [cite(key) for key, work in works().items() if work.dataset == analysis.name]
    described = f" The dataset is described in {words(dataset)}." if dataset else ""
    return (
        f"The analysis {analysis.name} compares responses to a film (task {movie.task}, "
        f"{n_runs}) with vision models, by representational similarity analysis "
        f"({cite('rsa')}). It was computed with "
        f"{called('moviersa', versions)}, which runs its steps with {called('nipype', versions)} "
        f"({cite('nipype')}) on data in the Brain Imaging Data Structure ({cite('bids')}). "
        f"Preprocessing was done before by {called('fMRIPrep', versions)} ({cite('fmriprep')}) "
        f"and is described in its own report. The method follows {cite('paper')}.{described}"
    )
