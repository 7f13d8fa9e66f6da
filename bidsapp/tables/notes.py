"""Words in a table's ``note`` column: why a value is missing, or what to know of it."""

from collections.abc import Iterable, Sequence

from bidsapp.analysis.spec import Fit
from bidsapp.rsa.similarity import MIN_RUNS
from bidsapp.rsa.visible import BARELY_VISIBLE, NOT_VISIBLE
from bidsapp.rsa.volumes import VolumeCount

ABSENT = "region missing or constant in this run"
TOO_FEW_RUNS = f"fewer than {MIN_RUNS} runs"
NO_PAIRS = "run too short: no pair of volumes is far enough apart"
CONSTANT = "constant"
COLLINEAR = "collinear or constant layers: small eigenvalues cut"
COLLINEAR_RIDGE = "collinear or constant layers: the penalty shares out their weight"
NO_SCORE = f"no participant has the region in {MIN_RUNS} runs"
NOTHING_BEYOND = "target predicts nothing beyond the control"
NOTHING_LEFT = "control leaves nothing"
RIDGE_CONTROL = "not by ridge, whose control leaves a part of itself to the target: read ols"
NNLS_CONTROL = "not by nnls, whose control leaves a part of itself to the target: read ols"
NO_FEATURES = (
    "the control's RDMs do not have the moments of its units: delete them and run the stimulus "
    "level, and then the others, again"
)
UNIQUE_NULL_NOT_ASKED = "no p_null: statistics.null_draws.unique is 0"
UNIQUE_NOT_SHIFTED = "no p_null: models cannot be shifted, the table similarity says why"
NO_VARIANCE = "constant in all runs"
NO_COMPONENT = "no such component: too few layers that vary"
TOO_FEW_PARTICIPANTS = "fewer than 2 participants"
NEVER_NEGATIVE = "cannot be negative: not tested against zero"
NO_COMMON_RUN = "no ceilings: no run has 2 participants with this region"
FEW_COMMON_VOLUMES = "no ceilings: participants have too few volumes in common"
NOBODY = "no participant has a score"
NO_VOXELS = "region without voxels in this run"
LAG_TOO_LONG = "run too short for this lag"
ABOVE_CEILING = "model above ceiling_paper"
NULL_NOT_ASKED = "no p_null: statistics.null_draws is 0"
_NAMED = 3  # of a list that may be long


def undefined(volumes: Sequence[VolumeCount]) -> list[str]:
    """Say how many volumes of participants are undefined; ceilings lack all of them."""
    counts = [count.undefined for count in volumes]
    low, high = min(counts), max(counts)
    span = f"{low}" if low == high else f"{low} to {high}"
    return [f"{span} undefined volumes left out"] if high else []


def visibility(visible: float) -> list[str]:
    """Say what can be found of a model that its run's nuisance regression leaves barely visible."""
    if visible < NOT_VISIBLE:
        return ["not visible: cannot be found at any size of effect"]
    return ["barely visible: only large effects can be found"] if visible < BARELY_VISIBLE else []


def short_runs(too_short: Sequence[str]) -> list[str]:
    """Name the runs that somebody has no score in, since no pair is far enough apart."""
    return [f"{NO_PAIRS} (run {some(too_short)})"] if too_short else []


def no_score(too_short: Sequence[str]) -> str:
    """Say why nobody has a score, given the runs named by `short_runs`."""
    return f"{TOO_FEW_RUNS} are left" if too_short else NO_SCORE


def few(n: int, too_short: Sequence[str]) -> list[str]:
    """Say why a row lacks tests or all values, given its participants and the short runs."""
    said = short_runs(too_short)
    if not n:
        return [*said, no_score(too_short)]
    return [*said, TOO_FEW_PARTICIPANTS] if n < 2 else said


def collinear(cut: bool, fit: Fit) -> list[str]:
    """Say what a fit does with layers so collinear that eigenvalues are ``cut`` in ols."""
    return [COLLINEAR_RIDGE if fit == "ridge" else COLLINEAR] if cut else []


def beyond(scored: int, constant: int, exhausted: int, cut: bool, fit: Fit) -> list[str]:
    """Say what to know of what a target explains beyond a control, given counts of its scores."""
    if not scored:
        return []
    said = [f"{NOTHING_BEYOND} in {constant} of {scored} scores"] if constant else []
    if exhausted:
        said.append(f"{NOTHING_LEFT} in {exhausted} of {scored} scores")
    return [*said, *collinear(cut, fit)]


def some(names: Sequence[str]) -> str:
    """List the first few names, and say how many more there are."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def joined(notes: Iterable[str]) -> str | None:
    """Join notes into one cell; None, which is written as n/a, where there is nothing to say."""
    return "; ".join(notes) or None
