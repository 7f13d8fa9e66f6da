"""Write the whole demo: ``bids fmriprep stimuli atlas analysis.yaml truth.json``."""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from bidsapp.analysis.spec import Analysis
from bidsapp.arrays import Floats, Ints
from bidsapp.demo import anatomy, brains, layout, warps
from bidsapp.demo.analysis import demo_analysis
from bidsapp.demo.events import localizer_events, movie_events
from bidsapp.demo.film import FRAME_RATE
from bidsapp.demo.noise import smooth_fields
from bidsapp.demo.size import (
    LOCALIZER_TASK,
    LOCALIZER_VOLUMES,
    MOVIE_TASK,
    REPETITION_TIME,
    SMALL,
    THREADS,
    DemoSize,
)
from bidsapp.demo.stimuli import Stimuli, write_stimuli
from bidsapp.files import write_text

__all__ = ["SMALL", "DemoSize", "Stimuli", "write_brains", "write_demo", "write_stimuli"]

SPACE = warps.TEMPLATES[0]


def write_demo(directory: Path, seed: int = 0, size: DemoSize = DemoSize()) -> Path:  # noqa: B008
    """Write a small dataset whose truth is known.

    Parameters
    ----------
    directory
        Folder to write below; made where absent.
    seed
        Seed of the participants; the film is the same for all seeds.
    size
        How much of everything.

    Returns
    -------
    Path
        The folder.
    """
    stimuli = write_stimuli(directory, size)
    write_brains(directory, seed, size, stimuli)
    return directory


def write_brains(directory: Path, seed: int, size: DemoSize, stimuli: Stimuli) -> None:
    """Write everything but the stimuli, whose features the brains respond to."""
    layout.write_raw_dataset(directory / "bids", size)
    layout.write_derivatives_dataset(directory / "fmriprep")
    anatomy.write_atlas(directory / "atlas")
    seeds = np.random.SeedSequence(seed).spawn(size.participants)
    people = [_Participant(directory, label, size, stimuli) for label in size.labels]
    with ThreadPoolExecutor(THREADS) as pool:
        found = pool.map(
            lambda person, child: person.write(np.random.default_rng(child)), people, seeds
        )
        truths = dict(zip(size.labels, found, strict=True))
    truth = {
        "seed": seed,
        "size": asdict(size),
        "winner": brains.PLANTED,
        "model_correlations": dict(stimuli.model_correlations),
        "centres_mm": {label: truth["centres"] for label, truth in truths.items()},
        "peaks_mm": {label: truth["peaks"] for label, truth in truths.items()},
        "planted_voxels": {label: truth["voxels"] for label, truth in truths.items()},
    }
    write_text(directory / "truth.json", json.dumps(truth) + "\n")
    content = demo_analysis(size)
    Analysis.model_validate(content)
    write_text(directory / "analysis.yaml", yaml.safe_dump(content, sort_keys=False))


@dataclass(frozen=True)
class _Participant:
    """One participant's files."""

    directory: Path
    label: str
    size: DemoSize
    stimuli: Stimuli

    def write(self, rng: np.random.Generator) -> dict[str, Any]:
        """Write all of the participant; return native centres and peaks, and planted voxels."""
        person = anatomy.draw_anatomy(rng)
        self._write_anatomy(rng, person)
        voxels = self._write_localizer(rng, person)
        for grid, runs in self._runs_by_grid().items():
            voxels |= self._write_movie(rng, person, person.grids[grid], runs)
        centres = {
            region: {
                side: person.warp.to_native(np.array([centre]))[0]
                for side, centre in search[1].items()
            }
            for region, search in anatomy.SEARCH.items()
        }
        return {
            "centres": _rounded(centres),
            "peaks": _rounded(person.peaks),
            "voxels": voxels,
        }

    def _runs_by_grid(self) -> dict[str, list[int]]:
        """Give the first half of the movie runs one grid and the second another."""
        count = len(self.size.runs)
        half = (count + 1) // 2
        return {"first": list(range(half)), "second": list(range(half, count))}

    def _write_anatomy(self, rng: np.random.Generator, person: anatomy.Anatomy) -> None:
        grid = anatomy.anatomical_grid(person)
        points = person.warp.to_template(grid.points())
        brain = anatomy.in_brain(points)
        fluid = anatomy.tissue(points, anatomy.FLUID)
        white = anatomy.tissue(points, anatomy.WHITE_MATTER)
        level = np.select([fluid, white, brain], [200.0, 900.0, 600.0], default=40.0)
        texture = 1 + 0.1 * smooth_fields(rng, grid.shape, 1)[:, 0]
        t1w = np.clip(level * texture, 0, None).astype(np.int16).reshape(grid.shape)
        mask = brain.astype(np.uint8).reshape(grid.shape)
        fmriprep = self.directory / "fmriprep"
        folder = layout.write_anatomy(fmriprep, self.label, t1w, mask, grid.affine)
        target = anatomy.template_grid()
        for template in warps.TEMPLATES:
            inside = anatomy.in_brain(warps.in_first_template(template, target.points()))
            mask = inside.astype(np.uint8).reshape(target.shape)
            layout.write_template_mask(folder, self.label, template, mask, target.affine)
        warps.write_transforms(folder, f"sub-{self.label}", person.warp)
        layout.write_raw_anatomy(self.directory / "bids", self.label)

    def _write_localizer(
        self, rng: np.random.Generator, person: anatomy.Anatomy
    ) -> dict[str, dict[str, list[int]]]:
        stem = layout.scan_stem(self.label, LOCALIZER_TASK, "1")
        events = localizer_events(rng, brains.CONDITIONS)
        layout.write_raw_scan(self.directory / "bids", stem, LOCALIZER_VOLUMES, events)
        place = brains.make_place(rng, person, person.grids["localizer"])
        scan = brains.localizer_scan(rng, place, person, events)
        self._write_scan(stem, person, place, scan)
        return {f"task-{LOCALIZER_TASK}_run-1": _lists(place.planted)}

    def _write_movie(
        self,
        rng: np.random.Generator,
        person: anatomy.Anatomy,
        grid: anatomy.Grid,
        indices: list[int],
    ) -> dict[str, dict[str, list[int]]]:
        """Write the movie runs that share a grid."""
        place = brains.make_place(rng, person, grid)
        volumes = [self.size.volumes[index] for index in indices]
        events = [movie_events(rng, round(n * REPETITION_TIME * FRAME_RATE)) for n in volumes]
        shown = [
            (self.stimuli.features[index], table["onset"].to_numpy())
            for index, table in zip(indices, events, strict=True)
        ]
        signals = brains.movie_signals(rng, place, shown, volumes)
        voxels = {}
        for index, table, signal in zip(indices, events, signals, strict=True):
            run, n = self.size.runs[index], self.size.volumes[index]
            stem = layout.scan_stem(self.label, MOVIE_TASK, run)
            layout.write_raw_scan(self.directory / "bids", stem, n, table)
            self._write_scan(stem, person, place, brains.movie_scan(rng, place, signal, n))
            voxels[f"task-{MOVIE_TASK}_run-{run}"] = _lists(place.planted)
        return voxels

    def _write_scan(
        self, stem: Path, person: anatomy.Anatomy, place: brains.Place, scan: brains.Scan
    ) -> None:
        """Write a scan in native space and, resampled, in the template's."""
        out = self.directory / "fmriprep" / stem
        grid, brain = place.grid, place.brain.astype(np.uint8)
        native = _images(scan.series, grid)
        layout.write_preprocessed(out, "T1w", native, brain.reshape(grid.shape), grid.affine)
        layout.write_confounds(out, scan.confounds)
        target = anatomy.template_grid()
        points = target.points()
        sample = brains.resampler(grid, person.warp.to_native(points))
        covered = anatomy.in_brain(points) & (sample @ place.brain.astype(np.float32) > 0.99)
        moved = np.rint(sample @ scan.series.T.astype(np.float32)).T * covered
        images = _images(moved.astype(np.int16), target)
        mask = covered.astype(np.uint8).reshape(target.shape)
        layout.write_preprocessed(out, SPACE, images, mask, target.affine)


def _images(series: Ints, grid: anatomy.Grid) -> Ints:
    """Turn (volumes, voxels) into (x, y, z, volumes)."""
    images: Ints = np.ascontiguousarray(series.T).reshape(*grid.shape, len(series))
    return images


def _rounded(points: Mapping[str, Mapping[str, Floats]]) -> dict[str, dict[str, list[float]]]:
    return {
        region: {side: np.round(point, 3).tolist() for side, point in sides.items()}
        for region, sides in points.items()
    }


def _lists(voxels: Mapping[str, Ints]) -> dict[str, list[int]]:
    return {region: indices.tolist() for region, indices in voxels.items()}
