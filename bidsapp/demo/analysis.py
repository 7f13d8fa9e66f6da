"""The analysis file of the demo."""

from typing import Any

from bidsapp.demo.anatomy import ATLAS_REGIONS, SEARCH
from bidsapp.demo.brains import CONDITIONS, PREFERRED
from bidsapp.demo.responses import ANNOTATIONS, NETWORK, PIXELS, TABLE
from bidsapp.demo.size import (
    LOCALIZER_SESSION,
    LOCALIZER_TASK,
    MOVIE_SESSION,
    MOVIE_TASK,
    REPETITION_TIME,
    SHARED_VOLUMES,
    DemoSize,
)

UNPLANTED_MODEL = "motionenergy"


def demo_analysis(size: DemoSize) -> dict[str, Any]:
    """Return the content of ``analysis.yaml``."""
    last = len(size.runs) - 1
    return {
        "name": "demo",
        "movie": {
            "task": MOVIE_TASK,
            "session": MOVIE_SESSION,
            "runs": [
                {
                    "run": run,
                    "film": f"seg_{index}.mkv",
                    "shared_with_next_s": 0 if index == last else SHARED_VOLUMES * REPETITION_TIME,
                }
                for index, run in enumerate(size.runs)
            ],
            "frame_timing": "events",
            "frame_step": 10,
            "crop": None,
        },
        "localizer": {
            "task": LOCALIZER_TASK,
            "session": LOCALIZER_SESSION,
            "runs": ["1"],
            "conditions": list(CONDITIONS),
            "contrasts": {name: _contrast(plus) for name, plus in PREFERRED.items()},
        },
        "functional": {"regions": [_region(name) for name in SEARCH]},
        "atlas": {"regions": list(ATLAS_REGIONS)},
        "models": [PIXELS, NETWORK, UNPLANTED_MODEL, TABLE],
        "feature_tables": [
            {
                "name": TABLE,
                "files": {run: f"annotations_run-{run}.tsv" for run in size.runs},
                "columns": list(ANNOTATIONS),
            }
        ],
        "statistics": {
            "null_draws": {"ols": 200, "nnls": 50, "ridge": 100, "unique": 200},
        },
    }


def _contrast(plus: tuple[str, ...]) -> dict[str, list[str]]:
    return {"plus": list(plus), "minus": [name for name in CONDITIONS if name not in plus]}


def _region(name: str) -> dict[str, Any]:
    contrast, centres, radius = SEARCH[name]
    search = {
        side: {"centre_mm": list(centre), "radius_mm": radius} for side, centre in centres.items()
    }
    return {"name": name, "contrast": contrast, "search": search}
