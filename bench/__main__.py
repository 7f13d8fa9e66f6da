"""Run benchmarks, all or those named; print ``name value`` lines and write build/bench.json.

``python -m bench [group_stage shift_null ...]``
"""

import argparse
import json
from importlib import import_module
from pathlib import Path

BENCHMARKS = (
    "group_stage",
    "shift_null",
    "unique",
    "extraction",
    "against_thingsvision",
    "reading",
    "comparators",
    "searchlight",
    "indexing",
    "steps",
    "report_page",
)
RESULT = Path("build") / "bench.json"


def main() -> None:
    """Run each benchmark; its ``run()`` gives names and values."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    names = parser.parse_args().names or BENCHMARKS
    if unknown := set(names) - set(BENCHMARKS):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}")
    values: dict[str, float] = {}
    for name in names:
        for key, value in import_module(f"bench.{name}").run().items():
            values[key] = float(value)
            print(f"{key} {value:.6g}", flush=True)
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
