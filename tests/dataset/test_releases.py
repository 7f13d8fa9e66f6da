"""Outputs of fMRIPrep's releases from 1.5 to 25.2: their names, and what they leave out."""

import shutil
from pathlib import Path

import pytest
from dataset_trees import Tree, small_analysis, write_json, write_lines
from releases import MNI, RELEASES, Release, build, duplicate

from bidsapp.analysis.spec import Analysis, Denoise
from bidsapp.brain.denoise import nuisance_design
from bidsapp.dataset.alternatives import instead
from bidsapp.dataset.fmriprep import ParticipantInputs, check_derivatives, find_participant
from bidsapp.dataset.raw import open_raw
from bidsapp.errors import InputError

NEWEST = RELEASES[-1]


def find(
    tree: Tree, space: str = "T1w", analysis: Analysis | None = None, **options
) -> ParticipantInputs:
    check_derivatives(tree.fmriprep, tree.bids)
    raw = open_raw(tree.bids, ["01"], bids_filters=options.pop("bids_filters", None))
    return find_participant(
        tree.fmriprep, raw, "01", analysis or small_analysis(), space, **options
    )


def files(tree: Tree, pattern: str) -> list[Path]:
    return sorted((tree.fmriprep / "sub-01").rglob(pattern))


@pytest.mark.parametrize("release", RELEASES, ids=str)
def test_every_release_in_native_space(tmp_path: Path, release: Release) -> None:
    tree = build(tmp_path, release, "T1w")
    found = find(tree)
    assert found.release == release.version
    assert [run.run for run in found.movie] == ["1", "2", "3", "4"]
    assert found.missing == ()
    assert {run.repetition_time for run in (*found.movie, *found.localizer)} == {2.0}
    assert {run.start_time for run in found.movie} == {0.975 if release.start_time else 1.0}
    assert {"T1w->MNI152NLin6Asym", f"{MNI}->T1w"} <= set(found.transforms)
    run = found.movie[0]
    design = nuisance_design(
        run.confounds,
        run.confounds_metadata,
        Denoise.model_validate({"columns": ["framewise_displacement"]}),
    )
    assert design.names[:5] == tuple(f"a_comp_cor_{i:02d}" for i in range(5))
    assert design.names[5:] == ("cosine00", "framewise_displacement", "intercept")
    assert {facts["mask"] for facts in design.provenance.values()} == {"combined"}


@pytest.mark.parametrize("release", [RELEASES[i] for i in (1, 3, 4, 10)], ids=str)
def test_every_release_in_a_template_alone(tmp_path: Path, release: Release) -> None:
    tree = build(tmp_path, release, MNI, "2")
    found = find(tree, MNI)
    assert len(found.movie) == 4
    assert all(f"_space-{MNI}_res-2_desc-preproc_bold" in run.bold.name for run in found.movie)
    assert found.t1w is not None
    assert f"_space-{MNI}" in found.t1w.name
    with pytest.raises(InputError) as error:
        find(tree)
    assert f"its BOLD is there in {MNI}:res-2: give --output-space {MNI}:res-2" in str(error.value)
    assert "run fMRIPrep again with T1w among its --output-spaces" in str(error.value)


def test_one_release_misplaced_the_masks_in_templates(tmp_path: Path) -> None:
    release = next(r for r in RELEASES if r.version == "23.2.0")
    with pytest.raises(InputError, match=r"made by fMRIPrep 23\.2\.0.*run 23\.2\.1 or newer"):
        find(build(tmp_path, release, MNI, "2"), MNI)


def test_a_header_that_disagrees_is_no_release_quirk_elsewhere(tmp_path: Path) -> None:
    release = next(r for r in RELEASES if r.version == "23.2.0")
    tree = build(tmp_path, release, "T1w")
    maker = {"Name": "fMRIPrep", "Version": "23.2.3"}
    write_json(tree.fmriprep / "dataset_description.json", {"GeneratedBy": [maker]})
    with pytest.raises(InputError, match=r"2 s in fMRIPrep's metadata, 1 s in the header"):
        find(tree)


def test_the_legacy_layout_is_pointed_into(tmp_path: Path) -> None:
    tree = build(tmp_path, RELEASES[1], "T1w")
    with pytest.raises(InputError, match=f"give --derivatives fmriprep={tree.fmriprep}$"):
        check_derivatives(tree.root, tree.bids)


# --- resolutions, echoes, parts ---


def test_several_resolutions_are_chosen_among(tmp_path: Path) -> None:
    tree = build(tmp_path, NEWEST, MNI, "2")
    duplicate(files(tree, f"func/*_space-{MNI}_res-2_*"), "_res-2_", "_res-1_")
    with pytest.raises(InputError) as error:
        find(tree, MNI)
    assert f"several resolutions of {MNI} (1, 2)" in str(error.value)
    assert f"--output-space {MNI}:res-1" in str(error.value)
    for resolution in ("1", "2"):
        found = find(tree, MNI, resolution=resolution)
        assert len(found.movie) == 4
        assert all(f"_res-{resolution}_" in path.name for run in found.movie for path in (
            run.bold, run.mask))  # fmt: skip
    with pytest.raises(InputError, match=rf"space {MNI}:res-3 in .*{MNI}:res-1, {MNI}:res-2"):
        find(tree, MNI, resolution="3")


def test_native_resolution_has_no_entity(tmp_path: Path) -> None:
    tree = build(tmp_path, NEWEST, MNI)
    duplicate(files(tree, f"func/*_space-{MNI}_*"), f"_space-{MNI}_", f"_space-{MNI}_res-2_")
    found = find(tree, MNI, resolution="native")
    assert all("_res-" not in run.bold.name for run in found.movie)


def test_several_echoes(tmp_path: Path) -> None:
    """Echoes lie beside the image that fMRIPrep combines them to; raw, they are all there is."""
    tree = build(tmp_path, NEWEST, "T1w")
    for echo in "123":
        for kind in ("bold.nii.gz", "bold.json"):
            raw = sorted((tree.bids / "sub-01").rglob(f"*_{kind}"))
            duplicate([p for p in raw if "echo" not in p.name], "_bold", f"_echo-{echo}_bold")
        images = files(tree, "func/*_space-T1w_desc-preproc_bold.*")
        duplicate(images, "_space-T1w_", f"_echo-{echo}_")
    for path in (tree.bids / "sub-01").rglob("*_bold.*"):
        if "_echo-" not in path.name:
            path.unlink()
    found = find(tree)
    assert len(found.movie) == 4
    assert not any("echo" in run.bold.name for run in found.movie)
    write_json(tree.bids / "task-movie_bold.json", {"RepetitionTime": 2.5})
    with pytest.raises(InputError, match=r"2.5 s in the raw metadata"):
        find(tree)


def test_magnitude_is_taken_and_phase_is_not(tmp_path: Path) -> None:
    tree = build(tmp_path, NEWEST, "T1w")
    for part in ("mag", "phase"):
        plain = [p for p in files(tree, "func/*") if "_part-" not in p.name]
        for old in ("_space-", "_desc-confounds"):
            duplicate([p for p in plain if old in p.name], old, f"_part-{part}{old}")
    for path in files(tree, "func/*"):
        if "_part-" not in path.name:
            path.unlink()
    found = find(tree)
    assert all("_part-mag_" in run.bold.name for run in (*found.movie, *found.localizer))
    assert all("_part-mag_" in run.confounds.name for run in found.movie)


@pytest.mark.parametrize("entity", ["dir-AP", "acq-fast", "rec-norm"])
def test_further_entities_are_kept_in_every_name(tmp_path: Path, entity: str) -> None:
    tree = build(tmp_path, NEWEST, "T1w")
    for path in [*files(tree, "func/*_run-*"), *(tree.bids / "sub-01").rglob("*_run-*")]:
        path.rename(path.with_name(path.name.replace("_run-", f"_{entity}_run-")))
    found = find(tree)
    assert len(found.movie) == 4
    assert all(f"_{entity}_" in run.confounds.name for run in found.movie)
    assert found.localizer[0].events is not None
    assert found.missing == ()


# --- anatomical results of sessions ---


def _by_session(tree: Tree) -> None:
    anatomy = tree.fmriprep / "sub-01" / "anat"
    for session in ("movie", "localizer"):
        folder = tree.fmriprep / "sub-01" / f"ses-{session}" / "anat"
        folder.mkdir(parents=True)
        for path in anatomy.iterdir():
            shutil.copy(path, folder / path.name.replace("sub-01_", f"sub-01_ses-{session}_"))
    shutil.rmtree(anatomy)


def test_sessions_with_anatomies_of_their_own_are_not_aligned(tmp_path: Path) -> None:
    tree = build(tmp_path, NEWEST, "T1w")
    _by_session(tree)
    with pytest.raises(InputError) as error:
        find(tree)
    assert "in each of the sessions movie, localizer" in str(error.value)
    assert "--subject-anatomical-reference unbiased or first-lex" in str(error.value)
    # The movie's session alone is consistent.
    found = find(tree, analysis=small_analysis(functional={}))
    assert all("_ses-movie_" in path.name for path in found.transforms.values())


def test_sessions_with_anatomies_of_their_own_meet_in_a_template(tmp_path: Path) -> None:
    tree = build(tmp_path, NEWEST, MNI, "2")
    _by_session(tree)
    found = find(tree, MNI)
    assert len(found.localizer) == 1
    assert all("_ses-movie_" in path.name for path in found.transforms.values())


# --- BOLD that is not there ---


@pytest.mark.parametrize(
    ("ending", "says"),
    [
        ("space-fsLR_den-91k_bold.dtseries.nii", "as CIFTI only (*_bold.dtseries.nii)"),
        ("hemi-L_space-fsaverage_bold.func.gii", "on surfaces only (*_bold.func.gii)"),
        ("desc-coreg_boldref.nii.gz", "--level full and T1w among its --output-spaces"),
        ("boldref.nii.gz", "as --level minimal and --level resampling leave it"),
        ("desc-preproc_bold.nii.gz", "in the scanner's own space only"),
        ("desc-confounds_timeseries.tsv", "other files of this task and no BOLD"),
    ],
)
def test_what_is_there_instead_is_named(tmp_path: Path, ending: str, says: str) -> None:
    tree = build(tmp_path, NEWEST, "T1w")
    for path in files(tree, "func/*"):
        path.unlink()
    for task, session in (("movie", "movie"), ("objectcategories", "localizer")):
        stem = tree.fmriprep / tree.stem("01", session, task, "1")
        stem.with_name(f"{stem.name}_{ending}").touch()
    with pytest.raises(InputError) as error:
        find(tree)
    sentence = str(error.value)
    assert "sub-01 has 0 complete movie runs" in sentence
    assert says in sentence
    assert sentence.count("no preprocessed BOLD") == 1


def test_the_space_is_there_and_the_session_is_not(tmp_path: Path) -> None:
    tree = build(tmp_path, NEWEST, "T1w")
    movie = small_analysis().movie.model_dump() | {"session": "film"}
    with pytest.raises(InputError) as error:
        find(tree, analysis=small_analysis(movie=movie))
    assert "in this space as ses-movie_run-01; ses-movie_run-02" in str(error.value)
    assert "compare this with the analysis, --session-label" in str(error.value)


def test_only_the_localizer_is_there(tmp_path: Path) -> None:
    tree = build(tmp_path, NEWEST, "T1w")
    shutil.rmtree(tree.fmriprep / "sub-01" / "ses-movie")
    with pytest.raises(InputError) as error:
        find(tree)
    assert "0 complete movie runs" in str(error.value)
    assert "nothing of this task, but of objectcategories: preprocess it too" in str(error.value)


def test_only_other_runs_of_the_localizer_are_there(tmp_path: Path) -> None:
    tree = build(tmp_path, NEWEST, "T1w")
    for path in files(tree, "func/*_task-objectcategories_*"):
        path.unlink()
    with pytest.raises(InputError, match=r"task objectcategories, run 1.*but of movie: prep"):
        find(tree)


def test_a_real_minimal_tree(shared_data: Path, tmp_path: Path) -> None:
    """fMRIPrep 23.2 with ``--level minimal``: references and transforms, no BOLD."""
    source = shared_data / "fmriprep-trees" / "ds003752-fmriprep"
    if not source.is_dir():
        pytest.skip(f"no real fMRIPrep tree at {source}")
    tree = Tree(tmp_path)
    write_json(tree.bids / "dataset_description.json", {"Name": "x", "BIDSVersion": "1.8.0"})
    for line in (source / "TREE.txt").read_text().splitlines():
        if line.startswith("sub-01/"):
            path = tree.fmriprep / line
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    shutil.copy(source / "dataset_description.json", tree.fmriprep)
    write_lines(
        tree.bids / "sub-01/func/sub-01_task-LFContrast_run-1_events.tsv", "onset\tduration"
    )
    movie = small_analysis().movie.model_dump() | {"task": "LFContrast", "session": None}
    analysis = small_analysis(movie=movie, functional={}, localizer=None)
    with pytest.raises(InputError, match=r"--level full and T1w among its --output-spaces"):
        find(tree, analysis=analysis)
    says = instead(tree.fmriprep / "sub-01", "LFContrast", "T1w")
    assert says.startswith("its reference images are there and its BOLD is not")
