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


# The paper's Table 1: its twelve networks, and how many layers of each the authors took.
PAPER = {
    "resnet18-imagenet": 11,
    "resnet18-haa500": 11,
    "tinymotionnet-haa500": 11,
    "tinymotionnet-k400": 11,
    "resnet18flow-haa500": 11,
    "dinov2-base": 12,
    "mae-base": 12,
    "mae-base-finetuned": 12,
    "maest-base-k400": 12,
    "videomae-base-k400": 12,
    "videomae-base-k400-finetuned": 12,
    "mvd-base-k400": 12,
}


def test_every_entry_builds_and_says_on_what_terms() -> None:
    for entry in read_catalogue().values():
        units = layer_units(entry)
        assert min(units.values()) > 1, entry.name
        assert entry.checkpoint is None or entry.checkpoint.licence, entry.name
        if entry.name.endswith("-author"):  # of the same weights as the one beside it
            assert entry.checkpoint == find_model(entry.name.removesuffix("-author")).checkpoint


def test_the_papers_networks_have_the_layers_that_its_authors_took() -> None:
    for name, n_layers in PAPER.items():
        assert len(layer_units(find_model(name))) == n_layers, name
        author = f"{name}-author"
        if author in read_catalogue():
            assert len(layer_units(find_model(author))) == n_layers, author


@pytest.mark.parametrize(
    ("model", "n_frames", "millions"),
    [
        ("videomae-base-k400", 16, 14.45),
        ("mvd-base-k400", 16, 14.45),
        ("tinymotionnet-k400", 11, 8.46),
        ("resnet18flow-haa500", 11, 1.76),
    ],
)
def test_windows_and_units_are_those_of_the_papers_networks(
    model: str, n_frames: int, millions: float
) -> None:
    entry = find_model(model)
    assert entry.input.window == n_frames
    assert sum(layer_units(entry).values()) / 1e6 == pytest.approx(millions, abs=0.01)


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
    with pytest.raises(UsageError, match=r"unknown model 'resnet' \(known: resnet18-imagenet, .*"):
        find_model("resnet")
    with pytest.raises(UsageError, match="did you mean resnet18-imagenet"):
        find_model("resnet18-imagnet")


def test_an_absent_catalogue_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="absent"):
        find_model("pixels", tmp_path / "absent.yaml")
