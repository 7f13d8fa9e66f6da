"""Compare results with the truth of the demo: ``python -m bidsapp.demo.check DIR``.

It reads the files that a user would, and nothing else: tables, masks and ``truth.json``.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from nibabel import Nifti1Image

from bidsapp.arrays import Ints
from bidsapp.demo.size import LOCALIZER_SESSION, LOCALIZER_TASK, MOVIE_SESSION, MOVIE_TASK

PEAK_MM = 4.0
OVERLAP = 0.75  # share of a region's voxels that must be planted ones; by chance under .35
STANDARD_ERRORS = 3.0
ROBUST_NOISE_R = 0.03
REPLICATE_NOISE_R = 0.05
MODES = ("replicate", "robust")


@dataclass(frozen=True)
class Results:
    """What the app wrote about the demo in ``directory``, and what is true of it.

    Attributes
    ----------
    directory
        The demo's folder, with ``truth.json``.
    output
        The app's output folder.
    """

    directory: Path
    output: Path

    @cached_property
    def truth(self) -> dict[str, Any]:
        """The content of ``truth.json``."""
        content: dict[str, Any] = json.loads((self.directory / "truth.json").read_text())
        return content

    @cached_property
    def similarity(self) -> pd.DataFrame:
        """Every participant's similarity table, with a column ``participant``."""
        tables = [
            self._participant_table(label, "similarity").assign(participant=label)
            for label in self.truth["peaks_mm"]
        ]
        return pd.concat(tables, ignore_index=True)

    @cached_property
    def group(self) -> pd.DataFrame:
        """The group's similarity table."""
        return _read(self.output / f"group/task-{MOVIE_TASK}_desc-similarity_stats.tsv")

    def regions(self, participant: str) -> pd.DataFrame:
        """One participant's regions table."""
        return self._participant_table(participant, "regions")

    def functional_voxels(self, participant: str, region: str) -> Ints:
        """Flat indices of a functional region's voxels on the localizer's grid."""
        stem = f"sub-{participant}_ses-{LOCALIZER_SESSION}_task-{LOCALIZER_TASK}_run-1_space-T1w"
        folder = self.output / f"sub-{participant}/ses-{LOCALIZER_SESSION}/func"
        return _voxels(folder / f"{stem}_label-{region}_desc-top80_mask.nii.gz", None)

    def atlas_voxels(self, participant: str, region: str) -> Ints:
        """Flat indices of an atlas region's voxels on the first movie run's grid."""
        stem = self.output / f"sub-{participant}/anat/sub-{participant}_space-T1w_atlas-Wang2015"
        names = _read(Path(f"{stem}_dseg.tsv"))
        label = int(names.loc[names["name"] == region, "index"].iloc[0])
        return _voxels(Path(f"{stem}_dseg.nii.gz"), label)

    def _participant_table(self, label: str, desc: str) -> pd.DataFrame:
        folder = self.output / f"sub-{label}/ses-{MOVIE_SESSION}/func"
        stem = f"sub-{label}_ses-{MOVIE_SESSION}_task-{MOVIE_TASK}"
        return _read(folder / f"{stem}_desc-{desc}_stats.tsv")


def check(results: Results) -> Iterator[str]:
    """Yield a sentence for everything that is not as it was planted."""
    yield from check_peaks(results)
    yield from check_overlap(results)
    yield from check_winners(results)
    yield from check_noise(results)


def check_peaks(results: Results) -> Iterator[str]:
    """Every functional region's peak is within 4 mm of the planted one, in each hemisphere."""
    for participant, regions in results.truth["peaks_mm"].items():
        table = results.regions(participant).set_index(["roi", "hemisphere"])
        for region, sides in regions.items():
            for hemisphere, planted in sides.items():
                found = table.loc[(region, hemisphere), ["peak_x", "peak_y", "peak_z"]]
                off_mm = float(np.linalg.norm(found.to_numpy(float) - planted))
                if not off_mm <= PEAK_MM:
                    yield f"sub-{participant} {region} {hemisphere}: peak {off_mm:.1f} mm off"


def check_overlap(results: Results) -> Iterator[str]:
    """Most of each region's voxels are planted ones."""
    for participant, region, overlap in overlaps(results):
        if not overlap >= OVERLAP:
            yield f"sub-{participant} {region}: {overlap:.0%} of its voxels are planted ones"


def overlaps(results: Results) -> Iterator[tuple[str, str, float]]:
    """Yield participant, region and the share of the region's voxels that are planted ones."""
    localizer, movie = f"task-{LOCALIZER_TASK}_run-1", f"task-{MOVIE_TASK}_run-1"
    for participant, scans in results.truth["planted_voxels"].items():
        functional = results.truth["peaks_mm"][participant]
        for region in results.truth["winner"]:
            if region in functional:
                found = results.functional_voxels(participant, region)
                planted = scans[localizer][region]
            else:
                found = results.atlas_voxels(participant, region)
                planted = scans[movie][region]
            yield participant, region, float(np.isin(found, planted).mean()) if len(found) else 0.0


def check_winners(results: Results) -> Iterator[str]:
    """In both modes and every fit the planted model beats each other one by 3 standard errors."""
    for (mode, fit, roi), margin in margins(results).items():
        if not margin >= STANDARD_ERRORS:
            planted = results.truth["winner"][roi]
            yield f"{mode} {fit} {roi}: {planted} leads by {margin:.1f} standard errors"


def margins(results: Results) -> dict[tuple[str, str, str], float]:
    """Lead of each region's planted model over the best other, in standard errors.

    The lead is the mean over participants of the difference of mean r over runs; its standard error
    is over participants.
    """
    by_participant = results.similarity.pivot_table(
        index=["mode", "fit", "roi", "participant"], columns="model", values="r", aggfunc="mean"
    )
    found = {}
    for (mode, fit, roi), scores in by_participant.groupby(level=["mode", "fit", "roi"]):
        planted = results.truth["winner"][roi]
        if planted is not None:
            others = scores.drop(columns=planted)
            best = others.mean().idxmax()
            lead = scores[planted] - others[best]
            found[str(mode), str(fit), str(roi)] = float(
                lead.mean() / (lead.std() / np.sqrt(len(lead)))
            )
    return found


def check_noise(results: Results) -> Iterator[str]:
    """In the noise region robust finds nothing, and replicate shows its bias."""
    noise = [roi for roi, model in results.truth["winner"].items() if model is None]
    table = results.group[results.group["roi"].isin(noise)]
    robust = table[table["mode"] == "robust"]
    for fit, roi, model, r in zip(
        *(robust[c] for c in ("fit", "roi", "model", "r_mean")), strict=True
    ):
        if not abs(r) < ROBUST_NOISE_R:
            yield f"robust {fit} {roi} {model}: r = {r:.3f} in pure noise"
    replicate = table[table["mode"] == "replicate"]
    if not replicate["r_mean"].max() > REPLICATE_NOISE_R:
        yield "replicate shows no bias in pure noise: the demo's noise is not autocorrelated enough"


def _read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", na_values=["n/a"], keep_default_na=False, dtype={"run": str})


def _voxels(path: Path, label: int | None) -> Ints:
    data = np.asarray(Nifti1Image.from_filename(path).dataobj)
    return np.flatnonzero(data > 0 if label is None else data == label)


def _summary(results: Results) -> Iterator[str]:
    """Say what was found, beside what was planted."""
    shares = [share for _, _, share in overlaps(results)]
    yield f"voxels that are planted ones: {min(shares):.0%} at least, {np.mean(shares):.0%} in mean"
    group = results.group.set_index(["mode", "fit", "roi", "model"])["r_mean"]
    for roi, planted in results.truth["winner"].items():
        for mode, fit in (("replicate", "nnls"), ("robust", "ridge")):
            scores = group[mode, fit, roi].sort_values(ascending=False)
            said = ", ".join(f"{model} {r:.3f}" for model, r in scores.items())
            yield f"{roi} (planted: {planted or 'noise'}), {mode} {fit}: {said}"


def main(directory: Path) -> None:
    """Print what was found; exit 1 when anything is not as planted."""
    results = Results(directory, directory / "out")
    wrong = list(check(results))
    sys.stdout.write("\n".join([*_summary(results), *(f"WRONG: {line}" for line in wrong), ""]))
    sys.stdout.write(f"{len(wrong)} things are not as planted\n" if wrong else "all as planted\n")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
