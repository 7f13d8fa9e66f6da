"""The moments that load most on the components, as pictures of film frames and their flow."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from skimage.color import rgb2gray
from skimage.transform import downscale_local_mean

from bidsapp.dataset.derivatives import read_json
from bidsapp.dataset.stimuli import find_film
from bidsapp.errors import InputError
from bidsapp.reports.blocks import Album
from bidsapp.reports.figures import Moment, moment_pairs
from bidsapp.reports.outputs import Outputs, read_columns
from bidsapp.reports.page import Block, Notes, listed
from bidsapp.vision.decoding import Damage, decode
from bidsapp.vision.flow import optic_flow
from bidsapp.vision.stretches import Stretch, cut

COLUMNS = ("mode", "component", "sign", "rank", "run", "onset_a", "onset_b", "loading")
Pixels = NDArray[np.uint8]
RESPONSE_S = 5.0
"""How long before a volume its frame was shown: SPM's response is highest after 5 s."""
_SHOWN = 3  # pairs of each component and sign
_WIDTH = 160  # pixels of a frame on the page


def frame_pair_blocks(outputs: Outputs, album: Album, stimuli: Path | None) -> Iterator[Block]:
    """Draw the frames of the highest and lowest loadings on each component, a figure a mode."""
    path = outputs.group_path("framepairs")
    table = read_columns(path, COLUMNS)
    if table.empty:
        yield Notes((f"{album.relative(path)} holds no pairs: nothing to draw.",))
        return
    if stimuli is None:
        yield Notes(("Film frames are drawn where the group level is given --stimuli.",))
        return
    film = _Film(outputs, stimuli)
    for mode in outputs.analysis.modes:
        ours = table[(table["mode"] == mode) & (table["rank"] <= _SHOWN)]
        if ours.empty:
            yield Notes((f"{album.relative(path)} holds no pairs of {mode}.",))
            continue
        rows = {
            f"{_named(str(component))}, {sign} loadings": [
                _pair(film, row) for _, row in its.sort_values("rank").iterrows()
            ]
            for (component, sign), its in ours.groupby(["component", "sign"], sort=False)
        }
        yield album.picture(
            f"framepairs-{mode}",
            moment_pairs(rows),
            alt=f"Pairs of film frames with the highest and lowest loadings, mode {mode}: "
            f"{listed(rows)}.",
            caption=f"Pairs of moments that load most on the components of layers, mode {mode}: "
            f"whole frames shown {RESPONSE_S:g} s before the two volumes, when the response to "
            "them is highest (the film's first frame for volumes before that). Times are in the "
            "run, of the frames. Arrows: optic flow to the next frame (TV-L1), on one scale.",
            source=path,
        )


def _named(component: str) -> str:
    return f"Component {component.removeprefix('pc')}"


def _pair(film: "_Film", row: "pd.Series[float]") -> tuple[str, Moment, Moment]:
    run = str(row["run"])
    two = [film.moment(run, float(row[f"onset_{name}"]) - RESPONSE_S) for name in "ab"]
    return f"run {run}, loading {row['loading']:.3g}", two[0], two[1]


@dataclass(frozen=True)
class _Film:
    """The frames of the runs' films, by the time of the runs."""

    outputs: Outputs
    stimuli: Path

    def moment(self, run: str, time_s: float) -> Moment:
        """Return the frame on the screen so many seconds after the run's start, and its flow."""
        stretch, first_s = self._placed(run)
        rate = float(stretch.shown_rate)
        index = int(np.clip(round((time_s - first_s) * rate), 0, stretch.n_frames - 2))
        first = min(stretch.file_frame(index), stretch.file_frame(stretch.n_frames - 1) - 1)
        here = replace(stretch, first=first, n_frames=2, by_time=False)
        frames = [
            _small(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8))
            for _, frame in decode(here, 2, damage=Damage(most=1.0))
        ]
        if len(frames) < 2:
            raise InputError(f"{stretch.path} cannot be decoded at frame {here.first}")
        per_second = float(stretch.file_rate) if stretch.by_time else rate
        flow = optic_flow(*map(rgb2gray, frames)) * per_second / frames[0].shape[1]
        minutes, seconds = divmod(round(index / rate + first_s, 1), 60)
        return Moment(frames[0], flow, f"{minutes:.0f}:{seconds:04.1f}")

    def _placed(self, run: str) -> tuple[Stretch, float]:
        """Find a run's stretch of film, and when its first frame was shown."""
        movie = self.outputs.analysis.movie
        spec = next((its for its in movie.runs if its.run == run), None)
        if spec is None:
            raise InputError(f"{self.outputs.group_path('framepairs')} names the unknown run {run}")
        where = (find_film(self.stimuli, spec.film), spec.start_s, spec.duration_s)
        stretch = cut(*where, movie.frame_rate, movie.other_rate)
        return stretch, _first_frame_s(self.outputs, run)


def _first_frame_s(outputs: Outputs, run: str) -> float:
    """Read when a run's film began from the record of any model's RDMs."""
    pattern = f"task-{outputs.analysis.movie.task}_run-{run}_*_relmat.json"
    for sidecar in sorted((outputs.tree.root / "stimuli").glob(pattern)):
        told = read_json(sidecar).get("Descriptors")
        if isinstance(told, dict) and "first_frame_s" in told:
            return float(told["first_frame_s"])
    raise InputError(
        f"no model RDM of run {run} says when its film began: run the stimulus level again to draw "
        "film frames"
    )


def _small(frame: Pixels) -> Pixels:
    """Average blocks of pixels, so that a frame is about `_WIDTH` pixels wide."""
    step = max(frame.shape[1] // _WIDTH, 1)
    height, width = (size // step for size in frame.shape[:2])
    whole = frame[: height * step, : width * step]
    small: Pixels = downscale_local_mean(whole, (step, step, 1)).round().astype(np.uint8)
    return small
