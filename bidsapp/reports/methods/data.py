"""Sentences on the dissimilarities of brain and models."""

from collections.abc import Mapping

from bidsapp.analysis.processing import COSINES_FROM_S
from bidsapp.analysis.spec import Analysis, Censor, Dissimilarity, Extraction, Movie
from bidsapp.reports.methods.wording import called, cite, counted, ordinal, place, were, words
from bidsapp.reports.methods.works import works
from bidsapp.vision.catalogue import ModelEntry

_DISTANCE: dict[Dissimilarity, str] = {
    "correlation": "1 less the Pearson correlation of",
    "euclidean": "the Euclidean distance of",
    "cosine": "1 less the cosine between",
}


def brain(analysis: Analysis, space: str) -> str:
    """Say how voxels were denoised and compared."""
    denoise = analysis.denoise
    removed = ["an intercept"]
    if denoise.compcor.components:
        mask = {"combined": "the combined white-matter and CSF mask", "WM": "the white-matter mask"}
        removed.insert(
            0,
            f"the first {denoise.compcor.components} aCompCor components ({cite('compcor')}) of "
            f"{mask.get(denoise.compcor.mask, 'the CSF mask')}",
        )
    if denoise.cosines:
        removed.insert(
            -1, f"the cosine drifts that fMRIPrep gives runs of {COSINES_FROM_S} s or more"
        )
    if denoise.columns:
        removed.insert(-1, f"the confounds {words(denoise.columns)}")
    scaled = "scaled to unit variance" if denoise.scale else "not scaled"
    smoothed = (
        "Movie data were smoothed within the brain mask with a kernel of "
        f"{denoise.smoothing_fwhm_mm:g} mm full width at half maximum. "
        if denoise.smoothing_fwhm_mm
        else ""
    )
    return (
        f"Movie data were taken in {place(space)}. {smoothed}From each voxel of a region, run by "
        f"run, {words(removed)} were regressed out in one step; residuals were {scaled}. "
        f"{_censoring(denoise.censor)}The dissimilarity of two volumes of a run was "
        f"{_DISTANCE[analysis.dissimilarity.brain]} their patterns over the region's voxels "
        f"({cite('rsa')})."
    )


def _censoring(censor: Censor) -> str:
    """Say which volumes were left out; nothing where none were."""
    measures = {
        "framewise_displacement_mm": "a framewise displacement over {} mm ({})",
        "standardized_dvars": "a standardised DVARS over {}",
    }
    over = [
        measures[key].format(f"{threshold:g}", cite("fd"))
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


def models(analysis: Analysis, versions: Mapping[str, str], known: Mapping[str, ModelEntry]) -> str:
    """Say how models saw the film, and how their responses were compared."""
    movie = analysis.movie
    placed = (
        "at the onsets that the events files report (the median over participants)"
        if movie.frame_timing == "events"
        else "by the film's nominal frame rate"
    )
    networks = [name for name in analysis.models if analysis.feature_table(name) is None]
    tables = [table for name in analysis.models if (table := analysis.feature_table(name))]
    sentences = []
    if networks:
        sentences.append(
            f"The {counted('model', networks)} {were(networks)} computed with "
            f"{called('PyTorch', versions)} ({cite('torch')}) on every "
            f"{ordinal(movie.frame_step)} frame, frames being placed in time {placed}."
            f"{_framing(movie)}"
        )
    entries = {name: known[name] for name in networks if name in known}
    sentences += [said for said in (_sources(entries), _windows(entries)) if said]
    if networks and not analysis.extraction.is_exact:
        sentences.append(_approximations(analysis.extraction))
    if tables:
        names = [table.name for table in tables]
        sentences.append(
            f"The {counted('model', names)} {were(names)} given as tables of features over time."
        )
    sentences.append(
        f"Features were convolved with the canonical double-gamma response ({cite('spm')}) over "
        f"{movie.hrf_s:g} s and read at the volumes' times."
    )
    kinds = {name: entry.dissimilarity for name, entry in entries.items()}
    kinds |= {table.name: table.dissimilarity for table in tables}
    what = "a layer's or table's" if tables else "a layer's"
    if told := _dissimilarities(kinds | analysis.dissimilarity.models, what):
        sentences.append(told)
    return " ".join(sentences)


def _sources(entries: Mapping[str, ModelEntry]) -> str:
    """Name the works that describe the networks; nothing where none is known."""
    described: dict[str, list[str]] = {}
    for name, entry in entries.items():
        kind = entry.architecture.split(":")[0]  # the library, of a network of another library
        keys = [cite(key) for key, work in works().items() if kind in work.architectures]
        if keys:
            described.setdefault(words(keys), []).append(name)
    told = "; ".join(f"{its} ({words(names)})" for its, names in described.items())
    return f"Networks are described in {told}." if told else ""


def _dissimilarities(kinds: Mapping[str, Dissimilarity], what: str) -> str:
    """Say how volumes were compared within a layer: in most models, and in which otherwise."""
    alike: dict[Dissimilarity, list[str]] = {}
    for name, kind in kinds.items():
        alike.setdefault(kind, []).append(name)
    if not alike:
        return ""
    most, *others = sorted(alike, key=lambda kind: -len(alike[kind]))
    but = "".join(f"; for {words(alike[kind])}, {_DISTANCE[kind]} them" for kind in others)
    return f"The dissimilarity of two volumes was {_DISTANCE[most]} {what} responses to them{but}."


def _approximations(extraction: Extraction) -> str:
    """Say what was not computed exactly."""
    how = []
    if extraction.autocast is not None:
        how.append(f"ran on a GPU with automatic casting to {extraction.autocast}")
    if extraction.projection is not None:
        how.append(
            f"had layers of more units reduced to {extraction.projection} dimensions by a sparse "
            f"random projection ({cite('sparse_projection')})"
        )
    return (
        f"Networks {' and '.join(how)}; what that changes in the RDMs of the first minute is in "
        "the files beside them."
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
    text = f" Frames were {words(steps)}."
    if movie.other_rate == "refuse":
        return text
    how = "time" if movie.other_rate == "by_time" else "number"
    return (
        f"{text} Film files of another rate than {movie.frame_rate:g} frames a second were matched "
        f"to the frames shown by {how}."
    )


def _windows(entries: Mapping[str, ModelEntry]) -> str:
    """Say in one sentence which networks are given several frames at once; nothing if none is."""
    alike: dict[str, list[str]] = {}
    for name, its in ((name, entry.input) for name, entry in entries.items()):
        if its.window > 1:
            frames = (
                f"{its.window} consecutive frames"
                if its.stride == 1
                else f"{its.window} frames, every {ordinal(its.stride)} one of the film,"
            )
            date = {"forward": "first frame", "centred": "middle"}[its.placement]
            alike.setdefault(f"{frames} dated by its {date}", []).append(name)
    if not alike:
        return ""
    told = "; ".join(f"{words(names)}, a window of {window}" for window, names in alike.items())
    return f"Several frames at once were given to {told}."
