"""What is done with the data of an analysis: denoising, tables taken as models, statistics."""

from typing import Annotated, Literal

from pydantic import Field

from bidsapp.analysis.part import NonNegative, Part, Positive


class CompCor(Part):
    """Components of anatomical CompCor, picked by the confounds' metadata."""

    mask: Literal["combined", "CSF", "WM"] = "combined"
    components: Annotated[int, Field(ge=0)] = 5


class Denoise(Part):
    """What is regressed out of each movie voxel, in one step with an intercept."""

    compcor: CompCor = CompCor()
    cosines: bool = True
    columns: tuple[str, ...] = ()
    scale: bool = False  # residuals to unit variance


class Robust(Part):
    """Keys of the mode that guards against temporal autocorrelation."""

    min_lag_s: NonNegative = 20.0
    trim_shared_film: bool = True
    penalties: tuple[Positive, ...] = tuple(10 ** (-4 + 0.5 * i) for i in range(17))


class Statistics(Part):
    """Keys of the group's statistics."""

    bootstrap_draws: Annotated[int, Field(ge=0)] = 1000
    lag_curve_s: tuple[NonNegative, ...] = (0.0, 4.0, 10.0, 20.0, 30.0)
    autocorrelation_s: tuple[Positive, ...] = (2.0, 4.0, 6.0, 8.0, 10.0, 20.0, 30.0)


class FeatureTable(Part):
    """A table of onsets, durations and features, taken as a model."""

    name: Annotated[str, Field(pattern="^[0-9a-zA-Z-]+$")]
    files: dict[str, str]  # run: glob below --stimuli
    columns: tuple[str, ...] = ()  # none: all but onset and duration
    dissimilarity: Literal["euclidean", "correlation"] = "euclidean"
