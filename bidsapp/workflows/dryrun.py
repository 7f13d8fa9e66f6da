"""What ``--dry-run`` says: what is there, what is missing, what would be made.

Of the libraries that steps run with (nipype, torch) none is imported unless it is needed to tell.
"""

from collections.abc import Collection, Iterator, Mapping

from bidsapp.analysis.spec import Analysis
from bidsapp.dataset.fmriprep import ParticipantInputs
from bidsapp.settings import Settings
from bidsapp.vision.catalogue import find_model
from bidsapp.vision.film import FilmFacts, film_facts
from bidsapp.vision.framing import Framing
from bidsapp.vision.runs import PlacedRun
from bidsapp.workflows.bookkeeping import end, say
from bidsapp.workflows.checks import usable_inputs
from bidsapp.workflows.coverage import describe_volumes, planned_coverage
from bidsapp.workflows.film import FilmPlan, plan_film
from bidsapp.workflows.fingerprints import models_to_make
from bidsapp.workflows.found import describe_participant
from bidsapp.workflows.inputs import Inputs, find_inputs
from bidsapp.workflows.models import absent_models, layers_of, run_coverage, without_coverage
from bidsapp.workflows.planning import check_makeable, plan_models, with_models
from bidsapp.workflows.searchlight import searchlight_gb

_Missing = Mapping[str, Collection[str]]  # run to models


def run(settings: Settings, analysis: Analysis) -> int:
    """Say what the stimulus or participant level would do; return the exit status.

    Raises
    ------
    InputError, UsageError
        What would keep the level from running.
    """
    if settings.level == "stimulus":
        inputs = find_inputs(settings, analysis, everyone=True)
        plan = plan_models(settings, analysis, inputs)
        missing: _Missing = models_to_make(settings, analysis, plan)
        return say(_describe(settings, analysis, inputs, plan, missing))
    inputs = usable_inputs(settings, analysis)
    if settings.participant_label:
        missing = absent_models(settings, analysis, inputs.movie_runs)
        narrowed = _plan_of_few(settings, analysis, inputs, missing)
        say(_describe(settings, analysis, inputs, narrowed, missing))
    else:
        plan = plan_models(settings, analysis, find_inputs(settings, analysis, everyone=True))
        missing = models_to_make(settings, analysis, plan)
        say(_describe(settings, analysis, inputs, plan, missing))
    return end(inputs.unusable)


def _plan_of_few(
    settings: Settings, analysis: Analysis, inputs: Inputs, missing: _Missing
) -> FilmPlan | None:
    """Check the film against the participants asked for; nobody else's files are opened.

    Model RDMs take everyone's events, but a dry run of one participant must not: in a dataset of
    hundreds that would be gigabytes.
    """
    if not missing and not without_coverage(settings, analysis, inputs.movie_runs):
        return None
    plan = plan_film(analysis, inputs.participants, settings.stimuli_dir)
    plan = with_models(settings, analysis, plan)
    check_makeable(settings, analysis, {model for models in missing.values() for model in models})
    return plan


def _describe(
    settings: Settings,
    analysis: Analysis,
    inputs: Inputs,
    plan: FilmPlan | None,
    missing: _Missing,
) -> str:
    lines = [f"moviersa {settings.level}, analysis '{analysis.name}', space {settings.full_space}"]
    lines += ["", "Participants"]
    for person in inputs.participants:
        lines += describe_participant(person, settings.full_space)
    lines += [f"  sub-{label}: cannot be analysed: {why}" for label, why in inputs.unusable.items()]
    lines += [f"  sub-{label}: without the movie, and so left out" for label in inputs.outside]
    used = _volumes_used(settings, analysis, inputs, plan)
    if plan is not None:
        films = _films(plan, analysis.movie.frame_step, used)
        lines += ["", f"Film (TR {plan.repetition_time:g} s)", *films]
        lines += [f"  warning: {warning}" for warning in plan.warnings]
        if settings.level == "participant" and settings.participant_label:
            lines += [f"  {_others(analysis)}"]
    elif used:
        lines += ["", "Film, as recorded with the model RDMs"]
        lines += [f"  run {run}: {sentence}" for run, sentence in used.items()]
    lines += ["", "Models", *_models(settings, analysis, inputs, missing)]
    if settings.level == "participant":
        lines += ["", f"Regions: {', '.join(analysis.region_names)}"]
        lines += [f"To be made for each participant: {', '.join(_made(analysis))}"]
        lines += _searchlight(settings, analysis, inputs.participants[0])
    if not settings.skip_bids_validation:
        lines.append("The BIDS validator runs with the level itself, not in a dry run")
    return "\n".join([*lines, f"Into {settings.output_dir}; scratch in {settings.work_dir}", ""])


def _others(analysis: Analysis) -> str:
    if analysis.movie.frame_timing == "nominal":
        return "not looked at: scans of the dataset's other participants"
    return (
        "frames as these participants saw them; the RDMs will be made with the median onsets of "
        "all participants, whose files are not opened here"
    )


def _volumes_used(
    settings: Settings, analysis: Analysis, inputs: Inputs, plan: FilmPlan | None
) -> dict[str, str]:
    """Say of each run which volumes the robust mode uses: by the plan, or else by the models."""
    if "robust" not in analysis.modes:
        return {}
    if plan is None:
        tr = inputs.participants[0].movie[0].repetition_time
        films = {run: run_coverage(settings, analysis, run) for run in inputs.movie_runs}
        return {
            run: describe_volumes(analysis, run, film.coverage, tr, film.undefined)
            for run, film in films.items()
        }
    coverage = {film.run: planned_coverage(settings, analysis, film) for film in plan.runs}
    return {
        run: describe_volumes(analysis, run, covered, plan.repetition_time)
        for run, covered in coverage.items()
    }


def _films(plan: FilmPlan, frame_step: int, used: Mapping[str, str]) -> Iterator[str]:
    for film in plan.runs:
        facts, stretch = film_facts(film.film), film.stretch
        shown = float(stretch.shown_rate)
        named = plan.last_named.get(film.run)
        yield (
            f"  run {film.run}: {film.film.name}, {facts.n_frames} frames at "
            f"{float(facts.frame_rate):.5g} Hz, {facts.width} x {facts.height}; from frame "
            f"{stretch.first} ({stretch.first / float(stretch.file_rate):g} s), "
            f"{stretch.n_frames} frames ({stretch.duration_s:.2f} s) shown at {shown:.5g} Hz"
            + _converted(film)
        )
        yield (
            f"    {len(film.frame_index)} frames taken, every {frame_step} ({shown / frame_step:g} "
            f"Hz), at {film.frame_times[0]:.3f} to {film.frame_times[-1]:.3f} s; "
            + (f"events name {named + 1}; " if named is not None else "")
            + f"{len(film.volume_times)} volumes"
        )
        yield f"    {_picture(plan.framing, facts)}"
        if film.run in used:
            yield f"    {used[film.run]}"


def _converted(film: PlacedRun) -> str:
    if film.stretch.file_rate == film.stretch.shown_rate:
        return ""
    return ", frames matched by time" if film.stretch.by_time else ", frames matched by number"


def _picture(framing: Framing, facts: FilmFacts) -> str:
    top, bottom, left, right = framing.letterbox
    width, height = framing.picture(facts.width, facts.height)
    side = framing.side(facts.width, facts.height)
    bars = f"{top} + {bottom} rows and {left} + {right} columns" if any(framing.letterbox) else "no"
    resize = f", resized to {framing.resize}" if framing.resize else ""
    return (
        f"letterbox: {bars} cut off, which leaves {width} x {height}; "
        f"crop: the central {side} x {side}{resize}"
    )


def _models(
    settings: Settings, analysis: Analysis, inputs: Inputs, missing: _Missing
) -> Iterator[str]:
    lacking = without_coverage(settings, analysis, inputs.movie_runs)
    for model in analysis.models:
        absent = [run for run, models in missing.items() if model in models]
        old = [run for run, models in lacking.items() if model in models and run not in absent]
        state = f"to be made for runs {', '.join(absent)}" if absent else "made"
        if old:
            state += f"; film coverage to be added for runs {', '.join(old)}"
        if analysis.feature_table(model):
            yield f"  {model}: feature table; {state}"
        else:
            size = (
                f", {_scratch_gb(settings, analysis, inputs, model):.2f} GB of scratch"
                if absent
                else ""
            )
            layers = len(layers_of(settings, analysis, model))
            yield f"  {model}: {layers} layers{size}; {state}"


def _scratch_gb(settings: Settings, analysis: Analysis, inputs: Inputs, model: str) -> float:
    """Scratch that a model's longest run takes; only its network tells how many units it has."""
    from bidsapp.vision.features import scratch_bytes  # brings torch

    longest = max(run.n_volumes for person in inputs.participants for run in person.movie)
    entry = find_model(model, settings.model_catalogue)
    return scratch_bytes(entry, longest, analysis.extraction.projection) / 1e9


def _made(analysis: Analysis) -> Iterator[str]:
    if analysis.localizer is not None:
        yield f"t maps of {len(analysis.localizer.contrasts)} contrasts"
    yield f"{len(analysis.region_names)} regions"
    yield "RDMs of every run"
    how = f"{', '.join(analysis.modes)}; {', '.join(analysis.fits)}"
    yield f"similarity to {len(analysis.models)} models ({how})"
    if analysis.comparators.methods:
        yield f"comparators ({', '.join(analysis.comparators.methods)})"


def _searchlight(
    settings: Settings, analysis: Analysis, person: ParticipantInputs
) -> Iterator[str]:
    """Say how long a participant's searchlight takes; spheres in regions are not counted before."""
    spec = analysis.searchlight
    if not analysis.mapped_models:
        return
    # Imported late: they bring nipype.
    from bidsapp.interfaces.masks import read_mask
    from bidsapp.interfaces.searchlight import centres
    from bidsapp.rsa.searchlight import expected_seconds

    yield f"Searchlight: {len(spec.names)} maps ({', '.join(spec.names)})"
    brain, _ = read_mask(str(person.movie[0].mask))
    n_centres = len(centres(brain, spec.stride))
    n_layers = sum(len(layers_of(settings, analysis, model)) for model in analysis.mapped_models)
    volumes = [run.n_volumes for run in person.movie]
    seconds = expected_seconds(n_centres, volumes, n_layers, settings.nprocs)
    gigabytes = searchlight_gb(settings, analysis, person)
    most = "at most " if spec.centres == "regions" else ""
    yield (
        f"  sub-{person.participant}: {most}{n_centres} spheres in about {seconds / 60:.2g} min "
        f"on {settings.nprocs} cores; {gigabytes:.2g} GB of memory"
    )
