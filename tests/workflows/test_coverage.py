"""How much of the film volumes know: added to model RDMs of earlier releases, and said."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_study import RUNS, VOLUMES, TinyStudy, movie

from bidsapp.analysis.spec import Analysis, read_analysis
from bidsapp.cli.parser import parse
from bidsapp.dataset.derivatives import read_film_coverage, read_table
from bidsapp.dataset.description import RECORD
from bidsapp.errors import InputError
from bidsapp.interfaces import films
from bidsapp.settings import Settings
from bidsapp.tables.notes import NO_PAIRS
from bidsapp.workflows.coverage import describe_volumes
from bidsapp.workflows.inputs import find_inputs
from bidsapp.workflows.models import (
    absent_models,
    missing_models,
    model_rdm_files,
    run_coverage,
    without_coverage,
)
from bidsapp.workflows.participant import init_participants_wf


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no model RDM be computed."""

    def refuse(*_: Any) -> None:
        raise AssertionError("a network is run")

    monkeypatch.setattr(films, "model_rdms", refuse)
    monkeypatch.setattr(films, "table_features", refuse)


def known(study: TinyStudy) -> tuple[Settings, Analysis]:
    return parse(study.arguments("stimulus")), read_analysis(study.analysis)


def sidecars(study: TinyStudy) -> dict[Path, dict[str, Any]]:
    return {path: json.loads(path.read_text()) for path in study.out.glob("stimuli/*.json")}


def make_older(paths: dict[Path, dict[str, Any]]) -> None:
    """Leave what the first release wrote."""
    for path, content in paths.items():
        volumes = {"Count": VOLUMES, "Descriptor": "onset_s", "Units": "s"}
        path.write_text(json.dumps({**content, "Volumes": volumes}))


def matrices(study: TinyStudy) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in study.out.glob("stimuli/*.h5")}


def test_models_say_what_the_film_covers(finished: TinyStudy) -> None:
    """Film and table last as long as the run, which has 40 volumes of 2 s, the first at 1 s."""
    settings, analysis = known(finished)
    for files in model_rdm_files(settings, analysis).values():
        pixels, ratings = (read_film_coverage(path) for path in files)
        assert pixels is not None
        assert ratings is not None
        np.testing.assert_allclose(pixels.coverage, ratings.coverage)
        assert np.all(np.diff(pixels.coverage[:10]) > 0)
        assert np.all(pixels.coverage[10:] == 1)
        assert not pixels.undefined.any()


@pytest.mark.usefixtures("no_network")
def test_the_stimulus_level_adds_it_and_runs_no_network(finished: TinyStudy, moviersa) -> None:
    complete, made = sidecars(finished), matrices(finished)
    settings, analysis = known(finished)
    assert missing_models(settings, analysis, RUNS) == {}
    make_older(complete)
    everything = {run: ["pixels", "ratings"] for run in RUNS}
    assert missing_models(settings, analysis, RUNS) == everything
    assert without_coverage(settings, analysis, RUNS) == everything
    assert absent_models(settings, analysis, RUNS) == {}
    with pytest.raises(InputError, match=r"desc-pixels_relmat\.h5 was made by an earlier release"):
        run_coverage(settings, analysis, "1")

    told = moviersa(*finished.arguments("stimulus", "--dry-run"))
    assert "pixels: 1 layers; made; film coverage to be added for runs 1, 2, 3, 4" in told.out
    assert moviersa(*finished.arguments("stimulus")).status == 0
    assert sidecars(finished) == complete
    assert matrices(finished) == made
    assert without_coverage(settings, analysis, RUNS) == {}


@pytest.mark.usefixtures("no_network", "plain_reports")
def test_the_participant_level_adds_it_first(finished: TinyStudy, moviersa) -> None:
    complete, made = sidecars(finished), matrices(finished)
    make_older(complete)
    told = moviersa(*finished.arguments("participant", "--participant-label", "01"))
    assert told.status == 0
    assert sidecars(finished) == complete
    assert matrices(finished) == made


def test_a_run_knows_what_all_its_models_know(finished: TinyStudy) -> None:
    settings, analysis = known(finished)
    pixels, ratings = model_rdm_files(settings, analysis)["2"]
    change(pixels, Coverage=[0.5] * VOLUMES, Undefined=[1])
    change(ratings, Coverage=[0.25] + [1.0] * (VOLUMES - 1), Undefined=[2])
    film = run_coverage(settings, analysis, "2")
    np.testing.assert_array_equal(film.coverage, [0.25] + [0.5] * (VOLUMES - 1))
    np.testing.assert_array_equal(np.flatnonzero(film.undefined), [1, 2])
    change(ratings, Count=3, Coverage=[1.0] * 3)
    with pytest.raises(InputError, match="run 2 are of 3 and of 40 volumes: run the stimulus"):
        run_coverage(settings, analysis, "2")
    change(ratings, Coverage="whole")
    assert without_coverage(settings, analysis, RUNS) == {"2": ["ratings"]}


def change(path: Path, **changes: Any) -> None:
    beside = path.with_suffix(".json")
    content = json.loads(beside.read_text())
    content["Volumes"] |= changes
    beside.write_text(json.dumps(content))


def test_the_dry_run_says_which_volumes_robust_uses(finished: TinyStudy, moviersa) -> None:
    """By the plan, or, of one participant whose models are made, by the models' files."""
    n_uncovered = uncovered(finished, "1")
    assert 0 < n_uncovered <= 10
    runs = [{**run, "shared_with_next_s": 8 * (run["run"] != "4")} for run in movie()["runs"]]
    change_analysis(finished, movie=movie(runs=runs))
    left_out = f"{n_uncovered} whose response the film does not fully cover"
    shared = ", 4 whose film the next run shows again"
    used = f"robust uses {VOLUMES - n_uncovered - 4} of {VOLUMES} volumes; left out: {left_out}"
    one = ("participant", "--participant-label", "01", "--dry-run")
    for words in (("stimulus", "--dry-run"), ("participant", "--dry-run"), one):
        told = moviersa(*finished.arguments(*words))
        assert told.status == 0
        assert told.out.count(f"{used}{shared}\n") == 3
        assert told.out.count(left_out) == 4
    assert f"\nFilm, as recorded with the model RDMs\n  run 1: {used}" in told.out
    change_analysis(finished, movie=movie(runs=runs), modes=["replicate"])
    assert "robust uses" not in moviersa(*finished.arguments(*one)).out


def change_analysis(study: TinyStudy, **changes: Any) -> None:
    """Change it, and take the model RDMs for its own, which these changes leave as they are."""
    study.change_analysis(**changes)
    (study.out / RECORD).unlink(missing_ok=True)


def inputs_of_steps(study: TinyStudy) -> dict[str, str]:
    """Give a digest of each step's inputs, by which nipype tells whether it must be repeated."""
    words = study.arguments("participant", "--participant-label", "01")
    settings, analysis = parse(words), read_analysis(study.analysis)
    people = find_inputs(settings, analysis).participants
    files = model_rdm_files(settings, analysis)
    steps = init_participants_wf(settings, analysis, people, files)
    names = steps.list_node_names()
    return {name.split(".")[-1]: steps.get_node(name).inputs.get_hashval()[1] for name in names}


def test_steps_that_rest_on_coverage_are_repeated_when_it_changes(finished: TinyStudy) -> None:
    """By the models' sidecars or the least coverage; as long as it is enough, it may change."""
    extras = {"comparators": {"methods": ["cka"]}, "searchlight": {"models": ["pixels"]}}
    finished.change_analysis(**extras)
    before = inputs_of_steps(finished)

    def repeated() -> set[str]:
        after = inputs_of_steps(finished)
        return {name for name in before if after[name] != before[name]}

    path = model_rdm_files(*known(finished))["2"][0]
    film, of_all_runs = (
        read_film_coverage(path),
        {"summary", "similarity", "comparators", "searchlight"},
    )
    assert film is not None
    change(path, Coverage=np.where(film.coverage == 1, 0.99, film.coverage).tolist())
    assert repeated() == set()
    change(path, Coverage=np.where(film.coverage == 1, 0.97, film.coverage).tolist())
    assert repeated() == {"patterns_2", *of_all_runs}
    change(path, Coverage=film.coverage.tolist(), Undefined=[3, 30])
    assert repeated() == {"patterns_2", *of_all_runs}
    change(path, Undefined=[])
    assert repeated() == set()
    finished.change_analysis(**extras, robust={"min_coverage": 0.5})
    assert repeated() == {*(f"patterns_{run}" for run in RUNS), *of_all_runs}


@pytest.mark.usefixtures("plain_reports")
def test_a_run_too_little_covered_for_the_regressors_counts_in_replicate_alone(
    finished: TinyStudy, moviersa, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bidsapp.workflows.group.group_report", lambda *_: None)
    for path in model_rdm_files(*known(finished))["2"]:
        change(path, Coverage=[0.0] * (VOLUMES - 5) + [1.0] * 5)
    words = finished.arguments("participant", "--participant-label", "01")
    assert moviersa(*words).status == 0
    runs, similarity = (
        read_table(next(finished.out.rglob(f"sub-01_*_desc-{desc}_stats.tsv"))).set_index("run")
        for desc in ("runs", "similarity")
    )
    assert runs.loc["2", ["n_robust", "n_uncovered", "n_undefined"]].tolist() == [0, VOLUMES - 5, 5]
    assert runs["flags"].dropna().to_dict() == {"2": "robust has no volumes to compare"}
    robust = similarity[similarity["mode"] == "robust"]
    assert (robust["n_volumes"] == runs.loc[robust.index, "n_robust"]).all()
    assert (robust.loc["2", "n_pairs"] == 0).all()
    assert robust.loc["2", ["r", "visible"]].isna().all(axis=None)
    assert set(robust.loc["2", "note"]) == {NO_PAIRS}
    assert robust.drop("2")[["r", "visible"]].notna().all(axis=None)
    assert similarity[similarity["mode"] == "replicate"]["r"].notna().all()
    assert moviersa(*finished.arguments("group")).status == 0


def uncovered(study: TinyStudy, run: str) -> int:
    settings, analysis = known(study)
    film = run_coverage(settings, analysis, run)
    return int((film.coverage < analysis.robust.min_coverage).sum())


def test_volumes_without_a_pattern_are_counted(study: TinyStudy) -> None:
    _, analysis = known(study)
    undefined = np.isin(np.arange(VOLUMES), [0, 5])
    covered = np.ones(VOLUMES)
    covered[0] = 0
    assert describe_volumes(analysis, "1", covered, 2.0, undefined) == (
        f"robust uses {VOLUMES - 2} of {VOLUMES} volumes; left out: 1 whose response the film does "
        "not fully cover, 1 without a pattern in some model"
    )
    assert describe_volumes(analysis, "1", np.ones(VOLUMES), 2.0) == (
        f"robust uses {VOLUMES} of {VOLUMES} volumes"
    )
