"""The pages in a real browser: nothing is loaded, nothing fails, tables sort and filter.

Skips where there is no Chromium; with REQUIRE_BROWSER set that is a failure.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bidsapp.reports.report import RunFacts, group_report, participant_report

SCRIPT = "<script>alert(1)</script>"
NAMES = ("chromium", "chromium-browser", "google-chrome")


def absent(reason: str) -> None:
    """Skip, or fail where a browser was asked for."""
    if os.environ.get("REQUIRE_BROWSER"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        absent("no playwright: pip install '.[test]'")
    program = next((path for name in NAMES if (path := shutil.which(name))), None)
    if program is None:
        absent("no Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def pages(made_up, facts: RunFacts, tmp_path_factory, write_anatomy) -> dict[str, Path]:
    background = write_anatomy(tmp_path_factory.mktemp("anatomy") / "T1w.nii.gz")
    return {
        "group": group_report(made_up.tree, made_up.analysis, facts),
        "participant": participant_report(made_up.tree, "01", made_up.analysis, facts, background),
    }


@dataclass
class Opened:
    """A page, and all that went on while it was open."""

    page: object
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


def opened(browser: object, path: Path, **how: object) -> Opened:
    context = browser.new_context(reduced_motion="reduce", **how)
    its = Opened(context.new_page())
    its.page.on("request", lambda request: its.requests.append(request.url))
    its.page.on("console", lambda message: its.complaints.append(f"{message.type}: {message.text}"))
    its.page.on("pageerror", lambda error: its.complaints.append(str(error)))
    its.page.on("dialog", lambda dialog: (its.complaints.append("dialog"), dialog.dismiss()))
    its.page.goto(path.as_uri())
    return its


@pytest.fixture(params=["group", "participant"])
def either(browser, pages, request) -> Iterator[Opened]:
    its = opened(browser, pages[request.param])
    yield its
    its.page.context.close()


@pytest.fixture
def group(browser, pages) -> Iterator[Opened]:
    its = opened(browser, pages["group"])
    yield its
    its.page.context.close()


def test_nothing_fails_and_no_request_leaves_the_page(either: Opened) -> None:
    either.page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true })")
    either.page.wait_for_timeout(100)
    away = [url for url in either.requests if not url.startswith(("file:", "data:"))]
    assert away == []
    assert sum(url.startswith("file:") for url in either.requests) == 1
    assert either.complaints == []


def test_a_script_put_into_the_page_would_not_run(either: Opened) -> None:
    ran = either.page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.ran = true";
            document.body.append(script);
            return window.ran === true;
        }"""
    )
    assert not ran


def test_figures_are_drawn_and_pictures_in_them_load(either: Opened) -> None:
    either.page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true })")
    figures = either.page.locator("figure svg[role=img]")
    assert figures.count() >= 9
    for i in range(figures.count()):
        box = figures.nth(i).bounding_box()
        assert box["width"] > 200
        assert box["height"] > 80
    widths = either.page.evaluate(
        """async () => {
            const load = async (image) => {
                const loaded = new Image();
                loaded.src = image.href.baseVal;
                await loaded.decode();
                return loaded.naturalWidth;
            };
            return Promise.all([...document.querySelectorAll("svg image")].map(load));
        }"""
    )
    assert widths
    assert min(widths) > 0


def test_every_link_resolves(either: Opened) -> None:
    links = either.page.locator("a[href]")
    targets = [links.nth(i).get_attribute("href") for i in range(links.count())]
    assert len(targets) > 5
    for target in targets:
        assert target.startswith("#")
        assert either.page.locator(f"[id='{target[1:]}']").count() == 1
    either.page.click("nav a >> nth=-1")
    top = either.page.locator("section >> nth=-1").evaluate("(e) => e.getBoundingClientRect().top")
    assert top < either.page.viewport_size["height"]


def unfolded_pairs(its: Opened) -> object:
    """Open the folded table of pairs: the page builds it on `toggle`, after the click returns."""
    folded = its.page.locator("details", has_text="Models compared in pairs")
    folded.locator("summary").click()
    folded.locator("table").wait_for(state="visible")
    return folded


def test_a_hostile_name_is_text(group: Opened) -> None:
    assert SCRIPT in group.page.inner_text("main")
    assert group.page.evaluate("document.scripts.length") == 1
    folded = unfolded_pairs(group)
    assert SCRIPT in folded.inner_text()
    assert folded.locator("option", has_text=SCRIPT).count() == 2  # of model_a and of model_b
    assert group.complaints == []


def column(folded: object, name: str) -> list[str]:
    place = folded.locator("thead th").all_inner_texts()
    index = [text.split(" ")[0].strip("▲▼ ") for text in place].index(name)
    cells = folded.locator(f"tbody tr:visible td:nth-child({index + 1})")
    return cells.all_inner_texts()


def test_the_table_of_pairs_sorts_and_filters(made_up, group: Opened) -> None:
    analysis = made_up.analysis
    folded = unfolded_pairs(group)
    regions, modes = len(analysis.region_names), len(analysis.modes)
    total = regions * modes * len(analysis.fits) * 3  # three pairs of three models
    assert len(column(folded, "t")) == total

    for way, largest_first in (("ascending", False), ("descending", True)):
        folded.locator("th button", has_text="diff_z").click()
        values = [float(text) for text in column(folded, "diff_z")]
        assert values == sorted(values, reverse=largest_first)
        heading = folded.locator("th", has_text="diff_z")
        assert heading.get_attribute("aria-sort") == way

    folded.locator("label", has_text="roi").locator("select").select_option("V1v")
    folded.locator("label", has_text="mode").first.locator("select").select_option("robust")
    assert set(column(folded, "roi")) == {"V1v"}
    assert set(column(folded, "mode")) == {"robust"}
    left = total // regions // modes
    assert folded.locator("output").inner_text() == f"{left} of {total} rows"
    folded.locator("label", has_text="roi").locator("select").select_option("")
    assert len(column(folded, "roi")) == total // modes
    values = [float(text) for text in column(folded, "diff_z")]
    assert values == sorted(values, reverse=True)  # filtering keeps the order


def test_without_scripts_the_table_is_plain_and_whole(browser, made_up, pages) -> None:
    its = opened(browser, pages["group"], java_script_enabled=False)
    folded = unfolded_pairs(its)
    analysis = made_up.analysis
    rows = len(analysis.region_names) * len(analysis.modes) * len(analysis.fits) * 3
    assert folded.locator("tbody tr:visible").count() == rows
    assert folded.locator("select").count() == 0
    its.page.context.close()


def test_print_leaves_out_what_paper_cannot_do(group: Opened) -> None:
    group.page.emulate_media(media="print")
    assert not group.page.locator("nav").is_visible()
    assert group.page.locator("figure").first.is_visible()


def test_no_table_is_wider_than_the_paper(either: Opened) -> None:
    page = either.page
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true })")
    page.wait_for_timeout(100)
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 718, "height": 1000})  # A4 less its margins
    assert page.evaluate("document.documentElement.scrollWidth") <= 718


def test_folded_tables_stand_off_their_frame_and_long_texts_are_not_a_word_a_line(
    either: Opened,
) -> None:
    either.page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true })")
    either.page.wait_for_timeout(100)
    left, highest = either.page.evaluate(
        """() => {
            const edge = (element) => element.getBoundingClientRect().left;
            const tables = [...document.querySelectorAll("details > .table")];
            const rows = [...document.querySelectorAll("tbody tr")];
            return [
                Math.min(...tables.map((table) => edge(table) - edge(table.parentElement))),
                Math.max(...rows.map((row) => row.offsetHeight)),
            ];
        }"""
    )
    assert left > 10
    assert highest < 80
