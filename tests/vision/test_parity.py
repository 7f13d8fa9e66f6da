"""Every official layout, against the activations of the official code (tiny, random weights)."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from bidsapp.errors import InputError
from bidsapp.vision.catalogue import Checkpoint, ModelEntry, find_model
from bidsapp.vision.networks.layouts import resized_positions
from bidsapp.vision.networks.loading import load_network, read_state
from bidsapp.vision.networks.network import Network

TOLERANCE = 1e-5
TINY = {"width": 48, "depth": 2, "heads": 4, "patch": 8}
VIDEO = {**TINY, "size": 32, "frames": 8}
BLOCKS = ("blocks.*", "blocks.*.mlp.fc2")


def tiny(model: str, file: str, options: dict | None = None) -> ModelEntry:
    """Make the catalogue's entry of a model fit a tiny checkpoint."""
    entry = find_model(model)
    assert entry.checkpoint is not None
    content = entry.model_dump() | {
        "options": options or {},
        "checkpoint": Checkpoint(file=file, url="", licence="", unused=entry.checkpoint.unused),
        "input": {"size": 64, "window": 11},
    }
    if options:
        size, window = options["size"], options.get("frames", 1)
        content |= {"input": {"size": size, "window": window}, "layers": BLOCKS}
    return ModelEntry.model_validate(content)


def heard(network: Network, given: np.ndarray) -> dict[str, Tensor]:
    """Run a network on what the official code was given, and listen to its layers."""
    found: dict[str, Tensor] = {}
    x = torch.from_numpy(given)
    for name in network.layers:
        module = network.module.get_submodule(name)
        module.register_forward_hook(lambda _m, _i, y, name=name: found.__setitem__(name, y))
    with torch.inference_mode():
        found["output"] = network.module(x.transpose(1, 2) if x.ndim == 5 else x)
    return found


CASES = [
    ("mae-base", "mae_pretrain_tiny.pth", "mae_tiny_acts", "pretrain", "x", {**TINY, "size": 32}),
    (
        "mae-base-finetuned", "mae_finetuned_tiny.pth", "mae_tiny_acts", "finetune", "x",
        {**TINY, "size": 32, "classes": 10, "pooled": True},
    ),
    (
        "dinov2-base", "dinov2_tiny_pretrain.pth", "dinov2_tiny_acts_70", "acts", "x",
        {**TINY, "patch": 14, "size": 70},
    ),
    (
        "dinov2-base", "dinov2_tiny_pretrain.pth", "dinov2_tiny_acts_42", "acts", "x",
        {**TINY, "patch": 14, "size": 42},
    ),
    ("maest-base-k400", "maest_pretrain_tiny.pyth", "maest_tiny_acts", "acts", "x", VIDEO),
    (
        "videomae-base-k400-finetuned", "videomae_finetune_tiny.pth", "videomae_tiny_acts", "ft",
        "x", {**VIDEO, "classes": 5},
    ),
    (
        "videomae-base-k400", "videomae_pretrain_tiny.pth", "videomae_tiny_acts", "pt", "x16",
        {**VIDEO, "frames": 16},
    ),
    ("mvd-base-k400", "mvd_pretrain_tiny.pth", "mvd_tiny_acts", "acts", "x", VIDEO),
]  # fmt: skip


@pytest.mark.parametrize(
    ("model", "file", "activations", "prefix", "x", "options"), CASES, ids=[c[1] for c in CASES]
)
def test_blocks_agree_with_the_official_code(
    shared_data: Path, model, file, activations, prefix, x, options
) -> None:
    folder = shared_data / "parity"
    network = load_network(tiny(model, file, options), folder)
    expected = np.load(folder / f"{activations}.npz")
    found = heard(network, expected[x])
    assert len(network.layers) == 4
    for layer in network.layers:
        np.testing.assert_allclose(
            found[layer], expected[f"{prefix}/{layer}"], rtol=0, atol=TOLERANCE, err_msg=layer
        )
    if "classes" in options:
        np.testing.assert_allclose(found["output"], expected["logits"], rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("model", ["tinymotionnet-haa500", "tinymotionnet-k400"])
def test_optic_flow_agrees_with_the_official_code(shared_data: Path, model: str) -> None:
    folder = shared_data / "parity"
    network = load_network(tiny(model, "tinymotionnet.ckp"), folder)
    expected = np.load(folder / "tinymotionnet_acts.npz")
    found = heard(network, expected["x"])
    assert len(network.layers) == 11
    for layer in network.layers:
        np.testing.assert_allclose(found[layer], expected[f"acts/{layer}"], atol=TOLERANCE)
    for scale, flow in enumerate(found["output"]):
        np.testing.assert_allclose(flow, expected[f"flows/{scale}"], atol=TOLERANCE)


def test_query_key_and_value_may_be_stored_as_one(shared_data: Path, tmp_path: Path) -> None:
    """The PySlowFast file of MAE-ST and that of its own authors differ in this alone."""
    folder = shared_data / "parity"
    state = read_state(folder / "maest_pretrain_tiny.pyth")
    for block in range(2):
        for ending in ("weight", "bias"):
            parts = [state.pop(f"blocks.{block}.attn.{part}.{ending}") for part in "qkv"]
            state[f"blocks.{block}.attn.qkv.{ending}"] = torch.cat(parts)
    torch.save({"model_state": state, "epoch": 3}, tmp_path / "fused.pyth")
    network = load_network(tiny("maest-base-k400", "fused.pyth", VIDEO), tmp_path)
    expected = np.load(folder / "maest_tiny_acts.npz")
    found = heard(network, expected["x"])
    for layer in network.layers:
        np.testing.assert_allclose(found[layer], expected[f"acts/{layer}"], atol=TOLERANCE)


def test_slowfasts_own_decoder_is_left_over_without_complaint(shared_data: Path) -> None:
    folder = shared_data / "parity"
    network = load_network(tiny("maest-base-k400", "slowfast_mae_tiny.pyth", VIDEO), folder)
    state = read_state(folder / "slowfast_mae_tiny.pyth")
    loaded = network.module.get_parameter("blocks.1.attn.qkv.weight")
    assert torch.equal(loaded, state["blocks.1.attn.qkv.weight"])


@pytest.mark.parametrize("kind", ["VideoMAEForPreTraining", "VideoMAEForVideoClassification"])
def test_videomae_of_transformers(tmp_path: Path, kind: str) -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.VideoMAEConfig(
        image_size=32, patch_size=8, num_frames=8, hidden_size=48, num_hidden_layers=2,
        num_attention_heads=4, intermediate_size=192, layer_norm_eps=1e-6, num_labels=5,
        decoder_hidden_size=32, decoder_num_hidden_layers=1, decoder_num_attention_heads=4,
        decoder_intermediate_size=64, use_mean_pooling=kind.endswith("Classification"),
    )  # fmt: skip
    theirs = getattr(transformers, kind)(config).eval()
    for parameter in theirs.parameters():  # biases start at zero
        torch.nn.init.normal_(parameter, std=0.1)
    torch.save(theirs.state_dict(), tmp_path / "hub.bin")
    classes = {} if kind.endswith("PreTraining") else {"classes": 5}
    model = "videomae-base-k400" + ("-finetuned" if classes else "")
    network = load_network(tiny(model, "hub.bin", {**VIDEO, **classes}), tmp_path)
    clips = torch.randn(2, 8, 3, 32, 32)
    found = heard(network, clips.transpose(1, 2).numpy())
    with torch.inference_mode():
        states = theirs.videomae(clips, output_hidden_states=True).hidden_states
    for i in range(2):
        np.testing.assert_allclose(found[f"blocks.{i}"], states[i + 1], rtol=0, atol=TOLERANCE)


def test_positions_on_their_own_grid_stay_as_they_are() -> None:
    positions = torch.randn(1, 26, 4)
    assert resized_positions(positions, 26) is positions


def test_checkpoint_of_another_architecture_is_refused(shared_data: Path) -> None:
    folder = shared_data / "parity"
    with pytest.raises(InputError, match="does not fit the architecture"):
        load_network(tiny("mvd-base-k400", "videomae_finetune_tiny.pth", VIDEO), folder)
    with pytest.raises(InputError, match=r"lacks norm\.weight"):
        load_network(tiny("mae-base", "mae_finetuned_tiny.pth", {**TINY, "size": 32}), folder)


def test_both_names_of_one_weight_are_refused(tmp_path: Path) -> None:
    torch.save(
        {"module.conv1.weight": torch.ones(1), "conv1.weight": torch.ones(1)}, tmp_path / "a"
    )
    entry = tiny("tinymotionnet-k400", "a")
    with pytest.raises(InputError, match="both with and without"):
        load_network(entry, tmp_path)
