"""Sentences on how brain and models are compared, and what is tested."""

from collections.abc import Mapping

from bidsapp.analysis.spec import Analysis, Comparator, Fit, Mode
from bidsapp.reports.methods.wording import called, cite, ordinal, words

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
    "nnls": "non-negative least squares by block principal pivoting ({nnls}; {exchange})",
    "ridge": "ridge regression whose penalty was chosen by the explained variance in training "
    "runs left out in turn",
}


def similarity(analysis: Analysis) -> str:
    """Say how models are fitted to the brain, in each mode."""
    fits = words(
        [_FITS[fit].format(nnls=cite("nnls"), exchange=cite("exchange")) for fit in analysis.fits]
    )
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
            f"are above zero without any effect (compare {cite('drift')})."
        )
        if analysis.replicate.lag_regressors_s:
            decays = words([f"{tau:g}" for tau in analysis.replicate.lag_regressors_s])
            sentences.append(
                f"Exponential decays ({decays} s) over the time between two volumes, that time and "
                "its square were regressed out of all dissimilarities of this mode."
            )
    if "robust" in analysis.modes:
        sentences.append(_robust(analysis))
    return " ".join(sentences)


def _robust(analysis: Analysis) -> str:
    robust = analysis.robust
    shared = any(run.shared_with_next_s for run in analysis.movie.runs)
    covered = (
        f"volumes were left out if the film covered less than {100 * robust.min_coverage:g}% of "
        "their response window, weighted by the absolute haemodynamic response function, "
        if robust.min_coverage
        else ""
    )
    trimmed = (
        "the film shared with the next run was trimmed from the end of each run, "
        if robust.trim_shared_film and shared
        else ""
    )
    return (
        f"The mode robust guards against this: {covered}{trimmed}the nuisance regression was "
        "fitted on the volumes left, what autocorrelated noise alone is expected to have after "
        "that regression was regressed out of the brain's dissimilarities, pairs nearer than "
        f"{robust.min_lag_s:g} s, counted around the ends of these volumes too, were left out, the "
        "mean at each lag was subtracted from every dissimilarity matrix, and one fit was made on "
        "the training runs together. Of a model of one layer, with nothing to fit but the size, "
        "the correlation is that of the layer's own dissimilarities, with its sign."
    )


def unique(analysis: Analysis) -> str:
    """Say how models are compared with what others leave over; nothing for a single model."""
    if len(analysis.models) < 2:
        return ""
    fits = {mode: _unique_fits(analysis, mode) for mode in analysis.modes}
    by = [f"in the mode {mode} by {words(its)}" for mode, its in fits.items() if its]
    split = (
        "The variance that all models explain together, by ordinary least squares, was shared "
        f"among them by the product measure ({cite('product_measure')})."
    )
    if not by:
        return split
    sentences = [
        "For each ordered pair of models, a control and a target, the control's prediction was "
        "taken off the brain's dissimilarities in all runs, and the target, with weights learned "
        "on the rest in the training runs, was correlated with the rest in the run left out, "
        f"{words(by)}. The gain in explained variance is that of the layers of both models, "
        "fitted together, less that of the control.",
        _controlled(analysis) if fits.get("robust") else "",
        split,
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _unique_fits(analysis: Analysis, mode: Mode) -> list[str]:
    """Name the fits whose controls leave nothing of themselves to the target, or the paper's."""
    told: tuple[Fit, ...] = ("ols",) if mode == "robust" else ("ols", "nnls")
    names = {"ols": "ordinary least squares", "nnls": "non-negative least squares"}
    return [names[fit] for fit in told if fit in analysis.fits]


def _controlled(analysis: Analysis) -> str:
    """Say what a control is in robust, and how it is tested."""
    columns = (
        "In the mode robust, where each participant was fitted apart, a control had, beside the "
        "dissimilarities of each of its layers, those that a brain which follows the layer's "
        "features is expected to have after the participant's nuisance regression, without noise "
        "and with noise much larger than the features; what noise alone is expected to have was "
        "regressed out of all of these as it was of the brain's. There the control was regressed "
        "out of each run by itself."
    )
    draws = analysis.statistics.null_draws.unique
    if not draws:
        return columns
    return (
        f"{columns} The mean correlation was tested, one-sided, after {cite('residuals')}: the "
        "control was fitted to the brain's dissimilarities of each run, what it left was shifted "
        "in time as below, the fit was added back, and everything was fitted again "
        f"({draws} draws; p_null, and p_null_fwe, corrected over the ordered pairs of models and "
        "the regions of a set). A small p says that the target's dissimilarities add to the "
        "control's and to what its features predict; it does not prove that the target has "
        "features that the control lacks."
    )


def comparators(analysis: Analysis, versions: Mapping[str, str]) -> str:
    """Say how RDMs are compared beside regression; nothing where they are not."""
    spec = analysis.comparators
    if not spec.methods:
        return ""
    works = {key: cite(key) for key in ("inference", "whitening", "cka", "hsic")}
    ways = words([_COMPARATORS[method].format(**works) for method in spec.methods])
    what = "the dissimilarities of each layer and of " if spec.layers else "those of "
    return (
        f"Beside regression, {what}the prediction from all layers of a model (fit {spec.fit}) were "
        f"compared with each region's by {ways}, computed with "
        f"{called('rsatoolbox', versions)} where it has them. In the mode replicate these values "
        "are inflated by slow fluctuations too."
    )


def searchlight(analysis: Analysis) -> str:
    """Say what was mapped; nothing where nothing was."""
    spec = analysis.searchlight
    if not analysis.mapped_models:
        return ""
    step = "every voxel" if spec.stride == 1 else f"every {ordinal(spec.stride)} voxel a side"
    return (
        f"Spheres of {spec.radius_mm:g} mm round {step} of the participant's {spec.centres} were "
        f"scored as regions are (mode {spec.mode}, fit {spec.fit}; {cite('searchlight')}) for "
        f"{words(spec.names)}. The maps have no threshold."
    )


def statistics(analysis: Analysis, n_participants: int | None) -> str:
    """Say what was tested over participants; of a single one nothing but the null."""
    if n_participants == 1:
        return (
            "There was one participant, and therefore no test over participants, no interval and "
            f"no noise ceiling. {_null(analysis)}"
        ).strip()
    return (
        "Over participants, correlations were averaged, and tested on their Fisher z values with "
        "a two-sided t-test and a sign-flip test (every flip up to 15 participants); p values were "
        "corrected within one mode, fit and set of regions (Bonferroni, and false discovery rate, "
        f"{cite('fdr')}). These tests treat the film as fixed. {_null(analysis)}"
        f"{_both_factors(analysis)}Noise "
        "ceilings are the mean correlation of a participant's dissimilarities with those of each "
        "other participant (as in the paper), and the correlation with the mean of the others "
        f"(lower) and of all participants (upper; {cite('ceiling')})."
        f"{_comparator_ceilings(analysis)}"
    )


def _comparator_ceilings(analysis: Analysis) -> str:
    if not analysis.comparators.methods:
        return ""
    return (
        " Those of the other comparisons are the same with the comparison in place of the "
        "correlation, the others' and all participants' dissimilarities pooled as suits it."
    )


def _both_factors(analysis: Analysis) -> str:
    """Say what treats neither participants nor runs as fixed."""
    intervals = (
        "95% intervals for other participants and runs are the mean, plus and minus Student's t "
        "(degrees of freedom: the smaller of participants and runs, less one) times a standard "
        "error that treats both as random: the limit of a bootstrap of both, with its correction "
        f"for drawing both at once ({cite('inference')}). "
    )
    if len(analysis.models) < 2:
        return intervals
    return (
        f"{intervals}Models were compared in pairs by a two-sided t-test with such a standard "
        "error, of the difference of their Fisher z values in each participant and run left out, "
        "corrected likewise; so this test does not treat the film as fixed, but the sign-flip test "
        "of the same difference does. "
    )


def _null(analysis: Analysis) -> str:
    draws = {fit: getattr(analysis.statistics.null_draws, fit) for fit in analysis.fits}
    made = [f"{n} draws for {fit}" for fit, n in draws.items() if n]
    if not made:
        return ""
    claims = (
        ", and is the test of whether a model is found, in the mode robust"
        if "robust" in analysis.modes
        else ""
    )
    return (
        "Each mean correlation was compared, one-sided, with those of models shifted in time: "
        "the dissimilarity matrices of all models were shifted circularly, each run by its own "
        "number of volumes, at least 20 from either end, the same for all regions, all fits were "
        "repeated, and p_null is the share of scores at least as high, the observed one among them "
        f"({words(made)}; {cite('permutation')}). It is not corrected; p_null_max takes the "
        "highest of all models of a region at each draw. p_null_fwe compares each score less the "
        "mean of its draws, in their standard deviations, with the highest of all models and "
        f"regions of one mode, fit and set at each draw ({cite('maximum')}){claims}. q_null is the "
        "false discovery rate of that standardised score's p among those of the same model in all "
        "regions and draws. "
    )
