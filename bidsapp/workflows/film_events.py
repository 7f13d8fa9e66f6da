"""Whether a run's events and its film speak of the same frames, and what is odd about them."""

from collections.abc import Mapping

from bidsapp.dataset.frames import FrameLog, FrameOnsets, implied_rate, stalls
from bidsapp.errors import InputError
from bidsapp.vision.stretches import Stretch

# Real onsets waver by 0.2 s about an even rate; over a run the rate itself is good to 0.03 s.
_ONSETS_WAVER_S = 0.5


def check_rate(
    run: str, stretch: Stretch, logs: Mapping[str, FrameLog], onsets: FrameOnsets
) -> list[str]:
    """Make sure that the events count frames at the rate at which the film is taken to be shown.

    Where there is a column ``videotime`` it says so to a frame; else the onsets do, to 0.5 s.

    Returns
    -------
    list of str
        That the film was shown faster or slower than its own time says: its frames are still
        where the events put them.

    Raises
    ------
    InputError
        The events count at another rate, so that all frames but the first few would be wrong.
    """
    shown = float(stretch.shown_rate)
    known = {name: log.video_s for name, log in logs.items() if log.video_s is not None}
    stated = {
        name: implied_rate(video_s.index.to_numpy(), video_s.to_numpy(), shown)
        for name, video_s in known.items()
    }
    wrong = {name: found for name, found in stated.items() if found[1] > 1 / shown}
    if wrong:
        raise InputError(_another_rate(run, stretch, "videotime", wrong))
    measured = implied_rate(onsets.index, onsets.onset_s, shown)
    if measured[1] <= _ONSETS_WAVER_S:
        return []
    if not stated:
        raise InputError(_another_rate(run, stretch, "onset", dict.fromkeys(logs, measured)))
    return [
        f"run {run}: frames were shown at {measured[0]:.3f} a second, the film has {shown:g}: over "
        f"the run that is {measured[1]:.1f} s; the measured onsets are used"
    ]


def odd_events(
    run: str, stretch: Stretch, logs: Mapping[str, FrameLog], onsets: FrameOnsets
) -> list[str]:
    """Say what is odd about a run's events, and in whose; none of it moves a frame's median."""
    rate = float(stretch.shown_rate)
    said = [
        f"frames of sub-{name} are {seconds:.2f} s off the others'"
        for name, seconds in onsets.deviating.items()
    ]
    stood = [
        f"sub-{name} {stall.seconds:.2f} s longer at frame {stall.frame + 1} of {len(log.onsets)}"
        for name, log in logs.items()
        for stall in stalls(log, rate)
    ]
    if stood:
        said.append(f"the screen stood still: {'; '.join(stood)}")
    said += [
        f"videotime of sub-{name} is more than a frame off in {n} of {len(log.onsets)} rows"
        for name, log in logs.items()
        if (n := _unsteady(log, rate))
    ]
    if onsets.index[0] > 0:
        said.append(
            f"the events' first frame is number {onsets.index[0]} of the film, counted from 0: "
            "check first_frame_index"
        )
    unknown = int(onsets.index[-1] - onsets.index[0]) + 1 - len(onsets.index)
    if unknown:
        said.append(f"the events lack {unknown} of {onsets.index[-1] + 1} frames")
    return [f"run {run}: {text}" for text in said]


def compare_ends(last_frames: Mapping[str, tuple[int, Stretch]]) -> list[str]:
    """Say in which runs film and events end more than a frame apart.

    Parameters
    ----------
    last_frames
        Run to the last frame that its events name, counted from 0, and its film.
    """
    more = {run: film.n_frames - 1 - last for run, (last, film) in last_frames.items()}
    films = {run: film for run, (_, film) in last_frames.items()}
    after = [_frames(run, n, films[run]) for run, n in more.items() if n > 1]
    lacking = [_frames(run, -n, films[run]) for run, n in more.items() if n < -1]
    said = []
    if after:
        said.append(
            f"the film goes on after the last frame of the events, which no one saw: "
            f"{', '.join(after)}"
        )
    if lacking:
        said.append(
            "the events go on after the film's last frame, all of it after the last volume: "
            f"{', '.join(lacking)}"
        )
    return said


def _frames(run: str, n: int, film: Stretch) -> str:
    return f"run {run} {n} frames ({n / float(film.shown_rate):.1f} s)"


def _unsteady(log: FrameLog, rate: float) -> int:
    if log.video_s is None:
        return 0
    off = log.video_s - log.video_s.index / rate
    return int(((off - off.median()).abs() > 1 / rate).sum())


def _another_rate(
    run: str, stretch: Stretch, column: str, wrong: Mapping[str, tuple[float, float]]
) -> str:
    who = ", ".join(f"sub-{name}" for name in wrong)
    rate, apart = next(iter(wrong.values()))
    shown = float(stretch.shown_rate)
    return (
        f"{stretch.path}, run {run}: the events of {who} count {rate:.5g} frames a second "
        f"({column}), but frames are taken at {shown:.5g}: over the run the two part by "
        f"{apart:.1f} s. Set movie.frame_rate to the events' rate, and, if the film has another, "
        "movie.other_rate to by_time (the film at the same speed, converted to its rate) or "
        "by_number (the same frames, only faster or slower)"
    )
