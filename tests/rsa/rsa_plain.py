"""Plain float64 counterparts of the engine, on the pairs themselves, with scikit-learn's fits."""

import numpy as np
from scipy.stats import pearsonr
from sklearn.linear_model import LinearRegression, Ridge

from bidsapp.rsa.gram import defined_volumes
from bidsapp.rsa.pairs import all_pairs, lag_in_volumes, lagged_pairs
from bidsapp.rsa.rdm import n_volumes_of


def prepared_columns(rdm, pairs, preparation):
    """One RDM's chosen pairs, centred (at each lag) and of unit SD; zeros if constant."""
    column = rdm[pairs.index].astype(np.float64)
    if preparation == "centred":
        column = column - column.mean()
    else:
        for lag in set(pairs.lag.tolist()):
            column[pairs.lag == lag] -= column[pairs.lag == lag].mean()
    spread = column.std()
    return column / spread if spread > 1e-6 else np.zeros_like(column)


def pairs_of(run, mode, min_lag_s):
    n = n_volumes_of(run.models.shape[1])
    defined = defined_volumes(run.models, run.targets).all(axis=0)
    if mode == "replicate":
        return all_pairs(n, defined)
    return lagged_pairs(n, lag_in_volumes(min_lag_s, run.repetition_time), run.film, defined)


def leave_one_run_out(runs, columns, region, participant, mode, fit, penalties, min_lag_s):
    """r, R² and penalty in each run left out, NaN where there is no score."""
    data = run_data(runs, columns, region, participant, mode, min_lag_s)
    return cross_validated(data, mode, fit, penalties)


def cross_validated(data, mode, fit, penalties):
    """The same from each run's columns."""
    here = [i for i, d in enumerate(data) if d is not None]
    r, r2, chosen = (np.full(len(data), np.nan) for _ in range(3))
    if len(here) < 3:
        return r, r2, chosen
    for test in here:
        weights, penalty = fit_others(data, test, here, mode, fit, penalties)
        chosen[test] = np.nan if penalty is None else penalty
        r[test], r2[test] = score(weights, data[test], mode)
    return r, r2, chosen


def averaged(data, fit, penalty):
    """Regression with intercept in each run apart; mean of slopes and of intercepts."""
    slopes, intercepts = [], []
    for x, y in data:
        if fit == "ridge":
            mean, sd = x.mean(axis=0), x.std(axis=0)
            model = Ridge(alpha=penalty * len(y)).fit((x - mean) / sd, y)
            slope = model.coef_ / sd
            intercept = model.intercept_ - slope @ mean
        else:
            model = LinearRegression(positive=fit == "nnls").fit(x, y)
            slope, intercept = model.coef_, model.intercept_
        slopes.append(slope)
        intercepts.append(intercept)
    return np.mean(slopes, axis=0), np.mean(intercepts)


def pooled(data, fit, penalty):
    """One regression on all runs, each counting alike however many pairs it has."""
    x = np.vstack([x / np.sqrt(len(y)) for x, y in data])
    y = np.concatenate([y / np.sqrt(len(y)) for _, y in data])
    if fit == "ridge":
        model = Ridge(alpha=penalty * len(data), fit_intercept=False)
    else:
        model = LinearRegression(positive=fit == "nnls", fit_intercept=False)
    return model.fit(x, y).coef_, 0.0


def score(weights, data, mode):
    """r and R² of a prediction; in robust r of a single layer is the layer's own."""
    slope, intercept = weights
    x, y = data
    predicted = x @ slope + intercept
    r2 = 1 - ((y - predicted) ** 2).sum() / ((y - y.mean()) ** 2).sum()
    seen = x[:, 0] if mode == "robust" and x.shape[1] == 1 else predicted
    return (0.0 if np.ptp(seen) < 1e-12 else pearsonr(seen, y)[0]), r2


def centred_r2(weights, data):
    x, y = data
    residual = y - y.mean() - (x - x.mean(axis=0)) @ weights[0]
    return 1 - (residual**2).sum() / ((y - y.mean()) ** 2).sum()


def run_data(runs, columns, region, participant, mode, min_lag_s):
    """Each run's (x, y) on its own pairs; None where the target is missing."""
    data = []
    for run in runs:
        target = run.targets[region, participant]
        if np.isnan(target).all():
            data.append(None)
            continue
        pairs = pairs_of(run, mode, min_lag_s)
        if mode == "replicate":
            x = run.models[columns][:, pairs.index].astype(float).T
            y = target[pairs.index].astype(float)
        else:
            x = np.array([prepared_columns(c, pairs, "lag-centred") for c in run.models[columns]]).T
            y = prepared_columns(target, pairs, "lag-centred")
        data.append((x, y))
    return data


def fit_others(data, test, here, mode, fit, penalties):
    """Weights for one run left out, and ridge's penalty, chosen on inner left-out runs."""
    fit_on = averaged if mode == "replicate" else pooled
    training = [i for i in here if i != test]
    penalty = None
    if fit == "ridge":
        means = []
        for candidate in penalties:
            inner = [
                centred_r2(fit_on([data[t] for t in training if t != v], fit, candidate), data[v])
                for v in training
            ]
            means.append(np.mean(inner))
        penalty = min(p for p, m in zip(penalties, means, strict=True) if m >= max(means) - 1e-6)
    return fit_on([data[t] for t in training], fit, penalty), penalty


def unique_r(runs, control, target, region, participant, mode, fit, penalties, min_lag_s):
    """r of the target with the control's residual, and delta R², in each run left out."""
    given = (region, participant, mode, min_lag_s)
    first = run_data(runs, control, *given)
    second = run_data(runs, target, *given)
    both = run_data(runs, [*control, *target], *given)
    here = [i for i, d in enumerate(first) if d is not None]
    r, delta = np.full(len(runs), np.nan), np.full(len(runs), np.nan)
    for test in here if len(here) >= 3 else ():
        how = (test, here, mode, fit, penalties)
        (slopes, intercept), _ = fit_others(first, *how)
        rest = [
            None if d is None else (x, d[1] - (d[0] @ slopes + intercept))
            for d, (x, _) in zip(first, [s or (None, None) for s in second], strict=True)
        ]
        r[test] = score(fit_others(rest, *how)[0], rest[test], mode)[0]
        joint = score(fit_others(both, *how)[0], both[test], mode)[1]
        delta[test] = joint - score((slopes, intercept), first[test], mode)[1]
    return r, delta
