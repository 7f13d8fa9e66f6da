"""Tables of the group: how close each model is to each region, over participants."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations, product

import numpy as np
import pandas as pd

from bidsapp.analysis.spec import Analysis
from bidsapp.rsa import inference
from bidsapp.rsa.ceiling import Ceilings, ceilings
from bidsapp.rsa.study import StudyProducts
from bidsapp.tables import notes
from bidsapp.tables.columns import describe
from bidsapp.tables.group_tests import add_tests, rows_of
from bidsapp.tables.lag import lag_table
from bidsapp.tables.null import KEYS, RegionNull, null_table
from bidsapp.tables.scores import Scores, all_scores
from bidsapp.tables.split import split_table
from bidsapp.tables.unique import JoinedScores, unique_table


def group_tables(
    study: StudyProducts,
    layers: Mapping[str, Sequence[str]],
    regions: Sequence[str],
    region_sets: Mapping[str, Sequence[str]],
    analysis: Analysis,
    nulls: Sequence[RegionNull],
    controlled: JoinedScores | None,
    visible: Mapping[str, float],
    seed: int,
) -> dict[str, pd.DataFrame]:
    """Make every table of the group.

    Parameters
    ----------
    study
        Products of all participants.
    layers
        Names of each model's layers, in the order of the products' columns.
    regions
        Names, in the order of the products.
    region_sets
        Families for the correction of p: each region is in one set. A family is one mode and fit,
        all regions of a set, all models (or pairs of models).
    analysis
        Its modes, fits, penalties and statistics are used.
    nulls
        Scores of every region with models shifted in time.
    controlled
        What models add to each other in the robust mode; None where that was not asked for.
    visible
        How visible models are in the robust mode, see `mean_visible`; models may be absent.
    seed
        Of the sign flips, where they are too many to try all.

    Returns
    -------
    dict
        Tables ``similarity``, ``comparisons``, ``lag``, ``unique`` and ``split``; see
        `bidsapp.tables.columns`. Every combination has its row; NaN is what cannot be computed.

    Raises
    ------
    ValueError
        A region is in no set or in several.
    """
    families = families_of(regions, region_sets)
    shifted = null_table(nulls, list(layers), dict(zip(regions, families, strict=True)))
    similarities, pairs, uniques = [], [], []
    ceiling_of = {
        "replicate": ceilings(study.replicate),
        "robust": ceilings(study.robust),
    }
    unique = None if controlled is None else controlled.unique
    for scores in all_scores(study, layers, analysis, unique):
        similarities.append(
            _similarity(
                scores,
                list(layers),
                regions,
                families,
                ceiling_of[scores.mode],
                shifted,
                visible,
                seed,
            )
        )
        pairs.append(_comparisons(scores, list(layers), regions, families, seed))
        uniques.append(unique_table(scores, list(layers), regions, families, controlled, seed))
    return {
        "similarity": pd.concat(similarities, ignore_index=True),
        "comparisons": pd.concat(pairs, ignore_index=True),
        "lag": lag_table(study, layers, regions, analysis),
        "unique": pd.concat(uniques, ignore_index=True),
        "split": split_table(study, layers, regions, analysis),
    }


def mean_visible(participants: Iterable[pd.DataFrame]) -> dict[str, float]:
    """Average how visible each model is over participants and runs.

    Parameters
    ----------
    participants
        Their tables ``similarity``, see `bidsapp.tables.participant`; all fits and regions of a run
        say the same.

    Returns
    -------
    dict
        Model to the mean of the values that are known; models without any are left out.
    """
    means = [
        table[table["mode"] == "robust"].groupby(["model", "run"])["visible"].first()
        for table in participants
    ]
    known = pd.concat(means).dropna() if means else pd.Series(dtype=float)
    if known.empty:
        return {}
    return {str(model): float(mean) for model, mean in known.groupby("model").mean().items()}


def families_of(regions: Iterable[str], region_sets: Mapping[str, Sequence[str]]) -> list[str]:
    """Name the set of each region, which is its family for the correction of p.

    Raises
    ------
    ValueError
        A region is in no set or in several.
    """
    families = []
    for region in regions:
        sets = [name for name, members in region_sets.items() if region in members]
        if len(sets) != 1:
            raise ValueError(f"region {region} must be in one set of regions, not in {len(sets)}")
        families.append(sets[0])
    return families


def _similarity(
    scores: Scores,
    models: Sequence[str],
    regions: Sequence[str],
    families: Sequence[str],
    ceiling: Ceilings,
    shifted: pd.DataFrame,
    visible: Mapping[str, float],
    seed: int,
) -> pd.DataFrame:
    result = scores.similarity
    r = scores.participants.swapaxes(0, 1)  # (R, M, S): the order of the rows
    test = inference.one_sample_t(inference.fisher_z(r))
    low, high = inference.interval(inference.two_factor(result.r.swapaxes(0, 1)))
    table = rows_of(scores, regions, ("model",), [(model,) for model in models])
    table["n"] = test.n.ravel().astype(int)
    table["n_runs"] = np.isfinite(result.r).sum(axis=(2, 3)).T.ravel()
    table["r_mean"] = inference.finite_mean(r, -1).ravel()
    table["r_sd"] = inference.finite_sd(r, -1).ravel()
    r2 = inference.finite_mean(inference.finite_mean(result.r2, -1), -1)
    table["r2_mean"] = r2.T.ravel()
    for name in ("paper", "lower", "upper"):
        of_region = inference.finite_mean(getattr(ceiling, name), -1)
        table[f"ceiling_{name}"] = np.repeat(of_region, len(models))
    table["ci_low"], table["ci_high"] = low.ravel(), high.ravel()
    add_tests(table, test, inference.fisher_z(r), families, len(models), seed)
    table = table.merge(shifted, how="left", on=KEYS, validate="1:1")
    known = visible if scores.mode == "robust" else {}
    table["visible"] = [known.get(model, np.nan) for model in table["model"]]
    table["n_volumes"] = min((count.used for count in scores.volumes if count.used), default=0)
    table["note"] = [
        notes.joined(
            [*_notes(scores, table.iloc[row], m, region), *table["note"].iloc[[row]].dropna()]
        )
        for row, (region, m) in enumerate(product(range(len(regions)), range(len(models))))
    ]
    return table[list(describe("similarity"))]


def _comparisons(
    scores: Scores,
    models: Sequence[str],
    regions: Sequence[str],
    families: Sequence[str],
    seed: int,
) -> pd.DataFrame:
    pairs = list(combinations(range(len(models)), 2))
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    z = inference.fisher_z(scores.similarity.r.swapaxes(0, 1))
    difference = z[:, first] - z[:, second]  # (R, pairs, S, n_runs)
    test = inference.two_factor_t(inference.two_factor(difference))
    names = [(models[a], models[b]) for a, b in pairs]
    table = rows_of(scores, regions, ("model_a", "model_b"), names)
    table["n"] = test.n.ravel().astype(int)
    table["n_runs"] = np.isfinite(difference).sum(axis=(2, 3)).ravel()
    table["diff_z"] = test.mean.ravel()
    of_participants = inference.finite_mean(difference, -1)
    add_tests(table, test, of_participants, families, len(pairs), seed)
    table["note"] = [notes.joined(notes.few(n, scores.too_short)) for n in table["n"]]
    return table


def _notes(scores: Scores, row: "pd.Series[float]", m: int, region: int) -> list[str]:
    result = scores.similarity
    said = notes.few(int(row["n"]), scores.too_short)
    if row["r_mean"] > row["ceiling_paper"]:
        said.append(notes.ABOVE_CEILING)
    scored = int(np.isfinite(result.r[m, region]).sum())
    constant = int(result.constant[m, region].sum())
    if constant:
        said.append(f"{notes.CONSTANT} in {constant} of {scored} scores")
    if scored:
        said += notes.collinear(result.cut[m].any(), scores.fit)
    return [*said, *notes.visibility(row["visible"]), *notes.undefined(scores.volumes)]
