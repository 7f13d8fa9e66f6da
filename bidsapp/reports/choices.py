"""The table "paper's choice, ours, what it changes", of what holds for one analysis."""

from collections.abc import Iterator

from bidsapp.analysis.spec import Analysis
from bidsapp.reports.methods.wording import words
from bidsapp.reports.page import Block, Table, Text
from bidsapp.vision.catalogue import read_catalogue

Choice = tuple[str, str, str, str]
_AUTHOR = "-author"
_AS_THEIRS = ("resnet18-imagenet", "resnet18-haa500", "dinov2-base")  # no choice parts us there
_PAPERS_CROP, _PAPERS_SIZE = 720, 224


def choice_blocks(analysis: Analysis) -> Iterator[Block]:
    """Return the table of the main choices in which this analysis differs from the paper's."""
    yield Text(
        "What the paper (Karimi and Anzellotti) did, by its text or, where that is silent or "
        "differs, by its first author's scripts; and what this analysis does instead. The table "
        "is a selection; docs/replication.md, and the pages it names, have every difference."
    )
    yield Table(
        header=("step", "paper's choice", "this analysis", "what it changes"),
        rows=choices(analysis),
        caption="Main choices that differ from the paper's",
        wrapped=True,
    )


def choices(analysis: Analysis) -> tuple[Choice, ...]:
    """Name what differs from the paper: the step, its choice, ours, and what that changes."""
    return (
        *_preparation(analysis),
        *_regions(analysis),
        *_film(analysis),
        *_models(analysis),
        *_fits(analysis),
        *_inference(analysis),
    )


def _preparation(analysis: Analysis) -> Iterator[Choice]:
    yield (
        "preprocessing",
        "FAST, FLIRT and SPM",
        "fMRIPrep",
        "registration, and the masks that nuisance components come from",
    )
    denoise = analysis.denoise
    if (denoise.compcor.mask, denoise.compcor.components) != ("combined", 5):
        ours = f"{denoise.compcor.components} of {denoise.compcor.mask}"
        yield "CompCor", "5 components of the combined mask", ours, "what noise is left"
    if denoise.columns:
        yield "further confounds", "none", words(denoise.columns), "what noise is left"
    if denoise.censor.thresholds:
        over = [f"{column} over {value:g}" for column, value in denoise.censor.thresholds.values()]
        yield "censoring", "none", f"volumes with {words(over)}", "which pairs are compared"
    if denoise.smoothing_fwhm_mm:
        ours = f"{denoise.smoothing_fwhm_mm:g} mm FWHM"
        yield "smoothing of the movie", "none", ours, "neighbouring voxels share their signal"
    if denoise.scale:
        yield "scale of residuals", "as they are", "unit variance", "the weight of each voxel"


def _regions(analysis: Analysis) -> Iterator[Choice]:
    spec = analysis.functional
    if spec.regions:
        yield "localizer", "FEAT", "nilearn", "t maps, a little"
        if not spec.allow_overlap:
            yield (
                "voxels of two regions",
                "may be shared",
                "go to the region with the higher t",
                "regions differ in their voxels, and so in what they can show",
            )
        if (spec.voxels, spec.sphere_mm) != (80, 9.0):
            ours = f"{spec.voxels} voxels within {spec.sphere_mm:g} mm"
            yield "size", "80 voxels within 9 mm", ours, "how many voxels a pattern has"
    if analysis.hemispheres == "separate":
        yield "hemispheres", "joined", "separate", "twice the tests, on half the voxels"
    if analysis.masks.regions:
        ours = words([region.name for region in analysis.masks.regions])
        yield "regions from masks", "none", ours, "regions that the paper does not have"
    if analysis.dissimilarity.brain != "correlation":
        yield (
            "brain dissimilarity",
            "1 less Pearson r",
            analysis.dissimilarity.brain,
            "the mean response of a region counts too",
        )


def _film(analysis: Analysis) -> Iterator[Choice]:
    movie = analysis.movie
    if movie.frame_timing == "events":
        yield (
            "frame times",
            "by the nominal rate",
            "measured onsets of the events",
            "screens run late: models are placed where the film was",
        )
    if movie.hrf_s != 20:
        yield "haemodynamic response", "over 20 s", f"over {movie.hrf_s:g} s", "its late undershoot"
    bars = movie.letterbox
    if bars.top or bars.bottom or bars.left or bars.right:
        yield (
            "grey bars",
            "kept",
            f"cut off ({bars.top} and {bars.bottom} rows, {bars.left} and {bars.right} columns)",
            "networks see the picture alone",
        )
    if (movie.crop, movie.resize) != (_PAPERS_CROP, _PAPERS_SIZE):
        crop = f"central {movie.crop} pixels" if movie.crop else "central square"
        size = f", then {movie.resize}" if movie.resize else ""
        paper = f"central {_PAPERS_CROP} pixels, then {_PAPERS_SIZE}"
        yield "cut of frames", paper, f"{crop}{size}", "what networks see of the picture"


def _models(analysis: Analysis) -> Iterator[Choice]:
    known = read_catalogue()
    other = [name for name in analysis.models if f"{name}{_AUTHOR}" in known]
    theirs = {*_AS_THEIRS, *other, *(name for name in known if name.endswith(_AUTHOR))}
    further = [name for name in analysis.models if name not in theirs]
    if other:
        yield (
            "frames, windows and layers of networks",
            "as in the author's scripts (names with -author)",
            f"as they were trained: {words(other)}",
            "what these networks see, when, and at which point they are read (docs/models.md)",
        )
    if further:
        yield (
            "models",
            "twelve networks",
            f"also {words(further)}",
            "what the networks are compared with",
        )


def _fits(analysis: Analysis) -> Iterator[Choice]:
    if "robust" in analysis.modes:
        least = analysis.robust.min_lag_s
        yield (
            "pairs of volumes",
            "all",
            f"robust: at least {least:g} s apart, the mean of each lag subtracted",
            "what slow fluctuations add falls away; r is lower",
        )
        if analysis.robust.min_coverage:
            yield (
                "volumes",
                "all",
                "robust: those whose response window the film covers",
                "effects locked to the start of a run are excluded",
            )
        yield (
            "nuisance regression",
            "on all volumes",
            "robust: on the volumes used, the RDM expected of noise being regressed out",
            "slow models do not pass in noise",
        )
        yield (
            "fit",
            "each run apart, weights averaged",
            "robust: one fit on all training runs",
            "weights rest on all training pairs at once",
        )
        shared = any(run.shared_with_next_s for run in analysis.movie.runs)
        if shared and analysis.robust.trim_shared_film:
            yield (
                "film shown twice",
                "kept",
                "robust: the earlier run's end is left out",
                "no moment is in training and test",
            )
        if "ols" in analysis.fits and len(analysis.models) > 1:
            yield (
                "unique contributions",
                "what a control's layers leave",
                "robust: what these leave, and what brains that follow its features would have",
                "the control leaves less of its own part to the target",
            )
    others = [fit for fit in analysis.fits if fit != "nnls"]
    if others:
        yield (
            "regression",
            "linear (text), non-negative (script)",
            f"{words(others)} {'beside nnls' if 'nnls' in analysis.fits else 'without nnls'}",
            "signs of weights; ridge holds collinear layers in check",
        )
    if analysis.replicate.lag_regressors_s:
        ours = words([f"{lag:g} s" for lag in analysis.replicate.lag_regressors_s])
        yield "decays over the lag", "none", f"regressed out: {ours}", "slow fluctuations, in part"


def _inference(analysis: Analysis) -> Iterator[Choice]:
    draws = analysis.statistics.null_draws
    if draws.ols or draws.nnls or draws.ridge:
        yield (
            "test of a similarity",
            "t test over participants",
            "that, which takes the film as fixed, and p_null_fwe from models shifted in time",
            "whether the film, and not chance likeness of slow signals, makes r",
        )
    yield (
        "noise ceiling",
        "mean r with the other participants",
        "that, and lower and upper bounds",
        "what a model can reach at most",
    )
