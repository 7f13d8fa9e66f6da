"""Pages are whole, self-contained, escaped, and say in place what is missing."""

import base64
import hashlib
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bidsapp.dataset.derivatives import OutputTree, read_rdms, write_rdms
from bidsapp.errors import InputError
from bidsapp.reports.blocks import Album
from bidsapp.reports.denoising import carpet_blocks
from bidsapp.reports.extras import comparator_tables
from bidsapp.reports.facts import read_facts
from bidsapp.reports.outputs import Outputs
from bidsapp.reports.page import Picture, Table
from bidsapp.reports.report import RunFacts, group_report, participant_report

VOID = {"meta", "link", "br", "img", "hr"}
LOADING = {"src", "href", "xlink:href", "data", "poster", "srcset"}


class Page(HTMLParser):
    """Checks that tags are balanced and gathers what the tests look at."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[tuple[str, str]] = []
        self.svgs: list[dict[str, str | None]] = []
        self.tags: Counter[str] = Counter()
        self.words: list[str] = []
        self.policy = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags[tag] += 1
        self.ids += [value for key, value in attrs if key == "id" and value]
        self.links += [(tag, value or "") for key, value in attrs if key in LOADING]
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"] or ""
        if tag == "svg":
            self.svgs.append(given)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def check(path: Path) -> Page:
    """Check all that must hold of any page."""
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    # One script at most, and ours: the policy names its digest and lets no other run.
    script = resources.files("bidsapp.reports").joinpath("templates/tables.js").read_text()
    assert page.tags["script"] == text.count(f"<script>{script}</script>") <= 1
    assert "default-src 'none'" in page.policy
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert (f"script-src 'sha256-{digest}'" in page.policy) == (page.tags["script"] == 1)
    assert [name for name, count in Counter(page.ids).items() if count > 1] == []
    inside = {f"#{name}" for name in page.ids}
    assert [
        link for _, link in page.links if not link.startswith("data:") and link not in inside
    ] == []
    assert not re.search(r"url\(\s*['\"]?(?!#|data:)", text)
    assert "@import" not in text
    for svg in page.svgs:
        assert svg["role"] == "img"
        assert len(svg["aria-label"] or "") > 20
    return page


@pytest.fixture(scope="module")
def anatomy_file(tmp_path_factory: pytest.TempPathFactory, write_anatomy) -> Path:
    return write_anatomy(tmp_path_factory.mktemp("anatomy") / "T1w.nii.gz")


@pytest.fixture(scope="module")
def participant_page(made_up, facts: RunFacts, anatomy_file: Path) -> Page:
    path = participant_report(made_up.tree, "01", made_up.analysis, facts, anatomy_file)
    assert path == made_up.tree.root / "sub-01.html"
    return check(path)


@pytest.fixture(scope="module")
def group_page(made_up, facts: RunFacts) -> Page:
    path = group_report(made_up.tree, made_up.analysis, facts)
    assert path == made_up.tree.root / "group.html"
    return check(path)


@pytest.mark.parametrize("which", ["participant_page", "group_page"])
def test_pages_show_every_region_model_warning_and_setting(
    made_up, facts, which: str, request
) -> None:
    page: Page = request.getfixturevalue(which)
    for name in (*made_up.analysis.region_names, *made_up.analysis.models):
        assert name in page.text, name
    assert facts.warnings[0] in page.text
    assert facts.command in page.text
    assert "nprocs = 2" in page.text
    assert "Behzadi" in page.text


def test_participant_page_has_each_figure(made_up, participant_page: Page) -> None:
    # A design, two contrasts, slices of two sets, quality; voxels and matrices of four runs;
    # autocorrelation; and bars of two sets and two fits.
    assert len(participant_page.svgs) == 1 + 2 + 2 + 1 + 4 + 4 + 1 + 4
    assert "4 of 4" in participant_page.text
    assert "PPA: peak z under 3.1." in participant_page.text


def test_participant_page_says_what_failed_and_what_was_odd(participant_page: Page) -> None:
    assert "The step searchlight failed: see Errors." in participant_page.text
    assert "searchlight: ValueError: spheres of no size" in participant_page.text
    assert "Traceback: <script>alert(1)</script>" in participant_page.text
    assert "80 x 80 x 35 left out sub-01_bold.nii.gz" in participant_page.text
    assert "1 of combined (a_comp_cor_00, 40% of its variance)" in participant_page.text
    assert "what lies beyond it is left out of robust too." in participant_page.text
    assert "Contrast face (face against scene)" in participant_page.text
    assert "with its regions outlined: FFA." in participant_page.text


@pytest.mark.usefixtures("participant_page")
def test_facts_are_kept_to_draw_a_page_again(made_up, facts) -> None:
    path = made_up.tree.path("participant_facts", sub="01")
    assert read_facts(path) == facts
    with pytest.raises(InputError, match="run that again"):
        read_facts(path.with_name("absent.json"))
    (made_up.tree.root / "odd.json").write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match="not what this version writes"):
        read_facts(made_up.tree.root / "odd.json")


def test_quality_is_flagged_on_both_pages(participant_page: Page, group_page: Page) -> None:
    assert "With tSNR under 20: V1v (run 2)." in participant_page.text
    assert "Mean FD over 0.5 mm: run 4." in participant_page.text
    assert "Censored volumes 7 of 240" in participant_page.text
    assert "run 4: mean FD over 0.5 mm" in group_page.text


def test_group_page_has_each_figure(made_up, group_page: Page) -> None:
    # Bars of two sets and two fits, the cortex, matrices of two modes, paths, lags of two fits.
    assert len(group_page.svgs) == 2 * 2 + 1 + 2 + 1 + 2
    for participant in made_up.participants:
        assert f"sub-{participant}" in group_page.text


@pytest.mark.usefixtures("participant_page", "group_page")
def test_stars_are_for_p_null_fwe_of_robust_alone(made_up, facts, group_page: Page) -> None:
    assert "A star marks p_null_fwe under .05 in robust" in group_page.text
    figure = made_up.tree.root / "group/figures/similarity-functional-ols.svg"
    n_starred = len(made_up.analysis.functional.regions)  # by the first model, in one of two modes
    assert figure.read_text().count("*</text>") == n_starred


def test_each_figure_is_a_file_too_and_names_an_existing_table(made_up, svg_texts) -> None:
    root = made_up.tree.root
    for folder, page, count in (("sub-01", "sub-01.html", 19), ("group", "group.html", 10)):
        figures = sorted((root / folder / "figures").glob("*.svg"))
        assert len(figures) == count
        text = (root / page).read_text(encoding="utf-8")
        for figure in figures:
            svg = figure.read_text(encoding="utf-8")
            assert svg_texts(svg)
            (sources,) = re.findall(r"<desc>[^<]* Drawn from ([^<]+)\.</desc>", svg)
            assert all(any(root.glob(source)) for source in sources.split(", "))
            assert figure.relative_to(root).as_posix() in text
        for sources in re.findall(r" · drawn from (.+)</span>", text):
            for source in re.findall(r"<code>([^<]+)</code>", sources):
                assert any(root.glob(source))
    bars = (root / "group/figures/similarity-atlas-ols.svg").read_text(encoding="utf-8")
    assert "sub-*/**/sub-*_task-movie_desc-similarity_stats.tsv" in bars
    assert "desc-runs_stats.tsv" in (root / "sub-01/figures/sub-01_quality.svg").read_text("utf-8")


@pytest.mark.usefixtures("participant_page")
def test_a_page_is_the_same_when_made_again(made_up, facts, anatomy_file: Path) -> None:
    path = made_up.tree.root / "sub-01.html"
    before = path.read_text(encoding="utf-8")
    participant_report(made_up.tree, "01", made_up.analysis, facts, anatomy_file)
    assert path.read_text(encoding="utf-8") == before


@pytest.fixture
def lean(made_up, tmp_path: Path):
    """Two participants, one fit and one set of regions, in a tree of the test's own."""
    functional = made_up.analysis.functional.model_copy(update={"regions": ()})
    analysis = made_up.analysis.model_copy(update={"fits": ("ols",), "functional": functional})
    return replace(made_up, tree=OutputTree(tmp_path), analysis=analysis, participants=("01", "02"))


def test_empty_tables_and_no_anatomy_give_a_page_that_says_so(
    made_up, facts, tmp_path: Path
) -> None:
    empty = replace(made_up, tree=OutputTree(tmp_path), participants=("01",)).write()
    for path in tmp_path.rglob("*_stats.tsv"):
        path.write_text(path.read_text(encoding="utf-8").splitlines()[0] + "\n", encoding="utf-8")
    participant = check(participant_report(empty.tree, "01", empty.analysis, facts, None))
    assert "holds no similarity" in participant.text
    assert "No voxel in the functional regions FFA, PPA." in participant.text
    assert "No rows." in participant.text
    group = check(group_report(empty.tree, empty.analysis, facts))
    assert "holds no similarity" in group.text
    assert "Fewer than two participants" in group.text


def test_nothing_at_all_still_gives_pages(made_up, facts, tmp_path: Path) -> None:
    tree = OutputTree(tmp_path)
    participant = check(participant_report(tree, "01", made_up.analysis, facts, None))
    assert "No run has dissimilarity matrices." in participant.text
    assert "does not exist" in participant.text
    assert "does not exist" in check(group_report(tree, made_up.analysis, facts)).text


def test_a_table_edited_by_hand_is_named_in_its_place(lean, facts) -> None:
    ours = lean.write()
    path = ours.tree.path("group_stats", task="movie", desc="similarity")
    table = pd.read_csv(path, sep="\t", keep_default_na=False)
    table.drop(columns="r_mean").to_csv(path, sep="\t", index=False)
    page = check(group_report(ours.tree, ours.analysis, facts))
    assert "lacks the column 'r_mean'" in page.text
    assert "Lag between volumes" in page.text
    assert len(page.svgs) == 4  # matrices, paths and the lag curve do not need that table
    table.assign(r_mean="high").to_csv(path, sep="\t", index=False)
    assert "that is no number" in check(group_report(ours.tree, ours.analysis, facts)).text


def test_what_a_participant_lacks_is_said_for_both_levels(lean, facts) -> None:
    ours = lean.write()
    space = {"ses": "movie", "task": "movie", "space": "T1w"}
    ours.tree.path("brain_rdms", sub="02", run="3", **space).unlink()
    participant = check(participant_report(ours.tree, "02", ours.analysis, facts, None))
    assert "Movie runs without results: 3." in participant.text
    group = check(group_report(ours.tree, ours.analysis, facts))
    assert "Missing runs: 3." in group.text
    assert "3 of 4" in group.text
    ours.tree.path(
        "participant_stats", sub="02", ses="movie", task="movie", desc="similarity"
    ).unlink()
    group = check(group_report(ours.tree, ours.analysis, facts))
    assert "No similarity table: not in the group." in group.text
    assert "Fewer than two participants" in group.text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("censored", "cut", 1), "lacks the column 'censored'"),
        (lambda text: text.replace("framewise_", "", 1), "lacks the column 'framewise_displ"),
        (lambda text: text.replace("onset", "time", 1), "lacks the column 'onset'"),
        (lambda text: re.sub(r"\S+$", "high", text, count=1), "that is no number"),
        (lambda text: text[: text.rstrip().rindex("\n") + 4], "is cut short"),
        (lambda text: text[: text.index(" after")], "is cut short"),
        (lambda _: "", "is no table"),
    ],
    ids=["censored", "displacement", "onset", "word", "row", "heading", "empty"],
)
def test_an_odd_table_of_voxels_costs_its_figure_alone(blank, change, said: str) -> None:
    for run in ("1", "2"):
        blank.write_carpet("01", run)
    entities = {"sub": "01", "ses": "movie", "task": "movie", "run": "1", "desc": "carpet"}
    path = blank.tree.path("participant_stats", **entities)
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    root = blank.tree.root
    outputs = Outputs(blank.tree, blank.analysis, "T1w")
    first, second = carpet_blocks(outputs, "01", Album(root, lambda name: root / f"{name}.svg"))
    assert said in first.sentences[0]
    assert isinstance(second, Picture)


def test_an_unreadable_anatomy_is_an_error(made_up, facts, tmp_path: Path) -> None:
    broken = tmp_path / "T1w.nii.gz"
    broken.write_bytes(b"no image")
    with pytest.raises(InputError, match="cannot read the image"):
        participant_report(made_up.tree, "01", made_up.analysis, facts, broken)


def test_what_models_explain_beyond_each_other_is_a_matrix_and_a_table(lean, facts) -> None:
    ours = lean.write()
    page = check(group_report(ours.tree, ours.analysis, facts))
    assert "Beyond each other" in page.text
    assert "The same as numbers, mode robust, fit ols" in page.text
    for caption in ("Each model's part of the R² of all", "Components of all models' layers"):
        assert caption in page.text
    assert "No cell is marked: the table has no p_null_fwe." in page.text
    path = ours.tree.path("group_stats", task="movie", desc="unique")
    table = pd.read_csv(path, sep="\t", keep_default_na=False)
    table.assign(p_null_fwe=0.01).to_csv(path, sep="\t", index=False)
    marked = check(group_report(ours.tree, ours.analysis, facts)).text
    assert marked.count("A dot marks p_null_fwe under .05") == 1  # not in replicate
    assert "corrected over all pairs of models and all regions of a set" in marked
    assert "does not prove that the target has features that the control lacks" in marked
    table.head(0).to_csv(path, sep="\t", index=False)
    assert "only one model" in check(group_report(ours.tree, ours.analysis, facts)).text


def test_comparators_have_a_row_for_each_layer_that_a_model_has(made_up) -> None:
    rows = [
        ("robust", "spearman", region, model, layer, 0.5, None)
        for model, layer in (("pixels", "pixels"), ("network", "conv"), ("network", "fc"))
        for region in ("FFA", "V1v")
    ]
    columns = ["mode", "method", "roi", "model", "layer", "r", "note"]
    table = pd.DataFrame(rows, columns=columns)
    table.loc[table["layer"] == "fc", "r"] = float("nan")
    (shown,) = [
        block
        for block in comparator_tables(made_up.analysis, table, "r", "x.tsv")
        if isinstance(block, Table)
    ]
    assert shown.header == ("model", "layer", "FFA", "V1v")
    assert [row[:2] for row in shown.rows] == [
        ("pixels", "pixels"), ("network", "conv"), ("network", "fc"),
    ]  # fmt: skip


def test_ceilings_of_comparators_are_the_last_rows_of_their_tables(made_up) -> None:
    rows = [
        ("replicate", "cosine", region, "pixels", layer, 0.5, low, 0.75, None)
        for layer, low in (("all layers", float("nan")), ("pixels", 0.25))
        for region in ("FFA", "V1v")
    ]
    columns = ["mode", "method", "roi", "model", "layer", "r_mean", "ceiling_lower",
               "ceiling_upper", "note"]  # fmt: skip
    table = pd.DataFrame(rows, columns=columns)
    said, shown = comparator_tables(made_up.analysis, table, "r_mean", "x.tsv")
    assert "Noise ceilings are" in said.text
    assert shown.rows[-2:] == (
        ("noise ceiling", "upper", "0.750", "0.750"), ("noise ceiling", "lower", "0.250", "0.250"),
    )  # fmt: skip


def test_lines_say_what_robust_keeps_of_runs_that_it_has_something_of(lean, facts) -> None:
    lean.write()
    path, *others = lean.tree.root.glob("sub-01/**/*_desc-roisrobust_relmat.h5")
    nothing = read_rdms(path)
    given = np.full_like(nothing.rdms, np.nan), nothing.names, "region", nothing.onsets_s
    write_rdms(path, *given, nothing.descriptors)
    page = check(participant_report(lean.tree, "01", lean.analysis, facts, None))
    assert page.text.count("left out of the mode robust") == len(others)


@pytest.mark.parametrize("mode", ["replicate", "robust"])
def test_pages_of_one_mode_speak_of_it_alone(lean, facts, mode: str) -> None:
    ours = replace(lean, analysis=lean.analysis.model_copy(update={"modes": (mode,)})).write()
    pages = [
        participant_report(ours.tree, "01", ours.analysis, facts, None),
        group_report(ours.tree, ours.analysis, facts),
    ]
    for page in map(check, pages):
        assert f"One mode: {mode} " in page.text
        for words in ("Two modes", "what to read", "there is no p_null_fwe in robust"):
            assert words not in page.text
        assert ("left out of the mode robust" in page.text) == (
            mode == "robust" and page.text.startswith("sub-01")
        )


def test_a_group_of_one_says_that_there_are_no_tests(lean, facts) -> None:
    ours = replace(lean, participants=("01",)).write()
    path = ours.tree.path("group_stats", task="movie", desc="similarity")
    table = pd.read_csv(path, sep="\t", keep_default_na=False)
    needs_two = ["r_sd", "ceiling_paper", "ceiling_lower", "ceiling_upper"]
    table.assign(**dict.fromkeys(needs_two, "n/a")).to_csv(path, sep="\t", index=False)
    page = check(group_report(ours.tree, ours.analysis, facts))
    assert "Bars: mean over participants; dots: participants. A star" in page.text
    assert "Fewer than two participants: there are no tests and no noise ceilings." in page.text
    assert "There was one participant, and therefore no test over participants" in page.text
    assert "sign-flip test (every flip" not in page.text
    assert "similarity-atlas-ols.svg" in page.text


def test_a_region_of_nobody_and_a_failed_model_are_named_and_the_rest_is_drawn(lean, facts) -> None:
    ours = lean.write()
    failed = ours.analysis.models[0]
    for desc, columns in {
        "similarity": ("roi", "model"), "unique": ("roi", "target"), "lag": ("roi", "model"),
    }.items():  # fmt: skip
        path = ours.tree.path("group_stats", task="movie", desc=desc)
        table = pd.read_csv(path, sep="\t", keep_default_na=False)
        gone = (table[columns[0]] == "hV4") | (table[columns[1]] == failed)
        table["r_mean"] = table["r_mean"].astype(object).mask(gone, "n/a")
        table.to_csv(path, sep="\t", index=False)
    path = ours.tree.path("group_stats", task="movie", desc="components")
    table = pd.read_csv(path, sep="\t", keep_default_na=False)
    table[table["model"] != failed].to_csv(path, sep="\t", index=False)
    page = check(group_report(ours.tree, ours.analysis, facts))
    assert "Without any similarity, and so not drawn: region hV4." in page.text
    assert f"Without any similarity, and so not drawn: model {failed}." in page.text
    assert f"has no layers of {failed}." in page.text
    assert len(page.svgs) == 1 + 2 + 1 + 1  # bars, matrices of two modes, paths, lags


def test_a_participants_page_names_what_has_no_similarity_and_why(lean, facts) -> None:
    lean.table("01", "similarity", pd.DataFrame(columns=["mode"]))
    path = lean.tree.path(
        "participant_stats", sub="01", ses="movie", task="movie", desc="similarity"
    )
    table = lean.similarity(np.random.default_rng(0)).assign(note="n/a")
    gone = table["roi"] == "hV4"
    table["r"] = table["r"].astype(object).mask(gone, "n/a")
    table.loc[gone, "note"] = "region missing"
    table.to_csv(path, sep="\t", index=False)
    page = check(participant_report(lean.tree, "01", lean.analysis, facts, None))
    assert "Without any similarity, and so not drawn: region hV4." in page.text
    assert f"note rows regions models region missing {gone.sum()} hV4 all" in page.text


@pytest.mark.parametrize(
    ("desc", "column", "figures"), [("components", "pc2", 4), ("unique", "target", 3)]
)
def test_a_column_missing_in_one_table_costs_its_figures_alone(
    lean, facts, desc: str, column: str, figures: int
) -> None:
    ours = lean.write()
    path = ours.tree.path("group_stats", task="movie", desc=desc)
    table = pd.read_csv(path, sep="\t", keep_default_na=False)
    table.drop(columns=column).to_csv(path, sep="\t", index=False)
    page = check(group_report(ours.tree, ours.analysis, facts))
    assert f"lacks the column '{column}'" in page.text
    assert len(page.svgs) == figures
