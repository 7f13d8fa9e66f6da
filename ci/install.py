"""Install moviersa with everything it needs into a virtual environment: ``install.py VENV``.

uv does it in seconds; where it is missing it is first put into the environment itself.
"""

import shutil
import subprocess
import sys
import venv
from pathlib import Path

PINS = "constraints.txt"  # of what it needs, and of what builds it


def main(target: Path) -> None:
    """Make the environment at ``target`` and install the package there, editable."""
    python = target / "bin" / "python"
    if not python.exists():
        venv.EnvBuilder(with_pip=True, clear=True).create(target)
    uv = shutil.which("uv")
    if uv is None:
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--constraint", PINS, "uv"], check=True
        )
        uv = str(target / "bin" / "uv")
    subprocess.run(
        [
            uv,
            "pip",
            "install",
            "--python",
            python,
            "--constraint",
            PINS,
            "--build-constraints",
            PINS,
            "--compile-bytecode",
            "--editable",
            ".[test,lint,docs]",
        ],
        check=True,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
