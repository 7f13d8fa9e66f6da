"""Whether a run's events and its film speak of the same frames, and what is odd about them."""

from collections.abc import Mapping
from pathlib import Path

from bidsapp.dataset.frames import (
    FrameLog,
    FrameOnsets,
    implied_rate,
    read_frame_log,
    stalls,
)
from bidsapp.errors import InputError
from bidsapp.vision.stretches import Stretch

# Real onsets waver by 0.2 s about an even rate; over a run the rate itself is good to 0.03 s.
_ONSETS_WAVER_S = 0.5


def read_logs(
    run: str, events: Mapping[str, Path], first_frame_index: int
) -> tuple[dict[str, FrameLog], list[str]]:
    """Read a run's events by participant; say whose cannot be used and are left out.

    Raises
    ------
    InputError
        No one's can be used.
    """
    logs, errors = {}, {}
    for name, path in events.items():
        try:
            logs[name] = read_frame_log(path, first_frame_index)
        except InputError as error:
            errors[name] = error
    if not logs:
        raise next(iter(errors.values()))
    return logs, [f"run {run}: {_left_out(name)}: {error}" for name, error in errors.items()]


def of_one_rate(
    run: str, stretch: Stretch, logs: Mapping[str, FrameLog]
) -> tuple[dict[str, FrameLog], list[str]]:
    """Keep the events whose ``videotime``, if any, counts frames at the rate they are shown at.

    That is to a frame over the run.

    Returns
    -------
    tuple of dict and list of str
        The logs that do, and whose do not and are left out.

    Raises
    ------
    InputError
        Half of the participants' or more count at another rate, so that the film is the odd one.
    """
    shown = float(stretch.shown_rate)
    stated = {
        name: implied_rate(log.video_s.index.to_numpy(), log.video_s.to_numpy(), shown)
        for name, log in logs.items()
        if log.video_s is not None
    }
    wrong = {name: found for name, found in stated.items() if found[1] > 1 / shown}
    if 2 * len(wrong) >= len(logs):
        raise InputError(_another_rate(run, stretch, "videotime", wrong))
    return {name: log for name, log in logs.items() if name not in wrong}, [
        f"run {run}: {_left_out(name)}: its videotime counts {rate:.5g} frames a second, not "
        f"{shown:.5g}: over the run the two part by {apart:.1f} s"
        for name, (rate, apart) in wrong.items()
    ]


def check_onsets(
    run: str, stretch: Stretch, logs: Mapping[str, FrameLog], onsets: FrameOnsets
) -> list[str]:
    """Compare the rate at which frames followed each other on the screen with that of the film.

    Returns
    -------
    list of str
        That the film was shown faster or slower than its own ``videotime`` says: its frames are
        still where the events put them.

    Raises
    ------
    InputError
        No one's events have a ``videotime``, so that the events may count other frames.
    """
    shown = float(stretch.shown_rate)
    rate, apart = implied_rate(onsets.index, onsets.onset_s, shown)
    if apart <= _ONSETS_WAVER_S:
        return []
    if all(log.video_s is None for log in logs.values()):
        raise InputError(_another_rate(run, stretch, "onset", dict.fromkeys(logs, (rate, apart))))
    return [
        f"run {run}: frames were shown at {rate:.3f} a second, the film has {shown:g}: over the "
        f"run that is {apart:.1f} s; the measured onsets are used"
    ]


def odd_events(
    run: str, stretch: Stretch, logs: Mapping[str, FrameLog], onsets: FrameOnsets
) -> list[str]:
    """Say what is odd about a run's events, and in whose; the median is used all the same."""
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
            "the events go on after the film's last frame, too late for any volume: "
            f"{', '.join(lacking)}"
        )
    return said


def _left_out(name: str) -> str:
    return f"sub-{name} does not count for the timing of frames"


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
