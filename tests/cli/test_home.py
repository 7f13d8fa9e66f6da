"""What the command line does before it imports anything heavy, and where there is no home."""

import os
import subprocess
import sys
import tempfile

import pytest

from bidsapp.cli.home import give_a_home
from bidsapp.errors import UsageError


@pytest.fixture
def homeless(monkeypatch, tmp_path):
    """A read-only root, seen by a user without a home; `tmp_path` is made before it is."""

    def nowhere():
        raise FileNotFoundError

    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(tempfile, "gettempdir", nowhere)
    for name in ("HOME", "TMPDIR"):
        monkeypatch.setenv(name, "/nowhere")


def test_home_and_temporary_files_go_to_the_work_directory(homeless, tmp_path):
    give_a_home(tmp_path / "work")
    assert os.environ["HOME"] == str(tmp_path / "work")
    assert os.environ["TMPDIR"] == str(tmp_path / "work" / "tmp")
    assert (tmp_path / "work" / "tmp").is_dir()


def test_a_work_directory_that_cannot_be_made(homeless, tmp_path):
    (tmp_path / "work").touch()
    with pytest.raises(UsageError, match="--work-dir that can be written"):
        give_a_home(tmp_path / "work")


def test_a_home_that_there_is_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    give_a_home(tmp_path / "work")
    assert os.environ["HOME"] == str(tmp_path)
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("name", ["run", "models", "fmriprep", "demo"])
def test_the_version_waits_for_nothing_heavy(name):
    """In an image on a slow disk these imports take many seconds."""
    heavy = ("torch", "nipype", "nilearn", "pandas", "scipy", "bids", "nibabel", "matplotlib")
    code = (
        "import sys\n"
        f"from bidsapp.cli.{name} import main\n"
        "try:\n    main(['--version'])\nexcept SystemExit as end:\n    assert not end.code\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"
