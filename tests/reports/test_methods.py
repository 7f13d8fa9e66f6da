"""The methods text says what holds for the analysis, and no more."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bidsapp.analysis.spec import Analysis, changed, default_analysis, read_analysis
from bidsapp.reports.methods import methods, plain, references, renderings
from bidsapp.reports.methods.wording import cite
from bidsapp.reports.methods.works import works
from bidsapp.settings import Level, make_settings
from bidsapp.vision.catalogue import read_catalogue
from bidsapp.workflows.bookkeeping import log

VERSIONS = {"moviersa": "1.2.3", "nilearn": "0.14", "fMRIPrep": "23.2.1"}


def methods_text(analysis: Analysis, versions: dict[str, str]) -> str:
    return renderings(methods(analysis, versions, read_catalogue()))["md"]


@pytest.fixture(scope="module")
def paper() -> Analysis:
    return read_analysis(default_analysis())


def test_the_default_analysis_is_described(paper: Analysis) -> None:
    text = methods_text(paper, VERSIONS)
    for part in (
        "moviersa 1.2.3", "fMRIPrep 23.2.1", "nilearn 0.14", "objectcategories", "OFA, FFA",
        "PHC1 and PHC2",
        "within 12 to 15 mm", "80 voxels", "z = 3.1", "5 aCompCor components", "every fifth frame",
        "the cosine drifts that fMRIPrep gives runs of 128 s or more",
        "Frames were cropped to the central 720 pixels and resized to 224 pixels.",
        "nearer than 20 s", "The model resnet18-imagenet was computed", "non-negative least",
        "The dissimilarity of two volumes was 1 less the Pearson correlation of a layer's",
        "Kim and Park, 2011; Portugal et al., 1994",
        "1000 draws for ols, 200 draws for nnls and 1000 draws for ridge",
        "Nichols and Holmes, 2002", "compares each score less the mean of its draws",
        "the correlation is that of the layer's own dissimilarities, with its sign",
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
        "Portugal",
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
        "1 less the cosine between their patterns",
        "The dissimilarity of two volumes was the Euclidean distance of a layer's responses",
        "Kendall's tau-a, the whitened correlation (Diedrichsen et al., 2021) and", "fit nnls",
        "rsatoolbox 0.3.2", "Spheres of 6 mm round every third voxel a side of the participant's "
        "regions", "resnet18-imagenet and resnet18-imagenet conv1", "Song, L., Smola",
        "dissimilarities pooled as suits it",
    ):  # fmt: skip
        assert part in text, part
    plain = methods_text(paper, VERSIONS)
    assert "Spheres" not in plain
    assert "tau-a" not in plain
    assert "pooled" not in plain


def test_the_control_of_robust_is_described_where_it_is_fitted(paper: Analysis) -> None:
    content = paper.model_dump(mode="json") | {"models": ["resnet18-imagenet", "mae-base"]}
    text = methods_text(Analysis.model_validate(content), {})
    for part in (
        "in the mode replicate by ordinary least squares and non-negative least squares and in "
        "the mode robust by ordinary least squares",
        "without noise and with noise much larger than the features",
        "after Freedman and Lane, 1983", "(1000 draws; ",
        "corrected over the ordered pairs of models",
        "it does not prove that the target has features",
    ):  # fmt: skip
        assert part in text, part
    untested = methods_text(
        Analysis.model_validate(content | {"statistics": {"null_draws": {"unique": 0}}}), {}
    )
    assert "without noise and with noise much larger than the features" in untested
    assert "Freedman" not in untested
    nnls = methods_text(Analysis.model_validate(content | {"fits": ["nnls"]}), {})
    assert "in the mode replicate by non-negative least squares." in nnls
    assert "Freedman" not in nnls
    ridge = methods_text(Analysis.model_validate(content | {"fits": ["ridge"]}), {})
    assert "a control and a target" not in ridge
    assert "product measure" in ridge


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
    said = " ".join(plain(body) for _, body in text.paragraphs)
    assert "Behzadi et al., 2007" in said
    assert "@{" not in said
    assert len(set(references(text))) == len(references(text)) == len(text.cited)
    for work in references(text):
        assert work.split(",")[0] in said, work


def test_feature_tables_are_told_from_networks(paper: Analysis) -> None:
    files = {run.run: "*.tsv" for run in paper.movie.runs}
    table = {"name": "brightness", "files": files}
    with_table = Analysis.model_validate(
        {**paper.model_dump(mode="json"), "models": ["brightness"], "feature_tables": [table]}
    )
    text = methods_text(with_table, {})
    assert "The model brightness was given as tables of features over time." in text
    assert "was the Euclidean distance of a layer's or table's responses to them." in text
    assert "PyTorch" not in text


def test_what_treats_the_film_as_random_is_told(paper: Analysis) -> None:
    single = methods_text(paper, {})
    for part in ("plus and minus Student's t", "Schütt"):
        assert part in single
    assert "compared in pairs" not in single
    several = paper.model_copy(update={"models": ("resnet18-imagenet", "mae-base")})
    assert "this test does not treat the film as fixed" in methods_text(several, {})


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
        "dated by its middle; tinymotionnet-k400 and resnet18flow-haa500, a window of 11 "
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


def test_no_work_has_two_keys() -> None:
    for what in ("full", "doi"):
        known = [getattr(work, what) for work in works().values() if getattr(work, what)]
        assert len(set(known)) == len(known)
    assert works()["bids"].full == (
        "Gorgolewski, K. J., et al. (2016). The brain imaging data structure, a format for "
        "organizing and describing outputs of neuroimaging experiments. Scientific Data, 3, "
        "160044. doi:10.1038/sdata.2016.44"
    )
    with pytest.raises(KeyError):
        cite("nobody")


def test_a_level_tells_of_what_it_did_alone(paper: Analysis) -> None:
    def titles(level: Level) -> list[str]:
        return [title for title, _ in methods(paper, VERSIONS, {}, level).paragraphs]

    assert titles("stimulus") == ["Software and data", "Models"]
    assert "Statistics over participants" not in titles("participant")
    assert titles("group") == [*titles("participant"), "Statistics over participants"]
    assert "PyTorch 2.14" in methods_text(paper, {"torch": "2.14"})


def test_formats_say_the_same_and_escape(paper: Analysis) -> None:
    odd = r"a_b & 50% {x} <i> $2 #1 ^ ~ \alpha"
    ours = paper.model_copy(update={"name": odd})
    text = methods(ours, VERSIONS, {})
    made = renderings(text)
    assert set(made) == {"md", "html", "tex", "bib"}
    assert r"a\_b & 50% \{x\} \<i\> $2 \#1 ^ ~ \\alpha" in made["md"]
    assert r"a_b &amp; 50% {x} &lt;i&gt; $2 #1 ^ ~ \alpha" in made["html"]
    assert (
        r"a\_b \& 50\% \{x\} \textless{}i\textgreater{} \$2 \#1 \textasciicircum{} "
        r"\textasciitilde{} \textbackslash{}alpha"
    ) in made["tex"]
    assert r"fMRIPrep 23.2.1 \cite{fmriprep} and" in made["tex"]
    assert r"(compare \cite{drift})" in made["tex"]
    assert 'fMRIPrep 23.2.1 (<a href="#ref-fmriprep">Esteban et al., 2019</a>)' in made["html"]
    for content in made.values():
        assert "@{k" not in content
        assert "23.2.1" in content or content is made["bib"]


def test_each_work_of_the_latex_text_is_in_its_bibliography(paper: Analysis) -> None:
    text = methods(paper, VERSIONS, {})
    made = renderings(text)
    cited = set(re.findall(r"\\cite\{(\w+)\}", made["tex"]))
    entries = re.findall(r"^@(\w+)\{(\w+),$", made["bib"], flags=re.MULTILINE)
    assert cited == {key for _, key in entries} == set(text.cited)
    assert {kind for kind, _ in entries} == {"article", "inproceedings", "unpublished"}
    comment, _, document = made["tex"].partition("\n")
    assert comment.startswith("% pdfLaTeX or LuaLaTeX")
    for content in (document, made["bib"]):
        bare = re.sub(r"\\[{}]", "", content)
        assert bare.count("{") == bare.count("}")
        assert not re.search(r"(?<!\\)[&%#]", content.replace(r"\usepackage", ""))
        assert content.isascii() or "ü" in content or "á" in content
    assert "author = {Gorgolewski, K. J. and others}" in made["bib"]
    assert made["tex"].count(r"\section*{") == len(text.paragraphs)


def test_approximations_are_told(paper: Analysis) -> None:
    assert "random projection" not in methods_text(paper, {})
    changes = {"autocast": "bfloat16", "projection": 5000}
    told = methods_text(changed(paper, extraction=changes), {})
    assert "casting to bfloat16 and had layers of more units reduced to 5000 dimensions" in told
    assert "Li, P., Hastie, T. J." in told


def test_the_space_of_the_outputs_is_named(paper: Analysis) -> None:
    own = "the participant's own anatomical space (T1w)"
    text = methods_text(paper, {})
    for part in (f"carried into {own} as a point", f"MNI152NLin6Asym into {own} by linear"):
        assert part in text
    template = renderings(methods(paper, {}, {}, space="MNI152NLin2009cAsym"))["md"]
    assert "own anatomical space" not in template
    for part in ("carried into space", "MNI152NLin6Asym into space", "data were taken in space"):
        assert f"{part} MNI152NLin2009cAsym" in template
    same = renderings(methods(paper, {}, {}, space="MNI152NLin6Asym"))["md"]
    assert "a published centre in MNI152NLin6Asym was taken;" in same
    assert "resampled in MNI152NLin6Asym by linear" in same


def test_a_single_participant_is_not_said_to_be_tested(paper: Analysis) -> None:
    text = renderings(methods(paper, {}, {}, n_participants=1))["md"]
    for part in ("t-test", "sign-flip", "Bonferroni", "Benjamini", "95%", "Nili", "Schütt"):
        assert part not in text, part
    assert "There was one participant" in text
    assert "p\\_null is the share of scores" in text
    several = renderings(methods(paper, {}, {}, n_participants=2))["md"]
    assert several == renderings(methods(paper, {}, {}))["md"]


def test_networks_of_the_run_are_cited_and_no_other(paper: Analysis) -> None:
    text = methods_text(paper.model_copy(update={"models": ("mae-base", "mvd-base-k400")}), {})
    assert (
        "Networks are described in He et al., 2022 (mae-base); Wang et al., 2023 (mvd-base-k400)."
    ) in text
    assert "The models mae-base and mvd-base-k400 were computed" in text
    assert "He, K., Chen, X." in text
    for absent in ("Deep residual learning", "VideoMAE", "DINOv2", "TorchVision"):
        assert absent not in text
    for name, entry in read_catalogue().items():
        known = [work for work in works().values() if entry.architecture in work.architectures]
        assert known or name == "pixels", name


def test_dissimilarities_that_differ_are_told_apart(paper: Analysis) -> None:
    content = paper.model_dump(mode="json")
    content["models"] = ["pixels", "mae-base", "dinov2-base"]
    content["dissimilarity"] = {"models": {"pixels": "euclidean"}}
    assert (
        "was 1 less the Pearson correlation of a layer's responses to them; for pixels, the "
        "Euclidean distance of them."
    ) in methods_text(Analysis.model_validate(content), {})


def test_the_dataset_is_cited_where_it_is_the_one_analysed(paper: Analysis) -> None:
    for part in ("Hanke et al., 2014, Hanke et al., 2016 and Sengupta et al., 2016", "160093"):
        assert part in methods_text(paper, {})
    other = methods_text(paper.model_copy(update={"name": "another"}), {})
    assert "Hanke" not in other
    assert "Sengupta" not in other


def test_the_product_measure_is_cited(paper: Analysis) -> None:
    text = methods_text(paper.model_copy(update={"models": ("pixels", "mae-base")}), {})
    assert "product measure (Hoffman, 1960)" in text
    assert "Hoffman," not in methods_text(paper, {})


ODD = 'naïve ÅÉ — “q” ≥ ≤ × ~ ^ {x} \\cmd #1 $ % & _ | < > " ² − µ α Ω ς Α ł € e\u0301 → Ж 日本'


def test_names_beyond_latin_are_commands_or_are_declared(paper: Analysis) -> None:
    made = renderings(methods(paper.model_copy(update={"name": ODD}), {}, {}))["tex"]
    assert r"$\geq$ $\leq$ $\times$" in made
    assert r"$\alpha$ $\Omega$ $\varsigma$ A" in made
    assert "é →" in made
    assert r"\DeclareUnicodeCharacter{65E5}{[U+65E5]}" in made
    assert "DeclareUnicodeCharacter" not in renderings(methods(paper, {}, {}))["tex"]


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no TeX here")
def test_the_latex_text_compiles(paper: Analysis, tmp_path: Path) -> None:
    networks = read_catalogue()
    ours = paper.model_copy(update={"name": ODD, "models": tuple(networks)})
    made = renderings(methods(ours, VERSIONS, networks))
    for ending in ("tex", "bib"):
        (tmp_path / f"CITATION.{ending}").write_text(made[ending], encoding="utf-8")
    pdflatex = ("pdflatex", "-interaction=nonstopmode", "-halt-on-error", "CITATION")
    for command in (pdflatex, ("bibtex", "CITATION"), pdflatex, pdflatex):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]
    assert b"undefined" not in done.stdout
    assert b"Missing character" not in (tmp_path / "CITATION.log").read_bytes()


def test_a_run_writes_what_it_did(paper: Analysis, tmp_path: Path) -> None:
    given = {
        "bids_dir": tmp_path, "output_dir": tmp_path / "out", "work_dir": tmp_path / "work",
        "level": "group", "output_space": "MNI152NLin2009cAsym",
        "nprocs": 1, "omp_nthreads": 1, "mem_gb": 1.0,
    }  # fmt: skip
    content = paper.model_dump(mode="json")
    content["models"] = ["pixels", "mae-base"]
    content["dissimilarity"] = {"models": {"pixels": "euclidean"}}
    analysis = Analysis.model_validate(content)
    text = (log(make_settings(given), analysis, 1) / "CITATION.md").read_text(encoding="utf-8")
    for part in ("space MNI152NLin2009cAsym", "There was one participant", "He et al., 2022",
                 "for mae-base, 1 less the Pearson"):  # fmt: skip
        assert part in text, part
