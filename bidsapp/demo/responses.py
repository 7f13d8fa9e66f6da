"""What the demo's brains respond to: features of film frames, and their haemodynamic response.

Written apart from the application's own extraction, so that the two can be held against each other.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import av
import numpy as np
import pandas as pd
import torch
import torchvision
from scipy.ndimage import gaussian_filter1d
from scipy.stats import gamma
from torch.nn.functional import interpolate

from bidsapp.arrays import Floats
from bidsapp.demo.film import FRAME_RATE

FRAME_STEP = 5  # features are taken of every fifth frame, and held until the next
HRF_S = 28.0
ANNOTATION_STEP_S = 0.5
ANNOTATIONS = (
    "people", "talking", "touching", "facing", "closeness", "laughing", "effort", "waiting",
)  # fmt: skip
PROJECTED_UNITS = 256
PLANTED_LAYER = "layer1.0.conv2"
PIXELS, NETWORK, TABLE = "pixels", "resnet18-untrained-96px", "annotations"

Features = Callable[[torch.Tensor], torch.Tensor]


def frame_features(film: Path, network: Features) -> dict[str, Floats]:
    """Compute features of every fifth frame of a film file.

    Parameters
    ----------
    film
        The film file.
    network
        From `planted_layer`.

    Returns
    -------
    dict
        ``pixels``, (n, 256): grey values of the frame shrunk to 16 x 16;
        ``resnet18-untrained-96px``, (n, 36864): the planted layer's activations; float32.
    """
    kinds: dict[str, Features] = {PIXELS: _pixels, NETWORK: network}
    found: dict[str, list[Floats]] = {name: [] for name in kinds}
    for batch in _frames(film, batch=16):
        for name, kind in kinds.items():
            found[name].append(kind(batch).flatten(1).numpy())
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _frames(film: Path, batch: int) -> list[torch.Tensor]:
    """Decode every fifth frame into batches of (n, 3, height, width), values 0 to 1."""
    with av.open(str(film)) as container:
        chosen = [
            torch.from_numpy(frame.to_ndarray(format="rgb24"))
            for index, frame in enumerate(container.decode(video=0))
            if index % FRAME_STEP == 0
        ]
    stack = torch.stack(chosen).permute(0, 3, 1, 2)
    return [stack[at : at + batch].float() / 255 for at in range(0, len(stack), batch)]


def _pixels(frames: torch.Tensor) -> torch.Tensor:
    grey = frames.mean(dim=1, keepdim=True)
    return interpolate(grey, size=(16, 16), mode="bilinear", antialias=True)


def planted_layer() -> Features:
    """Build the untrained network, seed 0, cut off after the planted layer."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = torchvision.models.resnet18(weights=None).eval()
    block = network.layer1[0]
    front = torch.nn.Sequential(
        network.conv1, network.bn1, network.relu, network.maxpool,
        block.conv1, block.bn1, block.relu, block.conv2,
    )  # fmt: skip
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    spread = torch.tensor([0.229, 0.224, 0.225])[:, None, None]

    @torch.inference_mode()
    def features(frames: torch.Tensor) -> torch.Tensor:
        small = interpolate(frames, size=(96, 96), mode="bilinear", antialias=True)
        layer: torch.Tensor = front((small - mean) / spread)
        return layer

    return features


def make_annotations(duration_s: float, seed: int) -> pd.DataFrame:
    """Draw smooth ratings of the whole film that have nothing to do with its pictures.

    Returns
    -------
    DataFrame
        ``onset`` and ``duration`` in seconds of the whole film, then one column per rating.
    """
    rng = np.random.default_rng(seed)
    onsets = np.arange(0, duration_s, ANNOTATION_STEP_S)
    noise = rng.standard_normal((len(onsets), len(ANNOTATIONS)))
    smooth = gaussian_filter1d(noise, 4.0 / ANNOTATION_STEP_S, axis=0)
    ratings = (smooth - smooth.mean(axis=0)) / smooth.std(axis=0)
    table = pd.DataFrame(ratings, columns=list(ANNOTATIONS)).round(4)
    table.insert(0, "onset", onsets)
    table.insert(1, "duration", ANNOTATION_STEP_S)
    return table


def annotations_of_run(ratings: pd.DataFrame, start_s: float, duration_s: float) -> pd.DataFrame:
    """Cut one run's rows out of the film's ratings, with onsets in seconds of the run."""
    inside = (ratings["onset"] >= start_s) & (ratings["onset"] < start_s + duration_s)
    rows = ratings[inside].reset_index(drop=True)
    return rows.assign(onset=rows["onset"] - start_s)


def annotation_features(rows: pd.DataFrame, n_frames: int) -> Floats:
    """Hold one run's ratings at every fifth frame, (n, 8)."""
    times = np.arange(n_frames) * FRAME_STEP / FRAME_RATE
    latest = np.searchsorted(rows["onset"].to_numpy(), times + 1e-9, side="right") - 1
    held: Floats = rows[list(ANNOTATIONS)].to_numpy(dtype=np.float32)[latest]
    return held


def project(features: Mapping[str, Floats]) -> dict[str, Floats]:
    """Reduce each model's features to at most 256 random directions, linearly.

    The mean over units goes first (a linear step too), since a correlation over units ignores it;
    the ratings are few and stay as they are.
    """
    reduced = {}
    for name, values in features.items():
        if name == TABLE:
            reduced[name] = values
            continue
        centred = values - values.mean(axis=1, keepdims=True)
        if centred.shape[1] > PROJECTED_UNITS:
            rng = np.random.default_rng(1)
            shape = (centred.shape[1], PROJECTED_UNITS)
            centred = centred @ rng.standard_normal(shape, dtype=np.float32)
        reduced[name] = centred
    return reduced


def haemodynamic_response(times_s: Floats) -> Floats:
    """SPM's canonical response: a gamma density of shape 6 less a sixth of one of shape 16."""
    response = gamma.pdf(times_s, 6) - gamma.pdf(times_s, 16) / 6
    shaped: Floats = np.where((times_s < 0) | (times_s > HRF_S), 0.0, response)
    return shaped


def frame_weights(onsets_s: Floats, volume_times_s: Floats) -> Floats:
    """Weights that turn features of every fifth frame into responses at the volumes.

    The sum runs over all frames at 25 Hz, each at its own onset, with features held between.

    Parameters
    ----------
    onsets_s
        (n_frames,) onsets of all frames after the first volume, in seconds.
    volume_times_s
        (n_volumes,) times of the volumes on the same clock.

    Returns
    -------
    ndarray
        (n_volumes, ceil(n_frames / 5)).
    """
    durations = np.diff(onsets_s, append=onsets_s[-1] + 1 / FRAME_RATE)
    weights = haemodynamic_response(volume_times_s[:, None] - onsets_s) * durations
    grouped: Floats = np.add.reduceat(weights, np.arange(0, len(onsets_s), FRAME_STEP), axis=1)
    return grouped


def block_response(onsets_s: Floats, duration_s: float, volume_times_s: Floats) -> Floats:
    """Response at the volumes to blocks of stimulation, scaled to a plateau of about 1."""
    step = 1 / FRAME_RATE
    instants = np.concatenate([onset + np.arange(0, duration_s, step) for onset in onsets_s])
    response: Floats = haemodynamic_response(volume_times_s[:, None] - instants).sum(axis=1) * step
    return response
