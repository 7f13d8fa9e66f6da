"""The participant level: regions, brain RDMs, and their similarity to every model."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nipype.interfaces.base import BaseInterface
from nipype.pipeline import engine

from bidsapp.analysis.spec import Analysis
from bidsapp.dataset.derivatives import STANDARD_SPACES, bids_uri
from bidsapp.dataset.fmriprep import ParticipantInputs, PreprocessedRun, check_derivatives
from bidsapp.dataset.raw import open_raw
from bidsapp.errors import InputError
from bidsapp.interfaces.atlas_regions import AtlasRegionMasks
from bidsapp.interfaces.comparators import ParticipantComparators
from bidsapp.interfaces.film_volumes import PlainVolumes
from bidsapp.interfaces.functional_regions import FunctionalRegionMasks
from bidsapp.interfaces.localizer import LocalizerMaps
from bidsapp.interfaces.mask_regions import MaskRegionMasks
from bidsapp.interfaces.patterns import BrainRDMs
from bidsapp.interfaces.searchlight import SearchlightMaps
from bidsapp.interfaces.similarity import ParticipantSimilarity
from bidsapp.interfaces.summary import RegionSummary
from bidsapp.settings import FMRIPREP, Settings
from bidsapp.workflows.bookkeeping import end, facts_of, start, withdraw
from bidsapp.workflows.checks import usable_inputs
from bidsapp.workflows.coverage import plain_volumes
from bidsapp.workflows.engine import crash_reports, failed_participants, run_workflow
from bidsapp.workflows.inputs import Inputs, find_inputs
from bidsapp.workflows.masks import mask_inputs
from bidsapp.workflows.models import missing_models, model_rdm_files, plan_warnings
from bidsapp.workflows.pages import draw_participant
from bidsapp.workflows.steps import join, make_step, publish
from bidsapp.workflows.validation import validate_bids

LOGGER = logging.getLogger(__name__)
_GLM_COPIES = 5  # float64 images of a run's size that nilearn holds at once while it fits
_READ_COPIES = 0.75  # the regions' voxels alone, with what comes of them, and the libraries
_BRAIN_PART = 0.2  # a brain's voxels as float32, of a whole image as float64


def run(settings: Settings, analysis: Analysis) -> int:
    """Run the participant level; return the exit status."""
    inputs = _find_inputs(settings, analysis)
    plan, read = None, inputs
    if missing_models(settings, analysis, inputs.movie_runs):
        # Imported late: they bring torch, which most runs of this level do not need.
        from bidsapp.workflows import planning, stimulus

        # Frames are placed by all participants' events: RDMs must not depend on who is asked.
        read = find_inputs(settings, analysis, everyone=True)
        plan = planning.plan_models(settings, analysis, read)
    validate_bids(settings, read.participants)
    _warn(inputs)
    log_dir = start(settings, analysis)
    withdraw(settings, analysis, inputs.raw.participants)
    if plan is not None:
        stimulus.make_models(settings, analysis, plan, log_dir)
    workflow = init_participants_wf(
        settings, analysis, inputs.participants, model_rdm_files(settings, analysis)
    )
    crashes = run_workflow(workflow, settings, log_dir)
    failed = failed_participants(crashes)
    facts = facts_of(settings, analysis, plan_warnings(settings, analysis))
    for person in inputs.participants:
        reports = crash_reports(log_dir, person.participant)
        try:
            draw_participant(settings, analysis, person, facts, reports)
        except InputError as error:
            failed.setdefault(person.participant, str(error))
    known = inputs.raw.participants
    found = {**inputs.unusable, **failed}
    return end({f"sub-{name}" if name in known else name: why for name, why in found.items()})


def _find_inputs(settings: Settings, analysis: Analysis) -> Inputs:
    """Find whom to analyse; when all of them are unusable, keep no old results of them."""
    try:
        return usable_inputs(settings, analysis)
    except InputError:
        # Only when the datasets themselves are there: a folder not mounted costs no results.
        asked = settings.participant_label
        raw = open_raw(settings.bids_dir, asked, settings.bids_database_dir)
        check_derivatives(settings.derivatives_dir, settings.bids_dir, asked)
        withdraw(settings, analysis, raw.participants)
        raise


def _warn(inputs: Inputs) -> None:
    """Say before hours of computing what will be lacking after them."""
    for person in inputs.participants:
        for sentence in person.missing:
            LOGGER.warning("sub-%s: %s", person.participant, sentence)
    for label, reason in inputs.unusable.items():
        LOGGER.warning("sub-%s cannot be analysed: %s", label, reason)
    if inputs.outside:
        LOGGER.info("without the movie, and so left out: sub-%s", ", sub-".join(inputs.outside))


def init_participants_wf(
    settings: Settings,
    analysis: Analysis,
    participants: Sequence[ParticipantInputs],
    model_rdms: Mapping[str, Sequence[Path]],
) -> engine.Workflow:
    """Join the workflows of all participants; they do not depend on each other."""
    workflow = engine.Workflow(name="participant_wf")
    scans = {run.run: run.repetition_time for person in participants for run in person.movie}
    film_volumes = {run: plain_volumes(settings, analysis, run, tr) for run, tr in scans.items()}
    for inputs in participants:
        workflow.add_nodes(
            [init_single_participant_wf(settings, analysis, inputs, model_rdms, film_volumes)]
        )
    return workflow


def init_single_participant_wf(
    settings: Settings,
    analysis: Analysis,
    inputs: ParticipantInputs,
    model_rdms: Mapping[str, Sequence[Path]],
    film_volumes: Mapping[str, PlainVolumes],
) -> engine.Workflow:
    """Make the workflow of one participant.

    Parameters
    ----------
    inputs
        The participant's files.
    model_rdms
        Run to the RDM files of all models.
    film_volumes
        Run to the volumes that the robust mode uses, see `bidsapp.interfaces.film_volumes`; of all
        runs that the participant can use.

    Returns
    -------
    nipype workflow
        Localizer → functional regions, atlas regions, masks → RDMs of every run → similarity.
    """
    workflow = engine.Workflow(name=f"sub_{inputs.participant}_wf")
    steps = _Steps(settings, analysis, inputs, film_volumes)
    regions = [steps.functional()] if analysis.functional.regions else []
    regions += [steps.atlas()] if analysis.atlas.regions else []
    regions += [steps.masks()] if analysis.masks.regions else []
    runs = [steps.patterns(run) for run in inputs.movie]
    summary, similarity = steps.summary(), steps.similarity(model_rdms)
    comparing = [steps.comparators(model_rdms)] if analysis.comparators.methods else []
    writers = [*regions, *runs, summary, similarity]

    masks = join(len(regions), "masks", axis="hstack")
    region_rows = join(len(regions), "region_rows")
    coverage = join(len(regions), "coverage")
    for i, step in enumerate(regions, start=1):
        workflow.connect(step, "masks", masks, f"in{i}")
        workflow.connect(step, "table", region_rows, f"in{i}")
        workflow.connect(step, "coverage", coverage, f"in{i}")
    by_run = {output: join(len(runs), output) for output in ("rdms", "robust_rdms")}
    autocorrelation = join(len(runs), "autocorrelation")
    quality = join(len(runs), "quality")
    for i, step in enumerate(runs, start=1):
        workflow.connect(masks, ("out", _pick, i - 1), step, "masks")
        for output, joined in by_run.items():
            workflow.connect(step, output, joined, f"in{i}")
        workflow.connect(step, "autocorrelation", autocorrelation, f"in{i}")
        workflow.connect(step, "quality", quality, f"in{i}")
    names = [run.run for run in inputs.movie]
    for step in (similarity, *comparing):
        for output, given in (("rdms", "brain_rdms"), ("robust_rdms", "robust_rdms")):
            files = ("out", _by_participant, names, inputs.participant)
            workflow.connect(by_run[output], files, step, given)
    workflow.connect(region_rows, "out", summary, "regions")
    workflow.connect(coverage, "out", summary, "coverage")
    workflow.connect(autocorrelation, "out", summary, "autocorrelation")
    workflow.connect(quality, "out", summary, "quality")

    if analysis.functional.regions:
        localizer = steps.localizer()
        workflow.connect(localizer, "t_maps", regions[0], "t_maps")
        workflow.connect(localizer, "z_maps", regions[0], "z_maps")
        writers.append(localizer)
    publish(workflow, writers, "publish", settings)

    if comparing:
        publish(workflow, comparing, "publish_comparators", settings)
    if analysis.mapped_models:
        searchlight = steps.searchlight(model_rdms)
        if analysis.searchlight.centres == "regions":
            workflow.connect(masks, ("out", _pick, 0), searchlight, "region_masks")
        publish(workflow, [searchlight], "publish_searchlight", settings)
    return workflow


@dataclass(frozen=True)
class _Steps:
    """The nodes of one participant, each with its inputs, memory and cores."""

    settings: Settings
    analysis: Analysis
    inputs: ParticipantInputs
    film_volumes: Mapping[str, PlainVolumes]

    def localizer(self) -> engine.Node:
        runs, spec = self.inputs.localizer, self.analysis.localizer
        assert spec is not None  # noqa: S101  # functional regions cannot be without it
        step = LocalizerMaps(
            bold=[str(run.bold) for run in runs],
            mask=[str(run.mask) for run in runs],
            confounds=[str(run.confounds) for run in runs],
            events=[str(run.events) for run in runs],
            n_volumes=[run.n_volumes for run in runs],
            repetition_time=[run.repetition_time for run in runs],
            start_time=[run.start_time for run in runs],
            runs=[run.run for run in runs],
            spec=spec.model_dump(mode="json"),
            entities=self._localizer_entities(),
            metadata=self._metadata([run.bold for run in runs]),
        )
        return self._node(step, "localizer", sum(map(_gigabytes, runs)) * _GLM_COPIES)

    def functional(self) -> engine.Node:
        mask = self.inputs.localizer[0].mask
        step = FunctionalRegionMasks(
            spec=self.analysis.functional.model_dump(mode="json"),
            mask=str(mask),
            entities=self._localizer_entities(),
            **self._carrying([run.bold for run in self.inputs.localizer]),
        )
        return self._node(step, "functional", 1)

    def atlas(self) -> engine.Node:
        step = AtlasRegionMasks(
            spec=self.analysis.atlas.model_dump(mode="json"),
            atlas_dir=str(self.settings.atlas),
            entities={"sub": self.inputs.participant, "space": self.settings.output_space},
            **self._carrying([self.inputs.movie[0].mask]),
        )
        return self._node(step, "atlas", 2)

    def masks(self) -> engine.Node:
        step = MaskRegionMasks(
            spec=self.analysis.masks.model_dump(mode="json"),
            files=mask_inputs(self.settings, self.analysis, self.inputs),
            entities={"sub": self.inputs.participant, "space": self.settings.output_space},
            **self._carrying([]),
        )
        return self._node(step, "given_masks", 1)

    def patterns(self, run: PreprocessedRun) -> engine.Node:
        step = BrainRDMs(
            bold=str(run.bold),
            mask=str(run.mask),
            confounds=str(run.confounds),
            confounds_metadata=str(run.confounds_metadata),
            repetition_time=run.repetition_time,
            start_time=run.start_time,
            denoise=self.analysis.denoise.model_dump(mode="json"),
            film_volumes=self.film_volumes[run.run],
            min_lag_s=self.analysis.robust.min_lag_s,
            dissimilarity=self.analysis.dissimilarity.brain,
            lags_s=list(self.analysis.statistics.autocorrelation_s),
            entities=self._entities(run) | {"run": run.run, "space": self.settings.output_space},
        )
        return self._node(step, f"patterns_{run.run}", _gigabytes(run) * _READ_COPIES)

    def summary(self) -> engine.Node:
        step = RegionSummary(
            runs=[
                {
                    "run": run.run,
                    "confounds": str(run.confounds),
                    "metadata": str(run.confounds_metadata),
                    "film_volumes": self.film_volumes.get(run.run, {}),
                }
                for run in self.inputs.movie_found
            ],
            denoise=self.analysis.denoise.model_dump(mode="json"),
            entities=self._movie_entities(),
        )
        return self._node(step, "summary", 0.5)

    def similarity(self, model_rdms: Mapping[str, Sequence[Path]]) -> engine.Node:
        return self._node(ParticipantSimilarity(**self._study(model_rdms)), "similarity", 2)

    def comparators(self, model_rdms: Mapping[str, Sequence[Path]]) -> engine.Node:
        return self._node(ParticipantComparators(**self._study(model_rdms)), "comparators", 3)

    def searchlight(self, model_rdms: Mapping[str, Sequence[Path]]) -> engine.Node:
        runs, models = self.inputs.movie, self.analysis.models
        mapped = [models.index(model) for model in self.analysis.mapped_models]
        step = SearchlightMaps(
            analysis=self.analysis.model_dump(mode="json"),
            model_rdms={r.run: [str(model_rdms[r.run][i]) for i in mapped] for r in runs},
            bold={run.run: str(run.bold) for run in runs},
            mask={run.run: str(run.mask) for run in runs},
            confounds={run.run: str(run.confounds) for run in runs},
            confounds_metadata={run.run: str(run.confounds_metadata) for run in runs},
            film_volumes={run.run: self.film_volumes[run.run] for run in runs},
            start_time={run.run: run.start_time for run in runs},
            repetition_time=runs[0].repetition_time,
            entities=self._movie_entities() | {"space": self.settings.output_space},
            metadata=self._metadata([run.bold for run in runs]),
            n_threads=self.settings.nprocs,
        )
        sizes = [_gigabytes(run) for run in runs]
        node = self._node(step, "searchlight", 1 + max(sizes) + sum(sizes) * _BRAIN_PART)
        node.n_procs = self.settings.nprocs
        return node

    def _study(self, model_rdms: Mapping[str, Sequence[Path]]) -> dict[str, Any]:
        """Give the inputs of the steps that compare RDMs."""
        runs = {run.run for run in self.inputs.movie}
        return {
            "analysis": self.analysis.model_dump(mode="json"),
            "model_rdms": {run: [str(f) for f in model_rdms[run]] for run in sorted(runs)},
            "film_volumes": {run: self.film_volumes[run] for run in sorted(runs)},
            "repetition_time": self.inputs.movie[0].repetition_time,
            "entities": self._movie_entities(),
        }

    def _node(self, interface: BaseInterface, name: str, mem_gb: float) -> engine.Node:
        return make_step(interface, name, max(mem_gb, 0.2), self.settings.omp_nthreads)

    def _carrying(self, sources: Sequence[Path]) -> dict[str, Any]:
        """Give the inputs that all kinds of regions share."""
        given: dict[str, Any] = {
            "hemispheres": self.analysis.hemispheres,
            "runs": [run.run for run in self.inputs.movie],
            "transforms": {name: str(path) for name, path in self.inputs.transforms.items()},
            "space": self.settings.output_space,
            "movie_masks": [str(run.mask) for run in self.inputs.movie],
            "allow_template_mismatch": self.settings.allow_template_mismatch,
            "metadata": self._metadata(sources),
        }
        if self.settings.template_transform is not None:
            given["template_transform"] = str(self.settings.template_transform)
        return given

    def _metadata(self, sources: Sequence[Path]) -> dict[str, Any]:
        root = self.settings.derivatives_dir
        metadata: dict[str, Any] = {"Sources": [bids_uri(FMRIPREP, root, p) for p in sources]}
        if self.settings.output_space not in STANDARD_SPACES:
            # Without an anatomical image the BOLD itself says which space this is.
            reference = self.inputs.t1w or self.inputs.movie[0].bold
            metadata["SpatialReference"] = bids_uri(FMRIPREP, root, reference)
        return metadata

    def _entities(self, run: PreprocessedRun) -> dict[str, str]:
        """Name what comes from a run; a dataset without sessions has no ``ses``."""
        entities = {"sub": run.participant, "ses": run.session, "task": run.task}
        return {key: value for key, value in entities.items() if value is not None}

    def _movie_entities(self) -> dict[str, str]:
        """Name what comes from all movie runs; of several sessions there is no one to name."""
        entities = self._entities(self.inputs.movie[0])
        if len({run.session for run in self.inputs.movie}) > 1:
            entities.pop("ses", None)
        return entities

    def _localizer_entities(self) -> dict[str, str]:
        first = self.inputs.localizer[0]
        own = {"run": first.run} if len(self.inputs.localizer) == 1 else {}
        return self._entities(first) | own | {"space": self.settings.output_space}


def _gigabytes(run: PreprocessedRun) -> float:
    """Size of a run's BOLD in memory as float64."""
    x, y, z = run.shape
    return x * y * z * run.n_volumes * 8 / 1e9


def _pick(masks: list[list[str]], i: int) -> list[str]:
    return masks[i]


def _by_participant(
    files: list[str], runs: list[str], participant: str
) -> dict[str, dict[str, str]]:
    return {run: {participant: file} for run, file in zip(runs, files, strict=True)}
