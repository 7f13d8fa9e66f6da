"""Examples of nipype plugin files, which ``moviersa --print-plugin-file`` prints."""

from pathlib import Path

FOLDER = Path(__file__).parent
NAMES = tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


def example(name: str) -> str:
    """Return the example of one of `NAMES`."""
    return (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
