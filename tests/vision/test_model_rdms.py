from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from vision_films import noise, write_film

from bidsapp.analysis.processing import Extraction
from bidsapp.arrays import Floats
from bidsapp.errors import InputError, UsageError
from bidsapp.vision import devices
from bidsapp.vision.catalogue import ModelEntry, find_model
from bidsapp.vision.clips import windows
from bidsapp.vision.devices import Machine, footprint
from bidsapp.vision.features import clip_shape, scratch_bytes
from bidsapp.vision.fingerprints import made_from
from bidsapp.vision.hemodynamics import canonical_hrf
from bidsapp.vision.model_rdms import ModelRDMs, model_rdms, share_decoding
from bidsapp.vision.model_recipe import Recipe
from bidsapp.vision.networks.loading import load_network
from bidsapp.vision.networks.versions import library_versions
from bidsapp.vision.runs import PlacedRun, check_windows, nominal_frames
from bidsapp.vision.stretches import cut

ENTRIES = [find_model(name) for name in ("pixels", "resnet18-untrained-96px")]
N = 5


def rdms_of(made: ModelRDMs) -> dict[str, Floats]:
    """RDM of each layer."""
    return {layer: rdm for layer, (rdm, _) in made.layers.items()}


@pytest.fixture
def film(noise_film: Path) -> PlacedRun:
    """Three seconds at 5 Hz, five volumes."""
    index, times = nominal_frames(75, 25.0, 5)
    return PlacedRun("1", cut(noise_film), index, times, 0.6 * np.arange(N) + 0.5)


def made(
    film: PlacedRun, scratch: Path, entries: Any = ENTRIES, recipe: Recipe | None = None, **how: Any
) -> list[ModelRDMs]:
    machine = replace(Machine(scratch, 10**9, "cpu"), **how)
    return list(model_rdms(entries, film, recipe or Recipe(), machine, None))


def all_rdms(found: list[ModelRDMs]) -> dict[str, Floats]:
    return {
        f"{each.entry.name} {layer}": rdm for each in found for layer, rdm in rdms_of(each).items()
    }


def approximate(**keys: Any) -> Recipe:
    return Recipe(extraction=Extraction(**keys))


def test_rdms_are_those_of_the_naive_route(film: PlacedRun, tmp_path: Path) -> None:
    """All activations kept at 5 Hz, convolved, sampled at volumes, correlated by NumPy."""
    network = load_network(ENTRIES[1], None)
    kept: dict[str, list[np.ndarray]] = {layer: [] for layer in network.layers}
    for _, clips in windows(film, clip_shape(ENTRIES[1]), Recipe().framing, 7):
        network.respond(clips, lambda layer, x: kept[layer].append(x.clone().numpy()))
    # A volume at 0.6 i + 0.5 s sees what was shown 0.1, 0.3 ... s before it.
    response = canonical_hrf(np.arange(100) / 5 + 0.1)
    found = made(film, tmp_path, [ENTRIES[1]])[0].layers
    assert list(found) == list(kept)
    for layer, parts in kept.items():
        features = np.concatenate(parts).astype(np.float64)
        convolved = np.apply_along_axis(lambda f: np.convolve(f, response)[: len(f)], 0, features)
        at_volumes = convolved[3 * np.arange(N) + 2]
        naive = (1 - np.corrcoef(at_volumes))[np.triu_indices(N, 1)]
        rdm, moments = found[layer]
        np.testing.assert_allclose(rdm, naive, atol=1e-5)
        np.testing.assert_allclose(moments.mean, at_volumes.mean(axis=1), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(moments.sd, at_volumes.std(axis=1), rtol=1e-4)
        assert moments.n_units == features.shape[1]


def test_the_same_input_gives_the_same_bits(film: PlacedRun, tmp_path: Path) -> None:
    first, again = all_rdms(made(film, tmp_path)), all_rdms(made(film, tmp_path))
    for name, rdm in first.items():
        np.testing.assert_array_equal(rdm, again[name])


def test_batches_threads_and_company_change_rounding_alone(film: PlacedRun, tmp_path: Path) -> None:
    expected = all_rdms(made(film, tmp_path))
    others = [all_rdms(made(film, tmp_path, batch=batch)) for batch in (4, 7)]
    others.append(all_rdms([made(film, tmp_path, [entry])[0] for entry in ENTRIES]))
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(threads % 2 + 1)
        others.append(all_rdms(made(film, tmp_path)))
    finally:
        torch.set_num_threads(threads)
    for other in others:
        for name, rdm in expected.items():
            np.testing.assert_allclose(other[name], rdm, atol=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_gives_the_rdms_of_the_cpu(film: PlacedRun, tmp_path: Path) -> None:
    expected = all_rdms(made(film, tmp_path))
    found, again = (all_rdms(made(film, tmp_path, device="cuda")) for _ in range(2))
    for name, rdm in expected.items():
        np.testing.assert_allclose(found[name], rdm, atol=1e-5)
        np.testing.assert_array_equal(found[name], again[name])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_autocast_on_a_gpu(film: PlacedRun, tmp_path: Path, dtype: str) -> None:
    found = made(film, tmp_path, [ENTRIES[1]], approximate(autocast=dtype), device="cuda")[0]
    layers = found.notes["Approximation"]["Layers"].values()
    assert all(layer["Correlation"] > 0.9 for layer in layers)
    assert any(layer["LargestDifference"] > 0 for layer in layers)


def test_autocast_tells_what_it_changes(
    film: PlacedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="is for GPUs"):
        made(film, tmp_path, [ENTRIES[1]], approximate(autocast="bfloat16"))
    # Processors have autocast too: how it is used and measured can be seen without a GPU.
    monkeypatch.setattr(devices, "_check_autocast", lambda *_: None)
    exact = made(film, tmp_path, [ENTRIES[1]])[0]
    found = made(film, tmp_path, [ENTRIES[1]], approximate(autocast="bfloat16"))[0]
    said = found.notes["Approximation"]
    assert said["Autocast"] == "bfloat16"
    for layer, rdm in rdms_of(exact).items():
        off = np.abs(rdms_of(found)[layer] - rdm).max()
        assert 0 < off < 0.1
        assert said["Layers"][layer]["LargestDifference"] == pytest.approx(off)
        r = np.corrcoef(rdms_of(found)[layer].astype(float), rdm.astype(float))[0, 1]
        assert said["Layers"][layer]["Correlation"] == pytest.approx(r)


@pytest.mark.parametrize("dissimilarity", ["correlation", "euclidean", "cosine"])
def test_projection_tells_its_error(film: PlacedRun, tmp_path: Path, dissimilarity: str) -> None:
    entry = ENTRIES[1].model_copy(update={"dissimilarity": dissimilarity})
    exact = made(film, tmp_path, [entry])[0]
    assert "Approximation" not in exact.notes
    found = made(film, tmp_path, [entry], approximate(projection=1000))[0]
    said = found.notes["Approximation"]
    assert (said["Autocast"], said["Projection"]) == ("none", 1000)
    assert "first 5 volumes" in said["Description"]
    for layer, rdm in rdms_of(exact).items():
        off = float(np.abs(rdms_of(found)[layer] - rdm).max())
        assert said["Layers"][layer]["LargestDifference"] == pytest.approx(off)
        assert off <= 5 / np.sqrt(1000) * max(1.0, float(rdm.max()))
    assert (
        rdms_of(found)["avgpool"].tolist() == rdms_of(exact)["avgpool"].tolist()
    )  # 512 units, all kept
    assert said["Layers"]["avgpool"]["LargestDifference"] == 0
    whole, projected = scratch_bytes(entry, N), scratch_bytes(entry, N, 1000)
    assert projected == 4 * N * (10 * 1000 + 512) < whole


@pytest.mark.parametrize("dissimilarity", ["correlation", "euclidean", "cosine"])
def test_moments_of_projected_layers(film: PlacedRun, tmp_path: Path, dissimilarity: str) -> None:
    """The norm is nearly kept: of patterns that were centred first, or of others as they are."""
    entry = ENTRIES[1].model_copy(update={"dissimilarity": dissimilarity})
    exact = made(film, tmp_path, [entry])[0].layers
    projected = made(film, tmp_path, [entry], approximate(projection=1000))[0].layers
    for layer, (_, moments) in projected.items():
        whole = exact[layer][1]
        assert moments.n_units == whole.n_units
        if layer == "avgpool":  # 512 units, all kept
            np.testing.assert_array_equal(moments.mean, whole.mean)
            continue
        norm = whole.sd if dissimilarity == "correlation" else np.hypot(whole.mean, whole.sd)
        np.testing.assert_allclose(moments.sd, norm, rtol=5 / np.sqrt(1000))
        assert not moments.mean.any()


def test_masks_do_not_depend_on_what_is_compared(film: PlacedRun, tmp_path: Path) -> None:
    """A projection wider than every layer changes nothing, and random masks are drawn alike."""
    tiny = {"size": 32, "patch": 8, "width": 24, "depth": 1, "heads": 2, "masking": "author"}
    known = find_model("mae-base-author").model_dump(mode="json")
    known |= {"options": tiny, "checkpoint": None, "seed": 0, "layers": ["blocks.0"]}
    known["input"]["size"] = 32
    entry = ModelEntry.model_validate(known)
    exact = made(film, tmp_path, [entry])[0]
    found = made(film, tmp_path, [entry], approximate(projection=1000))[0]
    np.testing.assert_array_equal(rdms_of(found)["blocks.0"], rdms_of(exact)["blocks.0"])
    said = found.notes["Approximation"]["Layers"]["blocks.0"]
    assert said["LargestDifference"] == pytest.approx(0, abs=1e-6)
    batched = made(film, tmp_path, [entry], batch=4)[0]
    np.testing.assert_allclose(rdms_of(batched)["blocks.0"], rdms_of(exact)["blocks.0"], atol=1e-5)


def test_the_beginning_alone_is_compared(noise_film: Path, tmp_path: Path) -> None:
    index, times = nominal_frames(200, 25.0, 5)
    volumes = 20.0 * np.arange(8) + 8
    late = PlacedRun("1", cut(noise_film), index, times, volumes)
    found = made(late, tmp_path, [ENTRIES[0]], approximate(projection=100))[0]
    assert "first 4 volumes" in found.notes["Approximation"]["Description"]
    two = replace(late, volume_times=volumes[:2])
    with pytest.raises(UsageError, match="run 1 is too short to measure"):
        made(two, tmp_path, [ENTRIES[0]], approximate(projection=100))


def test_approximations_are_part_of_what_rdms_are_made_from(film: PlacedRun) -> None:
    plain = made_from(ENTRIES[0], film, Recipe(), None)
    assert made_from(ENTRIES[0], film, approximate(max_damaged=0.5), None) == plain
    others = [approximate(projection=200), approximate(projection=300)]
    others.append(approximate(autocast="float16"))
    digests = [made_from(ENTRIES[0], film, other, None) for other in others]
    assert all(digest != plain for digest in digests)
    assert digests[0] != digests[1] != digests[2]


@pytest.mark.parametrize(
    ("name", "libraries", "is_drawn"),
    [
        ("timm:test_resnet:layer1@seed0", {"torch", "timm"}, True),
        ("resnet18-untrained", {"torch", "torchvision"}, True),
        ("mae-base", {"torch", "timm"}, False),
        ("tinymotionnet-k400", {"torch"}, False),
        ("opticflow", {"scikit-image"}, True),
        ("pixels", set(), False),
    ],
)
def test_versions_count_where_they_draw_the_weights(
    film: PlacedRun,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    libraries: set[str],
    is_drawn: bool,
) -> None:
    entry = find_model(name)
    assert set(library_versions(entry)) == libraries
    as_it_is = made_from(entry, film, Recipe(), None)
    monkeypatch.setattr("bidsapp.vision.networks.versions.version", lambda _: "99.0+cu1")
    assert library_versions(entry) == dict.fromkeys(libraries, "99.0")
    assert (made_from(entry, film, Recipe(), None) != as_it_is) == is_drawn


def test_the_sidecar_names_libraries(film: PlacedRun, tmp_path: Path) -> None:
    found = made(film, tmp_path)
    assert found[0].notes["Libraries"] == {}
    assert found[1].notes["Libraries"] == library_versions(ENTRIES[1])


def test_broken_frames_are_noted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_film(tmp_path / "film.mp4", noise(150, 32, 32), codec="mpeg4")
    content = path.read_bytes()
    import av

    with av.open(str(path)) as container:
        lost = next(bytes(p) for p in container.demux(video=0) if p.pts and not p.is_keyframe)
    path.write_bytes(content.replace(lost, bytes(len(lost))))
    index, times = nominal_frames(150, 25.0, 5)
    run = PlacedRun("1", cut(path), index, times, np.arange(6) + 0.5)
    found = made(run, tmp_path, [ENTRIES[0]])[0]
    assert found.notes["Frames"] == {"Taken": 30, "Broken": 1}
    assert found.notes["FilmWarnings"] == [
        "run 1: 1 of 150 frames of film.mp4 cannot be decoded; the ones before them are held"
    ]
    assert "1 of 150 frames" in caplog.text
    with pytest.raises(InputError, match=r"film\.mp4 is damaged"):
        made(run, tmp_path, [ENTRIES[0]], approximate(max_damaged=0.001))


def test_models_share_a_pass_as_far_as_scratch_and_memory_allow() -> None:
    entries = [*ENTRIES, find_model("motionenergy")]
    sizes = [scratch_bytes(entry, N) for entry in entries]
    needs = [footprint(entry) for entry in entries]

    def groups(*limits: float) -> list[list[str]]:
        return [[entry.name for entry in group] for group in share_decoding(entries, N, *limits)]

    names = [entry.name for entry in entries]
    assert groups(sum(sizes)) == [names]
    assert groups(sum(sizes) - 1) == [names[:2], names[2:]]
    assert groups(1) == [[name] for name in names]
    together = sum(need.weights for need in needs) + max(need.window for need in needs)
    assert groups(1e12, together) == [names]
    assert len(groups(1e12, together - 1)) == 2


def test_a_film_shorter_than_a_window_is_refused(tmp_path: Path) -> None:
    path = write_film(tmp_path / "short.mkv", noise(40))
    short = PlacedRun("2", cut(path), np.array([0, 5]), np.array([0, 0.2]), np.arange(3.0))
    check_windows(ENTRIES, short)
    with pytest.raises(InputError, match=r"run 2: 40 frames are fewer than one window of videomae"):
        check_windows([find_model("videomae-base-k400")], short)


def test_scaled_pixels_are_not_scaled_again() -> None:
    network = load_network(ENTRIES[1], None)
    with pytest.raises(ValueError, match=r"torch\.float32, not the uint8 of frames"):
        network.prepare(torch.rand(1, 1, 3, 96, 96))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"range": [0.0, 1 / 255]},
            r"mean 0\.485 and std 0\.229 are not those of pixels from 0 to",
        ),
        ({"range": [0.0, 255.0]}, "are not those of pixels from 0 to 255"),
        ({"mean": [123.7, 116.3, 103.5]}, "mean 123.7"),
        ({"range": [1.0, 0.0]}, "range must increase"),
        ({"resize": 200}, "resize 200 is less than size 224"),
        ({"interpolation": "nearest"}, "'bilinear' or 'bicubic'"),
    ],
)
def test_figures_of_another_scale_are_refused(changes: dict[str, Any], message: str) -> None:
    entry = find_model("resnet18-imagenet").model_dump()
    assert ModelEntry.model_validate(entry).input.mean == (0.485, 0.456, 0.406)
    with pytest.raises(ValueError, match=message):
        ModelEntry.model_validate({**entry, "input": {**entry["input"], **changes}})
