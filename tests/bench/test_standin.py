"""The small stand-in of studyforrest goes through the application, which finds what was planted."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.standin.options import standin_options
from bench.standin.size import SMALL
from bench.standin.source import Source, scan_stem
from bench.standin.write import write_standin
from bidsapp.cli.run import main

LABEL = "06"  # whose localizer lacks the occipital pole
NEAR_MM = 7.5  # voxels are 6 to 6.6 mm long


@pytest.fixture(scope="module")
def standin(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_standin(tmp_path_factory.mktemp("standin"), shared_data, [LABEL], SMALL)


@pytest.fixture(scope="module")
def monkeymodule() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def analysed(standin: Path, monkeymodule: pytest.MonkeyPatch) -> Path:
    """The stand-in after the participant level, without a report."""
    monkeymodule.setattr("bidsapp.workflows.pages.participant_report", lambda *_: None)
    assert _moviersa(standin, "participant") == 0
    return standin


def _moviersa(root: Path, *more: str) -> int:
    words = [str(root / "bids"), str(root / "out"), *more, *standin_options(root)]
    words += ["--participant-label", LABEL, "--models", "annotations", "pixels"]
    with pytest.raises(SystemExit) as exit_:
        main([*words, "--nprocs", "1"])
    assert isinstance(exit_.value.code, int)
    return exit_.value.code


def test_the_tree_is_that_of_the_real_dataset(standin: Path, shared_data: Path) -> None:
    source, bids = Source(shared_data), standin / "bids"
    present = {str(p.relative_to(bids)) for p in bids.rglob("*") if p.is_symlink() or p.is_file()}
    assert set(source.tree) <= present
    others = bids / (scan_stem("01", "movie", "1") + "_bold.nii.gz")
    assert others.is_symlink()
    assert not others.exists()


def test_real_events_are_byte_for_byte_the_real_ones(standin: Path, shared_data: Path) -> None:
    name = scan_stem("03", "movie", "5") + "_events.tsv"
    written = (standin / "bids" / name).read_bytes()
    assert (shared_data / "studyforrest" / name).read_bytes().startswith(written)
    assert written.count(b"\r\n") == SMALL.frames_of_run + 1


def test_dry_run(standin: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _moviersa(standin, "participant", "--dry-run") == 0
    said = capsys.readouterr().out
    assert f"sub-{LABEL}" in said
    assert f"movie: run 1 ({SMALL.movie_volumes} volumes)" in said
    assert "all participants, whose files are not opened here" in said
    assert not (standin / "out").exists()


def test_annotations_win_where_they_were_planted_and_nowhere_else(analysed: Path) -> None:
    truth = json.loads((analysed / "truth.json").read_text())
    (path,) = (analysed / "out").rglob(f"sub-{LABEL}*_desc-similarity_stats.tsv")
    table = pd.read_csv(path, sep="\t").query("mode == 'robust' and fit == 'ridge'")
    r = table.pivot_table(index="roi", columns="model", values="r")
    driven = r.index.isin(truth["driven"])
    assert driven.sum() == len(truth["driven"])
    # Some 45 volumes a run are compared: single areas are noisy.
    assert r.loc[driven, "annotations"].min() > r.loc[~driven, "annotations"].max()
    assert r.loc[driven, "annotations"].mean() > 0.08
    assert (r["annotations"] - r["pixels"])[driven].mean() > 0.08
    assert r.loc[driven, "pixels"].abs().mean() < 0.07
    assert r.loc[~driven].abs().mean().max() < 0.05


def test_peaks_are_found_and_the_missing_pole_is_flagged(analysed: Path) -> None:
    planted = json.loads((analysed / "truth.json").read_text())["peaks_mm"][LABEL]
    flags, distances = {}, []
    for region, sides in planted.items():
        (path,) = (analysed / "out").rglob(f"*_space-T1w_label-{region}_*_mask.json")
        described = json.loads(path.read_text())
        flags[region] = described["Flags"]
        for peak in described["Peaks"] if not described["Flags"] else ():
            distances.append(np.linalg.norm(np.subtract(peak["Peak"], sides[peak["Hemisphere"]])))
    assert flags["OFA"]
    assert len(distances) >= 12
    assert np.quantile(distances, 0.9) < NEAR_MM
