"""The analysis file: what is compared with what, and how. One YAML file, validated.

No dataset is named in Python: ``studyforrest.yaml`` beside this module is the default.
"""

from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bidsapp.errors import UsageError

Hemisphere = Literal["L", "R"]
Fit = Literal["ols", "nnls", "ridge"]
Mode = Literal["replicate", "robust"]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Point = tuple[float, float, float]
Label = Annotated[str, Field(pattern="^[0-9a-zA-Z]+$")]  # of a BIDS entity


class _Part(BaseModel):
    """A part of the file: unknown keys are errors, and nothing changes after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FilmRun(_Part):
    """One run of the movie task and the stretch of film that it showed."""

    run: Label
    film: str  # a glob below --stimuli
    start_s: NonNegative = 0.0  # where in that file the run begins
    duration_s: Positive | None = None  # None: to the end of the file
    shared_with_next_s: NonNegative = 0.0  # film that the next run shows again


class Movie(_Part):
    """The movie task, its runs, and how film frames are placed on the scanner's clock."""

    task: Label
    session: Label | None = None
    runs: tuple[FilmRun, ...] = Field(min_length=3)
    frame_timing: Literal["events", "nominal"] = "events"
    frame_step: Annotated[int, Field(ge=1)] = 5
    first_frame_index: int = 1  # what the events call the film's first frame
    volume_time: Literal["metadata", "middle"] = "metadata"
    hrf_s: Positive = 20.0
    crop: Annotated[int, Field(ge=1)] | None = None  # side of a centred square, in pixels

    @model_validator(mode="after")
    def _runs_differ(self) -> Self:
        names = [run.run for run in self.runs]
        if len(set(names)) != len(names):
            raise ValueError(f"a run is listed twice: {names}")
        return self


class Contrast(_Part):
    """Mean of the ``plus`` conditions less the mean of the ``minus`` conditions."""

    plus: tuple[str, ...] = Field(min_length=1)
    minus: tuple[str, ...] = Field(min_length=1)

    @property
    def weights(self) -> dict[str, float]:
        """Weight of each condition; the weights sum to zero."""
        return {name: 1 / len(self.plus) for name in self.plus} | {
            name: -1 / len(self.minus) for name in self.minus
        }


class Localizer(_Part):
    """The localizer task and its general linear model."""

    task: Label
    session: Label | None = None
    runs: tuple[Label, ...] = Field(min_length=1)
    conditions: tuple[str, ...] = Field(min_length=2)
    contrasts: dict[Label, Contrast]
    smoothing_fwhm_mm: NonNegative = 4.0
    high_pass_s: Positive = 100.0
    hrf_model: Literal["glover + derivative", "spm + derivative", "glover", "spm"] = (
        "spm + derivative"
    )
    noise_model: Literal["ar1", "ols"] = "ar1"
    confounds: tuple[str, ...] = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")

    @model_validator(mode="after")
    def _contrasts_known(self) -> Self:
        for name, contrast in self.contrasts.items():
            unknown = [c for c in (*contrast.plus, *contrast.minus) if c not in self.conditions]
            if unknown:
                raise ValueError(
                    f"contrast {name!r} names the unknown condition {unknown[0]!r}; "
                    f"conditions are {', '.join(self.conditions)}"
                )
            both = set(contrast.plus) & set(contrast.minus)
            if both:
                raise ValueError(f"contrast {name!r} has {sorted(both)[0]!r} on both sides")
        return self


class SearchSphere(_Part):
    """Where in the template a region's peak is looked for, in one hemisphere."""

    centre_mm: Point
    radius_mm: Positive


class FunctionalRegion(_Part):
    """A category-selective region: its contrast and where to look for it."""

    name: Label
    contrast: str
    search: dict[Hemisphere, SearchSphere] = Field(min_length=1)
    source: str = ""


class FunctionalRegions(_Part):
    """How category-selective regions are cut from the localizer's t maps."""

    template: str = "MNI152NLin6Asym"
    sphere_mm: Positive = 9.0
    voxels: Annotated[int, Field(ge=3)] = 80
    min_peak_z: float = 3.1
    allow_overlap: bool = False
    regions: tuple[FunctionalRegion, ...] = ()


class AtlasRegions(_Part):
    """Which areas of the probabilistic atlas are used, and the template that it lives in."""

    name: Label = "Wang2015"
    template: str = "MNI152NLin6Asym"
    regions: tuple[str, ...] = ()


class CompCor(_Part):
    """Components of anatomical CompCor, picked by the confounds' metadata."""

    mask: Literal["combined", "CSF", "WM"] = "combined"
    components: Annotated[int, Field(ge=0)] = 5


class Denoise(_Part):
    """What is regressed out of each movie voxel, in one step with an intercept."""

    compcor: CompCor = CompCor()
    cosines: bool = True
    columns: tuple[str, ...] = ()
    scale: bool = False  # residuals to unit variance


class Robust(_Part):
    """Keys of the mode that guards against temporal autocorrelation."""

    min_lag_s: NonNegative = 20.0
    trim_shared_film: bool = True
    penalties: tuple[Positive, ...] = tuple(10 ** (-4 + 0.5 * i) for i in range(17))


class Statistics(_Part):
    """Keys of the group's statistics."""

    bootstrap_draws: Annotated[int, Field(ge=0)] = 1000
    lag_curve_s: tuple[NonNegative, ...] = (0.0, 4.0, 10.0, 20.0, 30.0)
    autocorrelation_s: tuple[Positive, ...] = (2.0, 4.0, 6.0, 8.0, 10.0, 20.0, 30.0)


class FeatureTable(_Part):
    """A table of onsets, durations and features, taken as a model."""

    name: Annotated[str, Field(pattern="^[0-9a-zA-Z-]+$")]
    files: dict[str, str]  # run: glob below --stimuli
    columns: tuple[str, ...] = ()  # none: all but onset and duration
    dissimilarity: Literal["euclidean", "correlation"] = "euclidean"


class Analysis(_Part):
    """All that an analysis is. What a run needs (paths, cores) is the command line's."""

    name: str
    movie: Movie
    localizer: Localizer | None = None
    functional: FunctionalRegions = FunctionalRegions()
    atlas: AtlasRegions = AtlasRegions()
    denoise: Denoise = Denoise()
    models: tuple[str, ...] = Field(min_length=1)  # names of the catalogue or of feature_tables
    feature_tables: tuple[FeatureTable, ...] = ()
    modes: tuple[Mode, ...] = ("replicate", "robust")
    fits: tuple[Fit, ...] = ("ols", "nnls", "ridge")
    robust: Robust = Robust()
    statistics: Statistics = Statistics()

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
            raise ValueError("no region: name some in functional.regions or atlas.regions")
        tables = [table.name for table in self.feature_tables]
        for what, names in (
            ("region", self.region_names),
            ("model", self.models),
            ("feature table", tables),
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

    @property
    def region_names(self) -> tuple[str, ...]:
        """Every region, functional ones first, in the order of the file."""
        return (*(region.name for region in self.functional.regions), *self.atlas.regions)

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
