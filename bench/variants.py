"""What each choice of the paper's author changes, on a real clip: RDMs of both variants compared.

``python -m bench.variants CLIP [--frames 50] [--step 5]`` runs every model of the catalogue that
has a variant ``-author``, and MAE with a fixed mask, both with the same random weights (trained
ones can be given with ``--weights``), and prints for each the correlation of both RDMs over the
frames, layer by layer: mean and least. It takes some minutes on a processor.
"""

import argparse
from pathlib import Path

import numpy as np

from bidsapp.rsa.rdm import correlation_distance
from bidsapp.vision.catalogue import ModelEntry, read_catalogue
from bidsapp.vision.clips import windows
from bidsapp.vision.features import clip_shape
from bidsapp.vision.film import film_facts
from bidsapp.vision.framing import Framing
from bidsapp.vision.networks.loading import load_network
from bidsapp.vision.runs import PlacedRun, nominal_frames
from bidsapp.vision.stretches import cut


def main() -> None:
    """Compare each pair of variants; print a line a pair."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--frames", type=int, default=50, help="of the film")
    parser.add_argument("--step", type=int, default=5, help="take every so many frames")
    parser.add_argument("--weights", type=Path, help="checkpoints; none: random weights")
    given = parser.parse_args()
    film = _film(given.clip, given.frames, given.step)
    known = read_catalogue()
    pairs = [(name, f"{name}-author") for name in known if f"{name}-author" in known]
    for ours, theirs in [*pairs, ("mae-base", "mae-base-fixedmask")]:
        one, other = (_rdms(known[name], film, given.weights) for name in (ours, theirs))
        r = [np.corrcoef(a, b)[0, 1] for a, b in zip(one, other, strict=True)]
        print(f"{ours} {theirs} {np.mean(r):.3f} {np.min(r):.3f}", flush=True)


def _film(path: Path, n_frames: int, step: int) -> PlacedRun:
    facts = film_facts(path)
    index, times = nominal_frames(facts.n_frames, float(facts.frame_rate), step)
    return PlacedRun("1", cut(path), index[:n_frames], times[:n_frames], times[:n_frames])


def _rdms(entry: ModelEntry, film: PlacedRun, weights: Path | None) -> list[np.ndarray]:
    """RDM of the frames for each layer, in the order of the layers."""
    if weights is None:
        entry = entry.model_copy(update={"checkpoint": None, "seed": 0})
    network = load_network(entry, weights)
    kept: dict[str, list[np.ndarray]] = {layer: [] for layer in network.layers}
    for _, clips in windows(film, clip_shape(entry), Framing(), 5):
        network.respond(clips, lambda layer, response: kept[layer].append(response.clone().numpy()))
    return [correlation_distance(np.concatenate(parts)) for parts in kept.values()]


if __name__ == "__main__":
    main()
