"""Words in a table's ``note`` column: why a value is missing, or what to know of it."""

from collections.abc import Iterable

from bidsapp.arrays import Ints
from bidsapp.rsa.similarity import MIN_RUNS

ABSENT = "region missing or constant in this run"
TOO_FEW_RUNS = f"fewer than {MIN_RUNS} runs"
NO_PAIRS = "run too short: no pair of volumes is far enough apart"
CONSTANT = "constant"
COLLINEAR = "collinear or constant layers: small eigenvalues cut"
TOO_FEW_PARTICIPANTS = "fewer than 2 participants"
NEVER_NEGATIVE = "cannot be negative: not tested against zero"
ABOVE_CEILING = "model above ceiling_paper"
NOT_COMPUTED = "not computed by this version"
NO_NULL = f"p_null and p_null_max {NOT_COMPUTED}"


def left_out(n_dropped: Ints) -> str:
    """Say how many volumes are left out of each participant's fits; ceilings lack all of them."""
    low, high = int(n_dropped.min()), int(n_dropped.max())
    span = f"{low}" if low == high else f"{low} to {high}"
    return f"{span} undefined volumes left out"


def joined(notes: Iterable[str]) -> str | None:
    """Join notes into one cell; None, which is written as n/a, where there is nothing to say."""
    return "; ".join(notes) or None
