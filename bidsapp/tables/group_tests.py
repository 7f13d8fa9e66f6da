"""Tests over participants that tables share, corrected within families."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd

from bidsapp.arrays import Floats
from bidsapp.rsa import inference
from bidsapp.tables.scores import Scores


def rows_of(
    scores: Scores, regions: Sequence[str], columns: Sequence[str], names: Sequence[tuple[str, ...]]
) -> pd.DataFrame:
    """Make the rows of one mode and fit: regions, and within each what ``columns`` name."""
    rows = [(scores.mode, scores.fit, region, *name) for region, name in product(regions, names)]
    return pd.DataFrame(rows, columns=["mode", "fit", "roi", *columns])


def add_tests(
    table: pd.DataFrame,
    test: inference.TTest,
    z: Floats,
    families: Sequence[str],
    per_region: int,
    seed: int,
) -> None:
    """Add the t test, its p corrected within each family, and the sign-flip test.

    Parameters
    ----------
    table
        Gets the columns t, df, p, p_bonferroni, q_fdr and p_signflip.
    test
        The t tests, a test a row of ``table`` in all.
    z
        What signs are flipped of, shape (..., S).
    families
        Family of each region; regions vary slowest over the rows.
    per_region
        Rows of each region.
    seed
        Of random sign flips.
    """
    p = test.p.ravel()
    table["t"], table["df"], table["p"] = test.t.ravel(), test.df.ravel(), p
    bonferroni, q = np.full(p.shape, np.nan), np.full(p.shape, np.nan)
    family = np.repeat(np.asarray(families, dtype=object), per_region)
    for name in set(families):
        members = family == name
        bonferroni[members] = inference.bonferroni(p[members])
        q[members] = inference.benjamini_hochberg(p[members])
    table["p_bonferroni"], table["q_fdr"] = bonferroni, q
    table["p_signflip"] = inference.sign_flip(z, np.random.default_rng(seed)).ravel()
