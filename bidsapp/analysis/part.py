"""What every part of the analysis file has in common."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Hemisphere = Literal["L", "R"]
Fit = Literal["ols", "nnls", "ridge"]
Mode = Literal["replicate", "robust"]
Comparator = Literal[
    "pearson", "spearman", "rho-a", "tau-a", "cosine", "whitened", "cka", "cka-debiased"
]
Dissimilarity = Literal["correlation", "euclidean", "cosine"]  # of two volumes' patterns
Autocast = Literal["bfloat16", "float16"]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Point = tuple[float, float, float]
Label = Annotated[str, Field(pattern="^[0-9a-zA-Z]+$")]  # of a BIDS entity


class Part(BaseModel):
    """A part of the file: unknown keys are errors, numbers are finite, and nothing changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
