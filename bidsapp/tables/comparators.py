"""Tables of comparators: RDMs of layers, and of whole models' predictions, against regions'."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
import pandas as pd

from bidsapp.analysis.spec import Analysis, Comparator, Dissimilarity, Mode
from bidsapp.arrays import Bools, Floats, Ints
from bidsapp.rsa import inference
from bidsapp.rsa.comparators import columns, compare, problem, untested
from bidsapp.rsa.modes import mode_pairs
from bidsapp.rsa.similarity import similarity
from bidsapp.rsa.study import RunRDMs, study_products
from bidsapp.tables import notes
from bidsapp.tables.columns import describe
from bidsapp.tables.group import families_of
from bidsapp.tables.group_tests import add_tests
from bidsapp.tables.scores import layer_columns, runs_of

ALL_LAYERS = "all layers"
"""What the column ``layer`` holds for the prediction of a region's RDM from a whole model."""
FEWEST_PAIRS = 6
"""Those of four volumes, which debiased CKA needs."""
_KEYS = ["mode", "method", "roi", "model", "layer"]


def compared_regions(analysis: Analysis) -> list[str]:
    """Name the regions that are compared, in the order of the analysis."""
    chosen = analysis.comparators.regions or analysis.region_names
    return [name for name in analysis.region_names if name in chosen]


def participant_comparators(
    runs: Callable[[], Iterable[RunRDMs]],
    layers: Mapping[str, Sequence[str]],
    dissimilarities: Mapping[str, Dissimilarity],
    analysis: Analysis,
) -> pd.DataFrame:
    """Compare one participant's RDMs with those of layers and with models' predictions.

    Parameters
    ----------
    runs
        Gives all runs of this participant alone, one after the other; called twice.
    layers
        Names of each model's layers, in the order of the runs' model RDMs.
    dissimilarities
        Of each model.
    analysis
        Its comparators, modes and regions are used.

    Returns
    -------
    pandas.DataFrame
        mode, method, roi, model, layer, run, r, n_pairs, n_volumes, note; every combination has
        its row.
    """
    plan = _Plan(layers, dissimilarities, analysis)
    weights = plan.weights(runs())
    parts = [
        plan.rows(run, mode, [w[:, 0, i] for w in weights[mode]])
        for i, run in enumerate(runs())
        for mode in analysis.modes
    ]
    return _in_order(pd.concat(parts, ignore_index=True))


def group_comparators(
    participants: Sequence[pd.DataFrame],
    ceilings: pd.DataFrame,
    region_sets: Mapping[str, Sequence[str]],
    seed: int,
) -> pd.DataFrame:
    """Average participants' tables over runs, and test each row's mean over participants.

    Parameters
    ----------
    participants
        Results of `participant_comparators`, one a participant.
    ceilings
        Of the same participants, see `bidsapp.tables.comparator_ceilings`; given to every row of
        their mode, method and region that the method is applied to.
    region_sets
        Families for the correction of p: one mode and method, all regions of a set.
    seed
        Of sign flips where they are too many to try all.

    Returns
    -------
    pandas.DataFrame
        mode, method, roi, model, layer, n, r_mean, r_sd, ceiling_lower, ceiling_upper, t, df, p,
        p_bonferroni, q_fdr, p_signflip, note. Tests are of Fisher's z, against zero, for methods
        that can be negative.
    """
    means = [table.groupby(_KEYS, sort=False)["r"].mean() for table in participants]
    wide = pd.concat(means, axis=1, keys=range(len(means)))
    said = pd.concat(participants).groupby(_KEYS, sort=False)["note"].agg(_common_note)
    known = ceilings.set_index(["mode", "method", "roi"])
    parts = []
    for _, rows in wide.groupby(level=["mode", "method"], sort=False):
        r = rows.to_numpy(np.float64)
        table = rows.index.to_frame(index=False)
        mode: Mode = table["mode"].iloc[0]
        method: Comparator = table["method"].iloc[0]
        z = np.full(r.shape, np.nan) if untested(method, mode) else inference.fisher_z(r)
        test = inference.one_sample_t(z)
        table["n"] = np.isfinite(r).sum(axis=1)
        table["r_mean"], table["r_sd"] = inference.finite_mean(r, 1), inference.finite_sd(r, 1)
        add_tests(table, test, z, families_of(table["roi"], region_sets), 1, seed)
        of_region = known.reindex(pd.MultiIndex.from_frame(table[["mode", "method", "roi"]]))
        applied = [_applied(method, mode, layer) for layer in table["layer"]]
        for bound in ("ceiling_lower", "ceiling_upper"):
            table[bound] = np.where(applied, of_region[bound], np.nan)
        shared, lacking = said.loc[rows.index], of_region["note"].fillna("")
        table["note"] = [
            notes.joined(_group_notes(note, n, method, mode, no_ceilings))
            for note, n, no_ceilings in zip(shared, table["n"], lacking, strict=True)
        ]
        parts.append(table)
    return pd.concat(parts, ignore_index=True)[list(describe("comparators"))]


def _applied(method: Comparator, mode: Mode, layer: str) -> bool:
    return problem(method, mode, "prediction" if layer == ALL_LAYERS else "layer") is None


def _group_notes(
    shared: str, n: int, method: Comparator, mode: Mode, no_ceilings: str
) -> Iterator[str]:
    if shared:
        yield shared
    if n and untested(method, mode):
        yield notes.NEVER_NEGATIVE
    if 0 < n < 2:
        yield notes.TOO_FEW_PARTICIPANTS
    elif n and no_ceilings:
        yield no_ceilings


def _common_note(of_rows: "pd.Series[str]") -> str:
    """Return what all runs of all participants say alike, such as why a method is not applied."""
    said = set(of_rows.fillna(""))
    return str(said.pop()) if len(said) == 1 else ""


@dataclass(frozen=True)
class _Plan:
    """What is compared with what."""

    layers: Mapping[str, Sequence[str]]
    dissimilarities: Mapping[str, Dissimilarity]
    analysis: Analysis

    @property
    def models(self) -> dict[str, slice]:
        """Columns of the models that are compared."""
        chosen = self.analysis.comparators.models or self.analysis.models
        return {name: c for name, c in layer_columns(self.layers).items() if name in chosen}

    @property
    def regions(self) -> list[str]:
        return compared_regions(self.analysis)

    def weights(self, runs: Iterable[RunRDMs]) -> dict[Mode, tuple[Floats, ...]]:
        """Fit every model with each run left out: mode to (R, 1, n_runs, p) of each model.

        In robust a model's only layer is its prediction, whatever the sign of its weight.
        """
        analysis = self.analysis
        study = study_products(runs, analysis.robust.min_lag_s)
        fit, penalties = analysis.comparators.fit, analysis.robust.penalties
        weights = {
            mode: similarity(runs_of(study, mode), self.models, mode, fit, penalties).weights
            for mode in analysis.modes
        }
        if "robust" in weights:
            weights["robust"] = tuple(
                np.where(np.isfinite(w), 1.0, w) if w.shape[-1] == 1 else w
                for w in weights["robust"]
            )
        return weights

    def rows(self, run: RunRDMs, mode: Mode, weights: Sequence[Floats]) -> pd.DataFrame:
        """Compare in one run and mode; ``weights`` are (R, p) of each model."""
        place = [self.analysis.region_names.index(name) for name in self.regions]
        targets = run.targets_of(mode)[:, 0]
        (defined,) = run.defined()[mode]
        pairs = mode_pairs(run, mode, self.analysis.robust.min_lag_s, defined)
        short = pairs.n_pairs < FEWEST_PAIRS
        there = np.flatnonzero(np.isfinite(targets[place]).any(axis=1) & (not short))
        target, flat = columns(targets[place][there], pairs, mode)
        there, target = there[~flat], target[~flat]
        parts = []
        for (model, its), of_model in zip(self.models.items(), weights, strict=True):
            layer, constant = columns(run.models[its], pairs, mode)
            comparison = _Comparison(self, model, mode, layer, constant, target, there)
            for method in self.analysis.comparators.methods:
                parts.append(comparison.of_prediction(method, of_model[place]))
                if self.analysis.comparators.layers:
                    parts.append(comparison.of_layers(method))
        table = pd.concat(parts, ignore_index=True)
        table["mode"], table["run"] = mode, run.run
        table["n_pairs"], table["n_volumes"] = pairs.n_pairs, pairs.count.used
        if short:
            table["note"] = notes.NO_PAIRS
        return table[list(describe("comparators", "participant"))]


@dataclass(frozen=True)
class _Comparison:
    """One model with the regions that are there, in one run and mode."""

    plan: _Plan
    model: str
    mode: Mode
    layer: Floats  # (p, n_pairs)
    constant: Bools  # (p,)
    target: Floats  # (T, n_pairs)
    there: Ints  # (T,): which of the plan's regions these are

    def of_layers(self, method: Comparator) -> pd.DataFrame:
        names = self.plan.layers[self.model]
        shape = (len(self.plan.regions), len(names))
        why = problem(method, self.mode, "layer")
        if why is not None:
            return self._table(method, names, np.full(shape, np.nan), np.full(shape, why, object))
        r, note = np.full(shape, np.nan), np.full(shape, notes.ABSENT, object)
        if len(self.there):
            found = compare(
                method,
                self.layer,
                self.target,
                self.plan.dissimilarities[self.model],
                self.plan.analysis.dissimilarity.brain,
            )
            found[self.constant] = 0.0
            r[self.there] = found.T
            note[self.there] = [notes.CONSTANT if flat else None for flat in self.constant]
        return self._table(method, names, r, note)

    def of_prediction(self, method: Comparator, weights: Floats) -> pd.DataFrame:
        """Compare the prediction from layers, by ``weights`` (R, p) of the other runs."""
        shape = (len(self.plan.regions), 1)
        why = problem(method, self.mode, "prediction")
        if why is not None:
            table = np.full(shape, np.nan), np.full(shape, why, object)
            return self._table(method, [ALL_LAYERS], *table)
        r, note = np.full(shape, np.nan), np.full(shape, notes.ABSENT, object)
        layer = self.layer
        if self.mode == "robust" and len(self.there):
            # Its weights are of columns of unit variance.
            spread = np.where(self.constant, 1.0, layer.std(axis=1))
            layer = layer / spread[:, None]
        for row, target in zip(self.there, self.target, strict=True):
            if not np.isfinite(weights[row]).all():
                note[row] = notes.TOO_FEW_RUNS
                continue
            slopes = np.where(self.constant, 0.0, weights[row])
            if not slopes.any():
                r[row], note[row] = 0.0, notes.CONSTANT
                continue
            r[row] = compare(method, (slopes @ layer)[None], target[None])[0]
            note[row] = None
        return self._table(method, [ALL_LAYERS], r, note)

    def _table(
        self, method: Comparator, names: Sequence[str], r: Floats, note: npt.NDArray[np.object_]
    ) -> pd.DataFrame:
        table = pd.DataFrame(product(self.plan.regions, names), columns=["roi", "layer"])
        table["method"], table["model"] = method, self.model
        table["r"], table["note"] = r.ravel(), note.ravel()
        return table


def _in_order(table: pd.DataFrame) -> pd.DataFrame:
    """Sort rows by their keys, each in the order in which it first comes, and by run."""
    order = [*_KEYS, "run"]
    ranks = pd.DataFrame({key: pd.factorize(table[key])[0] for key in order})
    return table.iloc[ranks.sort_values(order, kind="stable").index].reset_index(drop=True)
