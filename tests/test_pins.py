"""The tested versions are those of all that is installed, and of what builds moviersa."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_every_requirement_is_pinned_and_the_build_backend_too():
    project = PROJECT["project"]
    wanted = [*PROJECT["build-system"]["requires"], *project["dependencies"]]
    wanted += [name for extra in project["optional-dependencies"].values() for name in extra]
    names = {re.match(r"[\w-]+", requirement)[0] for requirement in wanted}
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert names <= {line.split("==")[0] for line in lines}
    assert all(re.fullmatch(r"[a-z0-9-]+==\S+", line) for line in lines)


def test_whoever_installs_hands_the_pins_to_the_build():
    for script in ("image.sh", "install.py"):
        assert "--build-constraints" in (ROOT / "ci" / script).read_text()
