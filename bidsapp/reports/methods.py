"""The methods text of a run: sentences that hold for this analysis only, with works cited."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import yaml

from bidsapp.analysis.spec import (
    Analysis,
    Censor,
    Comparator,
    Contrast,
    Dissimilarity,
    Fit,
    Localizer,
    Movie,
)
from bidsapp.vision.catalogue import ClipInput

_HRF = {
    "glover": "the double-gamma response ({glover})",
    "glover + derivative": "the double-gamma response ({glover}) and its temporal derivative",
    "spm": "the double-gamma response ({spm})",
    "spm + derivative": "the double-gamma response ({spm}) and its temporal derivative",
}
_DISTANCE: dict[Dissimilarity, str] = {
    "correlation": "1 less the Pearson correlation of",
    "euclidean": "the Euclidean distance of",
    "cosine": "1 less the cosine between",
}
_NOISE = {"ar1": "a first-order autoregressive noise model", "ols": "ordinary least squares"}
_COMPARATORS: dict[Comparator, str] = {
    "pearson": "Pearson's correlation",
    "spearman": "Spearman's rank correlation",
    "rho-a": "Spearman's rank correlation with ties broken at random ({inference})",
    "tau-a": "Kendall's tau-a",
    "cosine": "the cosine",
    "whitened": "the whitened correlation ({whitening})",
    "cka": "linear centred kernel alignment ({cka})",
    "cka-debiased": "centred kernel alignment from unbiased estimates ({cka}; {hsic})",
}
_FITS: dict[Fit, str] = {
    "ols": "ordinary least squares",
    "nnls": "non-negative least squares ({nnls})",
    "ridge": "ridge regression whose penalty was chosen by leaving out each training run in turn",
}


@dataclass(frozen=True)
class Methods:
    """Paragraphs with their titles, and the works cited in them, in full."""

    paragraphs: tuple[tuple[str, str], ...]
    references: tuple[str, ...]


def methods(
    analysis: Analysis, versions: Mapping[str, str], inputs: Mapping[str, ClipInput]
) -> Methods:
    """Describe what this analysis does.

    Parameters
    ----------
    analysis
        The analysis; parts that it does not use are not mentioned.
    versions
        Version of each piece of software by name, as far as known (``moviersa``, ``fMRIPrep``,
        ``nilearn``, ...).
    inputs
        What each network is given, by the model's name, as far as known.
    """
    parts = (
        ("Software and data", _software(analysis, versions)),
        ("Functional regions", _functional(analysis, versions)),
        ("Atlas regions", _atlas(analysis, versions)),
        ("Regions from masks", _masks(analysis)),
        ("Brain dissimilarity", _brain(analysis)),
        ("Models", _models(analysis, versions, inputs)),
        ("Similarity of models and brain", _similarity(analysis)),
        ("What models explain beyond each other", _unique(analysis)),
        ("Comparators", _comparators(analysis, versions)),
        ("Searchlight", _searchlight(analysis)),
        ("Statistics over participants", _statistics(analysis)),
    )
    paragraphs = tuple((title, text) for title, text in parts if text)
    said = " ".join(text for _, text in paragraphs)
    cited = sorted(work["full"] for work in _works().values() if work["short"] in said)
    return Methods(paragraphs, tuple(cited))


def methods_text(
    analysis: Analysis, versions: Mapping[str, str], inputs: Mapping[str, ClipInput]
) -> str:
    """Return the methods of this analysis as Markdown, with the list of works cited."""
    text = methods(analysis, versions, inputs)
    parts = ["# Methods", *(f"## {title}\n\n{body}" for title, body in text.paragraphs)]
    parts += ["## References", "\n".join(f"- {work}" for work in text.references)]
    return "\n\n".join(parts) + "\n"


@cache
def _works() -> dict[str, dict[str, str]]:
    source = files("bidsapp.reports").joinpath("references.yaml")
    return dict(yaml.safe_load(source.read_text(encoding="utf-8")))


def _cite(*keys: str) -> str:
    return "; ".join(_works()[key]["short"] for key in keys)


def _called(name: str, versions: Mapping[str, str]) -> str:
    """Return the name of a program with its version, where that is known."""
    folded = {key.lower(): version for key, version in versions.items()}
    version = folded.get(name.lower())
    return f"{name} {version}" if version else name


def _software(analysis: Analysis, versions: Mapping[str, str]) -> str:
    movie = analysis.movie
    return (
        f"The analysis {analysis.name} compares responses to a film (task {movie.task}, "
        f"{len(movie.runs)} runs) with vision models. It was computed with "
        f"{_called('moviersa', versions)}, which runs its steps with {_called('nipype', versions)} "
        f"({_cite('nipype')}) on data in the Brain Imaging Data Structure ({_cite('bids')}). "
        f"Preprocessing was done before by {_called('fMRIPrep', versions)} ({_cite('fmriprep')}) "
        f"and is described in its own report. The method follows {_cite('paper')}."
    )


def _functional(analysis: Analysis, versions: Mapping[str, str]) -> str:
    functional, localizer = analysis.functional, analysis.localizer
    if localizer is None or not functional.regions:
        return ""
    contested = (
        "A voxel could belong to several regions."
        if functional.allow_overlap
        else "A voxel claimed by several regions went to the one with the higher t in its own "
        "contrast, ties to the nearer peak, and the others were filled up from their spheres."
    )
    radii = sorted(
        {sphere.radius_mm for region in functional.regions for sphere in region.search.values()}
    )
    names = _words([region.name for region in functional.regions])
    return (
        f"{_glm(localizer, versions)} The functional regions were {names}. For each region and "
        f"hemisphere a published centre in {functional.template} was carried into the "
        f"participant's own space as a point; the voxel of highest t within {_between(radii)} mm "
        f"of it became the centre of a sphere. {_sizes(analysis)} {contested} "
        f"A region whose peak lay under z = {functional.min_peak_z:g}, or that had "
        "fewer voxels, was kept and flagged."
    )


def _sizes(analysis: Analysis) -> str:
    functional = analysis.functional
    text = (
        f"The spheres, of {functional.sphere_mm:g} mm radius, of both hemispheres were joined and "
        f"their {functional.voxels} voxels of highest t taken."
        if analysis.hemispheres == "joined"
        else f"Of each hemisphere's sphere, of {functional.sphere_mm:g} mm radius, the "
        f"{functional.voxels} voxels of highest t were taken, the hemispheres being separate "
        "regions."
    )
    own = [
        f"{region.name}: {functional.voxels_of(region.name)} voxels, "
        f"{functional.sphere_of(region.name):g} mm"
        for region in functional.regions
        if region.voxels is not None or region.sphere_mm is not None
    ]
    return f"{text} Of other size were {_words(own)}." if own else text


def _glm(localizer: Localizer, versions: Mapping[str, str]) -> str:
    hrf = _HRF[localizer.hrf_model].format(glover=_cite("glover"), spm=_cite("spm"))
    confounds = _words([*localizer.confounds, "non-steady-state volumes"])
    contrasts = "; ".join(f"{name}: {_sides(its)}" for name, its in localizer.contrasts.items())
    smoothing = (
        f"smoothed with a kernel of {localizer.smoothing_fwhm_mm:g} mm full width at half maximum"
        if localizer.smoothing_fwhm_mm
        else "left unsmoothed"
    )
    return (
        f"The localizer (task {localizer.task}, {_runs(localizer.runs)}) was {smoothing} and "
        f"modelled with {_called('nilearn', versions)} ({_cite('nilearn')}) as blocks convolved "
        f"with {hrf}, with cosine drifts up to a period of {localizer.high_pass_s:g} s, "
        f"{_NOISE[localizer.noise_model]}, and the confounds {confounds}. Contrasts weighed "
        f"conditions against each other ({contrasts})."
    )


def _atlas(analysis: Analysis, versions: Mapping[str, str]) -> str:
    atlas = analysis.atlas
    if not atlas.regions:
        return ""
    source = f" ({_cite('wang')})" if atlas.name == "Wang2015" else ""
    return (
        f"The atlas regions {_words(atlas.regions)} were taken from the probability maps of "
        f"{atlas.name}{source}, carried from {atlas.template} into the participant's own space by "
        f"linear interpolation with {_called('SimpleITK', versions)} ({_cite('simpleitk')}). A "
        "voxel was left out where lying outside all areas of its hemisphere was at least as "
        "probable as lying in one; otherwise it went to its most probable area."
        f"{' Hemispheres were kept apart.' if analysis.hemispheres == 'separate' else ''}"
    )


def _masks(analysis: Analysis) -> str:
    masks = analysis.masks
    if not masks.regions:
        return ""
    cut = [region.name for region in masks.regions if region.threshold is not None]
    whole = [region.name for region in masks.regions if region.threshold is None]
    carried = []
    if whole:
        carried.append(
            f"Masks and labels ({_words(whole)}) were carried to each run's grid by nearest "
            "neighbour."
        )
    if cut:
        carried.append(
            f"Maps ({_words(cut)}) were carried to each run's grid linearly and cut at their "
            "thresholds after that."
        )
    halves = (
        " Masks that held both hemispheres were parted at the midline of the template."
        if analysis.hemispheres == "separate" and not all(r.sides for r in masks.regions)
        else ""
    )
    return (
        f"The regions {_words([region.name for region in masks.regions])} were given as files of "
        f"the dataset {masks.dataset}. {' '.join(carried)}{halves} Voxels outside of the run's "
        "brain mask were left out."
    )


def _brain(analysis: Analysis) -> str:
    denoise = analysis.denoise
    removed = ["an intercept"]
    if denoise.compcor.components:
        mask = {"combined": "the combined white-matter and CSF mask", "WM": "the white-matter mask"}
        removed.insert(
            0,
            f"the first {denoise.compcor.components} aCompCor components ({_cite('compcor')}) of "
            f"{mask.get(denoise.compcor.mask, 'the CSF mask')}",
        )
    if denoise.cosines:
        removed.insert(-1, "fMRIPrep's cosine drifts")
    if denoise.columns:
        removed.insert(-1, f"the confounds {_words(denoise.columns)}")
    scaled = "scaled to unit variance" if denoise.scale else "not scaled"
    smoothed = (
        "Movie data were smoothed within the brain mask with a kernel of "
        f"{denoise.smoothing_fwhm_mm:g} mm full width at half maximum. "
        if denoise.smoothing_fwhm_mm
        else ""
    )
    return (
        f"{smoothed}From each voxel of a region, run by run, {_words(removed)} were regressed out "
        f"in one step; residuals were {scaled}. {_censoring(denoise.censor)}The "
        f"dissimilarity of two volumes of a run was {_DISTANCE[analysis.dissimilarity.brain]} "
        f"their patterns over the region's voxels ({_cite('rsa')})."
    )


def _censoring(censor: Censor) -> str:
    """Say which volumes were left out; nothing where none were."""
    measures = {
        "framewise_displacement_mm": "a framewise displacement over {} mm ({})",
        "standardized_dvars": "a standardised DVARS over {}",
    }
    over = [
        measures[key].format(f"{threshold:g}", _cite("fd"))
        for key, (_, threshold) in censor.thresholds.items()
    ]
    if not over:
        return ""
    spread = (
        f", and {censor.before} before and {censor.after} after each of them,"
        if censor.before or censor.after
        else ""
    )
    return (
        f"Volumes with {' or '.join(over)}{spread} were censored: each had a regressor of its own "
        "and enters no dissimilarity. A run of which fewer than "
        f"{censor.min_volumes} volumes were left was not used. "
    )


def _framing(movie: Movie) -> str:
    """Say how frames were cut and resized, and a film of another rate matched."""
    steps, bars = [], movie.letterbox
    if bars.top or bars.bottom or bars.left or bars.right:
        steps.append(
            f"freed of bars ({bars.top} and {bars.bottom} rows above and below, {bars.left} and "
            f"{bars.right} columns left and right)"
        )
    side = f"{movie.crop} pixels" if movie.crop else "square"
    steps.append(f"cropped to the central {side}")
    if movie.resize:
        steps.append(f"resized to {movie.resize} pixels")
    text = f" Frames were {_words(steps)}."
    if movie.other_rate == "refuse":
        return text
    how = "time" if movie.other_rate == "by_time" else "number"
    return (
        f"{text} Film files of another rate than {movie.frame_rate:g} frames a second were matched "
        f"to the frames shown by {how}."
    )


def _windows(inputs: Mapping[str, ClipInput]) -> str:
    """Say in one sentence which networks are given several frames at once; nothing if none is."""
    alike: dict[str, list[str]] = {}
    for name, its in inputs.items():
        if its.window > 1:
            frames = (
                f"{its.window} consecutive frames"
                if its.stride == 1
                else f"{its.window} frames, every {_ordinal(its.stride)} one of the film,"
            )
            date = {"forward": "first frame", "centred": "middle"}[its.placement]
            alike.setdefault(f"{frames} dated by its {date}", []).append(name)
    if not alike:
        return ""
    told = "; ".join(f"{_words(names)}, a window of {window}" for window, names in alike.items())
    return f"Several frames at once were given to {told}."


def _models(
    analysis: Analysis, versions: Mapping[str, str], inputs: Mapping[str, ClipInput]
) -> str:
    movie = analysis.movie
    placed = (
        "at the onsets that the events files report (the median over participants)"
        if movie.frame_timing == "events"
        else "by the film's nominal frame rate"
    )
    framed = _framing(movie)
    networks = [name for name in analysis.models if analysis.feature_table(name) is None]
    tables = [table for name in analysis.models if (table := analysis.feature_table(name))]
    sentences = []
    if networks:
        sentences.append(
            f"The models {_words(networks)} were computed with {_called('PyTorch', versions)} "
            f"({_cite('torch')}) on every {_ordinal(movie.frame_step)} frame, frames being placed "
            f"in time {placed}.{framed} Volumes were compared within each of their layers."
        )
    if windows := _windows({name: inputs[name] for name in networks if name in inputs}):
        sentences.append(windows)
    if analysis.dissimilarity.models:
        others = [f"{name} ({kind})" for name, kind in analysis.dissimilarity.models.items()]
        sentences.append(f"Another dissimilarity than the catalogue's had {_words(others)}.")
    if tables:
        named = _words([f"{table.name} ({table.dissimilarity} distance)" for table in tables])
        sentences.append(f"Given as tables of features over time were the models {named}.")
    sentences.append(
        f"Features were convolved with the canonical double-gamma response ({_cite('spm')}) over "
        f"{movie.hrf_s:g} s and read at the volumes' times."
    )
    return " ".join(sentences)


def _similarity(analysis: Analysis) -> str:
    fits = _words([_FITS[fit].format(nnls=_cite("nnls")) for fit in analysis.fits])
    sentences = [
        "For each participant, region and model, the brain's dissimilarities in one run were "
        "predicted from those of the model's layers with weights learned on the other runs, by "
        f"{fits}, and similarity was the Pearson correlation of prediction and brain, averaged "
        "over the runs left out."
    ]
    if "replicate" in analysis.modes:
        sentences.append(
            "The mode replicate follows the paper: all pairs of volumes of a run, weights fitted "
            "in each training run apart and averaged. Slow fluctuations of the signal make "
            "neighbouring volumes alike in brain and model whatever the model is, so its values "
            f"are above zero without any effect (compare {_cite('drift')})."
        )
        if analysis.replicate.lag_regressors_s:
            decays = _words([f"{tau:g}" for tau in analysis.replicate.lag_regressors_s])
            sentences.append(
                f"Exponential decays ({decays} s) over the time between two volumes, that time and "
                "its square were regressed out of all dissimilarities of this mode."
            )
    if "robust" in analysis.modes:
        sentences.append(_robust(analysis))
    return " ".join(sentences)


def _unique(analysis: Analysis) -> str:
    if len(analysis.models) < 2:
        return ""
    return (
        "For each ordered pair of models, a control and a target, the control's prediction was "
        "taken off the brain's dissimilarities in all runs, and the target, with weights learned "
        "on the rest in the training runs, was correlated with the rest in the run left out. The "
        "gain in explained variance is that of the layers of both models, fitted together, less "
        "that of the control. Controls fitted with ridge or non-negative weights leave a part of "
        "what they could explain to the target; ordinary least squares do not. The variance that "
        "all models explain together, by ordinary least squares, was shared among them by the "
        "product measure."
    )


def _robust(analysis: Analysis) -> str:
    robust = analysis.robust
    shared = any(run.shared_with_next_s for run in analysis.movie.runs)
    trimmed = (
        "the film shared with the next run was trimmed from the end of each run, "
        if robust.trim_shared_film and shared
        else ""
    )
    return (
        f"The mode robust guards against this: {trimmed}pairs nearer than {robust.min_lag_s:g} s, "
        "counted around the run's ends too, were left out, the mean at each lag was subtracted "
        "from every dissimilarity matrix, and one fit was made on the training runs together."
    )


def _comparators(analysis: Analysis, versions: Mapping[str, str]) -> str:
    spec = analysis.comparators
    if not spec.methods:
        return ""
    works = {key: _cite(key) for key in ("inference", "whitening", "cka", "hsic")}
    ways = _words([_COMPARATORS[method].format(**works) for method in spec.methods])
    what = "the dissimilarities of each layer and of " if spec.layers else "those of "
    return (
        f"Beside regression, {what}the prediction from all layers of a model (fit {spec.fit}) were "
        f"compared with each region's by {ways}, computed with "
        f"{_called('rsatoolbox', versions)} where it has them. In the mode replicate these values "
        "are inflated by slow fluctuations too."
    )


def _searchlight(analysis: Analysis) -> str:
    spec = analysis.searchlight
    if not analysis.mapped_models:
        return ""
    step = "every voxel" if spec.stride == 1 else f"every {_ordinal(spec.stride)} voxel a side"
    return (
        f"Spheres of {spec.radius_mm:g} mm round {step} of the participant's {spec.centres} were "
        f"scored as regions are (mode {spec.mode}, fit {spec.fit}; {_cite('searchlight')}) for "
        f"{_words(spec.names)}. The maps have no threshold."
    )


def _statistics(analysis: Analysis) -> str:
    return (
        "Over participants, correlations were averaged, and tested on their Fisher z values with "
        "a two-sided t-test and a sign-flip test (every flip up to 15 participants); p values were "
        "corrected within one mode, fit and set of regions (Bonferroni, and false discovery rate, "
        f"{_cite('fdr')}). These tests treat the film as fixed. {_null(analysis)}"
        f"{_intervals(analysis.statistics.bootstrap_draws)}Noise "
        "ceilings are the mean correlation of a participant's dissimilarities with those of each "
        "other participant (as in the paper), and the correlation with the mean of the others "
        f"(lower) and of all participants (upper; {_cite('ceiling')})."
    )


def _intervals(draws: int) -> str:
    if not draws:
        return ""
    return (
        "95% intervals for other participants and runs are the mean, plus and minus Student's t "
        "(degrees of freedom: the smaller of participants and runs, less one) times a standard "
        "error from resampling both, with a correction for doing so at once "
        f"({draws} draws; {_cite('bootstrap')}). "
    )


def _null(analysis: Analysis) -> str:
    draws = {fit: getattr(analysis.statistics.null_draws, fit) for fit in analysis.fits}
    made = [f"{n} draws for {fit}" for fit, n in draws.items() if n]
    if not made:
        return ""
    return (
        "Each mean correlation was also compared, one-sided, with those of models shifted in time: "
        "the dissimilarity matrices of all models were shifted circularly, each run by its own "
        "number of volumes, at least 20 from either end, all fits were repeated, and p_null is the "
        f"share of scores at least as high, the observed one among them ({_words(made)}; "
        f"{_cite('permutation')}); p_null_max takes the highest of all models at each draw "
        f"({_cite('maximum')}). "
    )


def _sides(contrast: Contrast) -> str:
    if contrast.weights is None:
        return f"{_words(contrast.plus)} against {_words(contrast.minus)}"
    return _words([f"{name} {weight:+g}" for name, weight in contrast.weights.items() if weight])


def _words(names: Sequence[str]) -> str:
    """Join words as a sentence does."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _runs(runs: Sequence[str]) -> str:
    return f"run {runs[0]}" if len(runs) == 1 else f"runs {_words(runs)}"


def _between(values: Sequence[float]) -> str:
    return f"{values[0]:g}" if len(values) == 1 else f"{values[0]:g} to {values[-1]:g}"


def _ordinal(step: int) -> str:
    words = {1: "single", 2: "second", 3: "third", 4: "fourth", 5: "fifth"}
    return words.get(step, f"{step}th")
