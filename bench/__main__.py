"""Run every benchmark; print ``name value`` lines and write build/bench.json."""

import json
from importlib import import_module
from pathlib import Path

BENCHMARKS = (
    "bench.group_stage",
    "bench.shift_null",
    "bench.extraction",
    "bench.reading",
    "bench.comparators",
    "bench.searchlight",
    "bench.indexing",
)
RESULT = Path("build") / "bench.json"


def main() -> None:
    """Run each benchmark; its ``run()`` gives names and values."""
    values: dict[str, float] = {}
    for name in BENCHMARKS:
        for key, value in import_module(name).run().items():
            values[key] = float(value)
            print(f"{key} {value:.6g}", flush=True)
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
