"""The RDMs of every run on a participant's page, and what their files say of the runs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bidsapp.analysis.tasks import FilmRun
from bidsapp.arrays import Bools, Floats
from bidsapp.dataset.derivatives import RDMFile, read_rdms
from bidsapp.reports.blocks import Album
from bidsapp.reports.figures import RDM_PIXELS, RobustPairs, rdm_grid
from bidsapp.reports.outputs import Outputs
from bidsapp.reports.page import Block, Notes, Picture, Table, listed
from bidsapp.rsa.pairs import lag_in_volumes
from bidsapp.rsa.rdm import volume_defined

MEASURES = {"correlation": "1 − r", "euclidean": "Euclidean distance", "cosine": "1 − cosine"}
FOLDED_PIXELS = RDM_PIXELS // 2


@dataclass(frozen=True)
class Matrices:
    """A participant's RDM files of both modes by run; each is read when it is looked at."""

    outputs: Outputs
    files: Mapping[str, Path]
    robust_files: Mapping[str, Path]

    def table(self) -> Iterator[Block]:
        """Say what was measured in each movie run, and what of the film the next one repeats."""
        movie = self.outputs.analysis.movie
        rows = []
        for run in movie.runs:
            shared = f"{run.shared_with_next_s:g} s" if run.shared_with_next_s else "none"
            if run.run in self.files:
                rdms = read_rdms(self.files[run.run])
                measured = (
                    str(len(rdms.onsets_s)),
                    f"{_spacing(rdms.onsets_s):.3f}",
                    f"{rdms.onsets_s[0]:.2f}",
                    str(len(rdms.names)),
                    _undefined(rdms),
                )
            else:
                measured = ("missing", "n/a", "n/a", "n/a", "n/a")
            rows.append((run.run, run.film, *measured, shared))
        yield Table(
            header=(
                "run", "film", "volumes", "TR (s)", "first volume (s)", "regions",
                "undefined volumes", "film shared with next run",
            ),
            rows=tuple(rows),
            caption=f"Runs of the movie task {movie.task}",
        )  # fmt: skip

    def pictures(self, album: Album) -> Iterator[Block]:
        """Draw the RDMs of every run, the first open and the others folded and coarser."""
        if not self.files:
            yield Notes(("No run has dissimilarity matrices.",))
        runs = [run for run in self.outputs.analysis.movie.runs if run.run in self.files]
        for place, run in enumerate(runs):
            yield self._picture(run, album, folded=place > 0)

    def _picture(self, film_run: FilmRun, album: Album, *, folded: bool) -> Picture:
        run = film_run.run
        content = read_rdms(self.files[run])
        analysis = self.outputs.analysis
        known = dict(zip(content.names, content.rdms, strict=True))
        regions = [name for name in analysis.region_names if name in known]
        absent = [name for name in analysis.region_names if name not in known]
        shared = _shared_from(content.onsets_s, film_run.shared_with_next_s)
        robust = self._robust(run)
        measure = MEASURES[analysis.dissimilarity.brain]
        pixels = FOLDED_PIXELS if folded else RDM_PIXELS
        return album.picture(
            f"rdms-run-{run}",
            rdm_grid(
                {name: known[name] for name in regions}, content.onsets_s, robust, shared,
                measure, pixels,
            ),
            alt=f"Dissimilarity matrices of run {run}, one for each of {len(regions)} regions: "
            f"{listed(regions)}.",
            caption=f"Dissimilarity ({measure}) of the volumes of run {run}, one matrix per "
            f"region, on one colour scale.{self._lines(robust, shared)} "
            f"Without a matrix: {listed(absent)}.",
            source=self.files[run],
            folded=f"Matrices of run {run}" if folded else "",
        )  # fmt: skip

    def _robust(self, run: str) -> RobustPairs | None:
        """Say which pairs of a run the mode robust keeps; None without it."""
        if "robust" not in self.outputs.analysis.modes or run not in self.robust_files:
            return None
        rdms = read_rdms(self.robust_files[run])
        if len(rdms.onsets_s) < 2:
            return None
        least_s = self.outputs.analysis.robust.min_lag_s
        return RobustPairs(
            kept=np.flatnonzero(_defined(rdms)),
            min_lag=lag_in_volumes(least_s, _spacing(rdms.onsets_s)),
        )

    def _lines(self, robust: RobustPairs | None, shared_from: int | None) -> str:
        """Say what the lines that are drawn on a run's matrices mean."""
        near = cross = ""
        if robust is not None and robust.parted:
            near = (
                " White lines cut off what is left out of the mode robust, whose own matrices are "
                "denoised on the volumes that it keeps: pairs nearer than "
                f"{self.outputs.analysis.robust.min_lag_s:g} s along the diagonal, in the corners "
                "those as near around the ends of what it keeps, and the volumes before the first "
                "whose response the film covers."
            )
        if shared_from is not None:
            cross = " The dashed cross marks the film that the next run shows again"
            spec = self.outputs.analysis.robust
            trimmed = robust is not None and spec.trim_shared_film
            cross += "; what lies beyond it is left out of robust too." if trimmed else "."
        return near + cross


def _spacing(onsets_s: Floats) -> float:
    return float(np.median(np.diff(onsets_s))) if len(onsets_s) > 1 else float("nan")


def _defined(rdms: RDMFile) -> Bools:
    """Tell which volumes every region that is not missing defines; none if all are missing."""
    each = [own for own in map(volume_defined, rdms.rdms) if own.any()]
    nothing = np.zeros(len(rdms.onsets_s), dtype=np.bool_)
    return np.logical_and.reduce(each) if each else nothing


def _undefined(rdms: RDMFile) -> str:
    """Count volumes without a pattern, most over regions that have any."""
    counts = [int(np.sum(~volume_defined(rdm))) for rdm in rdms.rdms]
    partly = [count for count in counts if count < len(rdms.onsets_s)]
    return str(max(partly, default=0))


def _shared_from(onsets_s: Floats, shared_s: float) -> int | None:
    """Return the first volume, from 0, whose film the next run shows again."""
    n = len(onsets_s)
    volumes = lag_in_volumes(shared_s, _spacing(onsets_s)) if shared_s and n > 1 else 0
    return n - volumes if 0 < volumes < n else None
