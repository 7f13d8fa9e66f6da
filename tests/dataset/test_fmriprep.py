import shutil
from pathlib import Path

import numpy as np
import pytest
from dataset_trees import AFFINE, SHAPE, VOLUMES, Tree, small_analysis, write_json, write_nifti

from bidsapp.analysis.spec import Analysis
from bidsapp.dataset.anatomy import find_anatomy, find_t1w, find_transforms
from bidsapp.dataset.fmriprep import ParticipantInputs, check_derivatives, find_participant
from bidsapp.dataset.raw import open_raw
from bidsapp.errors import InputError


def find(tree: Tree, analysis: Analysis, space: str = "T1w", **options) -> ParticipantInputs:
    raw = open_raw(tree.bids, ["01"], bids_filters=options.pop("bids_filters", None))
    return find_participant(tree.fmriprep, raw, "01", analysis, space, **options)


def derivative(
    tree: Tree, ending: str, run: str = "2", session: str = "movie", task: str = "movie"
) -> Path:
    return tree.fmriprep / f"{tree.stem('01', session, task, run)}_{ending}"


def test_finds_every_file_of_every_run(tree: Tree, analysis: Analysis) -> None:
    found = find(tree, analysis)
    assert [run.run for run in found.movie] == ["1", "2", "3", "4"]
    second = found.movie[1]
    assert second.bold == derivative(tree, "space-T1w_desc-preproc_bold.nii.gz")
    assert second.mask == derivative(tree, "space-T1w_desc-brain_mask.nii.gz")
    assert second.confounds == derivative(tree, "desc-confounds_timeseries.tsv")
    assert second.confounds_metadata == derivative(tree, "desc-confounds_timeseries.json")
    assert second.events == tree.bids / f"{tree.stem('01', 'movie', 'movie', '2')}_events.tsv"
    assert (second.n_volumes, second.shape) == (VOLUMES, SHAPE)
    assert (second.repetition_time, second.start_time) == (2.0, 0.975)
    np.testing.assert_allclose(second.affine, AFFINE, rtol=1e-6)
    assert [run.task for run in found.localizer] == ["objectcategories"]
    assert found.transforms["T1w->MNI152NLin6Asym"].name == (
        "sub-01_from-T1w_to-MNI152NLin6Asym_mode-image_xfm.h5"
    )
    assert len(found.transforms) == 4
    assert found.t1w is not None
    assert found.t1w.name == "sub-01_desc-preproc_T1w.nii.gz"
    assert found.missing == ()


@pytest.mark.parametrize(
    ("variation", "space"),
    [
        ({"run_label": "0{}"}, "T1w"),
        ({"anat": "ses-anat/anat"}, "T1w"),
        ({"spaces": ("MNI152NLin6Asym:2",)}, "MNI152NLin6Asym"),
        ({"spaces": ("T1w", "MNI152NLin2009cAsym")}, "MNI152NLin2009cAsym"),
    ],
)
def test_names_vary_as_fmriprep_lets_them(
    tmp_path: Path, analysis: Analysis, variation: dict, space: str
) -> None:
    tree = Tree(tmp_path, **variation).build("01")
    if space != "T1w":
        analysis = small_analysis(atlas={"template": space, "regions": ["V1v"]}, functional={})
    found = find(tree, analysis, space)
    assert len(found.movie) == 4
    assert all(f"space-{space}" in run.bold.name for run in found.movie)
    assert found.t1w is not None
    assert len(found.transforms) == 4


def test_old_confounds_name(tree: Tree, analysis: Analysis) -> None:
    for path in tree.fmriprep.rglob("*desc-confounds_timeseries.*"):
        path.rename(path.with_name(path.name.replace("timeseries", "regressors")))
    found = find(tree, analysis)
    assert found.movie[0].confounds.name.endswith("_desc-confounds_regressors.tsv")
    assert found.movie[0].confounds_metadata.name.endswith("_desc-confounds_regressors.json")


def test_run_without_label_is_run_1(tree: Tree) -> None:
    for path in [
        *tree.fmriprep.rglob("*objectcategories*"),
        *tree.bids.rglob("sub-*objectcategories*"),
    ]:
        path.rename(path.with_name(path.name.replace("_run-1", "")))
    found = find(tree, small_analysis())
    assert len(found.localizer) == 1
    assert found.localizer[0].events is not None


def test_metadata_are_inherited_in_derivatives(tree: Tree, analysis: Analysis) -> None:
    for path in tree.fmriprep.rglob("*task-movie*_bold.json"):
        path.unlink()
    write_json(
        tree.fmriprep / "task-movie_space-T1w_desc-preproc_bold.json",
        {"RepetitionTime": 2.0, "StartTime": 0.5},
    )
    assert {run.start_time for run in find(tree, analysis).movie} == {0.5}


def test_start_time_is_half_a_tr_without_metadata_or_when_asked(tree: Tree) -> None:
    movie = small_analysis().movie.model_dump() | {"volume_time": "middle"}
    found = find(tree, small_analysis(movie=movie))
    assert {run.start_time for run in found.movie} == {1.0}
    assert found.localizer[0].start_time == 0.975
    sidecar = derivative(tree, "space-T1w_desc-preproc_bold.json")
    write_json(sidecar, {"RepetitionTime": 2.0})
    assert find(tree, small_analysis()).movie[1].start_time == 1.0


def test_missing_movie_run_is_told_and_three_are_enough(tree: Tree, analysis: Analysis) -> None:
    derivative(tree, "space-T1w_desc-preproc_bold.nii.gz").unlink()
    found = find(tree, analysis)
    assert [run.run for run in found.movie] == ["1", "3", "4"]
    assert "run 2" in found.missing[0]
    derivative(tree, "space-T1w_desc-preproc_bold.nii.gz", run="3").unlink()
    with pytest.raises(InputError, match=r"2 complete movie runs.*at least 3.*runs 2, 3"):
        find(tree, analysis)


def test_missing_movie_events_are_told(tree: Tree, analysis: Analysis) -> None:
    (tree.bids / f"{tree.stem('01', 'movie', 'movie', '2')}_events.tsv").unlink()
    found = find(tree, analysis)
    assert len(found.movie) == 4
    assert found.movie[1].events is None
    assert found.missing == ("no events of run 2 of task movie of sub-01",)


@pytest.mark.parametrize(
    "ending",
    [
        "space-T1w_desc-brain_mask.nii.gz",
        "desc-confounds_timeseries.tsv",
        "desc-confounds_timeseries.json",
    ],
)
def test_missing_companion_is_named(tree: Tree, analysis: Analysis, ending: str) -> None:
    path = derivative(tree, ending)
    path.unlink()
    with pytest.raises(InputError, match=path.name):
        find(tree, analysis)


def test_missing_localizer(tree: Tree, analysis: Analysis) -> None:
    derivative(
        tree, "space-T1w_desc-preproc_bold.nii.gz", "1", "localizer", "objectcategories"
    ).unlink()
    with pytest.raises(InputError, match="objectcategories, run 1"):
        find(tree, analysis)
    assert find(tree, small_analysis(functional={})).localizer == ()


def test_missing_localizer_events(tree: Tree, analysis: Analysis) -> None:
    next(tree.bids.rglob("sub-01*objectcategories*events.tsv")).unlink()
    with pytest.raises(InputError, match=r"no events.tsv for run 1 of task objectcategories"):
        find(tree, analysis)


def test_missing_transforms(tree: Tree, analysis: Analysis) -> None:
    for path in (tree.fmriprep / "sub-01" / "anat").glob("*_to-T1w_*"):
        path.unlink()
    with pytest.raises(InputError, match=r"from-MNI152NLin6Asym_to-T1w_mode-image_xfm.h5"):
        find(tree, analysis)


def test_unequal_repetition_times(tree: Tree, analysis: Analysis) -> None:
    sidecar = derivative(tree, "space-T1w_desc-preproc_bold.json")
    write_json(sidecar, {"RepetitionTime": 2.002})
    with pytest.raises(InputError, match=r"2.002 s in fMRIPrep's metadata, 2 s in the header"):
        find(tree, analysis)
    write_json(sidecar, {"RepetitionTime": 2.0005})
    assert len(find(tree, analysis).movie) == 4
    write_json(tree.bids / "task-movie_bold.json", {"RepetitionTime": 1.5})
    with pytest.raises(InputError, match=r"1.5 s in the raw metadata"):
        find(tree, analysis)


def test_runs_of_unequal_repetition_times(tree: Tree, analysis: Analysis) -> None:
    write_nifti(derivative(tree, "space-T1w_desc-preproc_bold.nii.gz"), (*SHAPE, VOLUMES), tr=1.5)
    write_json(derivative(tree, "space-T1w_desc-preproc_bold.json"), {"RepetitionTime": 1.5})
    raw_sidecar = tree.bids / f"{tree.stem('01', 'movie', 'movie', '2')}_bold.json"
    write_json(raw_sidecar, {"RepetitionTime": 1.5})
    with pytest.raises(InputError, match=r"repetition times differ: 2 s .*run-1.*1.5 s .*run-2"):
        find(tree, analysis)


@pytest.mark.parametrize("key", ["RepetitionTime", "StartTime"])
def test_times_that_are_no_seconds(tree: Tree, analysis: Analysis, key: str) -> None:
    write_json(
        derivative(tree, "space-T1w_desc-preproc_bold.json"),
        {"RepetitionTime": 2.0, "StartTime": 1.0} | {key: "two"},
    )
    with pytest.raises(InputError, match=f"{key} as 'two'"):
        find(tree, analysis)


def test_volumes_at_irregular_times(tree: Tree, analysis: Analysis) -> None:
    sidecar = derivative(tree, "space-T1w_desc-preproc_bold.json")
    write_json(sidecar, {"VolumeTiming": [0.0, 2.0, 5.0]})
    with pytest.raises(InputError, match=r"give VolumeTiming and no RepetitionTime"):
        find(tree, analysis)


def test_truncated_bold(tree: Tree, analysis: Analysis) -> None:
    path = derivative(tree, "space-T1w_desc-preproc_bold.nii.gz")
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(InputError, match=f"{path.name} is truncated"):
        find(tree, analysis)


@pytest.mark.parametrize("shape", [SHAPE, (*SHAPE, 1)])
def test_one_volume_is_no_series(tree: Tree, analysis: Analysis, shape: tuple[int, ...]) -> None:
    path = write_nifti(derivative(tree, "space-T1w_desc-preproc_bold.nii.gz"), shape)
    with pytest.raises(InputError, match=f"{path.name} holds one volume and no time series"):
        find(tree, analysis)


def test_mask_on_another_grid(tree: Tree, analysis: Analysis) -> None:
    write_nifti(derivative(tree, "space-T1w_desc-brain_mask.nii.gz"), SHAPE, affine=AFFINE + 0.1)
    with pytest.raises(InputError, match="different grids"):
        find(tree, analysis)


def test_a_mask_and_an_anatomy_may_be_a_series_of_one(tree: Tree, analysis: Analysis) -> None:
    anatomy = tree.fmriprep / "sub-01" / "anat" / "sub-01_desc-preproc_T1w.nii.gz"
    for path in (derivative(tree, "space-T1w_desc-brain_mask.nii.gz"), anatomy):
        write_nifti(path, (*SHAPE, 1))
        find(tree, analysis)
        write_nifti(path, (*SHAPE, 2))
        with pytest.raises(InputError, match=f"{path.name} holds several volumes"):
            find(tree, analysis)
        write_nifti(path, SHAPE)


def test_localizer_runs_on_two_grids(tree: Tree) -> None:
    """fMRIPrep keeps each run's own grid in T1w: all fit their masks, but not each other."""
    first = derivative(tree, "x", "1", "localizer", "objectcategories").parent
    for folder in (first, tree.bids / first.relative_to(tree.fmriprep)):
        for path in list(folder.iterdir()):
            shutil.copy(path, path.with_name(path.name.replace("_run-1_", "_run-2_")))
    localizer = small_analysis().model_dump()["localizer"]
    asked = small_analysis(localizer={**localizer, "runs": ["1", "2"]})
    assert len(find(tree, asked).localizer) == 2
    moved = AFFINE.copy()
    moved[0, 3] += 1
    for ending, shape in (("preproc_bold", (*SHAPE, VOLUMES)), ("brain_mask", SHAPE)):
        name = f"space-T1w_desc-{ending}.nii.gz"
        path = derivative(tree, name, "2", "localizer", "objectcategories")
        write_nifti(path, shape, affine=moved)
    with pytest.raises(InputError, match=r"run-2.* another grid .*run-1.*localizer\.runs"):
        find(tree, asked)


def test_empty_confounds(tree: Tree, analysis: Analysis) -> None:
    path = derivative(tree, "desc-confounds_timeseries.tsv")
    path.write_text("\n")
    with pytest.raises(InputError, match=f"{path.name} is empty: run fMRIPrep again"):
        find(tree, analysis)


@pytest.mark.parametrize("rows", [19, 21])
def test_confounds_of_another_length(tree: Tree, analysis: Analysis, rows: int) -> None:
    path = derivative(tree, "desc-confounds_timeseries.tsv")
    path.write_text("trans_x\n" + "0\n" * rows)
    with pytest.raises(InputError, match=rf"{path.name} has {rows} rows but .* has 20 volumes"):
        find(tree, analysis)


def test_two_images_of_a_run_need_a_filter(tree: Tree, analysis: Analysis) -> None:
    for folder in (tree.bids, tree.fmriprep):
        for path in folder.rglob("sub-01*task-movie_run-1*"):
            for direction in ("AP", "PA"):
                name = path.name.replace("task-movie_", f"task-movie_dir-{direction}_")
                shutil.copy(path, path.with_name(name))
            path.unlink()
    with pytest.raises(InputError, match=r"several BOLD images are run 1.*bids-filter-file"):
        find(tree, analysis)
    # The other runs have no direction, so that the filter leaves only one run.
    with pytest.raises(InputError, match="1 complete movie runs"):
        find(tree, small_analysis(functional={}), bids_filters={"bold": {"direction": "AP"}})


def test_sessions_restrict_runs(tree: Tree, analysis: Analysis) -> None:
    with pytest.raises(
        InputError, match=r"0 complete movie runs.*only sessions localizer are used"
    ):
        find(tree, analysis, sessions=["localizer"])


def test_participant_absent_from_derivatives(tree: Tree, analysis: Analysis) -> None:
    shutil.rmtree(tree.fmriprep / "sub-01")
    with pytest.raises(InputError, match=r"moviersa-fmriprep .* --participant-label 01"):
        find(tree, analysis)


def test_other_participants_are_unaffected(tree: Tree, analysis: Analysis) -> None:
    shutil.rmtree(tree.fmriprep / "sub-01")
    raw = open_raw(tree.bids)
    assert len(find_participant(tree.fmriprep, raw, "02", analysis, "T1w").movie) == 4


def test_derivatives_absent_gives_the_command(tree: Tree) -> None:
    with pytest.raises(InputError) as error:
        check_derivatives(tree.root / "nowhere", tree.bids, ["01", "02"])
    message = str(error.value)
    nowhere = tree.root / "nowhere"
    assert f"moviersa-fmriprep {tree.bids} {nowhere} --participant-label 01 02" in message


def test_derivatives_of_something_else(tree: Tree) -> None:
    check_derivatives(tree.fmriprep, tree.bids)
    description = tree.fmriprep / "dataset_description.json"
    write_json(description, {"Name": "x", "GeneratedBy": [{"Name": "XCP-D"}]})
    with pytest.raises(InputError, match="does not name fMRIPrep"):
        check_derivatives(tree.fmriprep, tree.bids)
    write_json(description, {"Name": "x", "PipelineDescription": {"Name": "fMRIPrep"}})
    check_derivatives(tree.fmriprep, tree.bids)
    description.unlink()
    with pytest.raises(InputError, match=r"no dataset_description.json"):
        check_derivatives(tree.fmriprep, tree.bids)


def test_real_tree_of_names(shared_data: Path, tmp_path: Path) -> None:
    """The names of a real fMRIPrep 23.2 output: anatomical results below a session."""
    source = shared_data / "fmriprep-trees" / "ds003752-fmriprep"
    if not source.is_dir():
        pytest.skip(f"no real fMRIPrep tree at {source}")
    for line in (source / "TREE.txt").read_text().splitlines():
        if line.startswith("sub-") and "/" in line:
            path = tmp_path / line
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    anatomy = find_anatomy(tmp_path / "sub-01", None)
    assert anatomy == tmp_path / "sub-01" / "ses-ResearchAguirre1" / "anat"
    transforms = find_transforms(anatomy)
    for template in ("MNI152NLin6Asym", "MNI152NLin2009cAsym"):
        assert f"T1w->{template}" in transforms
        assert f"{template}->T1w" in transforms
    t1w = find_t1w(anatomy, "T1w")
    assert t1w is not None
    assert t1w.name == "sub-01_ses-ResearchAguirre1_desc-preproc_T1w.nii.gz"
    check_derivatives(source, tmp_path)
