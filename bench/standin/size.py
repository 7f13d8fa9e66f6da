"""How much of the real size is written: all of it, or little enough for a test."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from bench.standin.source import FRAME_RATE, MOVIE, MOVIE_RUNS, RunHeader, Source, scan_stem

SHARED_VOLUMES = 8  # 16 s of film that neighbouring runs both show


@dataclass(frozen=True)
class Size:
    """Size of the stand-in.

    Attributes
    ----------
    voxel_step
        Length of a voxel in lengths of a real one.
    movie_volumes
        Volumes of each movie run; 0: as in truth.
    transform_mm
        Spacing of the transforms' displacement fields; fMRIPrep's is 1 mm.
    t1w_mm
        Spacing at which the T1w image is computed; it is stored at 1 mm.
    region_voxels
        Voxels of a functional region in the analysis file.
    """

    voxel_step: int = 1
    movie_volumes: int = 0
    transform_mm: float = 1.0
    t1w_mm: int = 2
    region_voxels: int = 80

    def header(self, source: Source, participant: str, task: str, run: str) -> RunHeader:
        """Shape, affine, volumes and TR of a scan."""
        real = source.headers[scan_stem(participant, task, run) + "_bold.nii.gz"]
        volumes = self.movie_volumes if task == MOVIE and self.movie_volumes else real.volumes
        return real.shrunk(self.voxel_step, volumes)

    @property
    def frames_of_run(self) -> int | None:
        """Frames that each run shows; None: as in truth."""
        return 2 * FRAME_RATE * self.movie_volumes if self.movie_volumes else None

    def film_starts_s(self, source: Source) -> list[float]:
        """Where in the film each run begins, in seconds."""
        if not self.movie_volumes:
            return source.film_starts_s()
        return (2.0 * (self.movie_volumes - SHARED_VOLUMES) * np.arange(len(MOVIE_RUNS))).tolist()

    def annotations(self, source: Source) -> dict[str, pd.DataFrame]:
        """Annotation of each run; a small film is the beginning of the real one, cut anew."""
        if self.frames_of_run is None:
            return {run: source.annotations(run) for run in MOVIE_RUNS}
        film, found = source.annotations("1"), {}
        for run, start in zip(MOVIE_RUNS, self.film_starts_s(source), strict=True):
            first = round(start * FRAME_RATE)
            rows = film.iloc[first : first + self.frames_of_run]
            found[run] = rows.assign(onset=rows["onset"] - start).reset_index(drop=True)
        return found


FULL = Size()
SMALL = Size(voxel_step=2, movie_volumes=60, transform_mm=5.0, t1w_mm=8, region_voxels=20)
