import re
from pathlib import Path

import pytest
import torch
import transformers
from timm.models import PretrainedCfg

from bidsapp.errors import InputError, UsageError
from bidsapp.vision.catalogue import ModelEntry, find_model
from bidsapp.vision.networks.library import library_entry
from bidsapp.vision.networks.loading import load_network
from bidsapp.vision.networks.network import layer_units


@pytest.mark.parametrize(
    ("name", "n_layers", "some"),
    [
        ("torchvision:resnet18:layer*.*@seed0", 8, "layer4.1"),
        ("timm:convnext_atto:stages.*.blocks.*@seed0", 12, "stages.2.blocks.5"),
        ("transformers:vit:layers.*@seed0", 12, "layers.11"),
    ],
)
def test_networks_of_other_libraries_by_name(name: str, n_layers: int, some: str) -> None:
    entry = find_model(name)
    units = layer_units(entry)
    assert len(units) == n_layers
    assert some in units
    assert entry.seed == 0
    assert entry.checkpoint is None


def test_leaves_are_modules_that_run_once() -> None:
    entry = find_model("torchvision:resnet18@seed0")
    network = load_network(entry, None)
    units = layer_units(entry)
    assert tuple(units) == network.layers
    assert "conv1" in units
    assert "layer1.0.conv1" in units
    assert "layer1.0.relu" not in units  # runs twice
    assert "layer1" not in units  # has parts
    heard: dict[str, int] = {}
    clips = torch.zeros((2, 1, 3, 224, 224), dtype=torch.uint8)
    network.respond(clips, lambda layer, response: heard.update({layer: response.shape[1]}))
    assert heard == units


def test_seed_makes_the_same_network_again_and_another_another() -> None:
    one, same, other = (
        load_network(find_model(f"timm:convnext_atto:stem@seed{seed}"), None).module.state_dict()
        for seed in (1, 1, 2)
    )
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert any(not torch.equal(one[key], other[key]) for key in one)


def test_trained_weights_are_a_file_named_by_the_library() -> None:
    entry = find_model("torchvision:resnet18")
    assert entry.checkpoint is not None
    assert entry.checkpoint.url.endswith("resnet18-f37072fd.pth")
    assert entry.checkpoint.sha256 == "f37072fd"
    assert entry.checkpoint.file == "torchvision--resnet18.pth"
    assert entry.input.mean == (0.485, 0.456, 0.406)


def test_timms_weights_are_the_copy_that_has_its_names() -> None:
    """Its authors' own file of DINOv2, which timm knows too, has a token that timm's has not."""
    checkpoint = library_entry("timm:vit_small_patch14_dinov2").checkpoint
    assert checkpoint is not None
    assert checkpoint.url == (
        "https://huggingface.co/timm/vit_small_patch14_dinov2.lvd142m/resolve/main/model.safetensors"
    )
    assert checkpoint.file.endswith(".safetensors")


@pytest.mark.parametrize(
    ("known", "address"),
    [
        ({"hf_hub_id": "a/b", "hf_hub_filename": "c.bin"}, "https://.*/a/b/resolve/main/c.bin"),
        ({"hf_hub_id": "a/b@v2", "url": "https://d"}, "https://.*/b/resolve/v2/model.safetensors"),
        ({"url": "https://d/e.pth"}, "https://d/e.pth"),
    ],
)
def test_where_timms_weights_are(
    monkeypatch: pytest.MonkeyPatch, known: dict[str, str], address: str
) -> None:
    monkeypatch.setattr("timm.models.get_pretrained_cfg", lambda *_, **__: PretrainedCfg(**known))
    checkpoint = library_entry("timm:net").checkpoint
    assert checkpoint is not None
    assert re.fullmatch(address, checkpoint.url)


def test_weights_of_jax_are_refused_before_they_are_downloaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = PretrainedCfg(url="https://example.org/B_16.npz")
    monkeypatch.setattr("timm.models.get_pretrained_cfg", lambda *_, **__: known)
    with pytest.raises(UsageError, match=r"B_16\.npz only, a file of JAX"):
        library_entry("timm:net")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("timm:nosuchnet", "timm knows no network 'nosuchnet'"),
        ("keras:resnet", "LIBRARY one of torchvision, timm, transformers"),
        ("transformers:vit", "no trained weights"),
        ("torchvision:resnet18@seedx", "names no network"),
    ],
)
def test_names_that_mean_nothing_say_what_would(name: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        library_entry(name)


@pytest.mark.parametrize(
    "name",
    ["torchvision:r3d_18", "transformers:videomae", "transformers:clip", "transformers:bert"],
)
def test_networks_that_take_no_single_pictures_are_refused_in_a_sentence(name: str) -> None:
    with pytest.raises(UsageError, match=f"{name} does not run on the single pictures"):
        layer_units(find_model(f"{name}:*@seed0"))
    with pytest.raises(UsageError, match=f"{name} does not run on the single pictures"):
        layer_units(find_model(f"{name}@seed0"))


@pytest.mark.parametrize("network", ["raft_small", "fasterrcnn_resnet50_fpn"])
def test_networks_whose_pictures_have_no_size_are_not_called_unknown(network: str) -> None:
    with pytest.raises(UsageError, match=f"'{network}' takes no single pictures of one size"):
        library_entry(f"torchvision:{network}@seed0")


def test_no_part_of_a_network_is_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(url: str, **_: object) -> None:
        raise AssertionError(url)

    monkeypatch.setattr("torch.hub.download_url_to_file", refuse)
    entry = find_model("torchvision:fcn_resnet50:classifier.4@seed0")
    assert set(layer_units(entry)) == {"classifier.4"}


def test_pattern_that_fits_no_layer_is_an_error() -> None:
    with pytest.raises(UsageError, match=r"has no layer 'stage\.\*'"):
        layer_units(find_model("timm:convnext_atto:stage.*@seed0"))


def test_options_that_the_library_does_not_know_are_an_error() -> None:
    content = find_model("timm:convnext_atto@seed0").model_dump()
    entry = ModelEntry.model_validate(content | {"options": {"wings": 2}})
    with pytest.raises(UsageError, match="cannot build 'convnext_atto'"):
        layer_units(entry)


SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
SMALL |= {"intermediate_size": 64, "image_size": 32, "patch_size": 8}


def small_vit(unused: tuple[str, ...] = (), **options: object) -> ModelEntry:
    checkpoint = {"file": "model.safetensors", "url": "", "licence": "", "unused": unused}
    plain = find_model("transformers:vit:layers.*@seed0").model_dump()
    own = {"seed": None, "checkpoint": checkpoint, "options": SMALL | options}
    return ModelEntry.model_validate(plain | own | {"input": {"size": 32}})


def test_what_transformers_saved_is_read(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Under older names, and after the prefix of a network with a classifier."""
    config = transformers.ViTConfig(**SMALL, layer_norm_eps=1e-6)
    trained = transformers.ViTForImageClassification(config).eval()
    trained.save_pretrained(tmp_path)
    capfd.readouterr()
    options = {"layer_norm_eps": "1e-6", "add_pooling_layer": False}  # a word, as YAML reads it
    network = load_network(small_vit(("classifier.*",), **options), tmp_path)
    assert capfd.readouterr().err == ""
    clips = torch.randint(0, 256, (2, 1, 3, 32, 32), dtype=torch.uint8)
    heard: dict[str, torch.Tensor] = {}
    network.respond(clips, lambda layer, response: heard.update({layer: response.clone()}))
    with torch.inference_mode():
        expected = trained(clips[:, 0] / 255, output_hidden_states=True).hidden_states
    for layer, states in zip(("layers.0", "layers.1"), expected[1:], strict=True):
        torch.testing.assert_close(heard[layer], states.flatten(1))


def test_what_transformers_saved_must_fit(tmp_path: Path) -> None:
    config = transformers.ViTConfig(**SMALL)
    transformers.ViTForImageClassification(config).save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"holds unknown classifier\.(weight|bias)"):
        load_network(small_vit(add_pooling_layer=False), tmp_path)
    with pytest.raises(InputError, match=r"it lacks pooler"):
        load_network(small_vit(("classifier.*",)), tmp_path)
    with pytest.raises(InputError, match=r"has shape \(64,\), not \(48,\)"):
        load_network(small_vit(intermediate_size=48), tmp_path)
    with pytest.raises(UsageError, match="there is no option 'wings'"):
        load_network(small_vit(wings=2), tmp_path)
