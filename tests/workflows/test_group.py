"""What the group level refuses to compare: it says in a sentence what to run again."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tiny_study import PARTICIPANTS, RUNS, VOLUMES, TinyStudy

from bidsapp.dataset.derivatives import ROBUST_RDMS

EVERYBODY = ", ".join(f"sub-{label}" for label in PARTICIPANTS)
NO_COVERAGE = (
    "holds model RDMs of an earlier release, which do not say how much of each response the film "
    "covers: run the stimulus level again (it runs no network), and the participant level for all "
    "participants"
)
NO_ROBUST = (
    "there are no RDMs of the mode robust, which an earlier release did not make; "
    "run the participant level for them again"
)
OTHER_VOLUMES = (
    "robust's RDMs are of other volumes than the model RDMs say now; "
    "run the participant level for them again"
)

pytestmark = pytest.mark.usefixtures("plain_reports", "no_page")


@pytest.fixture
def no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bidsapp.workflows.group.group_report", lambda *_: None)


@pytest.fixture
def refuses(moviersa: Callable[..., Any]) -> Callable[..., None]:
    """Check that the group is refused for reasons, in one line, which a dry run lists too."""

    def check(study: TinyStudy, *reasons: str) -> None:
        outcome = moviersa(*study.arguments("group"))
        assert (outcome.status, outcome.out) == (1, "")
        lines = [f"{study.out}{reason}" for reason in reasons]
        assert outcome.err == f"moviersa: error: {'; '.join(lines)}\n"
        assert not (study.out / "group").exists()
        dry = moviersa(*study.arguments("group", "--dry-run"))
        assert dry.status == 0
        assert dry.out.endswith("".join(f"  {reason}\n" for reason in lines))

    return check


def robust_files(study: TinyStudy, label: str = "*", run: str = "*") -> list[Path]:
    name = f"sub-{label}_*_run-{run}_*_desc-{ROBUST_RDMS}_relmat.*"
    return sorted(study.out.glob(f"sub-*/ses-movie/func/{name}"))


def left_out(study: TinyStudy, run: str) -> list[int]:
    (path,) = (path for path in robust_files(study, "01", run) if path.suffix == ".json")
    volumes: list[int] = json.loads(path.read_text())["VolumesLeftOut"]
    return volumes


def change_models(study: TinyStudy, runs: tuple[str, ...], **changes: object) -> None:
    """Change what the sidecars of model RDMs say of volumes; None removes an entry."""
    for run in runs:
        for path in study.out.glob(f"stimuli/*_run-{run}_*.json"):
            content = json.loads(path.read_text())
            volumes = content["Volumes"] | changes
            kept = {key: value for key, value in volumes.items() if value is not None}
            path.write_text(json.dumps(content | {"Volumes": kept}))


def test_an_earlier_releases_output_is_refused_until_both_levels_were_run_again(
    succeeded, moviersa, refuses
):
    change_models(succeeded, RUNS, Coverage=None, CoverageDescription=None, Undefined=None)
    for path in robust_files(succeeded):
        path.unlink()
    refuses(succeeded, f" {NO_COVERAGE}")
    assert moviersa(*succeeded.arguments("stimulus")).status == 0
    refuses(succeeded, f", {EVERYBODY}: {NO_ROBUST}")
    assert moviersa(*succeeded.arguments("participant")).status == 0
    assert moviersa(*succeeded.arguments("group")).status == 0
    assert (succeeded.out / "group" / "task-movie_desc-similarity_stats.tsv").is_file()


def test_those_are_named_whose_robust_rdms_are_absent_or_of_other_volumes(succeeded, refuses):
    """Of sub-03's run 1 there is nothing at all, which is no reason."""
    for path in succeeded.out.glob("sub-03/**/*_run-1_*_relmat.*"):
        path.unlink()
    for path in robust_files(succeeded, "02", "3"):
        path.unlink()
    refuses(succeeded, f", sub-02: {NO_ROBUST}")
    change_models(succeeded, ("1",), Undefined=[VOLUMES - 1])
    refuses(succeeded, f", sub-02: {NO_ROBUST}", f", sub-01, sub-02: {OTHER_VOLUMES}")


def test_other_coverage_repeats_the_steps_that_rest_on_it_and_no_other(finished, moviersa, refuses):
    words = finished.arguments("participant", "--participant-label", "01")
    assert moviersa(*words).status == 0
    steps = {path.parent.name: path for path in finished.work.rglob("sub_01_wf/**/result_*.pklz")}
    before = {name: path.stat().st_mtime_ns for name, path in steps.items()}
    volumes, coverage = left_out(finished, "2"), np.ones(VOLUMES)
    coverage[[0, 1, 20]] = 0.5
    assert volumes != [0, 1, 20]

    change_models(finished, ("2",), Coverage=coverage.tolist())
    refuses(finished, f", sub-01: {OTHER_VOLUMES}")
    assert moviersa(*words).status == 0
    assert left_out(finished, "2") == [0, 1, 20]
    assert left_out(finished, "1") == volumes
    after = {name: path.stat().st_mtime_ns for name, path in steps.items()}
    repeated = {name for name in steps if after[name] != before[name]}
    assert repeated >= {"patterns_2", "summary", "similarity"}
    assert not repeated & {"localizer", "functional", "atlas", "patterns_1", "patterns_3"}
    assert moviersa(*finished.arguments("group")).status == 0


@pytest.mark.parametrize(
    "changes",
    [{"modes": ["replicate"]}, {"fits": ["nnls"]}, {"models": ["pixels"]}],
    ids=["no robust", "no ols", "one model"],
)
def test_what_models_add_in_robust_may_not_be_wanted(succeeded, moviersa, monkeypatch, changes):
    monkeypatch.setattr("bidsapp.dataset.description.differing_keys", lambda *_: [])
    succeeded.change_analysis(**changes)
    assert moviersa(*succeeded.arguments("group")).status == 0
    (path,) = succeeded.out.glob("group/*_desc-unique_stats.tsv")
    table = pd.read_csv(path, sep="\t", na_values=["n/a"], keep_default_na=False)
    assert table[["p_null", "p_null_fwe"]].isna().all(axis=None)
    assert not list(succeeded.work.glob("group_wf/unique_*"))
