"""The check of p_null and p_null_fwe complains of what it should, and of nothing else."""

import json
from itertools import product

import numpy as np
import pandas as pd
import pytest

from bidsapp.demo.check import Results, check_null
from bidsapp.demo.size import MOVIE_TASK

MODELS = ("pixels", "network", "energy", "ratings")


FITS = ("ols", "nnls", "ridge")


def results(tmp_path, p, p_fwe):
    """Write what the check reads; maps (fit, region, model) to p, others have .4 and 1."""
    (tmp_path / "truth.json").write_text(json.dumps({"winner": {"FFA": "network", "hV4": None}}))
    rows = list(product(("replicate", "robust"), FITS, ("FFA", "hV4"), MODELS))
    table = pd.DataFrame(rows, columns=["mode", "fit", "roi", "model"])
    planted = {(fit, "FFA", "network"): 0.01 for fit in FITS}
    table["p_null"] = [{**planted, **p}.get(row[1:], 0.4) for row in rows]
    corrected = {key: 0.02 for key in planted if key[0] != "nnls"}  # nnls need not
    table["p_null_fwe"] = [{**corrected, **p_fwe}.get(row[1:], 1.0) for row in rows]
    table.loc[table["mode"] == "replicate", ["p_null", "p_null_fwe"]] = 0.001  # do not count
    path = tmp_path / f"out/group/task-{MOVIE_TASK}_desc-similarity_stats.tsv"
    path.parent.mkdir(parents=True)
    table.to_csv(path, sep="\t", index=False, na_rep="n/a")
    return Results(tmp_path, tmp_path / "out")


@pytest.mark.parametrize(
    ("p", "p_fwe", "complaints"),
    [
        ({}, {}, []),
        ({("ols", "hV4", model): 0.01 for model in MODELS[:2]}, {}, []),  # chance
        ({("ols", "FFA", "pixels"): 0.01}, {}, []),
        (
            {("ols", "hV4", model): 0.01 for model in MODELS[:3]},
            {},
            ["robust ols hV4: p_null of pure noise"],
        ),
        ({("ridge", "hV4", "pixels"): np.nan}, {}, ["robust ridge hV4: p_null of pure noise"]),
        ({}, {("ridge", "FFA", "network"): 0.05}, ["robust ridge FFA: p_null_fwe of the planted"]),
        ({}, {("ols", "FFA", "network"): np.nan}, ["robust ols FFA: p_null_fwe of the planted"]),
        ({("nnls", "FFA", "network"): 0.05}, {}, ["robust nnls FFA: p_null of the planted"]),
        ({("ridge", "FFA", "network"): 0.05}, {}, []),  # its p_null_fwe counts
    ],
)
def test_check_null(tmp_path, p, p_fwe, complaints):
    found = list(check_null(results(tmp_path, p, p_fwe)))
    assert len(found) == len(complaints)
    for sentence, begin in zip(found, complaints, strict=True):
        assert sentence.startswith(begin)
