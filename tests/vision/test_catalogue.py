from pathlib import Path

import pytest

from bidsapp.errors import UsageError
from bidsapp.vision.catalogue import find_model, read_catalogue
from bidsapp.vision.networks.network import layer_units

OWN = """
models:
  - name: {name}
    label: Mine
    source: me
    architecture: pixels
    input: {{window: 1, size: {size}}}
    layers: [pixels]
"""


def test_every_entry_builds_with_the_layers_it_names() -> None:
    catalogue = read_catalogue()
    assert list(catalogue) == [
        "resnet18-imagenet",
        "resnet18-untrained",
        "resnet18-untrained-96px",
        "pixels",
        "motionenergy",
    ]
    for entry in catalogue.values():
        assert list(layer_units(entry)) == list(entry.layers)
        assert min(layer_units(entry).values()) > 1


def test_resnet18_has_the_papers_eleven_layers() -> None:
    entry = find_model("resnet18-imagenet")
    assert len(entry.layers) == 11
    assert sum(layer_units(entry).values()) == 1_756_672
    assert layer_units(entry)["avgpool"] == 512
    assert layer_units(entry)["conv1"] == 64 * 112 * 112
    assert entry.checkpoint is not None
    assert entry.checkpoint.file.removesuffix(".pth").endswith(entry.checkpoint.sha256)


def test_a_users_models_are_added(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(OWN.format(name="mine", size=8))
    assert find_model("mine", own).input.size == 8
    assert find_model("pixels", own).input.size == 16


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (OWN.format(name="pixels", size=8), "'pixels' is taken"),
        (OWN.format(name="mine", size=0), r"'models\.0\.input\.size'"),
        (OWN.format(name="mine", size=8) + "    colour: red\n", "colour"),
        (OWN.format(name="mine", size=8) + OWN.format(name="mine", size=8)[9:], "listed twice"),
        ("models: [", "not valid YAML"),
        ("", "own.yaml"),
    ],
)
def test_a_users_mistakes_are_named(tmp_path: Path, text: str, message: str) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(text)
    with pytest.raises(UsageError, match=message):
        find_model("mine", own)


def test_an_unknown_model_lists_the_known() -> None:
    with pytest.raises(
        UsageError, match=r"unknown model 'resnet'; known are resnet18-imagenet, .*"
    ):
        find_model("resnet")


def test_an_absent_catalogue_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="absent"):
        find_model("pixels", tmp_path / "absent.yaml")
