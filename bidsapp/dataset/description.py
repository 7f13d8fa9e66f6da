"""The files by which a folder of results describes itself, and the record of its one analysis."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

import pandas as pd
import yaml
from pydantic import ValidationError

from bidsapp import __version__
from bidsapp.analysis.spec import Analysis, differing_keys
from bidsapp.dataset.textfiles import write_json, write_table
from bidsapp.errors import UsageError
from bidsapp.files import write_text

BIDS_VERSION = "1.11.1"
RECORD = "logs/analysis.yaml"
_FORMER_KEYS = (("statistics", "bootstrap_draws"),)  # of earlier releases; they decide nothing now

# Names that BIDS does not know yet; a validator then finds no error in the rest.
_BIDSIGNORE = ("*_relmat.*", "*_stats.*", "*_statmap.*", "group", "sub-*/figures", "*.html")

ROBUST_RDMS = "roisrobust"
"""``desc`` of the brain RDMs of the robust mode; those of replicate have the kind's default."""
_DESCRIPTIONS = {
    "given": "A region given as a file, on the grid of the first movie run",
    "rois": "Dissimilarities between volumes, one matrix a region",
    ROBUST_RDMS: "The same of the mode robust, denoised on the volumes that it uses",
    "similarity": "How well each model predicts the dissimilarities of each region",
    "weights": "Weight of each layer of a model in that prediction",
    "autocorrelation": "Temporal autocorrelation of each region's voxels",
    "regions": "Size, peak and flags of each region",
    "quality": "Voxels, signal and motion of each region in each run; in the group, of each run",
    "carpet": "A few voxels of each region before and after denoising, for a picture",
    "design": "Design matrix of a localizer run",
    "runs": "Motion in each run, and what censoring and denoising leave of it",
    "unique": "What a model explains beyond another",
    "comparisons": "Differences between models",
    "lag": "Similarity against the least lag between volumes",
    "components": "Principal components of all models' layers",
    "framepairs": "Pairs of volumes that load most on those components",
    "split": "Each model's part of the variance that all models explain together",
    "comparators": "Similarity of layers and regions by ranks, whitening or kernel alignment",
}


@dataclass(frozen=True)
class SourceDataset:
    """A dataset that the results come from; ``name`` is the one used in BIDS URIs."""

    name: str
    path: Path


def describe(
    root: Path,
    analysis: Analysis,
    space: str,
    sources: Sequence[SourceDataset],
    labels: Mapping[str, str],
) -> None:
    """Write every file that describes the results, and record the analysis and space.

    Raises
    ------
    UsageError
        The folder already holds the results of another analysis or space.
    """
    check_same_analysis(root, analysis, space)
    all_sources = (*sources, *_known_sources(root, sources))
    write_json(root / "dataset_description.json", _dataset_description(analysis, all_sources))
    write_text(root / "README.md", _README.format(version=__version__, name=analysis.name))
    write_text(root / "CITATION.cff", _CITATION.format(version=__version__))
    write_text(root / ".bidsignore", "\n".join(_ignored(analysis)) + "\n")
    _write_descriptions(root, analysis, labels)
    if analysis.atlas.regions:
        name = analysis.atlas.name
        write_json(root / f"atlas-{name}_description.json", _atlas_description(name))
    _record(root, analysis, space)


def _ignored(analysis: Analysis) -> tuple[str, ...]:
    """Name what BIDS does not know; ``hemi`` it has for surfaces, not yet for volumes' masks."""
    hemispheres = ("*_hemi-*",) if analysis.hemispheres == "separate" else ()
    return (*_BIDSIGNORE, *hemispheres)


def check_same_analysis(root: Path, analysis: Analysis, space: str) -> None:
    """Refuse to mix two analyses or two spaces in one folder; one without results passes.

    Raises
    ------
    UsageError
        The analysis or the space differs from the one recorded (the message names the keys), or the
        folder holds somebody else's dataset.
    """
    if not (root / RECORD).is_file():
        _refuse_foreign(root)
        return
    theirs, their_space = recorded(root)
    differing = differing_keys(analysis, theirs)
    if their_space != space:
        differing.append("output space")
    if differing:
        raise UsageError(
            f"{root} holds the results of another analysis, which differs in "
            f"{', '.join(differing)}: give another output folder"
        )


def recorded(root: Path) -> tuple[Analysis, str]:
    """Return the analysis and the space that a folder of results is bound to.

    Raises
    ------
    UsageError
        There is no record, or this version cannot read it.
    """
    record = root / RECORD
    if not record.is_file():
        raise UsageError(f"{root} holds no results of moviersa: {record} does not exist")
    try:
        content = yaml.safe_load(record.read_text(encoding="utf-8"))
        for part, key in _FORMER_KEYS:
            content["analysis"].get(part, {}).pop(key, None)
        return Analysis.model_validate(content["analysis"]), str(content["output_space"])
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError, ValidationError) as error:
        raise UsageError(
            f"{record} is not readable by this version: give another output folder"
        ) from error


def _refuse_foreign(root: Path) -> None:
    """Never take another dataset's folder for ours: what is in ours is replaced and withdrawn."""
    description = root / "dataset_description.json"
    if description.is_file():
        makers = _description_of(SourceDataset("", root)).get("GeneratedBy")
        names = [m.get("Name") for m in makers or [] if isinstance(m, dict)]
        if "moviersa" in names:
            return
    elif not any(root.glob("sub-*")):
        return
    raise UsageError(
        f"{root} holds a dataset that moviersa did not make: give another output folder"
    )


def check_output(output_dir: Path, bids_dir: Path, inputs: Sequence[Path] = ()) -> None:
    """Make sure that the results can be written, and never into the input.

    Parameters
    ----------
    output_dir
        Folder of the results; it need not exist.
    bids_dir
        The raw dataset; results may only lie in a folder below its ``derivatives``.
    inputs
        Further folders that are only read (fMRIPrep's, stimuli, atlas, ...).

    Raises
    ------
    UsageError
        The folder lies in the input, is a file, or is not writable.
    """
    output, raw = output_dir.resolve(), bids_dir.resolve()
    if output.is_relative_to(raw) and raw / "derivatives" not in output.parents:
        raise UsageError(
            f"the output folder {output_dir} lies in the raw data: choose one outside of "
            f"{bids_dir}, or below {bids_dir / 'derivatives'}"
        )
    for folder in inputs:
        if output.is_relative_to(folder.resolve()):
            raise UsageError(
                f"the output folder {output_dir} lies in the input {folder}: choose another"
            )
    existing = next(folder for folder in (output, *output.parents) if folder.exists())
    if not existing.is_dir():
        raise UsageError(f"the output folder {output_dir} cannot be made: {existing} is a file")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise UsageError(
            f"the output folder {output_dir} cannot be written: no permission in {existing}"
        )


def _record(root: Path, analysis: Analysis, space: str) -> None:
    content = {"output_space": space, "analysis": analysis.model_dump(mode="json")}
    write_text(root / RECORD, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def _dataset_description(analysis: Analysis, sources: Sequence[SourceDataset]) -> dict[str, Any]:
    generated_by: dict[str, Any] = {
        "Name": "moviersa",
        "Version": __version__,
        "Description": "Representational similarity of the visual brain and vision models",
    }
    container = _container()
    if container:
        generated_by["Container"] = container
    return {
        "Name": f"moviersa: {analysis.name}",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        **_license(sources),
        "GeneratedBy": [generated_by],
        "SourceDatasets": [_source(source) for source in sources],
        "DatasetLinks": {source.name: source.path.resolve().as_uri() for source in sources},
    }


def _container() -> dict[str, str]:
    """Name the container that this runs in; the image sets MOVIERSA_CONTAINER to its tag."""
    tag = os.environ.get("MOVIERSA_CONTAINER")
    if not tag:
        return {}
    apptainer = any(key in os.environ for key in ("APPTAINER_CONTAINER", "SINGULARITY_CONTAINER"))
    return {"Type": "apptainer" if apptainer else "docker", "Tag": tag}


def _known_sources(root: Path, sources: Sequence[SourceDataset]) -> list[SourceDataset]:
    """Return what an earlier run named and this one, of another level, has no need of."""
    links = _description_of(SourceDataset("", root)).get("DatasetLinks", {})
    named = {source.name for source in sources}
    return [
        SourceDataset(name, Path(url2pathname(urlparse(uri).path)))
        for name, uri in links.items()
        if name not in named
    ]


def _source(source: SourceDataset) -> dict[str, str]:
    described = _description_of(source)
    known = {"URL": source.path.resolve().as_uri()}
    if isinstance(described.get("DatasetDOI"), str):
        known["DOI"] = described["DatasetDOI"]
    return known


def _license(sources: Sequence[SourceDataset]) -> dict[str, str]:
    """Pass on the first licence that a source states."""
    stated = (_description_of(source).get("License") for source in sources)
    first = next((licence for licence in stated if isinstance(licence, str) and licence), None)
    return {} if first is None else {"License": first}


def _description_of(source: SourceDataset) -> dict[str, Any]:
    try:
        content = json.loads((source.path / "dataset_description.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # only courtesy facts are read from it; its readers check that it exists
    return content if isinstance(content, dict) else {}


def _write_descriptions(root: Path, analysis: Analysis, labels: Mapping[str, str]) -> None:
    functional = analysis.functional
    sizes = {
        functional.voxels,
        *(functional.voxels_of(region.name) for region in functional.regions),
    }
    rows = [
        *(
            (f"desc-top{n}", f"The {n} voxels of highest t near a region's peaks", None)
            for n in sorted(sizes)
        ),
        *((f"desc-{label}", text, None) for label, text in _DESCRIPTIONS.items()),
        *((f"desc-{labels[name]}", "Dissimilarities or maps of a model", name) for name in labels),
    ]
    columns = {
        "desc_id": {"Description": "The desc entity in file names"},
        "description": {"Description": "What the files hold"},
        "name": {"Description": "Model by its name in the catalogue, and layer, if it is one"},
    }
    write_table(root / "descriptions.tsv", pd.DataFrame(rows, columns=list(columns)), columns)


def _atlas_description(name: str) -> dict[str, Any]:
    known = json.loads(
        files("bidsapp.dataset").joinpath("atlases.json").read_text(encoding="utf-8")
    )
    unknown = {
        "Name": name,
        "License": "See the atlas's authors; the atlas is not part of this dataset",
    }
    described: dict[str, Any] = known.get(name, unknown)
    return described


_README = """# Results of moviersa

Made by moviersa {version} with the analysis `{name}` (`logs/analysis.yaml` holds all of it).

- `stimuli/`: dissimilarities of the models, one file a run and model, one matrix a layer.
- `sub-*/anat`, `sub-*/ses-*/func`: regions, statistical maps, and dissimilarities of the regions.
- `sub-*/**/*_stats.tsv`: how well each model predicts each region of one participant.
- `group/`: the same over participants, with statistics.
- `sub-*.html`, `group.html`: reports.

`*_relmat.h5` open with `rsatoolbox.rdm.load_rdm`. Each table has a JSON file that says what its
columns mean. `descriptions.tsv` explains the `desc` parts of file names.

`.bidsignore` lists the names that BIDS does not know yet: matrices (`relmat`), tables (`stats`),
statistical maps (`statmap`), group results, figures and reports, and masks of one hemisphere
(`hemi`).
"""

_CITATION = """cff-version: 1.2.0
message: If you use these results, please cite the software, the dataset and what logs/ lists.
title: Results of moviersa
type: dataset
authors:
  - name: The moviersa developers
version: {version}
"""
