"""What models add to each other in robust, with controls of no further columns: fit for tables."""

import numpy as np

from bidsapp.rsa.inference import finite_mean
from bidsapp.rsa.similarity import similarity
from bidsapp.rsa.unique import joined, unique
from bidsapp.tables.scores import layer_columns
from bidsapp.tables.unique import JoinedScores


def unique_in_robust(study, layers):
    """Scores as they are, of all participants."""
    columns = layer_columns(layers)
    parts = []
    for cohort in study.cohorts:
        alone = similarity(cohort.robust, columns, "robust", "ols")
        own = unique(cohort.robust, columns, "robust", "ols", alone)
        parts.append((cohort.participants, own))
    return joined(parts)


def scores_in_robust(study, layers, draws=99):
    """The same with made-up scores at draws, which are all lower where r is over .05."""
    scores = unique_in_robust(study, layers)
    means = finite_mean(finite_mean(scores.r, -1), -1).T  # (R, pairs)
    noise = np.random.default_rng(0).uniform(-0.05, 0.05, size=(draws, *means.shape))
    return JoinedScores(scores, np.concatenate([means[None], noise + 0 * means]))
