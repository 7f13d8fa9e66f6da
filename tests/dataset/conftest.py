"""A tiny raw dataset with its fMRIPrep derivatives, and an analysis of it."""

import shutil
from pathlib import Path

import pytest
from dataset_trees import Tree, small_analysis

from bidsapp.analysis.spec import Analysis


@pytest.fixture(scope="session")
def built_tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    return Tree(tmp_path_factory.mktemp("tree")).build("01", "02")


@pytest.fixture
def tree(built_tree: Tree, tmp_path: Path) -> Tree:
    """A copy that a test may change."""
    shutil.copytree(built_tree.root, tmp_path, dirs_exist_ok=True)
    return Tree(tmp_path)


@pytest.fixture
def analysis() -> Analysis:
    return small_analysis()
