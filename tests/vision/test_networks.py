import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from bidsapp.errors import InputError, UsageError
from bidsapp.vision.catalogue import Checkpoint, ModelEntry, find_model
from bidsapp.vision.networks.loading import load_network, read_state
from bidsapp.vision.networks.lowlevel import EnergyBank
from bidsapp.vision.networks.network import Network, build, layer_units


def clips_of(entry: ModelEntry, n: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    shape = (n, entry.input.window, 3, entry.input.size, entry.input.size)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def responses(network: Network, clips: Tensor) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    network.respond(clips, lambda name, response: found.update({name: response.clone()}))
    return found


def test_hooks_hear_what_the_plain_network_computes() -> None:
    entry = find_model("resnet18-untrained-96px")
    clips = clips_of(entry)
    torch.manual_seed(0)
    plain = torchvision.models.resnet18(weights=None).eval()
    mean = torch.tensor([0.485, 0.456, 0.406]).reshape(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).reshape(3, 1, 1)
    expected = {}
    with torch.inference_mode():
        x = plain.conv1((clips[:, 0] / 255 - mean) / std)
        expected["conv1"] = x
        x = expected["maxpool"] = plain.maxpool(torch.relu(plain.bn1(x)))
        for stage in range(1, 5):
            for step, block in enumerate(getattr(plain, f"layer{stage}")):
                second = block.conv2(torch.relu(block.bn1(block.conv1(x))))
                expected[f"layer{stage}.{step}.conv2"] = second
                shortcut = x if block.downsample is None else block.downsample(x)
                x = torch.relu(block.bn2(second) + shortcut)
        expected["avgpool"] = x.mean(dim=(2, 3))
    found = responses(load_network(entry, None), clips)
    assert list(found) == list(expected) == list(entry.layers)
    for layer, response in expected.items():
        torch.testing.assert_close(found[layer], response.flatten(1), rtol=1e-4, atol=1e-5)
        assert found[layer].shape == (2, layer_units(entry)[layer])


def test_seeded_weights_do_not_touch_the_callers_random_numbers() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    one, other = (build(find_model("resnet18-untrained")).state_dict() for _ in range(2))
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_pixels_are_grey() -> None:
    entry = find_model("pixels")
    clips = clips_of(entry)
    found = responses(load_network(entry, None), clips)["pixels"]
    torch.testing.assert_close(found, clips[:, 0].float().mean(1).flatten(1) / 255)


def test_input_side_of_a_layer_can_be_tapped() -> None:
    output = find_model("resnet18-untrained-96px").model_copy(
        update={"layers": ("layer1.0.conv1",)}
    )
    tapped = output.model_copy(update={"layers": ("layer1.0.conv2",), "tap": "input"})
    clips = clips_of(output)
    before = responses(Network(output, build(output)), clips)["layer1.0.conv1"]
    given = responses(Network(tapped, build(tapped)), clips)["layer1.0.conv2"]
    assert before.shape == given.shape
    assert given.min() == 0  # what conv2 is given was rectified


def drifting(direction: int, frequency: float, wavelength: float = 24.0) -> Tensor:
    """A grating of 96 pixels that drifts along x (+1), against it (-1) or stands still (0)."""
    x, t = torch.arange(96.0), torch.arange(16.0)[:, None]
    wave = torch.cos(2 * torch.pi * (x / wavelength - direction * frequency * t))
    return (0.5 + 0.4 * wave)[:, None, :].expand(16, 96, 96)[None]


@pytest.mark.parametrize("frequency", [0.08, 0.16])
def test_motion_energy_knows_direction(frequency: float) -> None:
    bank = EnergyBank(wavelength=24)
    first = 4 if frequency == 0.08 else 12  # channels: 4 still, 4 along, 4 against, ...
    for direction, along, against in ((1, first, first + 4), (-1, first + 4, first)):
        energy = bank(drifting(direction, frequency))[0, :, 3:-3, 3:-3].mean(dim=(1, 2))
        assert energy[along] > 5 * energy[against]
        assert energy[along] > 5 * energy[along + 2]  # the orthogonal orientation
        assert energy[4:].argmax() + 4 == along


def test_motion_energy_of_still_and_empty_pictures() -> None:
    bank = EnergyBank(wavelength=24)
    still = bank(drifting(0, 0.0))[0]
    assert still[0].mean() > 0.1
    assert still[4:].abs().max() < 1e-5
    assert bank(torch.full((1, 16, 96, 96), 0.7)).abs().max() < 1e-5


@pytest.mark.parametrize("shift", [(0, 0), (2, 0), (-1, 3)])
def test_optic_flow_of_a_shifted_picture(shift: tuple[int, int]) -> None:
    """Two windows of one smooth noise, so that all of the second is the first, moved."""
    right, down = shift
    rng = np.random.default_rng(0)
    noise = gaussian_filter(rng.normal(size=(80, 80, 3)), (3, 3, 0))
    noise = np.uint8(255 * (noise - noise.min()) / np.ptp(noise))
    frames = [noise[8:72, 8:72], noise[8 - down : 72 - down, 8 - right : 72 - right]]
    clip = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)
    entry = find_model("opticflow")
    found = responses(load_network(entry, None), clip[None])
    flow, speed = found["flow"].reshape(2, 16, 16), found["speed"].reshape(16, 16)
    off = flow[:, 2:-2, 2:-2] - torch.tensor(shift).reshape(2, 1, 1)
    assert off.abs().median() < 0.05
    assert off.abs().max() < 0.5
    assert speed[2:-2, 2:-2].median() == pytest.approx(np.hypot(right, down), abs=0.1)
    assert layer_units(entry) == {"flow": 512, "speed": 256}


def test_motion_energy_is_that_of_explicit_space_time_filters() -> None:
    """The separable sums equal a dot product with the oriented filter, at the middle position."""
    bank = EnergyBank(wavelength=6)
    clip = torch.rand((1, 16, 17, 17), generator=torch.Generator().manual_seed(3))
    side = bank.filters.shape[-1]
    patch = clip[0, :, 8 - side // 2 : 9 + side // 2, 8 - side // 2 : 9 + side // 2]
    steps = torch.arange(side) - side // 2
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    t = (torch.arange(16) - 7.5)[:, None, None]
    space = torch.exp(-(x**2 + y**2) / 18.0)
    time = torch.exp(-(t**2) / 32.0)
    space, time = space / space.sum(), time / time.sum()
    k, w = 2 * torch.pi / 6, 2 * torch.pi * 0.08
    even_k = (torch.cos(k * x) - (torch.cos(k * x) * space).sum()) * space
    even_w = (torch.cos(w * t) - (torch.cos(w * t) * time).sum()) * time
    odd_k, odd_w = torch.sin(k * x) * space, torch.sin(w * t) * time
    one = (patch * (even_k * even_w + odd_k * odd_w)).sum()
    other = (patch * (odd_k * even_w - even_k * odd_w)).sum()
    energy = bank(clip)
    middle = energy.shape[-1] // 2  # stride 3: sampled at pixels 0, 3, 6, ...
    assert energy.shape[-1] == (17 - 1) // 3 + 1
    shifted = bank(torch.roll(clip, (-8 + 3 * middle,) * 2, (2, 3)))  # pixel 8 to a sampled place
    expected = torch.sqrt(one**2 + other**2)
    torch.testing.assert_close(shifted[0, 4, middle, middle], expected, rtol=1e-4, atol=1e-6)


@pytest.fixture
def trained(tmp_path: Path) -> ModelEntry:
    """A model with a checkpoint of its own in ``tmp_path``."""
    torch.save(build(find_model("resnet18-untrained")).state_dict(), tmp_path / "own.pth")
    return with_checkpoint(tmp_path / "own.pth")


def with_checkpoint(path: Path) -> ModelEntry:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    checkpoint = Checkpoint(
        file=path.name, url="https://example.org/own.pth", sha256=digest, licence="none"
    )
    return find_model("resnet18-imagenet").model_copy(
        update={"checkpoint": checkpoint, "name": "own"}
    )


def test_a_checkpoint_fills_the_network(trained: ModelEntry, tmp_path: Path) -> None:
    network = load_network(trained, tmp_path)
    expected = build(find_model("resnet18-untrained")).state_dict()
    assert all(torch.equal(v, expected[k]) for k, v in network.module.state_dict().items())
    assert not network.module.training


def test_absent_weights_say_where_to_get_them(tmp_path: Path) -> None:
    entry = find_model("resnet18-imagenet")
    wanted = r"resnet18-f37072fd\.pth.*https://download"
    for folder in (tmp_path, None):
        with pytest.raises(InputError, match=wanted):
            load_network(entry, folder)


def test_another_file_under_the_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "resnet18-f37072fd.pth").write_bytes(b"something else")
    with pytest.raises(InputError, match="not the published file: its SHA-256"):
        load_network(find_model("resnet18-imagenet"), tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("layer1.0.conv1.weight"), "lacks layer1.0.conv1.weight"),
        (lambda s: s.update(extra=torch.zeros(1)), "holds unknown extra"),
        (lambda s: s.update({"fc.bias": torch.zeros(3)}), "fc.bias"),
        (lambda s: s.update(epoch=3), "one tensor per parameter"),
    ],
)
def test_weights_must_fit_exactly(tmp_path: Path, change, message: str) -> None:
    state = dict(build(find_model("resnet18-untrained")).state_dict())
    change(state)
    torch.save(state, tmp_path / "bad.pth")
    with pytest.raises(InputError, match=message):
        load_network(with_checkpoint(tmp_path / "bad.pth"), tmp_path)


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.pth").write_bytes(b"no checkpoint")
    with pytest.raises(InputError, match="cannot be read as a PyTorch checkpoint"):
        load_network(with_checkpoint(tmp_path / "bad.pth"), tmp_path)


@pytest.mark.parametrize(
    "content", [b"hello world", b"abc", b"<html>please log in</html>", b"", b"PK\x03\x04 no more"]
)
def test_what_is_damaged_is_refused_in_a_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.pth").write_bytes(content)
    with pytest.raises(InputError, match="cannot be read as a PyTorch checkpoint: ") as caught:
        read_state(tmp_path / "bad.pth")
    assert "\n" not in str(caught.value)
    assert "weights_only" not in str(caught.value)


@pytest.mark.parametrize("size", [20, 300, -3])
def test_a_file_of_the_older_form_that_is_cut_off_is_refused(tmp_path: Path, size: int) -> None:
    path = tmp_path / "bad.pth"
    torch.save({"a": torch.zeros(3)}, path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(InputError, match="cannot be read as a PyTorch checkpoint: "):
        read_state(path)


def test_a_damaged_zip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.pth"
    torch.save({"weight": torch.zeros(3)}, path)
    path.write_bytes(path.read_bytes().replace(b"weight", b"we\xff\xfeht"))
    with pytest.raises(InputError, match="cannot be read as a PyTorch checkpoint: "):
        read_state(path)


@pytest.mark.parametrize(
    ("beside", "words"),
    [(np.float64(1), "holds a numpy._core.multiarray.scalar"), (Path(), "holds a pathlib.")],
)
def test_objects_beside_the_weights_are_named(tmp_path: Path, beside: object, words: str) -> None:
    torch.save({"state_dict": {"a": torch.zeros(3)}, "beside": beside}, tmp_path / "bad.pth")
    with pytest.raises(InputError, match=f"{words}.*save the weights alone") as caught:
        read_state(tmp_path / "bad.pth")
    assert "\x1b" not in str(caught.value)


def test_settings_under_a_usual_name_hide_no_weights(tmp_path: Path) -> None:
    content = {"model": {"width": 768}, "state_dict": {"a": torch.ones(3)}}
    torch.save(content, tmp_path / "own.pth")
    assert list(read_state(tmp_path / "own.pth")) == ["a"]


@pytest.mark.parametrize("name", ["resnet18-haa500", "resnet18flow-haa500", "tinymotionnet-k400"])
@pytest.mark.parametrize(("key", "prefix"), [("state_dict", "encoder."), ("model", "module.")])
def test_own_training_may_wrap_any_network_to_be_trained(
    tmp_path: Path, name: str, key: str, prefix: str
) -> None:
    entry = find_model(name)
    assert entry.checkpoint is not None
    expected = build(entry).state_dict()
    content = {key: {prefix + name: value for name, value in expected.items()}}
    torch.save(content, tmp_path / entry.checkpoint.file)
    found = load_network(entry, tmp_path).module.state_dict()
    assert all(torch.equal(found[name], value) for name, value in expected.items())


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mae-base", "`moviersa-models fetch mae-base --weights DIR` gets them from https://dl"),
        ("mvd-base-k400", "lets no program download them"),
        ("tinymotionnet-haa500", "moviersa does not train: .* state_dict, .* module. or encoder."),
    ],
)
def test_absent_weights_say_how_they_are_had(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        load_network(find_model(name), tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": ("layer9",)}, "no layer 'layer9'; it has conv1"),
        ({"architecture": "resnet19"}, "unknown architecture 'resnet19'; known are resnet18"),
        ({"layers": ("layer1.0.relu",)}, "runs 2 times"),
    ],
)
def test_entries_must_fit_the_architecture(change: dict[str, object], message: str) -> None:
    entry = find_model("resnet18-untrained-96px").model_copy(update=change)
    with pytest.raises(UsageError, match=message):
        layer_units(entry)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("resnet18-untrained", {"seed": None}, "neither a checkpoint nor a seed"),
        ("mae-base", {"options": {"heads": 5}}, "mae cannot be built with these options: dim"),
        ("mae-base", {"options": {"patch": 0}}, "mae cannot be built with these options: integer"),
        ("mae-base", {"input": {"size": 96}}, r"does not run on the single pictures.*3, 96, 96"),
        ("videomae-base-k400", {"input": {"window": 8, "size": 224}}, r"windows.*\(1, 8, 3"),
        ("tinymotionnet-k400", {"input": {"window": 10, "size": 64}}, "tinymotionnet does not run"),
        ("resnet18-untrained", {"input": {"window": 16, "size": 64}}, "resnet18 does not run"),
    ],
)
def test_entries_that_no_network_can_run_are_refused_in_a_sentence(
    name: str, change: dict[str, object], message: str
) -> None:
    entry = ModelEntry.model_validate(find_model(name).model_dump() | change)
    with pytest.raises(UsageError, match=f"model {name}.*{message}"):
        layer_units(entry)


def test_a_layer_must_give_one_tensor() -> None:
    class Twofold(nn.Module):
        def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
            return frames, frames

    class Holder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pixels = Twofold()

        def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
            pair: tuple[Tensor, Tensor] = self.pixels(frames)
            return pair

    entry = find_model("pixels")
    with pytest.raises(UsageError, match="does not give one tensor"):
        responses(Network(entry, Holder()), clips_of(entry))
