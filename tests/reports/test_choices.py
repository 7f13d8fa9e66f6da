"""The page names the choices in which an analysis differs from the paper's, and no others."""

import pytest

from bidsapp.analysis.spec import Analysis, changed, default_analysis, read_analysis
from bidsapp.reports.choices import choice_blocks, choices


@pytest.fixture(scope="module")
def default() -> Analysis:
    return read_analysis(default_analysis())


def steps(analysis: Analysis) -> dict[str, str]:
    """Give the steps named, each with our choice."""
    return {step: ours for step, _, ours, _ in choices(analysis)}


def test_each_choice_is_named_once_and_says_what_it_changes(default: Analysis) -> None:
    rows = choices(default)
    assert len({row[0] for row in rows}) == len(rows)
    assert all(all(row) for row in rows)
    assert {"preprocessing", "pairs of volumes", "film shown twice", "frame times"} <= {
        row[0] for row in rows
    }


@pytest.mark.parametrize(
    ("part", "update", "step", "ours"),
    [
        ("denoise", {"smoothing_fwhm_mm": 5.0}, "smoothing of the movie", "5 mm FWHM"),
        ("denoise", {"scale": True}, "scale of residuals", "unit variance"),
        ("denoise", {"columns": ("csf",)}, "further confounds", "csf"),
        ("movie", {"hrf_s": 30.0}, "haemodynamic response", "over 30 s"),
        ("movie", {"crop": None}, "cut of frames", "central square, then 224"),
        ("functional", {"voxels": 50}, "size", "50 voxels within 9 mm"),
    ],
)
def test_a_changed_key_adds_its_row(
    default: Analysis, part: str, update: dict[str, object], step: str, ours: str
) -> None:
    other = changed(default, **{part: getattr(default, part).model_copy(update=update)})
    assert step not in steps(default)
    assert steps(other)[step] == ours
    assert len(choices(other)) == len(choices(default)) + 1


def test_the_table_is_said_to_be_a_selection(default: Analysis) -> None:
    text, _ = choice_blocks(default)
    assert "docs/replication.md" in str(text)


def test_what_follows_the_paper_is_not_listed(default: Analysis) -> None:
    theirs = changed(
        default,
        modes=("replicate",),
        fits=("nnls",),
        models=("resnet18-imagenet", "mae-base-author"),
        movie=default.movie.model_copy(update={"frame_timing": "nominal"}),
        functional=default.functional.model_copy(update={"allow_overlap": True}),
    )
    assert set(steps(theirs)) == {
        "preprocessing", "localizer", "test of a similarity", "noise ceiling",
    }  # fmt: skip


def test_models_beside_the_papers_and_ones_taken_otherwise_are_named(default: Analysis) -> None:
    named = steps(changed(default, models=("mae-base", "pixels", "resnet18-imagenet")))
    assert named["frames, windows and layers of networks"] == "as they were trained: mae-base"
    assert named["models"] == "also pixels"
