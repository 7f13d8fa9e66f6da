"""Official checkpoints brought to one form: names and shapes as our networks have them.

Only names, the fusing of what is stored in parts, and DINOv2's own rule for other image sizes are
known here; what is left over is for the loader to judge.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

State = dict[str, Tensor]
Layout = Callable[[State, nn.Module], State]

# Under which key training code stores the weights beside its own records.
WRAPPERS = ("model", "module", "state_dict", "MODEL_STATE", "model_state", "model_state_dict")

_HUGGING_FACE = (
    (r"^videomae\.", ""),
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^encoder\.layer\.", "blocks."),
    (r"\.attention\.attention\.(query|key|value)\.", lambda m: f".attn.{m[1][0]}."),
    (r"\.attention\.attention\.([qv]_bias)", r".attn.\1"),
    (r"\.attention\.output\.dense\.", ".attn.proj."),
    (r"\.intermediate\.dense\.", ".mlp.fc1."),
    (r"\.output\.dense\.", ".mlp.fc2."),
    (r"\.layernorm_before\.", ".norm1."),
    (r"\.layernorm_after\.", ".norm2."),
    (r"^layernorm\.", "norm."),
    (r"^classifier\.", "head."),
)


def as_stored(state: State, _network: nn.Module) -> State:
    """Take the names as they are, without what parallel training puts before them."""
    return without_prefix(state, "module.")


def classifier(state: State, network: nn.Module) -> State:
    """ResNet18 trained on actions: its last layer has a name of its own."""
    plain = motion(state, network)
    return {key.replace("fc_action.", "fc."): value for key, value in plain.items()}


def motion(state: State, network: nn.Module) -> State:
    """Take a network alone, or as the encoder of a training module."""
    return without_prefix(as_stored(state, network), "encoder.")


def transformer(state: State, network: nn.Module) -> State:
    """MAE, VideoMAE, MVD and MAE-ST: of their encoders, query, key and value become one."""
    named = as_stored(state, network)
    if any("patch_embeddings.projection." in key for key in named):
        named = _renamed(named)
    named = without_prefix(named, "encoder.")
    separate = ("cls_token", "pos_embed_class", "pos_embed_temporal", "pos_embed_spatial")
    if "pos_embed_temporal" in named:
        named = {f"separate.{k}" if k in separate else k: v for k, v in named.items()}
    return _fused(named)


def dinov2(state: State, network: nn.Module) -> State:
    """DINOv2: blocks may be in chunks, and positions are interpolated to the frame's size."""
    named = {
        re.sub(r"^blocks\.\d+\.(\d+)\.", r"blocks.\1.", key): value
        for key, value in as_stored(state, network).items()
    }
    wanted = network.get_parameter("pos_embed").shape[1]
    if "pos_embed" in named:
        named["pos_embed"] = resized_positions(named["pos_embed"], wanted)
    return named


def by_transformers(state: State, network: nn.Module) -> State:
    """Networks of transformers: the library itself knows its files' older names and prefixes."""
    stored = as_stored(state, network)
    reader: Any = type(network)
    with _without_report():
        read, found = reader.from_pretrained(
            None,
            config=network.config,
            state_dict=dict(stored),
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    for name, given, wanted in sorted(found["mismatched_keys"]):
        raise ValueError(f"{name} has shape {tuple(given)}, not {tuple(wanted)}")
    filled = {k: v for k, v in read.state_dict().items() if k not in found["missing_keys"]}
    return filled | {key: stored.get(key, torch.empty(0)) for key in found["unexpected_keys"]}


@contextmanager
def _without_report() -> Iterator[None]:
    """Keep transformers' table of names and its progress from standard error."""
    told = import_module("transformers.utils.logging")
    level, shown = told.get_verbosity(), told.is_progress_bar_enabled()
    told.set_verbosity_error()
    told.disable_progress_bar()
    try:
        yield
    finally:
        told.set_verbosity(level)
        if shown:
            told.enable_progress_bar()


def resized_positions(positions: Tensor, n: int) -> Tensor:
    """Interpolate DINOv2's positions to another grid by its own rule.

    Parameters
    ----------
    positions
        Shape (1, 1 + side², width); the class token's comes first.
    n
        Tokens wanted, 1 + new side².

    Returns
    -------
    Tensor
        Shape (1, n, width): bicubic, without antialiasing, by a scale factor of (new side + 0.1) /
        side, which is not the same as resizing to the new side.
    """
    if positions.shape[1] == n:
        return positions
    side, new_side = (round((count - 1) ** 0.5) for count in (positions.shape[1], n))
    grid = positions[:, 1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
    factor = (new_side + 0.1) / side
    moved = interpolate(grid, scale_factor=(factor, factor), mode="bicubic", antialias=False)
    return torch.cat([positions[:, :1], moved.permute(0, 2, 3, 1).flatten(1, 2)], dim=1)


def without_prefix(state: State, prefix: str) -> State:
    """Cut a prefix from the names that have it; names without it stay.

    Raises
    ------
    ValueError
        A name stands both with and without it.
    """
    cut = {key.removeprefix(prefix): value for key, value in state.items()}
    if len(cut) != len(state):
        raise ValueError(f"it names some weights both with and without '{prefix}'")
    return cut


def _renamed(state: Mapping[str, Tensor]) -> State:
    """Turn the names of transformers' VideoMAE into the official ones."""
    renamed: State = {}
    for key, value in state.items():
        name = key
        for pattern, replacement in _HUGGING_FACE:
            name = re.sub(pattern, replacement, name)
        renamed[name] = value
    return renamed


def _fused(state: State) -> State:
    """Fuse query, key and value, stored as three or with a bias of query and value alone."""
    fused = dict(state)
    for key in state:
        stem, _, ending = key.rpartition(".attn.")
        if ending == "q.weight":
            parts = [fused.pop(f"{stem}.attn.{part}.weight") for part in "qkv"]
            fused[f"{stem}.attn.qkv.weight"] = torch.cat(parts)
        elif ending == "q.bias" and f"{stem}.attn.k.bias" in fused:
            parts = [fused.pop(f"{stem}.attn.{part}.bias") for part in "qkv"]
            fused[f"{stem}.attn.qkv.bias"] = torch.cat(parts)
        elif ending in ("q_bias", "q.bias"):
            other = ending.replace("q", "v", 1)
            query, value = fused.pop(key), fused.pop(f"{stem}.attn.{other}")
            # The key's bias is fixed at zero: it would not change the attention.
            fused[f"{stem}.attn.qkv.bias"] = torch.cat([query, torch.zeros_like(query), value])
    return fused
