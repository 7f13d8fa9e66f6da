"""What the check leaves to be run by hand is run by the forge."""

import os
import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
CHECK = ROOT / ".ci" / "run"


def test_the_check_can_be_run_as_the_readme_says():
    assert os.access(CHECK, os.X_OK)


def test_the_forge_runs_what_the_check_leaves_out():
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]
    by_hand = set(re.findall(r"^#   ci/(\S+)", CHECK.read_text(), re.MULTILINE))
    assert all((ROOT / "ci" / name).is_file() for name in by_hand)
    matrix = jobs["debian"]["strategy"]["matrix"]["script"]
    commands = [step.get("run", "") for job in jobs.values() for step in job["steps"]]
    run = {*matrix, *re.findall(r"ci/(\w+[.]\w+)", " ".join(commands))}
    assert by_hand - run == {"container.sh"}  # the job "image" does the same by Docker
    assert all(f"make {what}" in commands for what in ("lint", "docs", "demo", "test"))
