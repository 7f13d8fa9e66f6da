"""A participant's run with the columns that a control brings beside its layers' RDMs.

A brain's RDM is not linear in the RDM of the features that drive it: where they drive it strongly,
some of their part is left whatever the weights, and a target that mixes or smooths the same
features predicts it. So a control brings two more columns for each of its layers: what the RDM of a
brain that follows the layer holds after its nuisance regression, where the features drive it much
and where little (see `bidsapp.rsa.feature_gram`). These depend on the participant's regressors.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bidsapp.analysis.part import Dissimilarity
from bidsapp.arrays import Bools, Floats
from bidsapp.rsa.columns import standardise
from bidsapp.rsa.feature_gram import feature_gram, followers_columns
from bidsapp.rsa.pairs import PairSet
from bidsapp.rsa.rdm import UnitMoments


@dataclass(frozen=True)
class ControlledRun:
    """One run of one participant: columns over the pairs compared, lag-centred, of unit SD.

    Attributes
    ----------
    pairs
        Those that the robust mode compares.
    columns
        Shape (3 p, n_pairs), float32: p layers, then the two further columns of each as a control,
        those for strong effects first; zeros for one that is constant.
    known
        Shape (p,): whether the further columns could be made.
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
    basis: Floats,
    brain: Dissimilarity,
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
    basis
        Shape (m, k): orthonormal basis of the nuisance regressors over the volumes that are kept.
    brain
        Dissimilarity of the targets.
    """
    p = len(models)
    features, known = np.zeros((2, p, pairs.n_pairs), np.float32), np.zeros(p, np.bool_)
    if pairs.n_pairs:
        for i, layer in enumerate(zip(models, dissimilarities, moments, strict=True)):
            gram = feature_gram(*layer, pairs)
            if gram is not None and np.isfinite(gram).all():
                known[i] = True
                features[:, i] = followers_columns(gram, basis, pairs, brain)
    in_order = replace(pairs, index=np.arange(pairs.n_pairs))
    prepared = standardise([features.reshape(2 * p, -1)], in_order, "lag-centred")
    columns = np.vstack([standardise([models], pairs, "lag-centred"), prepared])
    return ControlledRun(pairs, columns, known, standardise([targets], pairs, "lag-centred"))
