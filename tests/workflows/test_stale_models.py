"""Model RDMs that were made from other input are made again, and nothing else is."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny_study import RUNS, VOLUMES, TinyStudy, movie, write_analysis

from bidsapp.analysis.spec import read_analysis
from bidsapp.cli.parser import parse
from bidsapp.dataset.derivatives import read_rdms
from bidsapp.errors import InputError
from bidsapp.interfaces import films
from bidsapp.interfaces.study import check_clock
from bidsapp.vision.catalogue import find_model
from bidsapp.workflows.fingerprints import fingerprint
from bidsapp.workflows.inputs import find_inputs
from bidsapp.workflows.models import plan_warnings
from bidsapp.workflows.planning import plan_models
from bidsapp.workflows.stimulus import make_models


@pytest.fixture
def small(study: TinyStudy) -> TinyStudy:
    """Three runs and one model that takes no film, beside one that does."""
    write_analysis(study.analysis, movie=movie(runs=movie()["runs"][:3]))
    return study


def rdm_files(study: TinyStudy, model: str) -> list[Path]:
    return sorted((study.out / "stimuli").glob(f"*_desc-{model}_relmat.h5"))


def made_from(path: Path) -> str:
    return json.loads(path.with_suffix(".json").read_text())["Descriptors"]["made_from"]


def rate_anew(study: TinyStudy) -> None:
    table = study.stimuli / "ratings_run-1.tsv"
    head, first, *rest = table.read_text().splitlines()
    onset, duration, *_ = first.split("\t")
    table.write_text("\n".join([head, f"{onset}\t{duration}\t9\t9", *rest]) + "\n")


def test_an_edited_table_is_noticed(small, moviersa):
    assert moviersa(*small.arguments("stimulus")).status == 0
    pixels = {path: path.stat().st_mtime_ns for path in rdm_files(small, "pixels")}
    ratings = {
        path: (made_from(path), read_rdms(path).rdms) for path in rdm_files(small, "ratings")
    }
    assert len(pixels) == len(ratings) == 3

    assert moviersa(*small.arguments("stimulus")).err == ""
    rate_anew(small)
    told = moviersa(*small.arguments("stimulus"))
    assert told.status == 0
    assert "run 1: the RDMs of ratings were made from other input and are made again" in told.err
    assert "pixels" not in told.err
    assert {path: path.stat().st_mtime_ns for path in rdm_files(small, "pixels")} == pixels
    for path, (digest, rdms) in ratings.items():
        assert made_from(path) != digest
        assert not np.array_equal(read_rdms(path).rdms, rdms)  # scaled by all runs' ratings

    # The files are gone, the steps' cache is not: nothing old comes out of it.
    new = {path.name: read_rdms(path).rdms for path in ratings}
    rate_table = small.stimuli / "ratings_run-2.tsv"
    rate_table.write_text(rate_table.read_text().replace("\t4\t0.", "\t4\t7.", 1))
    shutil.rmtree(small.out / "stimuli")
    assert moviersa(*small.arguments("stimulus")).status == 0
    assert all(
        not np.array_equal(read_rdms(path).rdms, new[path.name])
        for path in rdm_files(small, "ratings")
    )


def test_warnings_of_the_plan_are_kept(small, moviersa):
    for run in RUNS:
        small.events("01", "movie", run).unlink()
        small.events("02", "movie", run).unlink()
        small.events("03", "movie", run).unlink()
    assert moviersa(*small.arguments("stimulus")).status == 0
    settings, analysis = parse(small.arguments("stimulus")), read_analysis(small.analysis)
    told = plan_warnings(settings, analysis)
    assert told == tuple(
        f"run {run}: no events, so frames are at the film's nominal rate" for run in RUNS[:3]
    )
    plan = plan_models(settings, analysis, find_inputs(settings, analysis, everyone=True))
    make_models(settings, analysis, plan, small.root / "logs")
    assert plan_warnings(settings, analysis) == plan.warnings == told


def test_a_table_that_ends_early_is_told_or_refused(small, moviersa):
    """As a film that does: volumes are 2 s apart and know of what was shown 20 s before."""
    table = small.stimuli / "ratings_run-2.tsv"
    head, *rows = table.read_text().splitlines()

    def keep(until_s: float) -> None:
        kept = [row for row in rows if float(row.split("\t")[0]) < until_s]
        table.write_text("\n".join([head, *kept]) + "\n")

    keep(2.0 * VOLUMES - 10)
    told = moviersa(*small.arguments("stimulus", "--dry-run"))
    assert told.status == 0
    assert "run 2: 3 volumes come over a TR after the last row of ratings_run-2.tsv" in told.out
    keep(2.0 * VOLUMES - 30)
    told = moviersa(*small.arguments("stimulus", "--dry-run"))
    assert told.status == 1
    assert f"ratings_run-2.tsv, run 2: 4 of {VOLUMES} volumes come 20 s or more after" in told.err


def test_weights_without_a_published_digest_are_digested_themselves(small, tmp_path):
    """DINOv2's publisher names no SHA-256: another file must not pass for the same weights."""
    settings = parse(small.arguments("stimulus", "--weights", tmp_path))
    analysis = read_analysis(small.analysis)
    plan = plan_models(settings, analysis, find_inputs(settings, analysis, everyone=True))
    weights = tmp_path / "dinov2_vitb14_pretrain.pth"
    told = []
    for content in (b"one", b"another", b"one"):
        weights.write_bytes(content)
        os.utime(weights, ns=(len(told), len(told)))
        told.append(fingerprint(settings, analysis, plan.runs[0], "dinov2-base"))
    assert told[0] == told[2] != told[1]


def test_volumes_at_other_times_are_refused():
    def onsets(start: float, n: int) -> np.ndarray:
        return np.arange(n) * 2.0 + start

    brain, model = Path("brain.h5"), Path("model.h5")
    check_clock(brain, onsets(1.05, 9), model, onsets(1.0, 12))
    with pytest.raises(InputError, match=r"brain\.h5 and model\.h5 .* 1\.00 s apart: StartTime"):
        check_clock(brain, onsets(0.0, 12), model, onsets(1.0, 9))


@pytest.fixture
def passes(small: TinyStudy) -> tuple[list[str], list[str]]:
    """Two models a run, each in a pass of its own (scratch for one): passes, and the command."""
    runs = movie()["runs"][:3]
    write_analysis(
        small.analysis, movie=movie(runs=runs), models=["pixels", "again"], feature_tables=[]
    )
    catalogue = small.root / "mine.yaml"
    again = find_model("pixels").model_copy(update={"name": "again"})
    catalogue.write_text(json.dumps({"models": [again.model_dump(mode="json")]}))
    words = small.arguments("stimulus", "--scratch-gb", "1e-9", "--model-catalogue", str(catalogue))
    return [f"{run} {model}" for run in RUNS[:3] for model in ("pixels", "again")], words


def raise_in_pass(monkeypatch, number: int, error: BaseException) -> list[str]:
    """Let a pass raise; return the list that passes are noted in."""
    made: list[str] = []
    as_it_is = films.model_rdms

    def spoiled(entries, film, *more):
        made.append(f"{film.run} {entries[0].name}")
        if len(made) == number:
            raise error
        yield from as_it_is(entries, film, *more)

    monkeypatch.setattr(films, "model_rdms", spoiled)
    return made


def test_a_stop_loses_only_what_was_being_made(small, moviersa, monkeypatch, passes):
    expected, words = passes
    made = raise_in_pass(monkeypatch, 4, KeyboardInterrupt())
    assert moviersa(*words).status != 0
    there = {path: path.stat().st_mtime_ns for path in small.out.glob("stimuli/*.h5")}
    assert len(there) == 3
    # Another work directory: what is published counts, not what steps remember.
    assert moviersa(*words, "-w", str(small.root / "elsewhere")).status == 0
    assert made == [*expected[:4], *expected[3:]]
    assert len(list(small.out.glob("stimuli/*.h5"))) == 6
    assert all(path.stat().st_mtime_ns == time for path, time in there.items())


@pytest.mark.parametrize(("more", "tried"), [((), 6), (("--stop-on-first-crash",), 2)])
def test_others_are_made_when_one_fails(small, moviersa, monkeypatch, passes, more, tried):
    expected, words = passes
    made = raise_in_pass(monkeypatch, 2, InputError("the film broke"))
    outcome = moviersa(*words, *more)
    assert outcome.status != 0
    assert "the film broke" in outcome.err
    assert len(list(small.out.glob("stimuli/*.h5"))) == tried - 1
    assert moviersa(*words).status == 0
    assert made == [*expected[:tried], expected[1], *expected[tried:]]


def test_broken_frames_are_told_in_reports(small, moviersa):
    assert moviersa(*small.arguments("stimulus")).status == 0
    path = rdm_files(small, "pixels")[1].with_suffix(".json")
    content = json.loads(path.read_text())
    assert content["Frames"]["Broken"] == 0
    path.write_text(json.dumps({**content, "FilmWarnings": ["run 2: 1 of 9 frames"]}))
    settings, analysis = parse(small.arguments("stimulus")), read_analysis(small.analysis)
    assert plan_warnings(settings, analysis) == ("run 2: 1 of 9 frames",)
    assert moviersa(*small.arguments("stimulus")).status == 0  # and the plan's do not replace it
    assert plan_warnings(settings, analysis) == ("run 2: 1 of 9 frames",)


def test_more_broken_frames_than_are_allowed_now_are_tried_again(small, moviersa):
    assert moviersa(*small.arguments("stimulus")).status == 0
    path = rdm_files(small, "pixels")[1].with_suffix(".json")
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "Frames": {"Taken": 9, "Broken": 100}}))
    assert "run 2: the RDMs of pixels" in moviersa(*small.arguments("stimulus")).err
    assert json.loads(path.read_text())["Frames"]["Broken"] == 0
