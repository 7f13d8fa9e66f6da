"""The pages at the paper's size: how large, how long to draw, how long to open in a browser.

15 participants, 22 regions, 12 models, 8 runs of 450 volumes, of made-up numbers; no film, whose
pictures would be added. The first participant alone has RDMs and a localizer, which only its own
page shows.
"""

import shutil
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import median

import numpy as np

from bidsapp.analysis.spec import Analysis, default_analysis, read_analysis
from bidsapp.dataset.derivatives import OutputTree
from bidsapp.reports.report import group_report, participant_report
from tests.reports.conftest import FACTS, MadeUp, anatomy

PARTICIPANTS = tuple(f"{number:02d}" for number in range(1, 16))
MODELS = [f"model-{number:02d}" for number in range(1, 13)]
OPENINGS = 3
LARGEST_MB = 15
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")


class FullSize(MadeUp):
    """The first participant whole; of the others what the group's page reads."""

    def write_rdms(self, participant: str, random: np.random.Generator) -> None:
        """Write RDMs of the first participant."""
        if participant == self.participants[0]:
            super().write_rdms(participant, random)

    def write_localizer(self, participant: str) -> None:
        """Write the localizer of the first participant."""
        if participant == self.participants[0]:
            super().write_localizer(participant)


def run() -> dict[str, float]:
    """Return MB, processor seconds and, where there is a browser, seconds to open, of each page."""
    content = read_analysis(default_analysis()).model_dump(mode="json")
    analysis = Analysis.model_validate(content | {"models": MODELS})
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        tree = OutputTree(Path(folder) / "out")
        FullSize(tree, analysis, PARTICIPANTS, n_volumes=450).write()
        background = anatomy(Path(folder) / "T1w.nii.gz")
        pages = {}
        for name, draw in (
            ("group", lambda: group_report(tree, analysis, FACTS)),
            ("participant", lambda: participant_report(tree, "01", analysis, FACTS, background)),
        ):
            begun = time.process_time()
            pages[name] = draw()
            found[f"report_{name}_cpu_s"] = time.process_time() - begun
            found[f"report_{name}_mb"] = pages[name].stat().st_size / 1e6
        opened = zip(pages, _seconds_to_open(pages.values()), strict=False)
        found |= {f"report_{name}_opens_s": seconds for name, seconds in opened}
    for name in pages:
        if found[f"report_{name}_mb"] > LARGEST_MB:
            sys.exit(f"the page of the {name} has {found[f'report_{name}_mb']:.1f} MB")
    return found


def _seconds_to_open(pages: Iterable[Path]) -> list[float]:
    """Open each page several times; nothing where there is no Chromium."""
    program = next((path for name in _BROWSERS if (path := shutil.which(name))), None)
    if program is None:
        return []
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        found = [median(_opening(browser, path) for _ in range(OPENINGS)) for path in pages]
        browser.close()
    return found


def _opening(browser: object, path: Path) -> float:
    """Seconds until a new window has loaded a page and drawn it."""
    context = browser.new_context()
    page = context.new_page()
    begun = time.perf_counter()
    page.goto(path.as_uri(), wait_until="load")
    page.evaluate("new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn)))")
    seconds = time.perf_counter() - begun
    context.close()
    return seconds
