"""Pages made from the code leave nothing out."""

import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def docs_pages() -> ModuleType:
    spec = spec_from_file_location("docs_pages", ROOT / "ci" / "docs_pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_option_of_every_command_is_on_the_page(docs_pages: ModuleType) -> None:
    page = docs_pages.options_page()
    assert re.findall("^## (.*)", page, re.MULTILINE) == [
        "moviersa", "moviersa-models",
        *(f"moviersa-models {verb}" for verb in ("list", "info", "fetch", "extract")),
        "moviersa-fmriprep", "moviersa-demo",
    ]  # fmt: skip
    for row in (
        "| `--first-frame-index` `N` |",
        "| `--letterbox` `PIXELS PIXELS PIXELS PIXELS` |",
        "| `--fs-license-file` `FS_LICENSE_FILE` |",
        "| `--other-rate` `{by_time,by_number}` |",
    ):
        assert row in page, row
    named = re.findall(r"(?<=[\[ ])(--?[a-z][\w-]*)", page)
    for flag in named:
        assert f"`{flag}`" in page, flag


def test_every_option_has_a_meaning(docs_pages: ModuleType) -> None:
    rows = re.findall(r"^\| (`.*`) \| (.*) \|$", docs_pages.options_page(), re.MULTILINE)
    assert len(rows) > 80
    assert [names for names, meaning in rows if not meaning.strip()] == []


def test_usage_repeats_no_table_of_options() -> None:
    usage = (ROOT / "docs" / "usage.md").read_text(encoding="utf-8")
    assert "| option |" not in usage
    assert "reference/options.md" in usage


def test_every_work_named_in_the_methods_is_listed(docs_pages: ModuleType) -> None:
    page = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    assert "<!-- references -->" in page
    listed = docs_pages.reference_list()
    named = re.findall(r"([A-Z]\w+)(?: et al\.| and [A-Z]\w+)?,? \(?((?:19|20)\d\d)\b", page)
    assert ("Hoffman", "1960") in named
    for author, year in named:
        assert re.search(rf"^- {author}, .*\({year}\)", listed, re.MULTILINE), (author, year)
