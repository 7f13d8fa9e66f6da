"""How the stand-in is analysed."""

from pathlib import Path


def standin_options(root: Path) -> list[str]:
    """Options of ``moviersa`` that say where the stand-in's parts are."""
    return [
        *("--derivatives", f"fmriprep={root / 'fmriprep'}"),
        *("--stimuli", str(root / "stimuli")),
        *("--atlas", str(root / "atlas")),
        *("--analysis", str(root / "analysis.yaml")),
        *("--work-dir", str(root / "work")),
    ]
