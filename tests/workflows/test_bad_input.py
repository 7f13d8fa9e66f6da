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
    localizer,
    movie,
    write_film,
    write_lines,
)

Moviersa = Callable[..., object]

ALL = ("01", "02", "03")
USAGE, INPUT = 64, 1


pytestmark = pytest.mark.usefixtures("plain_reports")

# --- folders ---


def test_no_such_directory(study, refused):
    shutil.rmtree(study.bids)
    refused(INPUT, f"there is no folder {study.bids}", "BIDS_DIR")


def test_not_bids(study, refused):
    (study.bids / "dataset_description.json").unlink()
    refused(INPUT, study.bids, "is not a BIDS dataset", "dataset_description.json")


def test_invalid_bids_is_found_by_the_validator(study, moviersa):
    (study.bids / "task-movie_bold.json").write_text("{}")
    words = [w for w in study.arguments("stimulus") if w != "--skip-bids-validation"]
    outcome = moviersa(*words)
    assert outcome.status == INPUT
    assert "RepetitionTime" in outcome.err
    assert "--skip-bids-validation" in outcome.err
    assert study.heavy_files() == []


def test_a_dry_run_says_that_it_does_not_validate(finished, moviersa):
    (finished.bids / "task-movie_bold.json").write_text("{}")
    words = [w for w in finished.arguments("stimulus") if w != "--skip-bids-validation"]
    outcome = moviersa(*words, "--dry-run")
    assert outcome.status == 0
    assert "validator runs with the level itself" in outcome.out


def test_validator_that_is_absent(study, moviersa, monkeypatch):
    monkeypatch.setattr("bidsapp.workflows.validation.sys.executable", str(study.root / "python"))
    words = [w for w in study.arguments("stimulus") if w != "--skip-bids-validation"]
    outcome = moviersa(*words)
    assert outcome.status == INPUT
    assert "cannot run the BIDS validator" in outcome.err
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
    assert "prints the command" in sentence


def test_derivatives_of_one_participant_absent(study, refused):
    shutil.rmtree(study.fmriprep / "sub-02")
    refused(
        INPUT,
        f"{study.fmriprep} has nothing of sub-02",
        "moviersa-fmriprep",
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
    refused(
        USAGE, study.analysis, "no region", "functional.regions, atlas.regions or masks.regions"
    )


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
    sentence = refused(INPUT, f"{study.film('2')}, run 2", "395 frames needed", level="stimulus")
    assert "240 found" in sentence
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


@pytest.mark.parametrize("level", ["stimulus", "participant"])
def test_feature_table_with_a_gap(study, refused, level):
    table = study.stimuli / "ratings_run-2.tsv"
    rows = table.read_text().splitlines()
    table.write_text("\n".join([*rows[:3], *rows[5:]]) + "\n")
    message = refused(1, "ratings_run-2.tsv", level=level)
    assert "between lines 3 and 4" in message


def test_model_too_large_for_the_memory(study, refused):
    study.change_analysis(models=["resnet18-untrained"])
    message = refused(64, "resnet18-untrained", level="stimulus", more=("--mem-gb", "0.05"))
    assert "too little memory for one window" in message


def test_autocast_without_a_gpu(study, refused):
    study.change_analysis(extraction={"autocast": "float16"})
    assert "is for GPUs" in refused(64, "float16", level="stimulus", more=("--device", "cpu"))


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
