"""What is wrong with participants' data is said in one sentence, and stops no one else.

The sentence names the file and what to do; the exit status is 1.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tiny_study import (
    TR,
    TinyStudy,
    cut_off,
    cut_off_unseen,
    listing,
    movie,
    read_image,
    write_image,
    write_json,
)

from bidsapp.errors import InputError

Moviersa = Callable[..., object]

USAGE, INPUT = 64, 1

pytestmark = pytest.mark.usefixtures("plain_reports")

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
    refused(INPUT, f"{path} has no column 'csf_derivative1'", "change denoise in the analysis")


def test_too_few_compcor_components(study, refused):
    study.change_analysis(denoise={"compcor": {"mask": "WM"}})
    path = study.preprocessed("01", "movie", "1", METADATA)
    refused(INPUT, path, "0 retained aCompCor components of the mask WM", "denoise.compcor")


def test_cosines_that_fmriprep_would_have_written(study, refused):
    """At a TR of 4 s the runs take 160 s, of which fMRIPrep's high-pass makes a cosine."""
    for label in ALL:
        for run in "1234":
            _set_tr(study, label, run, header=4.0, metadata=4.0)
            path = study.preprocessed(label, "movie", run, CONFOUNDS)
            path.write_text(path.read_text().replace("cosine00", "other"))
    path = study.preprocessed("01", "movie", "1", CONFOUNDS)
    refused(INPUT, f"{path} has no cosine drifts", "run fMRIPrep again", "denoise.cosines to false")


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
    refused(INPUT, "cannot read", broken[0].name, "it is cut off", "copy it anew")


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


def test_mask_of_several_volumes_stops_no_one_else(study, moviersa):
    path = study.preprocessed("01", "movie", "1", MASK)
    write_image(path, np.stack([read_image(path)] * 2, axis=-1))
    outcome = moviersa(*study.arguments("participant", "--dry-run"))
    assert outcome.status == INPUT
    assert f"{path} holds several volumes" in outcome.out
    assert "  sub-02\n" in outcome.out


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


# --- one participant's trouble is not the others' ---


def complete(study: TinyStudy, label: str) -> bool:
    """Tell whether a participant has a table and a report."""
    tables = list((study.out / f"sub-{label}").rglob("*_desc-similarity_stats.tsv"))
    return len(tables) == 1 and (study.out / f"sub-{label}.html").is_file()


def brain_rdms(study: TinyStudy, label: str) -> int:
    return len(list((study.out / f"sub-{label}").rglob("*_desc-rois_relmat.h5")))


def test_report_that_fails(finished, moviersa, monkeypatch):
    """A T1w image that breaks off when it is read; the next participant has a report still."""
    reports = []

    def write(tree, participant, *_):
        if participant == "01":
            raise InputError("sub-01_desc-preproc_T1w.nii.gz is damaged: copy or make it again")
        reports.append(participant)

    monkeypatch.setattr("bidsapp.workflows.pages.participant_report", write)
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


def test_participants_of_other_studies_are_left_out_unless_named(finished, moviersa):
    """A dataset may hold people who never saw the film, raw and preprocessed."""
    study = finished
    for tree, ending in ((study.bids, "bold.nii.gz"), (study.fmriprep, "desc-brain_mask.nii.gz")):
        other = tree / "sub-09" / "func" / f"sub-09_task-music_run-1_{ending}"
        other.parent.mkdir(parents=True)
        other.write_bytes(b"")
    outcome = moviersa(*study.arguments("participant", "--dry-run"))
    assert outcome.status == 0
    assert "sub-09: without the movie, and so left out" in outcome.out
    named = moviersa(*study.arguments("participant", "--dry-run", "--participant-label", "09"))
    assert named.status == INPUT
    assert "sub-09" in named.err


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


# --- results of an earlier run ---


def published(study: TinyStudy, label: str) -> list[Path]:
    return [path for path in study.out.rglob(f"sub-{label}*") if "logs" not in path.parts]


def test_results_of_one_who_succeeded_and_then_fails_are_not_counted(succeeded, moviersa):
    study = succeeded
    cut_off_unseen(study.bold("02", "2"))
    for run in "34":
        study.bold("03", run).unlink()
    assert complete(study, "02")
    before = listing(study.out)
    assert moviersa(*study.arguments("participant", "--dry-run")).status == INPUT
    assert listing(study.out) == before
    assert moviersa(*study.arguments("participant", "--boilerplate-only")).status == 0
    assert [complete(study, label) for label in ALL] == [True, True, True]

    assert moviersa(*study.arguments("participant")).status == INPUT
    assert [complete(study, label) for label in ALL] == [True, False, False]
    assert published(study, "03") == []
    left = {path.name for path in published(study, "02") if path.is_file()}
    assert left == {"sub-02.html"}  # which says what failed
    said = moviersa(*study.arguments("group", "--dry-run")).out
    assert "run 1: RDMs of 1 participants: 01" in said


def test_run_lost_since_leaves_no_old_rdms(succeeded, moviersa):
    study = succeeded
    study.bold("02", "4").unlink()
    words = study.arguments("participant", "--participant-label", "02")
    assert moviersa(*words).status == 0
    assert [brain_rdms(study, label) for label in ALL] == [4, 3, 4]


def test_one_asked_for_alone_who_became_unusable(succeeded, moviersa):
    """Their old results go; another analysis's do not, and no one's where the input is away."""
    study = succeeded
    words = study.arguments("participant", "--participant-label", "02")
    away = study.fmriprep.rename(study.root / "away")
    assert moviersa(*words).status == INPUT
    away.rename(study.fmriprep)
    for run in "34":
        study.bold("02", run).unlink()
    assert moviersa(*words, "--dry-run").status == INPUT
    analysis = study.analysis.read_text()
    study.change_analysis(movie=movie(hrf_s=16.0))
    outcome = moviersa(*words)
    assert outcome.status == USAGE
    assert "another analysis" in outcome.err
    assert complete(study, "02")

    study.analysis.write_text(analysis)
    assert moviersa(*words).status == INPUT
    assert published(study, "02") == []
    assert [complete(study, label) for label in ALL] == [True, False, True]


def test_group_names_whom_it_leaves_out(succeeded, moviersa, monkeypatch):
    told = []
    monkeypatch.setattr(
        "bidsapp.workflows.group.group_report", lambda *words: told.extend(words[2].warnings)
    )
    for path in (succeeded.out / "sub-02").rglob("*_relmat.h5"):
        path.unlink()
    outcome = moviersa(*succeeded.arguments("group"))
    assert outcome.status == 0
    assert "sub-02 is left out" in outcome.err
    assert any("sub-02 is left out" in warning for warning in told)
    assert not any("sub-01 is left out" in warning for warning in told)


# --- the work directory ---


def test_clean_workdir_spares_the_caches_in_use(study, moviersa):
    (study.work / ".config").mkdir(parents=True)
    (study.work / "old_wf" / "step").mkdir(parents=True)
    (study.work / "note.txt").write_text("old")
    (study.work / ".config" / "font.json").write_text("{}")
    words = study.arguments("participant", "--boilerplate-only", "--clean-workdir")
    assert moviersa(*words).status == 0
    assert [path.name for path in study.work.iterdir()] == [".config"]
    assert (study.work / ".config" / "font.json").is_file()


def test_work_dir_that_cannot_be_cleaned(study, moviersa, monkeypatch):
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    (study.work / "old_wf").mkdir(parents=True)
    monkeypatch.setattr("bidsapp.workflows.bookkeeping.shutil.rmtree", refuse)
    words = study.arguments("participant", "--boilerplate-only", "--clean-workdir")
    outcome = moviersa(*words)
    assert outcome.status == USAGE
    assert f"cannot write {study.work / 'old_wf'}: Permission denied" in outcome.err
