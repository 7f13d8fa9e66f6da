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
import rsatoolbox.rdm
from nibabel import Nifti1Image
from scipy.stats import binom

from bidsapp.arrays import Floats, Ints
from bidsapp.demo.size import LOCALIZER_SESSION, LOCALIZER_TASK, MOVIE_SESSION, MOVIE_TASK

CENTRE_MM = 1.0
PEAK_MM = 4.0
OVERLAP = 0.75  # share of a region's voxels that must be planted ones; by chance under .35
STANDARD_ERRORS = 3.0
ROBUST_NOISE_R = 0.03
REPLICATE_NOISE_R = 0.05
ALPHA = 0.05
LEAST_CHANCE = 0.001  # of the noise region's low p_null by chance, under which it is no chance


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

    def functional_mask(self, participant: str, region: str) -> Path:
        """Mask of a functional region, on the localizer's grid."""
        stem = f"sub-{participant}_ses-{LOCALIZER_SESSION}_task-{LOCALIZER_TASK}_run-1_space-T1w"
        folder = self.output / f"sub-{participant}/ses-{LOCALIZER_SESSION}/func"
        return folder / f"{stem}_label-{region}_desc-top80_mask.nii.gz"

    def brain_rdm(self, participant: str, run: str, region: str) -> Floats:
        """RDM of a participant's region in one movie run, (n_volumes, n_volumes)."""
        stem = f"sub-{participant}_ses-{MOVIE_SESSION}_task-{MOVIE_TASK}_run-{run}_space-T1w"
        folder = self.output / f"sub-{participant}/ses-{MOVIE_SESSION}/func"
        path = folder / f"{stem}_stat-correlationdistance_desc-rois_relmat.h5"
        rdm: Floats = rsatoolbox.rdm.load_rdm(str(path)).subset("region", region).get_matrices()[0]
        return rdm

    def layer_rdms(self, model: str, run: str) -> Floats:
        """RDMs of a model's layers for one movie run, (n_layers, n_volumes, n_volumes)."""
        label = "".join(letter for letter in model if letter.isalnum())
        folder = self.output / "stimuli"
        (path,) = folder.glob(f"task-{MOVIE_TASK}_run-{run}_stat-*_desc-{label}_relmat.h5")
        rdms: Floats = rsatoolbox.rdm.load_rdm(str(path)).get_matrices()
        return rdms

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
    yield from check_centres(results)
    yield from check_peaks(results)
    yield from check_overlap(results)
    yield from check_timing(results)
    yield from check_winners(results)
    yield from check_null(results)
    yield from check_noise(results)


def check_centres(results: Results) -> Iterator[str]:
    """Every search centre was carried to where it is in the participant's own space."""
    for participant, regions in results.truth["centres_mm"].items():
        for region, sides in regions.items():
            mask = results.functional_mask(participant, region)
            described = json.loads(Path(str(mask).replace(".nii.gz", ".json")).read_text())
            found = {peak["Hemisphere"]: peak["SearchCentre"] for peak in described["Peaks"]}
            for hemisphere, centre in sides.items():
                off_mm = np.linalg.norm(np.subtract(found.get(hemisphere, np.nan), centre))
                if not off_mm <= CENTRE_MM:
                    yield (
                        f"sub-{participant} {region} {hemisphere}: searched {off_mm:.1f} mm "
                        "off the centre"
                    )


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
                found = _voxels(results.functional_mask(participant, region), None)
                planted = scans[localizer][region]
            else:
                found = results.atlas_voxels(participant, region)
                planted = scans[movie][region]
            yield participant, region, float(np.isin(found, planted).mean()) if len(found) else 0.0


def check_timing(results: Results) -> Iterator[str]:
    """Each planted model fits best as it is, not one volume earlier or later."""
    for region, model in results.truth["winner"].items():
        if model is not None:
            fits = {shift: _fit_shifted(results, region, model, shift) for shift in (-1, 0, 1)}
            best = max(fits, key=lambda shift: fits[shift])
            if best != 0:
                yield f"{region}: {model} fits best {best:+d} volumes off"


def _fit_shifted(results: Results, region: str, model: str, shift: int) -> float:
    """Correlate the participants' mean RDM with the model's, moved by volumes, best layer."""
    by_run = []
    for index in range(len(results.truth["size"]["volumes"])):
        run, participants = str(index + 1), results.truth["peaks_mm"]
        brain = np.mean([results.brain_rdm(who, run, region) for who in participants], axis=0)
        first, last = max(-shift, 0), len(brain) - max(shift, 0)
        seen, measured = slice(first, last), slice(first + shift, last + shift)
        by_run.append(
            [
                _correlate(layer[seen, seen], brain[measured, measured])
                for layer in results.layer_rdms(model, run)
            ]
        )
    return float(np.max(np.mean(by_run, axis=0)))


def _correlate(one: Floats, other: Floats) -> float:
    pairs = np.triu_indices(len(one), 1)
    both = np.isfinite(one[pairs]) & np.isfinite(other[pairs])
    return float(np.corrcoef(one[pairs][both], other[pairs][both])[0, 1])


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


def check_null(results: Results) -> Iterator[str]:
    """Planted models beat shifted ones in robust; in the noise region no more do than by chance.

    Planted models must do so corrected for all models and regions, except by nnls: its draws are
    few, and most of its scores of noise are 0, so that a single other one is far above its mean.
    p of noise is not corrected, since its false positives are counted. The fits of one model go
    together, so chance is that of the models of one fit.
    """
    robust = results.group[results.group["mode"] == "robust"]
    for roi, planted in results.truth["winner"].items():
        rows = robust[(robust["roi"] == roi)]
        if planted is None:
            for fit, its in rows.groupby("fit"):
                low = int((its["p_null"] < ALPHA).sum())
                if its["p_null"].isna().any() or binom.sf(low - 1, len(its), ALPHA) < LEAST_CHANCE:
                    yield f"robust {fit} {roi}: p_null of pure noise is {list(its['p_null'])}"
        else:
            its = rows[rows["model"] == planted].set_index("fit")
            for fit in its.index:
                name = "p_null" if fit == "nnls" else "p_null_fwe"
                if not its.loc[fit, name] < ALPHA:
                    p = its.loc[fit, name]
                    yield f"robust {fit} {roi}: {name} of the planted {planted} is {p}"


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
    if not replicate["r_mean"].min() > REPLICATE_NOISE_R:
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
    group = results.group.set_index(["mode", "fit", "roi", "model"])["r_mean"].sort_index()
    nulls = results.group.set_index(["mode", "fit", "roi", "model"]).sort_index()
    for roi, planted in results.truth["winner"].items():
        for mode, fit in (("replicate", "nnls"), ("robust", "ridge")):
            scores = group[mode, fit, roi].sort_values(ascending=False)
            said = ", ".join(f"{model} {r:.3f}" for model, r in scores.items())
            yield f"{roi} (planted: {planted or 'noise'}), {mode} {fit}: {said}"
        for name in ("p_null", "p_null_fwe"):
            p = nulls.loc[("robust", "ridge", roi), name]
            said = ", ".join(f"{model} {value:.3f}" for model, value in p.items())
            yield f"{roi}, robust ridge {name}: {said}"


def main(directory: Path) -> None:
    """Print what was found; exit 1 when anything is not as planted."""
    results = Results(directory, directory / "out")
    wrong = list(check(results))
    sys.stdout.write("\n".join([*_summary(results), *(f"WRONG: {line}" for line in wrong), ""]))
    sys.stdout.write(f"{len(wrong)} things are not as planted\n" if wrong else "all as planted\n")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
