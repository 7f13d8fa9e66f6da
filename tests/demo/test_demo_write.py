"""The whole demo dataset, and a plain look for what is planted in it."""

import json
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import av
import nibabel
import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import pdist

from bidsapp.analysis.spec import read_analysis
from bidsapp.demo import responses
from bidsapp.demo.size import SMALL, DemoSize
from bidsapp.demo.write import write_brains, write_stimuli
from bidsapp.errors import UsageError

MIN_LAG = 10  # volumes: 20 s
SHARED = 8  # volumes that the next run shows again


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    directory = tmp_path_factory.mktemp("demo")
    stimuli = write_stimuli(directory, SMALL)
    write_brains(directory, 0, SMALL, stimuli)
    yield directory, stimuli
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def truth(demo):
    return json.loads((demo[0] / "truth.json").read_text())


def scan(directory, participant, task, run, ending):
    session = "movie" if task == "movie" else "localizer"
    folder = directory / "fmriprep" / f"sub-{participant}" / f"ses-{session}" / "func"
    return folder / f"sub-{participant}_ses-{session}_task-{task}_run-{run}_{ending}"


def denoised(directory, participant, task, run, voxels, extra=()):
    image = nibabel.load(
        scan(directory, participant, task, run, "space-T1w_desc-preproc_bold.nii.gz")
    )
    series = np.asarray(image.dataobj).reshape(-1, image.shape[3])[voxels].T.astype(float)
    stem = "desc-confounds_timeseries"
    table = pd.read_csv(scan(directory, participant, task, run, f"{stem}.tsv"), sep="\t")
    metadata = json.loads(scan(directory, participant, task, run, f"{stem}.json").read_text())
    combined = [key for key in table if metadata.get(key, {}).get("Mask") == "combined"]
    best = sorted(combined, key=lambda key: -metadata[key]["SingularValue"])[:5]
    chosen = [*best, *(key for key in table if key.startswith(("cosine", *extra)))]
    basis = np.linalg.qr(np.column_stack([table[chosen], np.ones(len(table))]))[0]
    return series - basis @ (basis.T @ series)


def test_the_analysis_file_is_valid_and_finds_its_films(demo):
    directory, _ = demo
    analysis = read_analysis(directory / "analysis.yaml")
    assert analysis.region_names == ("FFA", "EBA", "PPA", "RSC", "V1v", "V1d", "V2v", "hV4")
    for run, volumes in zip(analysis.movie.runs, SMALL.volumes, strict=True):
        (film,) = (directory / "stimuli").glob(run.film)
        with av.open(str(film)) as container:
            assert sum(1 for _ in container.decode(video=0)) == volumes * 2 * 25
    for file in analysis.feature_tables[0].files.values():
        assert set(analysis.feature_tables[0].columns) < set(
            pd.read_csv(directory / "stimuli" / file, sep="\t")
        )


def test_neighbouring_runs_share_sixteen_seconds_of_film(demo):
    _, stimuli = demo
    pixels = [run[responses.PIXELS] for run in stimuli.features]
    for one, other in pairwise(pixels):
        assert np.corrcoef(one[-80:].ravel(), other[:80].ravel())[0, 1] > 0.99
        assert np.corrcoef(one[-160:-80].ravel(), other[:80].ravel())[0, 1] < 0.8


def test_raw_data_are_valid_bids(demo):
    validator = Path(sys.executable).with_name("bids-validator-deno")
    if not validator.exists():
        pytest.skip("bids-validator-deno is not installed")
    command = [str(validator), "--json", str(demo[0] / "bids")]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    issues = json.loads(answer.stdout)["issues"]["issues"]
    assert [issue for issue in issues if issue["severity"] == "error"] == []


def test_scans_agree_with_their_sidecars_masks_and_events(demo):
    directory, _ = demo
    affines = []
    for run, volumes in zip(SMALL.runs, SMALL.volumes, strict=True):
        for space in ("T1w", "MNI152NLin6Asym"):
            stem = f"space-{space}_desc"
            bold = nibabel.load(scan(directory, "01", "movie", run, f"{stem}-preproc_bold.nii.gz"))
            mask = nibabel.load(scan(directory, "01", "movie", run, f"{stem}-brain_mask.nii.gz"))
            assert bold.shape == (*mask.shape, volumes)
            assert np.array_equal(bold.affine, mask.affine)
            assert bold.header.get_zooms()[3] == 2.0
            assert np.asarray(bold.dataobj)[np.asarray(mask.dataobj) > 0].min() > 0
            sidecar = scan(directory, "01", "movie", run, f"{stem}-preproc_bold.json")
            content = json.loads(sidecar.read_text())
            assert (content["RepetitionTime"], content["StartTime"]) == (2.0, 1.0)
            affines.append(bold.affine)
        raw = f"sub-01_ses-movie_task-movie_run-{run}_events.tsv"
        events = pd.read_csv(directory / "bids/sub-01/ses-movie/func" / raw, sep="\t")
        assert events["frameidx"].tolist() == list(range(1, volumes * 50 + 1))
    native = affines[::2]
    assert np.array_equal(native[0], native[1])
    assert np.array_equal(native[2], native[3])
    assert not np.allclose(native[0], native[2])


def test_planted_models_are_told_apart(truth):
    assert max(truth["model_correlations"].values()) < 0.6


def test_a_plain_localizer_finds_the_peaks(demo, truth):
    directory, _ = demo
    wanted = {"FFA": ("face",), "EBA": ("body",), "PPA": ("scene", "house")}
    for participant in SMALL.labels:
        name = f"sub-{participant}_ses-localizer_task-objectcategories_run-1_events.tsv"
        folder = directory / "bids" / f"sub-{participant}" / "ses-localizer" / "func"
        events = pd.read_csv(folder / name, sep="\t")
        ending = "space-T1w_desc-preproc_bold.nii.gz"
        image = nibabel.load(scan(directory, participant, "objectcategories", "1", ending))
        points = nibabel.affines.apply_affine(
            image.affine, np.indices(image.shape[:3]).reshape(3, -1).T
        )
        for region, conditions in wanted.items():
            rows = events[events["trial_type"].isin(conditions)]
            times = np.arange(image.shape[3]) * 2.0 + 1.0
            course = responses.block_response(rows["onset"].to_numpy(), 16.0, times)
            course -= course.mean()
            for peak in truth["peaks_mm"][participant][region].values():
                near = np.flatnonzero(np.linalg.norm(points - peak, axis=1) < 15)
                series = denoised(
                    directory, participant, "objectcategories", "1", near, ("non_steady",)
                )
                best = points[near[(course @ series).argmax()]]
                assert np.linalg.norm(best - peak) < 4


def prepared(rdm, volumes, run, mode):
    """Condensed RDM of a run, as the mode prepares it: centred, or centred lag by lag."""
    if mode == "replicate":
        return (rdm - rdm.mean()) / rdm.std()
    kept = volumes - (0 if run == len(SMALL.runs) - 1 else SHARED)
    first, second = np.triu_indices(volumes, 1)
    lag = second - first
    used = (second < kept) & (lag >= MIN_LAG) & (lag <= kept - MIN_LAG)
    lag, rdm = np.minimum(lag, kept - lag)[used], rdm[used]
    centred = rdm - (np.bincount(lag, rdm) / np.maximum(np.bincount(lag), 1))[lag]
    return centred / centred.std()


def similarities(demo, truth, mode):
    """Pearson r of region and model RDMs: {(region, model): (participants,)}, mean over runs."""
    directory, stimuli = demo
    found = {}
    for index, (run, volumes) in enumerate(zip(SMALL.runs, SMALL.volumes, strict=True)):
        times = np.arange(volumes) * 2.0 + 1.0
        weights = responses.frame_weights(0.09 + np.arange(volumes * 50) / 25, times)
        models = {}
        for name, features in stimuli.features[index].items():
            metric = "euclidean" if name == responses.TABLE else "correlation"
            models[name] = prepared(pdist(weights @ features, metric), volumes, index, mode)
        for participant in SMALL.labels:
            regions = truth["planted_voxels"][participant][f"task-movie_run-{run}"]
            for region in ("FFA", "EBA", "V1v", "hV4"):
                series = denoised(directory, participant, "movie", run, regions[region])
                rdm = prepared(pdist(series, "correlation"), volumes, index, mode)
                for name, model in models.items():
                    r = float(np.mean(model * rdm))
                    found.setdefault((region, name), {}).setdefault(participant, []).append(r)
    return {
        key: np.array([np.mean(runs) for runs in people.values()]) for key, people in found.items()
    }


@pytest.mark.parametrize("mode", ["replicate", "robust"])
def test_each_planted_model_wins_its_region(demo, truth, mode):
    found = similarities(demo, truth, mode)
    names = (responses.PIXELS, responses.NETWORK, responses.TABLE)
    for region in ("FFA", "EBA", "V1v"):
        winner = truth["winner"][region]
        assert 0.15 < found[region, winner].mean() < 0.6
        for other in set(names) - {winner}:
            ahead = found[region, winner] - found[region, other]
            assert ahead.mean() > 3 * ahead.std(ddof=1) / np.sqrt(len(ahead))
    noise = [found["hV4", name].mean() for name in names]
    if mode == "robust":
        assert max(np.abs(noise)) < 0.03
    else:
        assert min(noise) > 0.05


def test_too_small_a_demo_is_refused():
    with pytest.raises(UsageError, match="3 movie runs"):
        DemoSize(participants=1, volumes=(120, 120))
