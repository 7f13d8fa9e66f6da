"""The stretch of a film file that a run showed: which file frame is its first, second, third ..."""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from pathlib import Path
from typing import Literal

from bidsapp.errors import InputError
from bidsapp.vision.film import FilmFacts, film_facts

OtherRate = Literal["refuse", "by_time", "by_number"]
# Rates are written with two or three decimals; 24 and 24000/1001 differ by 1e-3.
_SAME_RATE = 5e-4


@dataclass(frozen=True)
class Stretch:
    """Consecutive frames as they were shown, and where in the file they are.

    Attributes
    ----------
    path
        The film file.
    first
        Frame of the file that is shown first, counted from 0.
    n_frames
        Frames shown.
    file_rate, shown_rate
        Frames a second of the file, and on the screen.
    by_time
        Where the rates differ: whether a shown frame is the file's at the same time since the
        first, or else the file's of the same number.
    """

    path: Path
    first: int
    n_frames: int
    file_rate: Fraction
    shown_rate: Fraction
    by_time: bool = False

    @property
    def step(self) -> Fraction:
        """File frames for each shown frame."""
        return self.file_rate / self.shown_rate if self.by_time else Fraction(1)

    @property
    def duration_s(self) -> float:
        """How long it was on the screen, in seconds."""
        return float(self.n_frames / self.shown_rate)

    def file_frame(self, shown: int) -> int:
        """Return the file's frame that a player shows as frame ``shown``, both from 0."""
        return self.first + floor(shown * self.step)


def cut(
    path: Path,
    start_s: float = 0.0,
    duration_s: float | None = None,
    shown_rate: float | None = None,
    other_rate: OtherRate = "refuse",
) -> Stretch:
    """Find a stretch's frames in its file.

    A start between two frames counts as the nearer one: 1752.08 s at 25 frames a second is frame
    43802 whatever its last digits are as a binary number.

    Parameters
    ----------
    path
        The film.
    start_s
        Where in the file the stretch begins. With ``by_number`` seconds are of the shown film.
    duration_s
        How long it is shown; None: to the end of the file.
    shown_rate
        Frames a second on the screen; None: the file's.
    other_rate
        What to do if the file has another rate: refuse it; ``by_time``: the file is the same film
        at the same speed, converted to its rate; ``by_number``: the file has the same frames, only
        faster or slower.

    Raises
    ------
    InputError
        The film cannot be read, has another rate, or ends more than a frame before the stretch.
    """
    facts = film_facts(path)
    rate = shown = facts.frame_rate
    if shown_rate is not None and not same_rate(shown_rate, rate):
        shown = exact_rate(shown_rate)
        if other_rate == "refuse":
            raise InputError(_other_rate(path, facts, shown_rate))
    by_time = shown != rate and other_rate == "by_time"
    first = round(start_s * (rate if by_time else shown))
    stretch = Stretch(path, first, 0, rate, shown, by_time)
    there = max(0, ceil((facts.n_frames - first) / stretch.step))
    wanted = there if duration_s is None else round(duration_s * shown)
    if there == 0 or wanted - there > 1:
        needed = stretch.file_frame(max(wanted, 1) - 1) + 1
        raise InputError(
            f"{path}: the film ends before the run does: {needed} frames needed, {facts.n_frames} "
            "found; check start_s and duration_s, or give the whole film"
        )
    return Stretch(path, first, min(wanted, there), rate, shown, by_time)


def same_rate(a: float | Fraction, b: float | Fraction) -> bool:
    """Tell whether two frame rates are one, written with more or fewer decimals."""
    return abs(float(a) - float(b)) <= _SAME_RATE * float(b)


def exact_rate(rate: float) -> Fraction:
    """Return the fraction that a rate stands for: 23.976 is 24000/1001, 25.0 is 25."""
    ntsc = Fraction(round(rate) * 1000, 1001)
    if rate != round(rate) and same_rate(rate, ntsc):
        return ntsc
    return Fraction(rate).limit_denominator(1001)


def _other_rate(path: Path, facts: FilmFacts, shown_rate: float) -> str:
    rate = float(facts.frame_rate)
    apart = abs(facts.n_frames / rate - facts.n_frames / shown_rate)
    return (
        f"{path} has {rate:g} frames a second, but movie.frame_rate is {shown_rate:g}: over its "
        f"{facts.n_frames} frames the two part by {apart:.1f} s. Set movie.other_rate to by_time "
        "if the file is the film at the same speed, converted to its rate; to by_number if it has "
        "the same frames, only faster or slower; or give the film that was shown"
    )
