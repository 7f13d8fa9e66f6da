"""The tasks of an analysis: the film and how it was shown, and the localizer."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from bidsapp.analysis.part import Label, NonNegative, Part, Positive

Pixels = Annotated[int, Field(ge=0)]
_NOTHING = 1e-6  # of the largest weight: what written decimals may leave of a sum of zero


class FilmRun(Part):
    """One run of the movie task and the stretch of film that it showed."""

    run: Label
    session: Label | None = None  # None: the movie's
    film: str  # a glob below --stimuli
    start_s: NonNegative = 0.0  # where in that file the run begins
    duration_s: Positive | None = None  # None: to the end of the file
    shared_with_next_s: NonNegative = 0.0  # film that the next run shows again


class Letterbox(Part):
    """Bars round the picture, in pixels of the film file."""

    top: Pixels = 0
    bottom: Pixels = 0
    left: Pixels = 0
    right: Pixels = 0


class Movie(Part):
    """The movie task, its runs, and how film frames are placed on the scanner's clock."""

    task: Label
    session: Label | None = None
    runs: tuple[FilmRun, ...] = Field(min_length=3)
    frame_timing: Literal["events", "nominal"] = "events"
    frame_step: Annotated[int, Field(ge=1)] = 5
    first_frame_index: int = 1  # what the events call the film's first frame
    frame_rate: Positive | None = None  # of the film as shown and counted; None: its file's
    other_rate: Literal["refuse", "by_time", "by_number"] = "refuse"  # if the film has another
    volume_time: Literal["metadata", "middle"] = "metadata"
    hrf_s: Positive = 20.0
    letterbox: Letterbox = Letterbox()  # cut off first
    crop: Annotated[int, Field(ge=1)] | None = None  # side of a centred square, in pixels
    resize: Annotated[int, Field(ge=1)] | None = None  # side of the square before models resize it

    @model_validator(mode="after")
    def _runs_differ(self) -> Self:
        names = [run.run for run in self.runs]
        if len(set(names)) != len(names):
            raise ValueError(f"a run is listed twice: {names}")
        return self

    @model_validator(mode="after")
    def _rate_known(self) -> Self:
        if self.other_rate != "refuse" and self.frame_rate is None:
            raise ValueError(f"other_rate {self.other_rate} needs frame_rate: other than which?")
        return self

    def session_of(self, run: FilmRun) -> str | None:
        """Return the session that a run was scanned in; None means any."""
        return run.session or self.session

    @property
    def sessions(self) -> tuple[str, ...]:
        """Sessions that the runs name, each once."""
        named = (self.session_of(run) for run in self.runs)
        return tuple(dict.fromkeys(session for session in named if session is not None))


class Contrast(Part):
    """What is contrasted: mean of ``plus`` less mean of ``minus``, or a weight for each condition.

    Attributes
    ----------
    plus, minus
        Conditions of either side.
    weights
        Condition to weight, instead of the two sides; conditions left out weigh nothing.
    """

    plus: tuple[str, ...] = ()
    minus: tuple[str, ...] = ()
    weights: dict[str, float] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.weights is None:
            if not (self.plus and self.minus):
                raise ValueError("a contrast needs plus and minus, or weights")
            return self
        if self.plus or self.minus:
            raise ValueError("a contrast has plus and minus, or weights, not both")
        largest = max(map(abs, self.weights.values()), default=0.0)
        total = sum(self.weights.values())
        if largest == 0 or abs(total) > _NOTHING * largest:
            raise ValueError(
                f"the weights of a contrast must sum to 0 and not all be 0; these sum to {total:g}"
            )
        return self

    @property
    def condition_weights(self) -> dict[str, float]:
        """Weight of each condition; the weights sum to zero."""
        if self.weights is not None:
            return dict(self.weights)
        return {name: 1 / len(self.plus) for name in self.plus} | {
            name: -1 / len(self.minus) for name in self.minus
        }


class Localizer(Part):
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
            named = (*contrast.plus, *contrast.minus, *(contrast.weights or {}))
            unknown = [c for c in named if c not in self.conditions]
            if unknown:
                raise ValueError(
                    f"contrast {name!r} names the unknown condition {unknown[0]!r}; "
                    f"conditions are {', '.join(self.conditions)}"
                )
            both = set(contrast.plus) & set(contrast.minus)
            if both:
                raise ValueError(f"contrast {name!r} has {sorted(both)[0]!r} on both sides")
        return self
