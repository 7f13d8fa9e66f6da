"""The analysis file: what is compared with what, and how. One YAML file, validated.

No dataset is named in Python: ``studyforrest.yaml`` beside this module is the default.
"""

from importlib.resources import files
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from bidsapp.analysis.part import Comparator, Dissimilarity, Fit, Hemisphere, Mode, Part
from bidsapp.analysis.processing import (
    Censor,
    Comparators,
    CompCor,
    Denoise,
    Dissimilarities,
    Extraction,
    FeatureTable,
    Replicate,
    Robust,
    Searchlight,
    Statistics,
)
from bidsapp.analysis.regions import (
    AtlasRegions,
    FunctionalRegion,
    FunctionalRegions,
    Hemispheres,
    MaskRegion,
    MaskRegions,
    Region,
    SearchSphere,
)
from bidsapp.analysis.tasks import Contrast, FilmRun, Localizer, Movie
from bidsapp.errors import UsageError

__all__ = [
    "Analysis",
    "AtlasRegions",
    "Censor",
    "CompCor",
    "Comparator",
    "Comparators",
    "Contrast",
    "Denoise",
    "Dissimilarities",
    "Dissimilarity",
    "Extraction",
    "FeatureTable",
    "FilmRun",
    "Fit",
    "FunctionalRegion",
    "FunctionalRegions",
    "Hemisphere",
    "Hemispheres",
    "Localizer",
    "MaskRegion",
    "MaskRegions",
    "Mode",
    "Movie",
    "Region",
    "Replicate",
    "Robust",
    "SearchSphere",
    "Searchlight",
    "Statistics",
    "changed",
    "default_analysis",
    "differing_keys",
    "read_analysis",
]


class Analysis(Part):
    """All that an analysis is. What a run needs (paths, cores) is the command line's."""

    name: str
    movie: Movie
    localizer: Localizer | None = None
    functional: FunctionalRegions = FunctionalRegions()
    atlas: AtlasRegions = AtlasRegions()
    masks: MaskRegions = MaskRegions()
    hemispheres: Hemispheres = "joined"
    denoise: Denoise = Denoise()
    dissimilarity: Dissimilarities = Dissimilarities()
    models: tuple[str, ...] = Field(min_length=1)  # names of the catalogue or of feature_tables
    extraction: Extraction = Extraction()
    feature_tables: tuple[FeatureTable, ...] = ()
    modes: tuple[Mode, ...] = Field(default=("replicate", "robust"), min_length=1)
    fits: tuple[Fit, ...] = Field(default=("ols", "nnls", "ridge"), min_length=1)
    replicate: Replicate = Replicate()
    robust: Robust = Robust()
    statistics: Statistics = Statistics()
    comparators: Comparators = Comparators()
    searchlight: Searchlight = Searchlight()

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.functional.regions and self.localizer is None:
            raise ValueError("functional.regions need a localizer")
        known = () if self.localizer is None else tuple(self.localizer.contrasts)
        for region in self.functional.regions:
            if region.contrast not in known:
                raise ValueError(
                    f"region {region.name} wants the unknown contrast {region.contrast!r}; "
                    f"contrasts are {', '.join(known)}"
                )
        if not self.region_names:
            raise ValueError(
                "no region: name some in functional.regions, atlas.regions or masks.regions"
            )
        tables = [table.name for table in self.feature_tables]
        for what, names in (
            ("region", self.region_names),
            ("model", self.models),
            ("feature table", tables),
            ("mode", self.modes),
            ("fit", self.fits),
            ("comparator", self.comparators.methods),
            ("searchlight map", self.searchlight.names),
        ):
            if len(set(names)) != len(names):
                raise ValueError(f"a {what} is listed twice: {', '.join(names)}")
        return self

    @model_validator(mode="after")
    def _tables_whole(self) -> Self:
        for table in self.feature_tables:
            absent = [run.run for run in self.movie.runs if run.run not in table.files]
            if absent:
                raise ValueError(
                    f"feature table {table.name} has no file of run {', '.join(absent)}: "
                    "name one for every run of the movie"
                )
        return self

    @model_validator(mode="after")
    def _dissimilarities_of_models(self) -> Self:
        for name in self.dissimilarity.models:
            if name not in self.models:
                raise ValueError(
                    f"dissimilarity.models names {name!r}; models are {', '.join(self.models)}"
                )
            if self.feature_table(name):
                raise ValueError(
                    f"dissimilarity.models names the feature table {name}: "
                    "set dissimilarity in the table itself"
                )
        return self

    @model_validator(mode="after")
    def _extras_known(self) -> Self:
        for key, names, known in (
            ("comparators.models", self.comparators.models, self.models),
            ("comparators.regions", self.comparators.regions, self.region_names),
            ("searchlight.models", self.searchlight.models, self.models),
            ("searchlight.layers", self.searchlight.layers, self.models),
        ):
            for name in names:
                if name not in known:
                    raise ValueError(f"{key} names {name!r}, which is none of {', '.join(known)}")
        return self

    @model_validator(mode="after")
    def _lag_regressors_alone(self) -> Self:
        in_searchlight = self.searchlight.names and self.searchlight.mode == "replicate"
        if self.replicate.lag_regressors_s and (self.comparators.methods or in_searchlight):
            raise ValueError(
                "replicate.lag_regressors_s go into fits alone: leave out comparators, and a "
                "searchlight in the mode replicate"
            )
        return self

    @property
    def regions(self) -> dict[str, tuple[Region, ...]]:
        """Sets of regions by kind, those that are not empty, in the order of the file.

        A set is what a family of corrected p values is made of.
        """
        sets = {
            "functional": self.functional.named(self.hemispheres),
            "atlas": self.atlas.named(self.hemispheres),
            "mask": self.masks.named(self.hemispheres),
        }
        return {kind: regions for kind, regions in sets.items() if regions}

    @property
    def region_sets(self) -> dict[str, tuple[str, ...]]:
        """Names of the regions of each set."""
        return {
            kind: tuple(region.name for region in regions) for kind, regions in self.regions.items()
        }

    @property
    def region_names(self) -> tuple[str, ...]:
        """Every region: functional ones first, then the atlas's, then masks."""
        return tuple(name for names in self.region_sets.values() for name in names)

    @property
    def mapped_models(self) -> tuple[str, ...]:
        """Models of the searchlight, whole or by layer, in the order of the models."""
        asked = {*self.searchlight.models, *self.searchlight.layers}
        return tuple(model for model in self.models if model in asked)

    def feature_table(self, model: str) -> FeatureTable | None:
        """Return the feature table of that name, if the model is one."""
        return next((table for table in self.feature_tables if table.name == model), None)


def default_analysis() -> Path:
    """Return the analysis file that is used when none is given: the paper's."""
    return Path(str(files("bidsapp.analysis") / "studyforrest.yaml"))


def read_analysis(path: Path) -> Analysis:
    """Read and validate an analysis file.

    Raises
    ------
    UsageError
        The file is absent, is not YAML, or a key in it is unknown or has a wrong value; the message
        names the file, the key and the allowed values.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read the analysis file {path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise UsageError(f"{path} must hold keys and values, such as 'movie:'")
    try:
        return Analysis.model_validate(content)
    except ValidationError as error:
        raise UsageError(f"{path}: {_explain(error)}") from error


def changed(analysis: Analysis, **parts: object) -> Analysis:
    """Return the analysis with parts replaced, validated as a whole again.

    Raises
    ------
    UsageError
        The parts do not fit the rest.
    """
    try:
        return Analysis.model_validate({**dict(analysis), **parts})
    except ValidationError as error:
        raise UsageError(_explain(error)) from error


def differing_keys(ours: Analysis, theirs: Analysis) -> list[str]:
    """Dotted names of the keys in which two analyses differ, sorted."""
    left, right = (_flatten(a.model_dump(mode="json")) for a in (ours, theirs))
    return sorted(key for key in left.keys() | right.keys() if left.get(key) != right.get(key))


def _flatten(value: Any, prefix: str = "") -> dict[str, Any]:  # noqa: ANN401
    if isinstance(value, dict):
        pairs = [
            _flatten(item, f"{prefix}.{key}" if prefix else str(key)) for key, item in value.items()
        ]
        return {key: item for pair in pairs for key, item in pair.items()}
    return {prefix: value}


def _explain(error: ValidationError) -> str:
    sentences = []
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            sentences.append(f"unknown key '{key}'{_allowed_beside(problem['loc'])}")
        else:
            message = problem["msg"].removeprefix("Value error, ")
            sentences.append(f"'{key}': {message}" if key else message)
    return "; ".join(sentences)


def _allowed_beside(location: tuple[int | str, ...]) -> str:
    """Name the keys that may stand where an unknown one was found."""
    part: Any = Analysis
    for step in location[:-1]:
        if isinstance(step, int):
            continue
        field = getattr(part, "model_fields", {}).get(step)
        if field is None:
            return ""
        part = _part_of(field.annotation)
    names = getattr(part, "model_fields", {})
    return f" (allowed: {', '.join(names)})" if names else ""


def _part_of(annotation: Any) -> Any:  # noqa: ANN401
    """Find the model class inside an annotation such as ``tuple[FilmRun, ...] | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _part_of(argument)
        if found is not None:
            return found
    return None
