"""A dry run of one participant leaves all others alone."""

from pathlib import Path

import pytest

from bench.indexing import ASKED, foreign, watch, words, write_tree

PARTICIPANTS = 9


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("many")
    write_tree(root, PARTICIPANTS)
    return root


def test_a_dry_run_opens_nothing_of_others(tree: Path) -> None:
    touched, modules = watch(tree, words(tree))
    assert foreign(touched) == []
    events = [path for path in touched if path.endswith("_events.tsv")]
    assert len(events) == 9  # one localizer run and eight of the movie
    assert all(f"sub-{ASKED}" in path for path in events)
    assert "nipype" not in modules
    assert "rsatoolbox" not in modules


def test_the_watcher_sees_what_is_opened_of_others(tree: Path) -> None:
    """Without --participant-label everyone is looked at, and the check above would fail."""
    place = words(tree).index("--participant-label")
    everyone = words(tree)[:place] + words(tree)[place + 2 :]
    touched, _ = watch(tree, everyone)
    others = {path.split("/sub-")[1][:3] for path in foreign(touched)}
    assert len(others) == PARTICIPANTS - 1
