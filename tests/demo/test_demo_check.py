"""The check of p_null complains of what it should, and of nothing else."""

import json
from itertools import product

import numpy as np
import pandas as pd
import pytest

from bidsapp.demo.check import Results, check_null
from bidsapp.demo.size import MOVIE_TASK

MODELS = ("pixels", "network", "energy", "ratings")


def results(tmp_path, p):
    """Write what the check reads; ``p`` maps (fit, region, model) to p_null, others have .4."""
    (tmp_path / "truth.json").write_text(json.dumps({"winner": {"FFA": "network", "hV4": None}}))
    rows = list(product(("replicate", "robust"), ("ols", "ridge"), ("FFA", "hV4"), MODELS))
    table = pd.DataFrame(rows, columns=["mode", "fit", "roi", "model"])
    planted = {(fit, "FFA", "network"): 0.01 for fit in ("ols", "ridge")}
    table["p_null"] = [({**planted, **p}).get(row[1:], 0.4) for row in rows]
    table.loc[table["mode"] == "replicate", "p_null"] = 0.001  # does not count
    path = tmp_path / f"out/group/task-{MOVIE_TASK}_desc-similarity_stats.tsv"
    path.parent.mkdir(parents=True)
    table.to_csv(path, sep="\t", index=False, na_rep="n/a")
    return Results(tmp_path, tmp_path / "out")


@pytest.mark.parametrize(
    ("p", "complaints"),
    [
        ({}, []),
        ({("ols", "hV4", model): 0.01 for model in MODELS[:2]}, []),  # chance
        ({("ols", "FFA", "pixels"): 0.01}, []),
        (
            {("ols", "hV4", model): 0.01 for model in MODELS[:3]},
            ["robust ols hV4: p_null of pure noise"],
        ),
        ({("ridge", "hV4", "pixels"): np.nan}, ["robust ridge hV4: p_null of pure noise"]),
        ({("ridge", "FFA", "network"): 0.05}, ["robust ridge FFA: p_null of the planted network"]),
        ({("ridge", "FFA", "network"): np.nan}, ["robust ridge FFA: p_null of the planted"]),
    ],
)
def test_check_null(tmp_path, p, complaints):
    found = list(check_null(results(tmp_path, p)))
    assert len(found) == len(complaints)
    for sentence, begin in zip(found, complaints, strict=True):
        assert sentence.startswith(begin)
