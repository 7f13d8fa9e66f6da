"""The RDMs of a study as the engine wants them, read from files a run at a time."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    Bunch,
    Directory,
    TraitedSpec,
    traits,
)

from bidsapp.analysis.spec import Analysis, Dissimilarity, Mode
from bidsapp.arrays import Floats, Ints
from bidsapp.dataset.derivatives import NoiseRemoved, RDMFile, read_rdms
from bidsapp.errors import InputError
from bidsapp.interfaces.film_volumes import PlainVolumes, volumes_from_plain
from bidsapp.rsa.controlled import Controlled, controlled_unique
from bidsapp.rsa.controlled_run import ControlledRun, Removed, controlled_run
from bidsapp.rsa.expected_noise import noise_template
from bidsapp.rsa.modes import mode_pairs
from bidsapp.rsa.pairs import PairSet, all_pairs
from bidsapp.rsa.rdm import UnitMoments, n_volumes_of, to_square
from bidsapp.rsa.study import RunRDMs, StudyProducts, study_products
from bidsapp.rsa.visible import visibility
from bidsapp.tables.scores import layer_columns

CLOCK_TOLERANCE_S = 0.1  # of volumes; responses to a film are seconds wide


class StudyInputSpec(BaseInterfaceInputSpec):
    """What says where a study's RDMs are."""

    analysis = traits.Dict(mandatory=True, desc="the analysis")
    model_rdms = traits.Dict(mandatory=True, desc="run: list of files, in the order of the models")
    brain_rdms = traits.Dict(mandatory=True, desc="run: participant: file, of replicate")
    robust_rdms = traits.Dict(mandatory=True, desc="run: participant: file, of robust")
    film_volumes = traits.Dict(mandatory=True, desc="run: see bidsapp.interfaces.film_volumes")
    repetition_time = traits.Float(mandatory=True, desc="s")


class ParticipantInputSpec(StudyInputSpec):
    """The same of one participant."""

    entities = traits.Dict(mandatory=True, desc="BIDS entities of the tables")


class TablesOutputSpec(TraitedSpec):
    """Tables under their final names, below a folder of the step's own."""

    staged = Directory(exists=True)


class Study:
    """RDM files as the engine wants them: one run's arrays at a time."""

    def __init__(self, inputs: Bunch) -> None:
        self.analysis = Analysis.model_validate(inputs.analysis)
        self._model_files: Mapping[str, Sequence[str]] = inputs.model_rdms
        self._brain_files: Mapping[Mode, Mapping[str, Mapping[str, str]]] = {
            "replicate": inputs.brain_rdms,
            "robust": inputs.robust_rdms,
        }
        self._film_volumes: Mapping[str, PlainVolumes] = inputs.film_volumes
        self._repetition_time: float = inputs.repetition_time
        everyone = {label for files in inputs.brain_rdms.values() for label in files}
        self.participants = tuple(sorted(everyone))
        first = next(iter(self._model_files.values()))
        files = {
            model: read_rdms(Path(path))
            for model, path in zip(self.analysis.models, first, strict=True)
        }
        self.layers = {model: file.names for model, file in files.items()}
        self.dissimilarities = {model: file.dissimilarity for model, file in files.items()}

    def products(self, runs: Iterable[RunRDMs], lag_curve_s: Sequence[float]) -> StudyProducts:
        """Reduce runs to the engine's products, one run in memory at a time."""
        analysis = self.analysis
        return study_products(
            runs,
            analysis.robust.min_lag_s,
            lag_curve_s,
            analysis.replicate.lag_regressors_s,
        )

    def onsets_s(self) -> dict[str, Floats]:
        """Give the times of each run's volumes, by the first model's clock."""
        return {run: read_rdms(Path(files[0])).onsets_s for run, files in self._model_files.items()}

    def model_runs(self) -> Iterator[RunRDMs]:
        """Read the models' RDMs alone, one run in memory at a time."""
        return self.runs(())

    def runs(self, participants: Sequence[str] | None = None) -> Iterator[RunRDMs]:
        """Read the RDMs of models and participants (all, if not told), one run at a time."""
        for run, _ in self.runs_and_models(participants):
            yield run

    def runs_and_models(
        self, participants: Sequence[str] | None = None
    ) -> Iterator[tuple[RunRDMs, Sequence[RDMFile]]]:
        """Read runs as `runs` does, each with the models' files."""
        people = self.participants if participants is None else participants
        for film_run in self.analysis.movie.runs:
            if self._has(film_run.run):
                yield self._run(film_run.run, people)

    def _has(self, run: str) -> bool:
        """Whether anybody has the run."""
        return bool(self._brain_files["replicate"].get(run))

    def run(self, run: str) -> RunRDMs:
        """Read the RDMs of one run, of models and all participants."""
        return self._run(run, self.participants)[0]

    def _run(self, run: str, people: Sequence[str]) -> tuple[RunRDMs, Sequence[RDMFile]]:
        files, clock = self._models(run)
        models = np.concatenate([file.rdms for file in files])
        rdms = RunRDMs(
            run=run,
            models=models,
            targets=self._targets("replicate", run, people, models, clock),
            repetition_time=self._repetition_time,
            film=volumes_from_plain(self._film_volumes[run]),
            robust_targets=self._targets("robust", run, people, models, clock),
        )
        return rdms, files

    def visible(self, run: RunRDMs, models: Sequence[RDMFile], label: str) -> Floats:
        """Tell how visible each layer is in a run of the one participant, (p,).

        Parameters
        ----------
        run, models
            The run, and its models' files.
        label
            Of the participant.

        Returns
        -------
        Floats
            See `bidsapp.rsa.visible.visibility`.
        """
        pairs = self._robust_pairs(run)
        removed = self._removed(self._noise_removed(run.run, label), pairs)
        return visibility(run.models, *_layers(models), pairs, removed.basis)

    def controlled(self, label: str, shifts: Ints | None = None) -> Controlled:
        """Say what models add to each other in a participant, by the robust mode.

        Parameters
        ----------
        label
            Of the participant.
        shifts
            See `bidsapp.rsa.controlled.controlled_unique`; none for no draw.
        """
        n_runs = sum(1 for run in self.analysis.movie.runs if self._has(run.run))
        if shifts is None:
            shifts = np.empty((0, n_runs), np.int64)
        runs = partial(self._controlled_runs, label)
        return controlled_unique(runs, layer_columns(self.layers), shifts)

    def _controlled_runs(self, label: str) -> Iterator[ControlledRun]:
        for run, models in self.runs_and_models((label,)):
            removed = self._noise_removed(run.run, label)
            pairs = self._robust_pairs(run) if removed is not None else _no_pairs(run)
            out = self._removed(removed, pairs)
            yield controlled_run(
                run.models, *_layers(models), run.targets_of("robust")[:, 0], pairs, out
            )

    def _robust_pairs(self, run: RunRDMs) -> PairSet:
        """Pairs that robust compares in the one participant."""
        (defined,) = run.defined()["robust"]
        return mode_pairs(run, "robust", self.analysis.robust.min_lag_s, defined)

    def _removed(self, removed: NoiseRemoved | None, pairs: PairSet) -> Removed:
        brain = self.analysis.dissimilarity.brain
        if removed is None or not pairs.n_pairs:
            return Removed(np.empty((len(pairs.kept), 0)), np.zeros(pairs.n_pairs), brain)
        basis, _ = np.linalg.qr(removed.basis[pairs.kept])
        known = removed.lag1_r[np.isfinite(removed.lag1_r)]
        lag1_r = float(known.mean()) if len(known) else 0.0  # regions' templates are nearly alike
        template = noise_template(pairs, basis, lag1_r, brain)
        return Removed(basis, template.astype(np.float32), brain)

    def _noise_removed(self, run: str, label: str) -> NoiseRemoved | None:
        """Read what was taken out of a participant's brain in a run; None without the run."""
        path = self._brain_files["robust"].get(run, {}).get(label)
        if path is None:
            return None
        removed = read_rdms(Path(path)).noise_removed
        if removed is None:
            raise InputError(
                f"{path} does not say what was regressed out: run the participant level for "
                f"sub-{label} again"
            )
        return removed

    def _models(self, run: str) -> tuple[list[RDMFile], tuple[Path, Floats]]:
        """Read a run's model RDMs; also give the first file, and its clock."""
        paths = [Path(path) for path in self._model_files[run]]
        files = read_models(paths, len(self._film_volumes[run]["covered"]))
        for path, file, layers in zip(paths, files, self.layers.values(), strict=True):
            check_layers(path, file.names, layers)
        return files, (paths[0], files[0].onsets_s)

    def _targets(
        self,
        mode: Mode,
        run: str,
        people: Sequence[str],
        models: Floats,
        clock: tuple[Path, Floats],
    ) -> Floats:
        """Read participants' RDMs of one run and mode, (R, S, n_pairs); NaN where one lacks it."""
        files = self._brain_files[mode][run]
        n_pairs = models.shape[1]
        shape = (len(self.analysis.region_names), len(people), n_pairs)
        targets = np.full(shape, np.nan, np.float32)
        for column, label in enumerate(people):
            if label in files:
                path = Path(files[label])
                file = read_rdms(path)
                check_clock(path, file.onsets_s, *clock)
                targets[:, column] = self._regions(file, n_volumes_of(n_pairs))
        return targets

    def _regions(self, file: RDMFile, n_volumes: int) -> Floats:
        """Read one participant's RDMs of one run, (n_regions, n_pairs); absent regions are NaN."""
        by_name = dict(zip(file.names, file.rdms, strict=True))
        n_pairs = n_volumes * (n_volumes - 1) // 2
        rows = [
            fit_length(by_name[name], n_volumes) if name in by_name else np.full(n_pairs, np.nan)
            for name in self.analysis.region_names
        ]
        return np.asarray(rows, np.float32)


def _layers(
    models: Sequence[RDMFile],
) -> tuple[list[Dissimilarity], list[UnitMoments | None]]:
    """Give what each layer's RDM holds, and the moments of its patterns, where they are known."""
    dissimilarities = [file.dissimilarity for file in models for _ in file.names]
    moments = [of for file in models for of in file.moments or [None] * len(file.names)]
    return dissimilarities, moments


def _no_pairs(run: RunRDMs) -> PairSet:
    """Pairs of a run that the participant lacks."""
    return all_pairs(n_volumes_of(run.models.shape[1]), np.zeros_like(run.defined()["robust"][0]))


def read_models(paths: Sequence[Path], n_volumes: int) -> list[RDMFile]:
    """Read the RDMs of one run's models, which must be of the same volumes.

    Parameters
    ----------
    paths
        One file a model.
    n_volumes
        Of the run, by the models' sidecars.

    Raises
    ------
    InputError
        A file has another number of volumes, or another clock than the first.
    """
    files = [read_rdms(path) for path in paths]
    for path, file in zip(paths, files, strict=True):
        if len(file.onsets_s) != n_volumes:
            raise InputError(
                f"{path} has {len(file.onsets_s)} volumes, and the run has {n_volumes} by the "
                "sidecars of its model RDMs: delete the file and run the stimulus level again"
            )
        check_clock(path, file.onsets_s, paths[0], files[0].onsets_s)
    return files


def check_layers(path: Path, names: Sequence[str], layers: Sequence[str]) -> None:
    """Make sure that a model's RDMs are of the layers of its first run, in their order.

    Raises
    ------
    InputError
        They are of others.
    """
    if tuple(names) != tuple(layers):
        raise InputError(
            f"{path} has the layers {', '.join(names)}, where the model's first run has "
            f"{', '.join(layers)}: delete the RDMs of this model and run the stimulus level again"
        )


def check_clock(path: Path, onsets_s: Floats, model: Path, model_onsets_s: Floats) -> None:
    """Make sure that RDMs are of volumes taken when the model's were, as far as both go.

    Raises
    ------
    InputError
        Some volume was taken at another time, by more than 0.1 s.
    """
    both = min(len(onsets_s), len(model_onsets_s))
    apart = float(np.abs(onsets_s[:both] - model_onsets_s[:both]).max(initial=0.0))
    if apart > CLOCK_TOLERANCE_S:
        raise InputError(
            f"{path} and {model} have volumes up to {apart:.2f} s apart: StartTime or the TR of "
            "this run differs from what the model RDMs were made for (slice timing corrected for "
            "some participants only?); run fMRIPrep for all in the same way, or set "
            "movie.volume_time to middle, and analyse into another OUTPUT_DIR"
        )


def fit_length(rdm: Floats, n_volumes: int) -> Floats:
    """Cut a condensed RDM to its first volumes, or fill it up with undefined ones (NaN)."""
    have = n_volumes_of(len(rdm))
    if have == n_volumes:
        return rdm
    both = min(have, n_volumes)
    square = np.full((n_volumes, n_volumes), np.nan, rdm.dtype)
    square[:both, :both] = to_square(rdm)[:both, :both]
    return square[np.triu_indices(n_volumes, 1)]
