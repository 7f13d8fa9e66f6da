from collections.abc import Callable
from functools import cache
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from vision_films import noise, write_film

from bidsapp.arrays import Floats
from bidsapp.errors import InputError
from bidsapp.vision.catalogue import ModelEntry, find_model
from bidsapp.vision.clips import windows
from bidsapp.vision.devices import Machine
from bidsapp.vision.features import clip_shape, extract, scratch_bytes
from bidsapp.vision.framing import Framing
from bidsapp.vision.hemodynamics import canonical_hrf, hrf_weights
from bidsapp.vision.networks.architectures import Architecture
from bidsapp.vision.networks.loading import load_network
from bidsapp.vision.networks.network import Network, layer_units
from bidsapp.vision.runs import PlacedRun, nominal_frames
from bidsapp.vision.stretches import cut

Extract = Callable[..., dict[str, dict[str, Floats]]]


def film_run(path: Path, n_frames: int = 200, n_volumes: int = 4) -> PlacedRun:
    index, times = nominal_frames(n_frames, 25.0, 5)
    return PlacedRun("1", cut(path), index, times, 2.0 * np.arange(n_volumes) + 1)


@cache
def network(name: str) -> Network:
    return load_network(find_model(name), None)


@pytest.fixture
def extracted(tmp_path: Path) -> Extract:
    """`extract` on the CPU, in memory unless told otherwise."""

    def run(names: list[str], film: PlacedRun, memory: int = 10**9, batch: int = 16, **more: float):
        networks = [network(name) for name in names]
        machine = Machine(tmp_path / "scratch", memory, "cpu", batch)
        return extract(networks, film, Framing(), machine, **more)

    return run


def all_features(name: str, film: PlacedRun) -> dict[str, np.ndarray]:
    """Every layer's response to every frame: n_frames x n_units, what `extract` never holds."""
    kept: dict[str, list[Tensor]] = {layer: [] for layer in network(name).layers}
    for _, clips in windows(film, clip_shape(find_model(name)), Framing(), 10):
        network(name).respond(clips, lambda layer, response: kept[layer].append(response.clone()))
    return {layer: torch.cat(parts).numpy() for layer, parts in kept.items()}


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference, relative to the largest response of each volume."""
    scale = np.maximum(np.abs(expected).max(axis=1, keepdims=True), 1e-30)
    return float((np.abs(found - expected) / scale).max())


@pytest.mark.parametrize("name", ["pixels", "motionenergy", "resnet18-untrained-96px"])
def test_streaming_equals_weighting_all_features(
    extracted: Extract, noise_film: Path, name: str
) -> None:
    film = film_run(noise_film, n_frames=110)
    weights = hrf_weights(film.frame_times, film.volume_times)
    found = extracted([name], film)[name]
    assert list(found) == list(find_model(name).layers)
    for layer, features in all_features(name, film).items():
        assert found[layer].dtype == np.float32
        assert found[layer].shape == (4, layer_units(find_model(name))[layer])
        assert relative(found[layer], weights @ features.astype(np.float64)) < 2e-6


def test_nominal_route_is_the_authors_convolution(extracted: Extract, noise_film: Path) -> None:
    film = film_run(noise_film)
    features = all_features("pixels", film)["pixels"].astype(np.float64)
    h = canonical_hrf(np.arange(100) / 5)
    convolved = np.stack([np.convolve(f, h)[: len(features)] for f in features.T], axis=1)
    found = extracted(["pixels"], film)["pixels"]["pixels"]
    assert relative(found, convolved[10 * np.arange(4) + 5]) < 1e-6


def test_a_flash_peaks_5_s_later(extracted: Extract, tmp_path: Path) -> None:
    frames = np.zeros((400, 16, 16, 3), dtype=np.uint8)
    frames[100] = 255  # shown at 4 s
    film = film_run(write_film(tmp_path / "flash.mkv", frames), 400)
    volumes = np.arange(0, 16, 0.1)
    fine = PlacedRun("1", film.stretch, film.frame_index, film.frame_times, volumes)
    response = extracted(["pixels"], fine)["pixels"]["pixels"].mean(axis=1)
    assert abs(volumes[np.nanargmax(response)] - 9.0) <= 0.2


@pytest.mark.parametrize("name", ["pixels", "motionenergy", "resnet18-untrained-96px"])
def test_batch_size_does_not_matter(extracted: Extract, noise_film: Path, name: str) -> None:
    film = film_run(noise_film, n_frames=80, n_volumes=2)
    first, second, again = (extracted([name], film, batch=b)[name] for b in (3, 16, 16))
    for layer in first:
        assert relative(first[layer], second[layer]) < 1e-6
        np.testing.assert_array_equal(second[layer], again[layer])


def test_networks_together_give_what_each_gives_alone(extracted: Extract, noise_film: Path) -> None:
    film = film_run(noise_film, n_frames=100)
    names = ["pixels", "motionenergy"]
    together = extracted(names, film)
    assert list(together) == names
    for name in names:
        for layer, alone in extracted([name], film)[name].items():
            assert relative(together[name][layer], alone) < 1e-6


def test_volumes_that_no_frame_reaches_are_undefined(extracted: Extract, noise_film: Path) -> None:
    film = film_run(noise_film)
    late = PlacedRun(
        "1",
        film.stretch,
        film.frame_index,
        film.frame_times,
        np.array([-2.0, 0.0, 2.0, 10.0, 27.0, 28.0, 40.0]),
    )
    response = extracted(["pixels"], late)["pixels"]["pixels"]
    np.testing.assert_array_equal(
        np.isfinite(response).all(axis=1), [False, False, True, True, True, False, False]
    )


def test_length_of_the_response_is_a_parameter(extracted: Extract, noise_film: Path) -> None:
    film = film_run(noise_film)
    features = all_features("pixels", film)["pixels"].astype(np.float64)
    expected = hrf_weights(film.frame_times, film.volume_times, 4.0) @ features
    found = extracted(["pixels"], film, hrf_s=4.0)["pixels"]["pixels"]
    assert relative(found, expected) < 1e-6


def test_what_exceeds_memory_is_mapped_and_leaves_no_file(
    extracted: Extract, noise_film: Path, tmp_path: Path
) -> None:
    film = film_run(noise_film)
    limit = scratch_bytes(find_model("pixels"), 4)
    assert limit == 4 * 4 * 256
    inside = extracted(["pixels"], film, memory=limit)["pixels"]["pixels"]
    beyond = extracted(["pixels"], film, memory=limit - 1)["pixels"]["pixels"]
    assert not isinstance(inside, np.memmap)
    assert isinstance(beyond, np.memmap)
    np.testing.assert_array_equal(inside, beyond)
    assert list((tmp_path / "scratch").iterdir()) == []


def test_full_scratch_is_reported(
    extracted: Extract, noise_film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(InputError, match=r"has no room for .* No space left"):
        extracted(["pixels"], film_run(noise_film), memory=0)


class Wide(nn.Module):
    """Many units from few pixels: 1 MB of response per frame."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Conv2d(3, 1024, 1)

    def forward(self, frames: Tensor) -> Tensor:
        response: Tensor = self.wide(frames)
        return response


def anonymous_bytes() -> int:
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if "RssAnon" in x)
    return int(line.split()[1]) * 1024


def peak_growth(run: Callable[[], object]) -> int:
    """Anonymous memory that a call takes at its peak, beyond what was there before."""
    done, before, peak = Event(), anonymous_bytes(), 0

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.002):
            peak = max(peak, anonymous_bytes())

    watcher = Thread(target=watch)
    watcher.start()
    try:
        run()
    finally:
        done.set()
        watcher.join()
    return peak - before


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_memory_does_not_grow_with_the_film(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = ModelEntry.model_validate(
        find_model("pixels").model_dump()
        | {"name": "wide", "architecture": "wide", "seed": 0, "layers": ["wide"]}
    )
    monkeypatch.setattr(
        "bidsapp.vision.networks.network.ARCHITECTURES", {"wide": Architecture(Wide)}
    )
    path = write_film(tmp_path / "film.mkv", noise(2000, 16, 16))
    wide = load_network(entry, None)

    def growth(seconds: int) -> int:
        film = film_run(path, seconds * 25, seconds // 2)
        machine = Machine(tmp_path, 0, "cpu", 8)
        return min(  # of two: what libraries keep for later comes and goes
            peak_growth(lambda: extract([wide], film, Framing(), machine)) for _ in range(2)
        )

    growth(10)  # warms up what libraries keep
    short, long = growth(20), growth(80)
    n_frames, frame = 400, 4 * 1024 * 256
    assert max(short, long) < 0.2 * n_frames * frame
    assert long - short < 0.4 * (40 - 10) * frame  # far below even volumes x units
