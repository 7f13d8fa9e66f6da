"""How often each test of the calibration says p < .05, and whether that is chance."""

import pandas as pd
from scipy import stats

from bench.calibration_cells import CELLS
from bench.calibration_films import TABLES, WALKS

LEVEL = 0.05
TESTS = ("p_null", "p_null_max", "p_t")
ANY = "any model"
KINDS = {
    "shots": ("shots", "shots-5s", "mixed"),
    "cuts and drift": ("cuts-60s", "drift", "drift-60s", "drift-100s"),
    "tables": (*TABLES, "tables"),
    "walks": (*WALKS, "walks"),
    "walks and fades from run starts": (
        *(f"{walk}-anew" for walk in WALKS),
        "fade",
        "fade-euclidean",
    ),
    "never negative, offset": (
        "never-negative",
        "never-negative-euclidean",
        "offset",
        "offset-euclidean",
    ),
}


def shares(tests: pd.DataFrame) -> pd.DataFrame:
    """Share of p < .05 of each test, for each mode, fit and model; and mean r.

    Parameters
    ----------
    tests
        As `bench.calibration_study.studies` gives, of one setting. Regions of real BOLD are
        averaged first: a study is a film.

    Returns
    -------
    pandas.DataFrame
        Columns mode, fit, model, p_null, p_null_max, p_t, r, studies. The row "any model" has the
        share of studies in which p_null_max is low for at least one model.
    """
    low = tests.assign(**{test: (tests[test] < LEVEL).astype(float) for test in TESTS})
    keys = ["mode", "fit"]
    highest = low.groupby([*keys, "region", "seed"], sort=False)["p_null_max"].max()
    low = pd.concat([low, highest.reset_index().assign(model=ANY)])
    by = low.groupby([*keys, "model"], sort=False)
    return by[[*TESTS, "r"]].mean().assign(studies=by["seed"].nunique()).reset_index()


def interval(n: int, level: float = 0.95) -> tuple[float, float]:
    """Shares of n studies within which .05 lies, by the binomial distribution."""
    low, high = stats.binom.interval(level, n, LEVEL)
    return float(low) / n, float(high) / n


def flagged(table: pd.DataFrame) -> pd.DataFrame:
    """Say of robust's p_null whether more studies pass than chance allows, "above", or "under".

    Cells in which more is expected, since an effect is planted or a mistake is made, have no flag.
    """
    judged = (table["mode"] == "robust") & (table["model"] != ANY)
    judged &= table["cell"].map({name: cell.calibrated for name, cell in CELLS.items()})
    limits = {n: interval(n) for n in table["studies"].unique()}
    low, high = (table["studies"].map({n: pair[i] for n, pair in limits.items()}) for i in (0, 1))
    chance = pd.Series("", table.index)
    chance[judged & (table["p_null"] > high)] = "above"
    chance[judged & (table["p_null"] < low)] = "under"
    return table.assign(chance=chance)


def summary(table: pd.DataFrame, mode: str = "robust", fit: str = "ols") -> str:
    """Write in Markdown, for each cell and kind of model, the mean and highest share of p_null."""
    chosen = table[(table["mode"] == mode) & (table["fit"] == fit) & (table["seeds"] == "first")]
    lines = [
        f"| cell | studies | {' | '.join(KINDS)} | above chance |",
        "|---" * (3 + len(KINDS)) + "|",
    ]
    for cell, rows in chosen.groupby("cell", sort=False):
        share = rows.set_index("model")["p_null"]
        kinds = (share[list(models)] for models in KINDS.values())
        entries = [f"{kind.mean():.3f} ({kind.max():.3f})" for kind in kinds]
        above = ", ".join(rows["model"][rows["chance"] == "above"])
        lines.append(f"| {cell} | {rows['studies'].max()} | {' | '.join(entries)} | {above} |")
    return "\n".join([*lines, ""])
