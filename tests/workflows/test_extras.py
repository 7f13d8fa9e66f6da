"""Comparators, searchlight and other dissimilarities, from the command line to files and pages.

They are off unless asked for; here all are on, and two of the four runs are on another grid.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
from h5py import File
from tiny_study import AFFINE, RUNS, SHAPE, TR, VOLUMES, TinyStudy, read_image

from bidsapp.analysis.spec import Denoise, Robust, read_analysis
from bidsapp.brain.denoise import nuisance_design
from bidsapp.brain.patterns import Smoothing, autocorrelation, region_patterns
from bidsapp.cli.run import main
from bidsapp.dataset.derivatives import read_rdms, read_table
from bidsapp.errors import InputError
from bidsapp.interfaces.masks import save_masks
from bidsapp.interfaces.searchlight import SearchlightMaps
from bidsapp.rsa.expected_noise import noise_template, remove_noise_template
from bidsapp.rsa.pairs import lag_in_volumes, lagged_pairs
from bidsapp.rsa.rdm import cosine_distance
from bidsapp.rsa.similarity import similarity
from bidsapp.rsa.study import RunRDMs, study_products

LABELS = ("01", "02")
RADIUS_MM, STRIDE = 9.0, 2
MOVED = AFFINE @ np.array([[1, 0, 0, 0.5], [0, 1, 0, 0], [0, 0, 1, 0.25], [0, 0, 0, 1]])
CHANGES = {
    "denoise": {"smoothing_fwhm_mm": 5.0},
    "dissimilarity": {"brain": "cosine", "models": {"pixels": "euclidean"}},
    "comparators": {"methods": ["spearman", "whitened", "cka"], "regions": ["FFA", "V1v"]},
    "searchlight": {
        "models": ["pixels"], "layers": {"ratings": ["ratings"]},
        "radius_mm": RADIUS_MM, "stride": STRIDE, "fit": "nnls",
    },
    "fits": ["ols"],
}  # fmt: skip


def run(study: TinyStudy, level: str, *more: str) -> int:
    with pytest.raises(SystemExit) as exit_:
        main(study.arguments(level, *more))
    assert isinstance(exit_.value.code, int)
    return exit_.value.code


def fail(*_: object, **__: object) -> None:
    raise InputError("the spheres broke: mend them")


@pytest.fixture(scope="module")
def outcomes(built_study: TinyStudy, tmp_path_factory: pytest.TempPathFactory):
    """The study, and what was there after a searchlight that failed, before it was done well."""
    study = TinyStudy(tmp_path_factory.mktemp("extras") / "study")
    shutil.copytree(built_study.root, study.root)
    study.change_analysis(**CHANGES)
    for label in LABELS:
        for number in RUNS[2:]:
            for ending in ("desc-preproc_bold.nii.gz", "desc-brain_mask.nii.gz"):
                path = study.preprocessed(label, "movie", number, ending)
                image = nibabel.load(path)
                moved = nibabel.Nifti1Image(np.asarray(image.dataobj), MOVED, image.header)
                nibabel.save(moved, path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bidsapp.interfaces.searchlight.searchlight", fail)
        failed = run(study, "participant", "--participant-label", "01")
    left = {path.relative_to(study.out).as_posix() for path in study.out.rglob("*")}
    page = (study.out / "sub-01.html").read_text() if "sub-01.html" in left else ""
    done = [run(study, "participant", "--participant-label", *LABELS), run(study, "group")]
    return study, failed, left, page, done


def folder(study: TinyStudy, label: str) -> Path:
    return study.out / f"sub-{label}" / "ses-movie" / "func"


def test_a_searchlight_that_fails_costs_nothing_else(outcomes):
    _, failed, left, page, _ = outcomes
    assert failed == 1
    stem = "sub-01/ses-movie/func/sub-01_ses-movie_task-movie_"
    assert f"{stem}desc-similarity_stats.tsv" in left
    assert f"{stem}desc-comparators_stats.tsv" in left
    assert not [name for name in left if "stat-r" in name]
    assert "There is no searchlight map of pixels." in page
    assert "The step searchlight failed: see Errors." in page
    assert "Traceback (most recent call last)" in page
    assert "sub-01_facts.json" in " ".join(left)


def test_all_goes_well_afterwards(outcomes):
    assert outcomes[-1] == [0, 0]


def test_files_say_which_dissimilarity_they_hold(outcomes):
    study = outcomes[0]
    (pixels, *_) = sorted((study.out / "stimuli").glob("*_desc-pixels_relmat.h5"))
    assert "_stat-euclideandistance_" in pixels.name
    assert read_rdms(pixels).dissimilarity == "euclidean"
    for label in LABELS:
        files = sorted(folder(study, label).glob("*_relmat.h5"))
        assert len(files) == 2 * len(RUNS)  # each mode has its own
        assert all("_stat-cosinedistance_" in path.name for path in files)
        assert {read_rdms(path).dissimilarity for path in files} == {"cosine"}
        described = json.loads(files[0].with_suffix(".json").read_text())
        assert described["MeasureDescription"].startswith("1 minus the cosine")


def test_comparators_of_participants_and_group(outcomes):
    study = outcomes[0]
    for label in LABELS:
        name = f"sub-{label}_ses-movie_task-movie_desc-comparators_stats.tsv"
        table = read_table(folder(study, label) / name)
        assert set(table["roi"]) == {"FFA", "V1v"}
        assert set(table["run"]) == set(RUNS)
        here = table[(table["mode"] == "replicate") & (table["layer"] == "pixels")]
        assert here["r"].notna().all()
    table = read_table(study.out / "group" / "task-movie_desc-comparators_stats.tsv")
    made = table[(table["mode"] == "robust") & (table["method"] == "spearman")]
    assert len(made) == 2 * 2 * 2
    assert set(made["n"]) == {2}
    assert (made["ceiling_lower"] < made["ceiling_upper"]).all()
    assert (made.groupby("roi")["ceiling_lower"].nunique() == 1).all()
    assert set(table[table["method"] == "cka"]["n"]) == {0, 2}
    page = (study.out / "group.html").read_text()
    assert "Comparators" in page
    assert page.count("<td>noise ceiling</td>") >= 2


@pytest.fixture
def copied(outcomes, tmp_path: Path) -> TinyStudy:
    """A copy of the study with all levels done, without its scratch."""
    root = outcomes[0].root
    shutil.copytree(root, tmp_path / "copied", ignore=shutil.ignore_patterns("work"))
    return TinyStudy(tmp_path / "copied")


def test_old_comparators_do_not_pass_for_new_and_the_page_says_who_lacks_them(copied, monkeypatch):
    next(folder(copied, "02").glob("*_desc-comparators_stats.tsv")).unlink()
    monkeypatch.setattr("bidsapp.interfaces.comparators.group_comparators", fail)
    assert run(copied, "group") == 1
    assert not list((copied.out / "group").glob("*_desc-comparators_stats.tsv"))
    page = (copied.out / "group.html").read_text()
    assert "sub-02: its comparators are missing" in page
    assert "sub-01: its comparators are missing" not in page


def test_an_rdm_file_with_a_fault_is_named(copied, caplog):
    path = sorted(folder(copied, "02").glob("*_desc-roisrobust_relmat.h5"))[1]
    with File(path, "r+") as file:
        rdm = file["dissimilarities"]
        values = rdm[1]
        values[np.flatnonzero(np.isfinite(values))[3]] = np.nan
        rdm[1] = values
    assert run(copied, "group") == 1
    said = caplog.text
    assert f"{path} (participant 02, run 2): the RDM of the region " in said
    assert "run the participant level for sub-02 again" in said


def test_no_old_page_or_table_is_left_when_statistics_fail(copied, monkeypatch):
    assert (copied.out / "group.html").is_file()
    monkeypatch.setattr("bidsapp.interfaces.similarity.GroupStatistics._run_interface", fail)
    assert run(copied, "group") == 1
    assert not (copied.out / "group.html").exists()
    assert not list((copied.out / "group").glob("*_desc-similarity_stats.tsv"))
    assert (copied.out / "sub-01.html").is_file()


def searchlight_map(study: TinyStudy, desc: str) -> Path:
    name = f"sub-01_ses-movie_task-movie_space-T1w_stat-r_desc-{desc}_statmap.nii.gz"
    return folder(study, "01") / name


def whole_response(study: TinyStudy, run: str) -> list[int]:
    """Volumes whose response the film and all feature tables cover, by the models' sidecars."""
    sidecars = (study.out / "stimuli").glob(f"*_run-{run}_*_relmat.json")
    coverage = [json.loads(path.read_text())["Volumes"]["Coverage"] for path in sidecars]
    return np.flatnonzero(np.min(coverage, axis=0) >= Robust().min_coverage).tolist()


def as_steps_take_it(study: TinyStudy, run: str) -> dict[str, list[bool]]:
    covered = np.isin(np.arange(VOLUMES), whole_response(study, run))
    return {
        "covered": covered.tolist(),
        "repeated": [False] * VOLUMES,
        "defined": [True] * VOLUMES,
    }


def plain_sphere(study: TinyStudy, centre_mm: np.ndarray, model: str) -> float:
    """Score one sphere as a region: its voxels' patterns, RDMs, all products, the fit."""
    runs = []
    for number in RUNS:
        grid = AFFINE if number in RUNS[:2] else MOVED
        voxels = np.moveaxis(np.indices(SHAPE), 0, -1) @ grid[:3, :3].T + grid[:3, 3]
        mask = np.linalg.norm(voxels - centre_mm, axis=-1) <= RADIUS_MM
        confounds = study.preprocessed("01", "movie", number, "desc-confounds_timeseries.tsv")
        design = nuisance_design(confounds, confounds.with_suffix(".json"), Denoise())
        smoothing = Smoothing(5.0, np.ones(SHAPE, bool))
        bold = study.bold("01", number)
        used = np.isin(np.arange(VOLUMES), whole_response(study, number))
        masks = {"it": mask, "all": np.ones(SHAPE, bool)}
        series = region_patterns(bold, masks, design, False, smoothing, used).robust.series
        rdm = cosine_distance(series["it"])
        pairs = lagged_pairs(VOLUMES, lag_in_volumes(20.0, TR), defined=used)
        (lag1_r,) = autocorrelation(series["all"], [1])
        template = noise_template(pairs, design.basis(used), lag1_r, "cosine")
        remove_noise_template(rdm, pairs, template)
        (path,) = (study.out / "stimuli").glob(f"*_run-{number}_*_desc-{model}_relmat.h5")
        models = read_rdms(path).rdms
        runs.append(RunRDMs(number, models, rdm[None, None], TR))
    products = study_products(runs, 20.0).robust
    return float(similarity(products, {model: slice(0, 1)}, "robust", "nnls").r.mean())


@pytest.mark.parametrize("model", ["pixels", "ratings"])
def test_a_map_holds_what_a_region_there_would_score(outcomes, model):
    study = outcomes[0]
    path = searchlight_map(study, {"pixels": "pixels", "ratings": "ratingsratings"}[model])
    image = nibabel.load(path)
    assert image.shape == tuple(-(-n // STRIDE) for n in SHAPE)
    values = read_image(path)
    assert np.isfinite(values).all()  # the whole image is brain
    for voxel in ((0, 0, 0), (2, 1, 1), (3, 3, 2)):
        centre = (image.affine @ (*voxel, 1))[:3]
        np.testing.assert_allclose(centre, (AFFINE @ (*np.multiply(voxel, STRIDE), 1))[:3])
        assert values[voxel] == pytest.approx(plain_sphere(study, centre, model), abs=1e-5)


def test_spheres_round_the_voxels_of_regions_alone(outcomes, tmp_path, monkeypatch):
    """The same values as of the whole brain, at a few voxels of the first run's grid."""
    study = outcomes[0]
    region = np.zeros(SHAPE, bool)
    region[2:5, 4, 2] = True
    inputs = {run: study.bold("01", run) for run in RUNS}
    mask = {run: study.preprocessed("01", "movie", run, "desc-brain_mask.nii.gz") for run in RUNS}
    confounds = {
        run: study.preprocessed("01", "movie", run, "desc-confounds_timeseries.tsv") for run in RUNS
    }
    stimuli = study.out / "stimuli"
    analysis = read_analysis(study.analysis).model_dump(mode="json")
    analysis["searchlight"] |= {"layers": {}, "stride": 1, "centres": "regions"}
    step = SearchlightMaps(
        analysis=analysis,
        model_rdms={
            run: [str(next(stimuli.glob(f"*_run-{run}_*_desc-pixels_relmat.h5")))] for run in RUNS
        },
        bold={run: str(path) for run, path in inputs.items()},
        mask={run: str(path) for run, path in mask.items()},
        confounds={run: str(path) for run, path in confounds.items()},
        confounds_metadata={run: str(path.with_suffix(".json")) for run, path in confounds.items()},
        film_volumes={run: as_steps_take_it(study, run) for run in RUNS},
        start_time=dict.fromkeys(RUNS, TR / 2),
        repetition_time=TR,
        region_masks=[str(save_masks(tmp_path / "run_0.npz", {"FFA": region}))],
        entities={"sub": "01", "task": "movie", "space": "T1w"},
        metadata={"SpatialReference": "bids:fmriprep:x", "Sources": []},
    )
    monkeypatch.chdir(tmp_path)
    staged = Path(step.run(cwd=str(tmp_path)).outputs.staged)
    (path,) = staged.rglob("*_desc-pixels_statmap.nii.gz")
    values = read_image(path)
    np.testing.assert_array_equal(np.isfinite(values), region)
    whole = read_image(searchlight_map(study, "pixels"))
    assert values[2, 4, 2] == pytest.approx(whole[1, 2, 1], abs=1e-6)
    assert values[4, 4, 2] == pytest.approx(whole[2, 2, 1], abs=1e-6)


def test_a_map_describes_itself(outcomes):
    study = outcomes[0]
    path = searchlight_map(study, "ratingsratings")
    described = json.loads(path.with_name(path.name.replace(".nii.gz", ".json")).read_text())
    assert described["Model"] == described["Layers"] == "ratings"
    assert (described["Radius"], described["Stride"], described["Fit"]) == (9, 2, "nnls")
    assert described["SpatialReference"].endswith("_T1w.nii.gz")
    assert len(described["Sources"]) == len(RUNS)
    assert "ratings ratings" in (study.out / "descriptions.tsv").read_text()
    assert "Searchlight of pixels" in (study.out / "sub-01.html").read_text()


def test_outputs_are_valid_bids(outcomes):
    command = [Path(sys.executable).with_name("bids-validator-deno"), outcomes[0].out]
    ran = subprocess.run([*command, "--format", "json"], capture_output=True, check=False)
    issues = json.loads(ran.stdout)["issues"]["issues"]
    assert [issue for issue in issues if issue["severity"] == "error"] == []


def test_regions_alone_and_what_it_will_take(study, moviersa):
    study.change_analysis(
        searchlight={"models": ["pixels"], "centres": "regions"}, comparators={"methods": ["cka"]}
    )
    told = moviersa(*study.arguments("participant", "--dry-run", "--participant-label", "01"))
    assert told.status == 0
    assert "Searchlight: 1 maps (pixels)" in told.out
    assert f"sub-01: at most {np.prod(SHAPE)} spheres in about " in told.out
    assert "comparators (cka)" in told.out


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_a_searchlight_larger_than_the_memory_is_refused_before_all_else(study, refused, dry):
    study.change_analysis(searchlight={"models": ["pixels"]})
    refused(
        64,
        "too little memory for the searchlight of sub-01",
        "--mem-gb allows 0.0001 GB",
        more=("--mem-gb", "0.0001", *dry),
    )
    assert not (study.out / "logs").exists()


def test_an_unknown_layer_is_refused(study, refused):
    study.change_analysis(searchlight={"layers": {"pixels": ["conv9"]}})
    refused(64, "pixels has no layer 'conv9'", "it has pixels")
