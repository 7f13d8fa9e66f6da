"""Whatever is wrong with the input is said in one sentence, before anything heavy is computed.

The sentence names the file and what to do; the exit status is 64 where the words on the command
line or in the analysis file are wrong, and 1 where data are.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tiny_study import (
    TR,
    VOLUMES,
    TinyStudy,
    cut_off,
    cut_off_unseen,
    localizer,
    movie,
    read_image,
    write_film,
    write_image,
    write_json,
    write_lines,
)

from bidsapp.errors import InputError

Moviersa = Callable[..., object]

USAGE, INPUT = 64, 1


@pytest.fixture(autouse=True)
def _plain_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports have tests of their own, and their figures take seconds."""

    def write(tree, participant, *_):
        tree.path("participant_report", sub=participant).write_text("a report")

    monkeypatch.setattr("bidsapp.workflows.participant.participant_report", write)


@pytest.fixture
def refused(study: TinyStudy, moviersa: Moviersa) -> Callable[..., str]:
    """Run a level that must fail at once; return the one sentence that it says."""

    def call(status: int, *names: object, level: str = "participant", more=()) -> str:
        outcome = moviersa(*study.arguments(level, *more))
        assert (outcome.status, outcome.out) == (status, "")
        sentence = outcome.err.strip()
        if "HDF5-DIAG" in sentence:  # the library behind ITK's files has its own say first
            sentence = sentence.splitlines()[-1]
        assert sentence.startswith("moviersa: error: ")
        assert "\n" not in sentence
        for name in names:
            assert str(name) in sentence
        assert study.heavy_files() == []
        return sentence

    return call


# --- folders ---


def test_no_such_directory(study, refused):
    shutil.rmtree(study.bids)
    refused(INPUT, f"there is no folder {study.bids}", "BIDS_DIR")


def test_not_bids(study, refused):
    (study.bids / "dataset_description.json").unlink()
    refused(INPUT, study.bids, "is not a BIDS dataset", "dataset_description.json")


def test_invalid_bids_is_found_by_the_validator(study, moviersa):
    stray = study.bids / "sub-01" / "ses-movie" / "func" / "notes.txt"
    stray.write_text("not BIDS")
    words = [w for w in study.arguments("stimulus") if w != "--skip-bids-validation"]
    outcome = moviersa(*words)
    assert outcome.status == INPUT
    assert f"{study.bids} is not valid BIDS" in outcome.err
    assert "notes.txt" in outcome.err
    assert "--skip-bids-validation" in outcome.err
    assert study.heavy_files() == []


def test_unknown_participant(study, refused):
    refused(USAGE, "has no participant 99", "it has 01, 02, 03", more=["--participant-label", "99"])


def test_no_participant_left(study, refused):
    for folder in study.bids.glob("sub-*"):
        shutil.rmtree(folder)
    refused(INPUT, f"{study.bids} has no participant", "sub-*")


@pytest.mark.parametrize("level", ["stimulus", "participant"])
def test_derivatives_absent(study, refused, level):
    shutil.rmtree(study.fmriprep)
    sentence = refused(INPUT, f"no fMRIPrep derivatives at {study.fmriprep}", level=level)
    assert f"moviersa-fmriprep {study.bids} {study.fmriprep}" in sentence
    assert f"fmriprep-docker {study.bids} {study.fmriprep} participant" in sentence
    assert "--output-spaces T1w MNI152NLin6Asym MNI152NLin2009cAsym" in sentence


def test_derivatives_of_one_participant_absent(study, refused):
    shutil.rmtree(study.fmriprep / "sub-02")
    refused(
        INPUT,
        f"{study.fmriprep} has nothing of sub-02",
        "fmriprep-docker",
        "--participant-label 02",
        more=["--participant-label", "02"],
    )


def test_output_inside_the_raw_data(study, refused, moviersa):
    words = study.arguments("participant")
    words[1] = str(study.bids / "results")
    outcome = moviersa(*words)
    assert outcome.status == USAGE
    assert f"output folder {study.bids / 'results'} lies in the raw data" in outcome.err
    assert f"below {study.bids / 'derivatives'}" in outcome.err
    assert not (study.bids / "results").exists()


def test_output_inside_the_derivatives_that_are_read(study, moviersa):
    words = study.arguments("participant")
    words[1] = str(study.fmriprep / "moviersa")
    outcome = moviersa(*words)
    assert outcome.status == USAGE
    assert f"lies in the input {study.fmriprep}" in outcome.err
    assert not (study.fmriprep / "moviersa").exists()


def test_output_below_a_file(study, refused):
    study.out.write_text("a file, not a folder")
    refused(USAGE, study.out, "is a file")


def test_output_not_permitted(study, refused, monkeypatch):
    """Asked of the system, since root may write where the permissions of a folder forbid it."""
    permitted = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode: Path(path) != study.root and permitted(path, mode)
    )
    refused(USAGE, study.out, f"no permission in {study.root}")


def test_output_where_writing_fails(study, moviersa):
    """A folder that permissions allow and that no one can write: a kernel's."""
    words = study.arguments("stimulus")
    words[1] = "/proc/self/moviersa"
    outcome = moviersa(*words)
    assert outcome.status == USAGE
    assert "/proc/self" in outcome.err
    assert outcome.err.count("\n") == 1
    assert not list(study.work.rglob("*_wf"))


def test_work_dir_inside_the_input(study, refused):
    refused(USAGE, "--work-dir", f"lies in the input {study.bids}", more=["-w", study.bids / "w"])


def test_work_dir_below_the_derivatives(study, moviersa):
    """As the results may be; but not in the derivatives that are read."""
    for name, status in (("work", 0), ("fmriprep", USAGE)):
        folder = study.bids / "derivatives" / name
        words = [*study.arguments("stimulus"), "-d", f"fmriprep={folder}"]
        if name == "fmriprep":
            shutil.copytree(study.fmriprep, folder)
        else:
            words = study.arguments("stimulus")
        assert moviersa(*words, "-w", str(folder), "--dry-run").status == status


def test_work_dir_that_holds_the_input_is_not_emptied(study, refused):
    more = ["-w", study.root, "--clean-workdir"]
    refused(USAGE, "--clean-workdir would empty", study.bids, more=more)
    assert study.bold("01").is_file()


def test_output_of_another_analysis(study, refused, moviersa):
    assert moviersa(*study.arguments("stimulus", "--boilerplate-only")).status == 0
    study.change_analysis(movie=movie(hrf_s=16.0), denoise={"scale": True})
    refused(
        USAGE,
        f"{study.out} holds the results of another analysis",
        "denoise.scale, movie.hrf_s",
        "another output folder",
    )


def test_output_of_another_space(study, refused, moviersa):
    assert moviersa(*study.arguments("stimulus", "--boilerplate-only")).status == 0
    more = ["--output-space", "MNI152NLin6Asym"]
    refused(USAGE, study.out, "differs in output space", more=more)


# --- the analysis file and the models ---


def test_unknown_key(study, refused):
    study.change_analysis(movie=movie(frame_stepp=5))
    refused(USAGE, study.analysis, "unknown key 'movie.frame_stepp'", "frame_step", "hrf_s")


def test_value_that_is_not_allowed(study, refused):
    study.change_analysis(movie=movie(frame_timing="guessed"))
    refused(USAGE, study.analysis, "movie.frame_timing", "'events' or 'nominal'")


def test_unknown_condition_in_the_analysis(study, refused):
    contrasts = {"face": {"plus": ["face"], "minus": ["hose"]}}
    study.change_analysis(localizer=localizer(contrasts=contrasts))
    refused(USAGE, study.analysis, "unknown condition 'hose'", "conditions are face, house")


def test_unknown_condition_in_the_events(study, refused):
    for label in ("01", "02", "03"):
        events = study.events(label, "objectcategories")
        events.write_text(events.read_text().replace("house", "castle"))
    sentence = refused(INPUT, study.events("01", "objectcategories"), "trial type 'castle'")
    assert "localizer.conditions" in sentence


def test_unknown_contrast_of_a_region(study, refused):
    search = {"L": {"centre_mm": [0, 0, 0], "radius_mm": 9}}
    region = {"name": "PPA", "contrast": "scene", "search": search}
    study.change_analysis(functional={"regions": [region]})
    refused(USAGE, study.analysis, "region PPA", "unknown contrast 'scene'", "contrasts are face")


def test_unknown_region(study, refused):
    study.change_analysis(atlas={"regions": ["V1v", "V99"]})
    refused(USAGE, "atlas.regions", "no area 'V99'", "V1v, V1d, V2v")


def test_no_region(study, refused):
    study.change_analysis(atlas=None, functional=None)
    refused(USAGE, study.analysis, "no region", "functional.regions or atlas.regions")


@pytest.mark.parametrize("level", ["stimulus", "participant", "group"])
def test_unknown_model(study, refused, level):
    refused(USAGE, "resnet81", "pixels", level=level, more=["--models", "resnet81"])


@pytest.mark.parametrize("level", ["stimulus", "participant"])
def test_weights_absent(study, refused, level):
    refused(
        INPUT,
        "resnet18-f37072fd.pth",
        "https://download.pytorch.org/models/resnet18-f37072fd.pth",
        "--weights",
        level=level,
        more=["--models", "resnet18-imagenet"],
    )


def test_weights_absent_in_their_folder(study, refused):
    more = ["--models", "resnet18-imagenet", "--weights", study.atlas]
    refused(INPUT, f"there is no {study.atlas / 'resnet18-f37072fd.pth'}", more=more)


def test_atlas_not_named(study, moviersa):
    words = study.arguments("participant")
    at = words.index("--atlas")
    outcome = moviersa(*words[:at], *words[at + 2 :])
    assert outcome.status == USAGE
    assert "--atlas" in outcome.err
    assert study.heavy_files() == []


def test_atlas_incomplete(study, refused):
    (study.atlas / "subj_vol_all" / "perc_VTPM_vol_roi7_lh.nii.gz").unlink()
    refused(INPUT, "perc_VTPM_vol_roi7_lh.nii.gz", "unpack all of the download")


# --- files that fMRIPrep makes, and events ---

CONFOUNDS = "desc-confounds_timeseries.tsv"
METADATA = "desc-confounds_timeseries.json"
MASK = "desc-brain_mask.nii.gz"
BOLD = "desc-preproc_bold.nii.gz"
ALL = ("01", "02", "03")


@pytest.mark.parametrize("ending", [CONFOUNDS, METADATA, MASK])
@pytest.mark.parametrize("task", ["movie", "objectcategories"])
def test_missing_beside_the_bold(study, refused, task, ending):
    for label in ALL:
        study.preprocessed(label, task, "1", ending).unlink()
    refused(
        INPUT,
        *(f"{study.preprocessed(label, task, '1', ending)} is missing" for label in ALL),
        "run fMRIPrep",
    )


def test_missing_confounds_column(study, refused):
    study.change_analysis(denoise={"columns": ["csf_derivative1"]})
    path = study.preprocessed("01", "movie", "1", CONFOUNDS)
    refused(INPUT, f"{path} has no column 'csf_derivative1'", "mend the analysis")


def test_too_few_compcor_components(study, refused):
    study.change_analysis(denoise={"compcor": {"mask": "WM"}})
    path = study.preprocessed("01", "movie", "1", METADATA)
    refused(INPUT, path, "0 retained aCompCor components of the mask WM", "denoise.compcor")


def test_missing_transform(study, refused):
    for label in ALL:
        for path in study.transforms(label):
            path.unlink()
    refused(INPUT, "sub-01 has no transforms", "from-MNI152NLin6Asym_to-T1w", "run fMRIPrep")


def test_transform_of_the_other_template_only(study, refused):
    for label in ALL:
        for path in study.transforms(label):
            if "6Asym" in path.name:
                path.unlink()
    refused(
        INPUT,
        "no transforms between MNI152NLin6Asym and T1w",
        "T1w->MNI152NLin2009cAsym",
        "--allow-template-mismatch",
    )


def test_broken_transform(study, refused):
    broken = [path for label in ALL for path in study.transforms(label) if "6Asym" in path.name]
    for path in broken:
        cut_off(path)
    refused(INPUT, "cannot read", broken[0].name, "cut off: copy it anew")


def test_missing_localizer_events(study, refused):
    for label in ALL:
        study.events(label, "objectcategories").unlink()
    refused(INPUT, "no events.tsv for run 1 of task objectcategories of sub-01", "localizer")


def test_missing_localizer(study, refused):
    for label in ALL:
        shutil.rmtree(study.fmriprep / f"sub-{label}" / "ses-localizer")
    refused(INPUT, "no preprocessed BOLD of sub-01", "task objectcategories", study.fmriprep)


@pytest.mark.parametrize("task", ["movie", "objectcategories"])
def test_truncated_image(study, refused, task):
    for label in ALL:
        cut_off(study.preprocessed(label, task, "1", BOLD))
    refused(
        INPUT,
        *(f"{study.preprocessed(label, task, '1', BOLD)} is truncated" for label in ALL),
        "copy or make it again",
    )


def test_truncated_anatomy(study, refused):
    paths = [study.fmriprep / f"sub-{n}/anat/sub-{n}_desc-preproc_T1w.nii.gz" for n in ALL]
    for path in paths:
        cut_off(path, 0.9)
    refused(INPUT, *(f"{path} is truncated" for path in paths))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_image_that_is_not_finite_from_its_start(study, refused, value):
    for label in ALL:
        data = read_image(study.bold(label))
        data[2, 3, 4] = value
        write_image(study.bold(label), data)
    refused(INPUT, study.bold("01"), "not finite in 1 voxels", "run fMRIPrep again")


def test_empty_mask(study, refused):
    for label in ALL:
        path = study.preprocessed(label, "movie", "2", MASK)
        write_image(path, np.zeros((8, 8, 6), np.uint8))
    refused(INPUT, study.preprocessed("01", "movie", "2", MASK), "is empty")


# --- repetition times ---


def _set_tr(study: TinyStudy, label: str, run: str, header: float, metadata: float) -> None:
    """State repetition times in an image's header and in its metadata; the raw data say nothing."""
    (study.bids / "task-movie_bold.json").unlink(missing_ok=True)
    write_image(study.bold(label, run), read_image(study.bold(label, run)), header)
    path = study.preprocessed(label, "movie", run, "desc-preproc_bold.json")
    write_json(path, {"RepetitionTime": metadata, "StartTime": 0.5})


def test_repetition_times_of_metadata_and_header_differ(study, refused):
    for label in ALL:
        _set_tr(study, label, "2", header=TR, metadata=1.5)
    sentence = refused(INPUT, study.bold("01", "2"), "repetition times", "mend the wrong one")
    assert "1.5 s in fMRIPrep's metadata, 2 s in the header" in sentence


def test_repetition_times_of_raw_and_preprocessed_data_differ(study, refused):
    write_json(study.bids / "task-movie_bold.json", {"RepetitionTime": 2.5, "TaskName": "movie"})
    refused(INPUT, study.bold("01"), "2.5 s in the raw metadata", "mend the wrong one")


def test_repetition_times_of_runs_differ(study, refused):
    for label in ALL:
        _set_tr(study, label, "2", header=1.5, metadata=1.5)
    refused(INPUT, f"2 s in {study.bold('01')}", f"1.5 s in {study.bold('01', '2')}")


@pytest.mark.parametrize("level", ["stimulus", "participant"])
def test_repetition_times_of_participants_differ(study, refused, level):
    for run in "1234":
        _set_tr(study, "03", run, header=1.5, metadata=1.5)
    refused(
        INPUT,
        f"{study.bold('03')} has a TR of 1.5 s",
        f"{study.bold('01')} one of 2 s",
        level=level,
    )


def test_repetition_time_differs_from_that_of_made_models(finished, moviersa):
    """The models' RDMs are there already, so that no one looks at the film again."""
    study = finished
    for run in "1234":
        _set_tr(study, "03", run, header=1.5, metadata=1.5)
    outcome = moviersa(*study.arguments("participant", "--participant-label", "03"))
    assert outcome.status == INPUT
    assert f"{study.bold('03')} has a TR of 1.5 s, but the model RDMs" in outcome.err
    assert not (study.work / "participant_wf").exists()


# --- the film ---


@pytest.mark.parametrize("level", ["stimulus", "participant"])
def test_film_absent(study, refused, level):
    study.film("2").unlink()
    refused(INPUT, f"no film in {study.stimuli} fits 'seg_2.*'", "seg_1.mkv", level=level)


def test_no_folder_of_films(study, refused):
    shutil.rmtree(study.stimuli)
    refused(INPUT, study.stimuli, "--stimuli", level="stimulus")


def test_two_films_for_a_run(study, refused):
    shutil.copy(study.film("2"), study.stimuli / "seg_2.avi")
    refused(INPUT, "seg_2.avi, seg_2.mkv", "narrow the pattern", level="stimulus")


def test_film_that_is_none(study, refused):
    study.film("2").write_bytes(b"not a film" * 100)
    refused(INPUT, study.film("2"), "decoded", level="stimulus")


def test_film_cut_off(study, refused):
    cut_off(study.film("2"), 0.6)
    sentence = refused(INPUT, f"{study.film('2')}, run 2", "400 frames needed", level="stimulus")
    assert "check that this film belongs to the run" in sentence


def _nominal(study: TinyStudy) -> None:
    study.change_analysis(movie=movie(frame_timing="nominal"))


def test_film_shorter_than_the_run(study, refused):
    _nominal(study)
    write_film(study.film("2"), np.random.default_rng(0), VOLUMES * TR - 6)
    refused(
        INPUT, f"{study.film('2')}, run 2", "too short", "400 frames needed", "370 found",
        level="stimulus",
    )  # fmt: skip


def test_film_longer_than_the_run(study, refused):
    write_film(study.film("2"), np.random.default_rng(0), VOLUMES * TR + 6)
    refused(
        INPUT, f"{study.film('2')}, run 2", "too long", "430 frames found",
        "start_s and duration_s", level="stimulus",
    )  # fmt: skip


def test_feature_table_absent(study, refused):
    (study.stimuli / "ratings_run-3.tsv").unlink()
    refused(INPUT, "ratings_run-3.tsv", study.stimuli, level="stimulus")


def test_feature_table_of_few_columns_with_correlation(study, refused):
    table = {
        "name": "ratings",
        "files": {run: f"ratings_run-{run}.tsv" for run in "1234"},
        "dissimilarity": "correlation",
    }
    study.change_analysis(feature_tables=[table])
    refused(USAGE, "'ratings' has 2 columns", "euclidean", level="stimulus")


def test_movie_events_without_frames(study, refused):
    for label in ALL:
        write_lines(study.events(label, "movie"), "onset\tduration", "0\t80")
    refused(INPUT, "no column 'frameidx'", "frame_timing to nominal", level="stimulus")


# --- levels in the wrong order ---


def test_group_before_participant(study, refused):
    refused(INPUT, study.out, "run the participant level first", level="group")
    assert not study.out.exists()


def test_group_after_stimulus_only(finished, moviersa):
    outcome = moviersa(*finished.arguments("group"))
    assert outcome.status == INPUT
    assert f"{finished.out} holds brain RDMs of 0 movie runs" in outcome.err
    assert "run the participant level first" in outcome.err
    assert not (finished.out / "group").exists()


# --- one participant's trouble is not the others' ---


@pytest.fixture(scope="session")
def films_done(built_study: TinyStudy, tmp_path_factory: pytest.TempPathFactory) -> TinyStudy:
    """The study with the stimulus level done."""
    from bidsapp.cli.run import main

    study = TinyStudy(tmp_path_factory.mktemp("films") / "study")
    shutil.copytree(built_study.root, study.root)
    with pytest.raises(SystemExit) as exit_:
        main(study.arguments("stimulus"))
    assert exit_.value.code == 0
    return study


@pytest.fixture
def finished(films_done: TinyStudy, tmp_path: Path) -> TinyStudy:
    """A copy of the study with the stimulus level done, but not its scratch."""
    shutil.copytree(films_done.root, tmp_path / "done", ignore=shutil.ignore_patterns("work"))
    return TinyStudy(tmp_path / "done")


def complete(study: TinyStudy, label: str) -> bool:
    """Tell whether a participant has a table and a report."""
    tables = list((study.out / f"sub-{label}").rglob("*_desc-similarity_stats.tsv"))
    return len(tables) == 1 and (study.out / f"sub-{label}.html").is_file()


def brain_rdms(study: TinyStudy, label: str) -> int:
    return len(list((study.out / f"sub-{label}").rglob("*_relmat.h5")))


def test_report_that_fails(finished, moviersa, monkeypatch):
    """A T1w image that breaks off when it is read; the next participant has a report still."""
    reports = []

    def write(tree, participant, *_):
        if participant == "01":
            raise InputError("sub-01_desc-preproc_T1w.nii.gz is damaged: copy or make it again")
        reports.append(participant)

    monkeypatch.setattr("bidsapp.workflows.participant.participant_report", write)
    words = finished.arguments(
        "participant", "--participant-label", "01", "02", "--task-id", "movie"
    )
    words[1] = str(finished.root / "other")  # without the localizer it is another analysis
    outcome = moviersa(*words)
    assert outcome.status == INPUT
    assert "sub-01: sub-01_desc-preproc_T1w.nii.gz is damaged" in outcome.err
    assert reports == ["02"]


def test_missing_movie_runs(finished, moviersa):
    """Three of four runs are enough, and said; two are not; neither touches the others."""
    study = finished
    study.bold("02", "4").unlink()
    study.bold("03", "3").unlink()
    study.bold("03", "4").unlink()
    outcome = moviersa(*study.arguments("participant"))
    assert outcome.status == INPUT
    assert "sub-02: no preprocessed BOLD of sub-02, session movie, task movie, run 4" in outcome.err
    assert "sub-03: sub-03 has 2 complete movie runs, and at least 3 are needed" in outcome.err
    assert [complete(study, label) for label in ALL] == [True, True, False]
    assert [brain_rdms(study, label) for label in ALL] == [4, 3, 0]


def test_step_that_fails_and_is_mended(finished, moviersa):
    """Data cut off unseen show when they are read; mended, only what they stopped is done."""
    study = finished
    whole = study.bold("02", "2").read_bytes()
    cut_off_unseen(study.bold("02", "2"))
    words = study.arguments("participant", "--participant-label", "01", "sub-02")
    outcome = moviersa(*words)
    assert outcome.status == INPUT
    message = next(line for line in outcome.err.splitlines() if "ERROR" in line)
    assert f"sub-02: {study.bold('02', '2')} is truncated or damaged" in message
    assert "copy or make it again" in message
    assert str(study.out / "logs") in message
    assert [complete(study, label) for label in ("01", "02")] == [True, False]
    assert brain_rdms(study, "02") == 0

    study.bold("02", "2").write_bytes(whole)
    results = study.work / "participant_wf"
    done = {path: path.stat().st_mtime_ns for path in results.rglob("result_*.pklz")}
    outcome = moviersa(*words)
    assert (outcome.status, outcome.err) == (0, "")
    assert all(complete(study, label) for label in ("01", "02"))
    assert brain_rdms(study, "02") == 4
    kept = {p for p, time in done.items() if p.stat().st_mtime_ns == time}
    assert {p.parent.name for p in done} - {p.parent.name for p in kept} <= {"publish"}


def test_value_that_is_not_finite_later_in_a_run(finished, moviersa):
    study = finished
    data = read_image(study.bold("02", "3"))
    data[1, 1, 1, 30] = np.nan
    write_image(study.bold("02", "3"), data)
    outcome = moviersa(*study.arguments("participant", "--participant-label", "02"))
    assert outcome.status == INPUT
    assert f"{study.bold('02', '3')} has values that are not finite in 1 voxels" in outcome.err
    assert not complete(study, "02")
    assert not list(study.out.rglob("sub-*_stats.tsv"))
