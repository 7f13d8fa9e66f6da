"""A participant's run with the columns that a control brings beside its layers' RDMs.

A brain's RDM is not linear in the RDM of the features that drive it: where they drive it strongly,
some of their part is left whatever the weights, and a target that mixes or smooths the same
features predicts it. So a control brings two more columns for each of its layers: what the RDM of a
brain that follows the layer holds after its nuisance regression, where the features drive it much
and where little (see `bidsapp.rsa.feature_gram`). These depend on the participant's regressors.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bidsapp.analysis.part import Dissimilarity
from bidsapp.arrays import Bools, Floats
from bidsapp.rsa.columns import standardise
from bidsapp.rsa.feature_gram import N_FOLLOWERS, feature_gram, followers_columns
from bidsapp.rsa.pairs import PairSet
from bidsapp.rsa.rdm import UnitMoments

_NOTHING_LEFT = 1e-5  # variance of a column beside the template, under which it is rounding
N_CONTROL = 1 + N_FOLLOWERS
"""Columns of each layer as a control: its RDM, and what brains that follow it have."""


@dataclass(frozen=True)
class Removed:
    """What was taken out of a participant's brain in a run, for its RDMs of the robust mode.

    Attributes
    ----------
    basis
        Shape (m, k): orthonormal basis of the nuisance regressors over the volumes that are kept.
    template
        Shape (n_pairs,): the RDM that noise alone is expected to have, of unit norm, which was
        regressed out of the RDMs (see `bidsapp.rsa.expected_noise`). It must be regressed out of a
        control too, or its fit would put back what the brain no longer has.
    dissimilarity
        Of the RDMs.
    """

    basis: Floats
    template: Floats
    dissimilarity: Dissimilarity


@dataclass(frozen=True)
class ControlledRun:
    """One run of one participant: columns over the pairs compared, lag-centred, of unit SD.

    Attributes
    ----------
    pairs
        Those that the robust mode compares.
    columns
        Shape (q, n_pairs), float32: p layers as targets, then as controls, `N_CONTROL` columns each
        (the first of all layers, the second of all, ...); zeros for one that is constant.
    known
        Shape (p,): whether a layer's columns as a control could be made.
    targets
        Shape (R, n_pairs), float32: the regions; zeros where one is absent.
    """

    pairs: PairSet
    columns: Floats
    known: Bools
    targets: Floats

    @property
    def present(self) -> Bools:
        """Whether each region has an RDM, (R,)."""
        there: Bools = np.logical_or.reduce(self.targets != 0, axis=1)
        return there


def controlled_run(
    models: Floats,
    dissimilarities: Sequence[Dissimilarity],
    moments: Sequence[UnitMoments | None],
    targets: Floats,
    pairs: PairSet,
    removed: Removed,
) -> ControlledRun:
    """Prepare one run of one participant.

    Parameters
    ----------
    models, dissimilarities, moments
        Shape (p, n_pairs of the whole run); what each holds; of each layer's patterns, None where
        they are unknown.
    targets
        Shape (R, n_pairs of the whole run), of the robust mode; NaN where a region is absent.
    pairs
        Those that the robust mode compares.
    removed
        What was taken out of the brain.
    """
    p = len(models)
    control = np.zeros((N_CONTROL, p, pairs.n_pairs), np.float32)
    known = np.zeros(p, np.bool_)
    for i, layer in enumerate(zip(models, dissimilarities, moments, strict=True)):
        gram = feature_gram(*layer, pairs, with_mean=True) if pairs.n_pairs else None
        if gram is not None and np.isfinite(gram).all():
            known[i] = True
            control[0, i] = models[i][pairs.index]
            control[1:, i] = followers_columns(gram, removed.basis, pairs, removed.dissimilarity)
    as_targets = standardise([models], pairs, "lag-centred")
    as_controls = standardise([control.reshape(N_CONTROL * p, -1)], pairs.in_order, "lag-centred")
    if pairs.n_pairs:
        _take_out(as_controls, removed.template)
    columns = np.vstack([as_targets, as_controls])
    return ControlledRun(pairs, columns, known, standardise([targets], pairs, "lag-centred"))


def _take_out(columns: Floats, template: Floats) -> None:
    """Regress a template of unit norm out of columns, and scale them to unit SD, in place."""
    shares = columns @ template
    left = 1 - shares**2 / columns.shape[1]
    for column, share, variance in zip(columns, shares, left, strict=True):
        column -= share * template
        column *= variance**-0.5 if variance > _NOTHING_LEFT else 0.0
