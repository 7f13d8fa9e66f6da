"""What of films is worth a warning: their pictures, their sizes and their rates."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from bidsapp.vision.catalogue import ModelEntry
from bidsapp.vision.film import film_facts
from bidsapp.vision.framing import Framing
from bidsapp.vision.runs import PlacedRun
from bidsapp.vision.stretches import same_rate

_USUAL_RATE = 25  # frames a second of the paper's film, for which the catalogue's windows are made


def odd_films(framing: Framing, runs: Sequence[PlacedRun]) -> list[str]:
    """Name films whose pictures are not what is taken for granted, or that differ from each other.

    Parameters
    ----------
    framing
        How frames are cut.
    runs
        With their films.
    """
    films = dict.fromkeys(film.film for film in runs)
    said = [f"{path.name}{text}" for path in films for text in _odd_picture(framing, path)]
    facts_of_all = [film_facts(film.film) for film in runs]
    sizes = Counter((facts.width, facts.height) for facts in facts_of_all)
    rates = Counter(film.stretch.shown_rate for film in runs)
    if len(sizes) > 1:
        named = ", ".join(f"{width} x {height}" for width, height in sizes)
        said.append(f"the films of the runs differ in size: {named}")
    if len(rates) > 1:
        named = ", ".join(f"{float(rate):.5g}" for rate in rates)
        said.append(f"the runs differ in frames a second: {named}")
    return said


def odd_windows(entries: Iterable[ModelEntry], runs: Sequence[PlacedRun]) -> list[str]:
    """Say by how much windows, which count frames, last longer or shorter than at 25 a second.

    Parameters
    ----------
    entries
        The models; those that see one frame at a time are no matter.
    runs
        With the rates at which frames were shown.
    """
    names = ", ".join(entry.name for entry in entries if entry.input.window > 1)
    rates = dict.fromkeys(film.stretch.shown_rate for film in runs)
    return [
        f"the film has {float(rate):.5g} frames a second, so that windows of several frames last "
        f"{float(_USUAL_RATE / rate):.3g} times as long as at {_USUAL_RATE}: {names}"
        for rate in rates
        if names and not same_rate(rate, _USUAL_RATE)
    ]


def _odd_picture(framing: Framing, path: Path) -> Iterator[str]:
    facts = film_facts(path)
    width, height = framing.picture(facts.width, facts.height)
    if facts.n_missing:
        yield (
            f" lacks {facts.n_missing} of {facts.n_frames} frames; the ones before them are held"
        )
    if facts.pixel_aspect != 1:
        yield (
            f": its pixels are not square ({facts.pixel_aspect:.3f} wide for 1 high), so that "
            "networks see a squeezed picture; rewrite it with square ones"
        )
    if framing.crop and framing.crop > min(width, height):
        yield (
            f": a crop of {framing.crop} is more than its picture of {width} x {height} pixels; "
            "what lies beyond is black"
        )
