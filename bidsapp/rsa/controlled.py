"""What a model's RDM adds to a control that knows its own features, and the test of it.

The test is that of Freedman and Lane (1983): the control is fitted to the region in each run, what
it leaves is shifted in time against all columns, the fit is added back, and everything is fitted
again. With the residual e and a column x, <fit + shifted e, x> = <fit, x> + <e, x shifted
the other way>, and Fourier transforms give the latter for all shifts.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import fft

from bidsapp.arrays import Bools, Floats, Ints
from bidsapp.rsa.controlled_fits import Control, beyond, delta_r2
from bidsapp.rsa.controlled_run import ControlledRun
from bidsapp.rsa.gram import BLOCK_PAIRS
from bidsapp.rsa.regression import ols
from bidsapp.rsa.shifts import circular_lags
from bidsapp.rsa.similarity import same_runs
from bidsapp.rsa.unique import NOTHING_LEFT, Unique, pairs_of

_NUMBERS_AT_ONCE = 4e5  # of products of the draws worked on together, in a run


@dataclass(frozen=True)
class Controlled:
    """What each model adds to each other in one participant; pairs as in `pairs_of`.

    Attributes
    ----------
    unique
        Scores as they are, of one participant (S = 1); NaN where the control's further columns are
        unknown.
    at_draws
        Shape (1 + draws, R, pairs), float32: mean r over the runs left out, as it is and at each
        draw.
    """

    unique: Unique
    at_draws: Floats


def controlled_unique(
    runs: Callable[[], Iterable[ControlledRun]],
    models: Mapping[str, slice],
    shifts: Ints,
    controls: Sequence[str] | None = None,
) -> Controlled:
    """Fit every model to what every other leaves of each region's RDM, as it is and shifted.

    Parameters
    ----------
    runs
        Gives the participant's runs, one after the other; called twice.
    models
        Which of the p layers are each model's.
    shifts
        Shape (draws, n_runs): volumes on each run's circle; there may be no draw.
    controls
        Models that are controls; None: all.

    References
    ----------
    Freedman and Lane (1983), Journal of Business and Economic Statistics 1:292; Winkler et al.
    (2014), NeuroImage 92:381.
    """
    names = list(models)
    pairs = pairs_of(len(names))
    products = [_Products.of(run) for run in runs()]
    present = np.array([run.present for run in products])
    n_layers = len(products[0].known)
    known = np.array([run.known for run in products if run.present.any()]).reshape(-1, n_layers)
    shape = (len(pairs), present.shape[1], len(products))
    unique = _no_scores(shape)
    at_draws = np.full((1 + len(shifts), present.shape[1], len(pairs)), np.nan, np.float32)
    groups = same_runs(present)
    used = [
        Control.of(c, list(models.values()), n_layers)
        for c, name in enumerate(names)
        if known[:, models[name]].all() and (controls is None or name in controls) and pairs
    ]
    fits = {control.position: _fits_in_runs(products, control) for control in used}
    circles = _correlations_at_shifts(runs(), used, fits) if len(shifts) else {}
    draws = np.arange(1, 1 + len(shifts))
    for control, (there, regions) in product(used, groups):
        at = np.array([pairs.index((control.position, target)) for target in control.targets])
        r = _score(unique, products, control, at, (there, regions))
        at_draws[0][np.ix_(regions, at)] = r.mean(axis=1).T
        if circles:
            beta = fits[control.position][there][:, regions]
            moved = [circles[control.position][i][:, regions] for i in there]
            scores = _at_draws(products, control, there, beta, moved, shifts[:, there])
            at_draws[np.ix_(draws, regions, at)] = scores
    return Controlled(unique, at_draws)


@dataclass(frozen=True)
class _Products:
    """Correlations of one run's columns with each other and with R regions."""

    xx: Floats
    xy: Floats
    present: Bools
    known: Bools

    @classmethod
    def of(cls, run: ControlledRun) -> "_Products":
        q, n = len(run.columns), run.pairs.n_pairs
        xx, xy = np.zeros((q, q)), np.zeros((len(run.targets), q))
        for start in range(0, n, BLOCK_PAIRS):
            x, y = (a[:, start : start + BLOCK_PAIRS] for a in (run.columns, run.targets))
            xx += x @ x.T
            xy += y @ x.T
        return cls(xx / max(n, 1), xy / max(n, 1), run.present, run.known)


def _fits_in_runs(products: Sequence[_Products], control: Control) -> Floats:
    """Fit the control to each region in each run, (n_runs, R, own)."""
    own = control.own
    xx = np.array([run.xx[np.ix_(own, own)] for run in products])
    fits, _ = ols(xx, np.array([run.xy[:, own] for run in products]))
    return fits


def _correlations_at_shifts(
    runs: Iterable[ControlledRun], controls: Sequence[Control], fits: Mapping[int, Floats]
) -> dict[int, list[Floats]]:
    """Correlate what each control leaves of the regions with all columns at every shift.

    Returns
    -------
    dict
        Position of the control to one array a run, (m, R, columns), float32.
    """
    circles: dict[int, list[Floats]] = {control.position: [] for control in controls}
    for i, run in enumerate(runs):
        residuals = {
            control.position: run.targets
            - fits[control.position][i].astype(np.float32) @ run.columns[control.own]
            for control in controls
        }
        for control, shifted in zip(
            controls, _at_every_shift(run, residuals, controls), strict=True
        ):
            circles[control.position].append(shifted)
    return circles


def _at_every_shift(
    run: ControlledRun, residuals: Mapping[int, Floats], controls: Sequence[Control]
) -> Iterator[Floats]:
    m, n_regions = len(run.pairs.kept), len(run.targets)
    if not run.pairs.n_pairs:
        yield from (np.zeros((1, n_regions, len(control.all))) for control in controls)
        return
    spectra = [
        np.zeros((m // 2 + 1, n_regions, len(control.all)), np.complex64) for control in controls
    ]
    n_columns = len(run.columns) + n_regions
    for ring, weight in circular_lags(run.pairs, n_columns):
        waves = fft.rfft(run.columns[:, ring], axis=-1)
        waves *= weight[:, None]
        waves = np.ascontiguousarray(waves.transpose(2, 1, 0)).conj()  # (frequency, lag, column)
        for control, spectrum in zip(controls, spectra, strict=True):
            left = fft.rfft(residuals[control.position][:, ring], axis=-1)
            left = np.ascontiguousarray(left.transpose(2, 0, 1))
            spectrum += left @ waves[:, :, control.all]
    for spectrum in spectra:
        yield fft.irfft(spectrum, n=m, axis=0) / run.pairs.n_pairs


def _at_draws(
    products: Sequence[_Products],
    control: Control,
    there: Ints,
    beta: Floats,
    circles: Sequence[Floats],
    shifts: Ints,
) -> Floats:
    """Mean r over runs with the residual shifted, (draws, R, targets).

    Parameters
    ----------
    beta
        Shape (n, R, own): fits in each run.
    circles
        One a run of ``there``, (m, R, columns): see `_correlations_at_shifts`.
    shifts
        Shape (draws, runs of ``there``).
    """
    xx = _of_columns(products, control, there)
    own, _ = control.within()
    fitted = beta @ xx[:, own]  # (n, R, columns): the fit's products with them
    # |fit + shifted e|² = |fit|² + |e|² + 2 <fit, shifted e>, and 1 with e where it was.
    unmoved = np.array([circle[0] for circle in circles], np.float64)
    norm_apart = 1 - 2 * np.einsum("nro,nro->nr", unmoved[..., own], beta)
    shape = fitted.shape[1:]
    at_once = max(1, int(_NUMBERS_AT_ONCE / np.prod(shape)))
    parts = []
    for start in range(0, len(shifts), at_once):
        some = shifts[start : start + at_once]
        moved = np.array(
            [circle[drawn % len(circle)] for circle, drawn in zip(circles, some.T, strict=True)],
            np.float64,
        )  # (n, draws, R, columns)
        norm = norm_apart[:, None] + 2 * np.einsum("nkro,nro->nkr", moved[..., own], beta)
        moved += fitted[:, None]
        moved /= np.sqrt(np.maximum(norm, NOTHING_LEFT))[..., None]
        r = beyond(xx, moved.reshape(len(there), -1, shape[-1]), control).r
        parts.append(r.mean(axis=1).reshape(-1, len(some), shape[0]))
    return np.concatenate(parts, axis=1).transpose(1, 2, 0)


def _of_columns(products: Sequence[_Products], control: Control, there: Ints) -> Floats:
    """Correlations of the columns that the fits need in some runs, (n, columns, columns)."""
    return np.array([products[i].xx[np.ix_(control.all, control.all)] for i in there])


def _no_scores(shape: tuple[int, int, int]) -> Unique:
    """Scores of one participant, (pairs, R, runs), none of them known yet."""
    full = (shape[0], shape[1], 1, shape[2])
    return Unique(
        r=np.full(full, np.nan),
        delta_r2=np.full(full, np.nan),
        constant=np.zeros(full, np.bool_),
        exhausted=np.zeros(full, np.bool_),
        cut=np.zeros((shape[0], shape[2]), np.bool_),
    )


def _score(
    unique: Unique,
    products: Sequence[_Products],
    control: Control,
    pairs: Ints,
    where: tuple[Ints, Ints],
) -> Floats:
    """Score the targets of one control as they are, into ``unique``; (targets, n, regions)."""
    there, regions = where
    xx = _of_columns(products, control, there)
    xy = np.array([products[i].xy[np.ix_(regions, control.all)] for i in there])
    scores, (gains, cut) = beyond(xx, xy, control), delta_r2(xx, xy, control)
    at = np.ix_(pairs, regions, np.zeros(1, int), there)
    for values, given in (
        (unique.r, scores.r),
        (unique.delta_r2, gains),
        (unique.constant, scores.constant),
        (unique.exhausted, scores.exhausted),
    ):
        values[at] = given.transpose(0, 2, 1)[:, :, None]
    unique.cut[np.ix_(pairs, there)] |= scores.cut | cut
    return scores.r
