"""A small sphere of voxels round each of many places, each scored as a region is."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from scipy.spatial import KDTree

from bidsapp.analysis.part import Dissimilarity, Fit, Mode
from bidsapp.arrays import Bools, Floats
from bidsapp.rsa.expected_noise import noise_template, remove_noise_template
from bidsapp.rsa.gram import RunProducts, run_products
from bidsapp.rsa.inference import finite_mean
from bidsapp.rsa.modes import PREPARATION, mode_pairs
from bidsapp.rsa.pairs import PairSet
from bidsapp.rsa.rdm import DISTANCES, LEAST_VOXELS, n_volumes_of, volume_defined
from bidsapp.rsa.similarity import similarity
from bidsapp.rsa.volumes import FilmVolumes

BATCH = 64  # spheres whose RDMs are held at once, by each thread
_SECONDS_PER_PAIR = 4.5e-8  # and run, sphere: measured, see docs/methods.md
_SECONDS_PER_LAYER_PAIR = 1.0e-10
_SERIES_BYTES = 4  # of a voxel and volume
_DENOISING_BYTES = 32  # likewise, of the run that is denoised: its copies, most of them float64
_BATCH_BYTES = 16  # of a sphere and pair: RDMs, and as columns made ready


@dataclass(frozen=True)
class Sphering:
    """How spheres are scored.

    Attributes
    ----------
    radius_mm
        Voxels whose centres are at most so far from a sphere's are in it.
    dissimilarity
        Of the patterns of two volumes in a sphere.
    mode, fit, penalties
        As in `bidsapp.rsa.similarity.similarity`.
    min_lag_s
        Least circular lag of the robust mode's pairs, in seconds.
    """

    radius_mm: float
    dissimilarity: Dissimilarity
    mode: Mode
    fit: Fit
    penalties: tuple[float, ...]
    min_lag_s: float


@dataclass(frozen=True)
class VoxelRun:
    """One run of all voxels.

    Attributes
    ----------
    run
        The run's name.
    series
        Shape (n_voxels, n_volumes), float32, denoised on the volumes that the mode uses; NaN in the
        columns of undefined volumes.
    positions_mm
        Shape (n_voxels, 3): where each voxel is, on one scanner space for all runs.
    models
        Shape (p, n_pairs): condensed RDMs of the layers.
    repetition_time
        Seconds.
    film
        Film coverage of the volumes, for the robust mode; None: all are covered.
    basis
        Shape (n_volumes, k): orthonormal basis of what was regressed out, NaN where volumes took no
        part; None where nothing was, or for the mode replicate.
    lag1_r
        Autocorrelation of the voxels at a lag of one volume; of the brain's, since a sphere's own
        would take as long as its RDM.
    """

    run: str
    series: Floats
    positions_mm: Floats
    models: Floats
    repetition_time: float
    film: FilmVolumes | None = None
    basis: Floats | None = None
    lag1_r: float = 0.0


def searchlight(
    runs: Sequence[VoxelRun],
    centres_mm: Floats,
    models: Mapping[str, slice],
    how: Sphering,
    n_threads: int = 1,
) -> Floats:
    """Score every model in a sphere round each centre, run by run left out, as in regions.

    A sphere holds each run's voxels within the radius of the same place, so that runs may have
    different grids. A volume is left out where a model or all voxels leave it undefined.

    Parameters
    ----------
    runs
        All runs of one participant.
    centres_mm
        Shape (n_centres, 3), in the space of the voxels' positions.
    models
        Which of the RDMs each model's layers are.
    how
        Radius, mode, fit and so on.
    n_threads
        Batches that are worked on at once.

    Returns
    -------
    Floats
        Shape (M, n_centres): mean over runs of Pearson's r of prediction and RDM; NaN where a
        sphere has fewer than 3 voxels, or a volume without pattern, in too many runs.

    References
    ----------
    Kriegeskorte, Goebel and Bandettini (2006), PNAS 103:3863.
    """
    prepared = [_Prepared.of(run, how) for run in runs]
    batches = [centres_mm[i : i + BATCH] for i in range(0, len(centres_mm), BATCH)]

    def score(batch: Floats) -> Floats:
        products = [run.products(batch, how) for run in prepared]
        scored = similarity(products, models, how.mode, how.fit, how.penalties)
        return finite_mean(scored.r[:, :, 0], -1)

    with ThreadPoolExecutor(n_threads) as pool:
        return np.hstack([np.empty((len(models), 0)), *pool.map(score, batches)])


def expected_seconds(
    n_centres: int, n_volumes: Sequence[int], n_layers: int, n_threads: int = 1
) -> float:
    """Estimate the time of `searchlight` in s from that measured at full size.

    Parameters
    ----------
    n_centres
        Spheres.
    n_volumes
        Of each run.
    n_layers
        RDMs of all models together.
    n_threads
        Cores.
    """
    pairs = sum(n * (n - 1) // 2 for n in n_volumes)
    each = pairs * (_SECONDS_PER_PAIR + n_layers * _SECONDS_PER_LAYER_PAIR)
    return n_centres * each / n_threads


def expected_bytes(
    n_voxels: int, n_volumes: Sequence[int], n_layers: int, n_threads: int = 1
) -> int:
    """Estimate the memory of `searchlight` and of what reads its voxels, a run at a time.

    Parameters
    ----------
    n_voxels
        Of the brain.
    n_volumes, n_layers, n_threads
        As in `expected_seconds`.
    """
    pairs = [n * (n - 1) // 2 for n in n_volumes]
    held = _SERIES_BYTES * n_voxels * sum(n_volumes) + 4 * n_layers * sum(pairs)
    denoised = _DENOISING_BYTES * n_voxels * max(n_volumes)
    return held + max(denoised, n_threads * _BATCH_BYTES * BATCH * max(pairs))


@dataclass(frozen=True)
class _Prepared:
    """A run, its pairs, and its voxels ready to be looked up by place."""

    run: VoxelRun
    pairs: PairSet
    tree: KDTree = field(repr=False)
    template: Floats | None = field(repr=False)

    @classmethod
    def of(cls, run: VoxelRun, how: Sphering) -> "_Prepared":
        pairs = mode_pairs(run, how.mode, how.min_lag_s, _defined(run))
        return cls(run, pairs, KDTree(run.positions_mm), _template(run, pairs, how))

    def products(self, centres_mm: Floats, how: Sphering) -> RunProducts:
        """Multiply the RDMs of spheres, as if they were regions, with the models'."""
        distance = DISTANCES[how.dissimilarity]
        inside = self.tree.query_ball_point(centres_mm, how.radius_mm, return_sorted=True)
        targets = np.full((len(inside), 1, self.run.models.shape[1]), np.nan, np.float32)
        for target, voxels in zip(targets[:, 0], inside, strict=True):
            if len(voxels) < LEAST_VOXELS:
                continue
            rdm = distance(self.run.series[voxels].T)
            if np.isfinite(rdm[self.pairs.index]).all():
                target[:] = rdm
        if self.template is not None:
            remove_noise_template(targets, self.pairs, self.template)
        preparation = PREPARATION[how.mode]
        return run_products(self.run.models, targets, self.pairs, preparation, self.run.run)


def _template(run: VoxelRun, pairs: PairSet, how: Sphering) -> Floats | None:
    if run.basis is None or how.mode != "robust" or not pairs.n_pairs:
        return None
    basis, _ = np.linalg.qr(run.basis[pairs.kept])
    return noise_template(pairs, basis, run.lag1_r, how.dissimilarity).astype(np.float32)


def _defined(run: VoxelRun) -> Bools:
    """Volumes that all models and at least one voxel define."""
    defined: Bools = np.logical_or.reduce(np.isfinite(run.series), axis=0)
    if len(defined) != n_volumes_of(run.models.shape[1]):
        raise ValueError(f"run {run.run}: models and voxels have different numbers of volumes")
    for rdm in run.models:
        defined &= volume_defined(rdm)
    return defined
