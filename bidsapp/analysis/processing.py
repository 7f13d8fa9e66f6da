"""What is done with the data of an analysis: denoising, tables taken as models, statistics."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from bidsapp.analysis.part import (
    Autocast,
    Comparator,
    Dissimilarity,
    Fit,
    Mode,
    NonNegative,
    Part,
    Positive,
)

MIN_NULL_DRAWS = 20
COSINES_FROM_S = 128  # the period that fMRIPrep filters at: shorter runs have no cosines


class CompCor(Part):
    """Components of anatomical CompCor, picked by the confounds' metadata."""

    mask: Literal["combined", "CSF", "WM"] = "combined"
    components: Annotated[int, Field(ge=0)] = 5


class Censor(Part):
    """Volumes that are left out because the head moved; no threshold, no censoring."""

    framewise_displacement_mm: Positive | None = None  # volumes above it are left out
    standardized_dvars: Positive | None = None  # likewise
    before: Annotated[int, Field(ge=0)] = 0  # volumes left out before each of them
    after: Annotated[int, Field(ge=0)] = 0
    min_volumes: Annotated[int, Field(ge=1)] = 60  # a run with fewer left is left out itself

    @model_validator(mode="after")
    def _threshold_given(self) -> Self:
        if (self.before or self.after) and not self.thresholds:
            raise ValueError(
                "before and after need framewise_displacement_mm or standardized_dvars"
            )
        return self

    @property
    def thresholds(self) -> dict[str, tuple[str, float]]:
        """Key to fMRIPrep's column and the threshold, of those that are given."""
        columns = {
            "framewise_displacement_mm": "framewise_displacement",
            "standardized_dvars": "std_dvars",
        }
        given = {key: getattr(self, key) for key in columns}
        return {key: (columns[key], given[key]) for key in columns if given[key] is not None}


class Denoise(Part):
    """What is done to each movie voxel: smoothing, then one regression with an intercept."""

    compcor: CompCor = CompCor()
    cosines: bool = True
    columns: tuple[str, ...] = ()
    censor: Censor = Censor()
    smoothing_fwhm_mm: NonNegative = 0.0  # within the brain mask
    scale: bool = False  # residuals to unit variance


class Dissimilarities(Part):
    """How unlike the patterns of two volumes are, in the brain and in models."""

    brain: Dissimilarity = "correlation"
    models: dict[str, Dissimilarity] = Field(default_factory=dict)  # instead of the catalogue's


class Extraction(Part):
    """How networks' responses to the film are computed: exactly, unless told otherwise."""

    autocast: Autocast | None = None  # type that a GPU computes in; none: float32
    projection: Annotated[int, Field(ge=100)] | None = None  # a layer's dimensions; none: all units
    max_damaged: Annotated[float, Field(ge=0, le=1)] = 0.01  # share of a run's frames

    @property
    def is_exact(self) -> bool:
        """Whether nothing is approximated."""
        return self.autocast is None and self.projection is None


class Replicate(Part):
    """Keys of the mode that follows the paper."""

    lag_regressors_s: tuple[Positive, ...] = ()  # decays regressed out of every RDM; none: no step


class Robust(Part):
    """Keys of the mode that guards against temporal autocorrelation."""

    min_lag_s: NonNegative = 20.0
    # Least share of a volume's response window, by absolute weight, that the film covers.
    min_coverage: Annotated[float, Field(ge=0, le=1)] = 0.98
    trim_shared_film: bool = True
    penalties: tuple[Positive, ...] = Field(
        default=tuple(10 ** (-4 + 0.5 * i) for i in range(17)), min_length=1
    )


class Comparators(Part):
    """Other ways to compare model RDMs with brain RDMs, beside regression."""

    methods: tuple[Comparator, ...] = ()  # none: no comparators
    models: tuple[str, ...] = ()  # none: all
    regions: tuple[str, ...] = ()  # none: all
    layers: bool = True  # each layer, beside the prediction from all of them
    fit: Fit = "ols"  # of that prediction


class Searchlight(Part):
    """Spheres round voxels, scored as regions are."""

    models: tuple[str, ...] = ()  # none: no searchlight
    layers: dict[str, tuple[str, ...]] = Field(default_factory=dict)  # each alone, by model
    radius_mm: Positive = 9.0
    centres: Literal["brain", "regions"] = "brain"
    stride: Annotated[int, Field(ge=1)] = 1  # every how many voxels along each axis
    mode: Mode = "robust"
    fit: Fit = "ols"

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each map: of a model, or of a model and its layer."""
        layers = [f"{model} {layer}" for model, its in self.layers.items() for layer in its]
        return (*self.models, *layers)


def _enough(draws: int) -> int:
    if 0 < draws < MIN_NULL_DRAWS:
        raise ValueError(
            f"{draws} draws can give no p under .05: at least {MIN_NULL_DRAWS}, or 0 for none"
        )
    return draws


Draws = Annotated[int, Field(ge=0), AfterValidator(_enough)]


class NullDraws(Part):
    """How often models are shifted for ``p_null`` of each fit and of unique; 0 for never."""

    ols: Draws = 1000
    nnls: Draws = 200
    ridge: Draws = 1000
    unique: Draws = 1000


class Statistics(Part):
    """Keys of the group's statistics."""

    null_draws: NullDraws = NullDraws()
    lag_curve_s: tuple[NonNegative, ...] = (0.0, 4.0, 10.0, 20.0, 30.0)
    autocorrelation_s: tuple[Positive, ...] = (2.0, 4.0, 6.0, 8.0, 10.0, 20.0, 30.0)


class FeatureTable(Part):
    """A table of onsets, durations and features, taken as a model."""

    name: Annotated[str, Field(pattern="^[0-9a-zA-Z-]+$")]
    files: dict[str, str]  # run: glob below --stimuli
    columns: tuple[str, ...] = ()  # none: all but onset and duration
    dissimilarity: Dissimilarity = "euclidean"
