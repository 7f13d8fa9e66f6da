"""The methods text says what holds for the analysis, and no more."""

import subprocess
import sys

import pytest

from bidsapp.analysis.spec import Analysis, changed, default_analysis, read_analysis
from bidsapp.reports.methods import methods
from bidsapp.reports.methods import methods_text as full_text
from bidsapp.vision.catalogue import read_catalogue

VERSIONS = {"moviersa": "1.2.3", "nilearn": "0.14", "fMRIPrep": "23.2.1"}


def methods_text(analysis: Analysis, versions: dict[str, str]) -> str:
    inputs = {name: entry.input for name, entry in read_catalogue().items()}
    return full_text(analysis, versions, inputs)


@pytest.fixture(scope="module")
def paper() -> Analysis:
    return read_analysis(default_analysis())


def test_the_default_analysis_is_described(paper: Analysis) -> None:
    text = methods_text(paper, VERSIONS)
    for part in (
        "moviersa 1.2.3", "fMRIPrep 23.2.1", "nilearn 0.14", "objectcategories", "OFA, FFA",
        "PHC1 and PHC2",
        "within 12 to 15 mm", "80 voxels", "z = 3.1", "5 aCompCor components", "every fifth frame",
        "Frames were cropped to the central 720 pixels and resized to 224 pixels.",
        "nearer than 20 s", "resnet18-imagenet", "non-negative least squares",
        "1000 draws for ols, 200 draws for nnls and 1000 draws for ridge",
        "Nichols and Holmes, 2002",
    ):  # fmt: skip
        assert part in text, part
    assert "{" not in text


def test_parts_not_used_are_not_mentioned(paper: Analysis) -> None:
    lean = Analysis.model_validate(
        {
            **paper.model_dump(mode="json"),
            "localizer": None,
            "functional": {},
            "denoise": {"compcor": {"components": 0}, "cosines": False, "scale": True},
            "modes": ["replicate"],
            "fits": ["ols"],
            "statistics": {"null_draws": {"ols": 0}},
        }
    )
    text = methods_text(lean, {})
    for part in (
        "localizer",
        "aCompCor",
        "Behzadi",
        "cosine",
        "Glover",
        "mode robust",
        "ridge",
        "Lawson",
        "censored",
        "smoothed within",
        "Power",
        "p_null",
        "None",
    ):
        assert part not in text, part
    assert "scaled to unit variance" in text


def test_censoring_and_smoothing_are_described(paper: Analysis) -> None:
    censor = {"framewise_displacement_mm": 0.5, "standardized_dvars": 1.5, "after": 2}
    changed = {"censor": censor, "smoothing_fwhm_mm": 4}
    ours = Analysis.model_validate({**paper.model_dump(mode="json"), "denoise": changed})
    text = methods_text(ours, {})
    for part in (
        "smoothed within the brain mask with a kernel of 4 mm",
        "Volumes with a framewise displacement over 0.5 mm (Power et al., 2012) or a standardised "
        "DVARS over 1.5, and 0 before and 2 after each of them, were censored",
        "fewer than 60 volumes",
        "Spurious but systematic correlations",
    ):
        assert part in text, part


def test_what_is_asked_for_besides_is_described(paper: Analysis) -> None:
    asked = Analysis.model_validate(
        {
            **paper.model_dump(mode="json"),
            "dissimilarity": {"brain": "cosine", "models": {"resnet18-imagenet": "euclidean"}},
            "comparators": {"methods": ["tau-a", "whitened", "cka-debiased"], "fit": "nnls"},
            "searchlight": {
                "models": ["resnet18-imagenet"], "layers": {"resnet18-imagenet": ["conv1"]},
                "radius_mm": 6, "stride": 3, "centres": "regions",
            },
        }
    )  # fmt: skip
    text = methods_text(asked, {**VERSIONS, "rsatoolbox": "0.3.2"})
    for part in (
        "1 less the cosine between their patterns", "resnet18-imagenet (euclidean)",
        "Kendall's tau-a, the whitened correlation (Diedrichsen et al., 2021) and", "fit nnls",
        "rsatoolbox 0.3.2", "Spheres of 6 mm round every third voxel a side of the participant's "
        "regions", "resnet18-imagenet and resnet18-imagenet conv1", "Song, L., Smola",
    ):  # fmt: skip
        assert part in text, part
    plain = methods_text(paper, VERSIONS)
    assert "Spheres" not in plain
    assert "tau-a" not in plain


def test_bars_and_another_rate_are_told(paper: Analysis) -> None:
    content = paper.model_dump(mode="json")
    content["movie"] |= {"letterbox": {"top": 87, "bottom": 87}, "crop": None, "resize": None}
    content["movie"] |= {"other_rate": "by_number"}
    text = methods_text(Analysis.model_validate(content), {})
    assert "freed of bars (87 and 87 rows above and below, 0 and 0 columns left and right)" in text
    assert "cropped to the central square." in text
    assert "of another rate than 25 frames a second were matched to the frames shown by n" in text
    assert "another rate" not in methods_text(paper, {})


def test_every_work_cited_is_listed_and_no_other(paper: Analysis) -> None:
    text = methods(paper, VERSIONS, {})
    said = " ".join(body for _, body in text.paragraphs)
    assert "Behzadi et al., 2007" in said
    for work in text.references:
        assert work.split(",")[0] in said, work


def test_feature_tables_are_told_from_networks(paper: Analysis) -> None:
    files = {run.run: "*.tsv" for run in paper.movie.runs}
    table = {"name": "brightness", "files": files}
    with_table = Analysis.model_validate(
        {**paper.model_dump(mode="json"), "models": ["brightness"], "feature_tables": [table]}
    )
    text = methods_text(with_table, {})
    assert "the models brightness (euclidean distance)" in text
    assert "PyTorch" not in text


def test_intervals_are_told_where_there_are_any(paper: Analysis) -> None:
    assert "plus and minus Student's t" in methods_text(paper, {})
    content = paper.model_dump(mode="json")
    content["statistics"]["bootstrap_draws"] = 0
    text = methods_text(Analysis.model_validate(content), {})
    for part in ("ntervals", "Schütt", "resampling"):
        assert part not in text


def test_masks_are_told_from_maps(paper: Analysis) -> None:
    regions = [
        {"name": "IT", "file": "it.nii.gz"},
        {"name": "LOC", "file": "loc.nii.gz", "threshold": 3.1},
    ]
    content = {**paper.model_dump(mode="json"), "masks": {"regions": regions}}
    text = methods_text(Analysis.model_validate(content), {})
    assert "Masks and labels (IT) were carried to each run's grid by nearest neighbour." in text
    assert "Maps (LOC) were carried to each run's grid linearly and cut" in text
    content["masks"] = {"regions": regions[1:]}
    text = methods_text(Analysis.model_validate(content), {})
    assert "Masks and labels" not in text


def test_windows_of_frames_are_told(paper: Analysis) -> None:
    names = ["pixels", "motionenergy", "tinymotionnet-k400", "resnet18flow-haa500"]
    content = {**paper.model_dump(mode="json"), "models": [*names, "maest-base-k400"]}
    assert (
        "Several frames at once were given to motionenergy, a window of 16 consecutive frames "
        "dated by its first frame; tinymotionnet-k400 and resnet18flow-haa500, a window of 11 "
        "consecutive frames dated by its middle; maest-base-k400, a window of 16 frames, every "
        "fourth one of the film, dated by its middle."
    ) in methods_text(Analysis.model_validate(content), {})
    content["models"] = ["pixels"]
    assert "Several frames" not in methods_text(Analysis.model_validate(content), {})


def test_no_heavy_library_is_needed() -> None:
    code = (
        "import sys, bidsapp.reports.methods; print([name for name in ('torch', 'nilearn', "
        "'matplotlib', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_approximations_are_told(paper: Analysis) -> None:
    assert "random projection" not in methods_text(paper, {})
    changes = {"autocast": "bfloat16", "projection": 5000}
    told = methods_text(changed(paper, extraction=changes), {})
    assert "casting to bfloat16 and had layers of more units reduced to 5000 dimensions" in told
    assert "Li, P., Hastie, T. J." in told
