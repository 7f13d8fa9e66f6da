"""The demo's own features and response, against torchvision and closed forms."""

import numpy as np
import pytest
import torch
import torchvision
from torchvision.transforms.v2.functional import resize

from bidsapp.demo import responses


def test_response_is_the_difference_of_two_gammas():
    times = np.array([0.5, 5.0, 12.0])
    first = times**5 * np.exp(-times) / 120
    second = times**15 * np.exp(-times) / 1307674368000
    assert responses.haemodynamic_response(times) == pytest.approx(first - second / 6, rel=1e-9)
    assert not responses.haemodynamic_response(np.array([-0.1, 28.1])).any()


def test_an_impulse_peaks_five_seconds_later():
    times = np.arange(0, 20, 0.01)
    assert times[responses.haemodynamic_response(times).argmax()] == pytest.approx(5.0, abs=0.02)


def test_frame_weights_hold_features_between_chosen_frames():
    onsets = np.arange(750) / 25 + 0.08
    weights = responses.frame_weights(onsets, np.array([29.0]))
    assert weights.shape == (1, 150)
    direct = responses.haemodynamic_response(29.0 - onsets) / 25
    assert weights[0, 90] == pytest.approx(direct[450:455].sum(), rel=1e-9)
    # All that was shown weighs as much as the response itself: 1 - 1/6.
    assert weights.sum() == pytest.approx(5 / 6, abs=0.01)


def test_blocks_reach_a_plateau():
    response = responses.block_response(np.array([0.0]), 60.0, np.array([-1.0, 40.0]))
    assert response == pytest.approx([0.0, 5 / 6], abs=1e-3)


def test_planted_layer_is_torchvisions():
    torch.manual_seed(0)
    network = torchvision.models.resnet18(weights=None).eval()
    seen = []
    layer = network.get_submodule(responses.PLANTED_LAYER)
    layer.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    frames = torch.rand(2, 3, 72, 96)
    weights = torchvision.models.ResNet18_Weights.IMAGENET1K_V1.transforms()
    small = resize(frames, [96, 96], antialias=True)
    mean, spread = (torch.tensor(part)[:, None, None] for part in (weights.mean, weights.std))
    with torch.inference_mode():
        network((small - mean) / spread)
    assert torch.allclose(responses.planted_layer()(frames), seen[0], atol=1e-5)


def test_planted_layer_leaves_the_random_state_alone():
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    responses.planted_layer()
    assert torch.equal(torch.rand(3), expected)


def test_annotations_are_standard_over_the_film_and_cut_by_run():
    table = responses.make_annotations(300.0, seed=1)
    ratings = table[list(responses.ANNOTATIONS)]
    assert ratings.mean().to_numpy() == pytest.approx(0, abs=1e-3)
    assert ratings.std(ddof=0).to_numpy() == pytest.approx(1, abs=1e-3)
    run = responses.annotations_of_run(table, 100.0, 50.0)
    assert len(run) == 100
    assert run["onset"].iloc[0] == 0
    held = responses.annotation_features(run, 250)
    assert held.shape == (250, 8)
    assert held[4] == pytest.approx(run.loc[1, list(responses.ANNOTATIONS)].to_numpy(float))


def test_projection_keeps_the_cosines_of_centred_features():
    rng = np.random.default_rng(0)
    patterns = rng.standard_normal((6, 40)) @ rng.standard_normal((40, 4000))
    reduced = responses.project({responses.NETWORK: patterns.astype(np.float32)})
    projected = reduced[responses.NETWORK]
    assert projected.shape == (6, responses.PROJECTED_UNITS)
    lengths = np.linalg.norm(projected, axis=1)
    cosines = projected @ projected.T / np.outer(lengths, lengths)
    assert cosines == pytest.approx(np.corrcoef(patterns), abs=0.25)
