"""How often the 95% interval of a mean score holds the true mean: ``python -m bench.intervals``.

Scores are sums of effects of participants, of runs, and of noise, all normal.
"""

import sys

import numpy as np

from bidsapp.rsa.inference import bootstrap_interval

SPREADS = {
    "participants and runs": (1.0, 1.0, 1.0),
    "participants": (1.0, 0.0, 1.0),
    "runs": (0.0, 1.0, 1.0),
    "neither": (0.0, 0.0, 1.0),
}


def coverage(
    participants: int, runs: int, spread: tuple[float, float, float], studies: int = 1000
) -> float:
    """Share of simulated studies whose interval holds the true mean.

    Parameters
    ----------
    participants, runs
        Numbers of each.
    spread
        SD over participants, over runs, and of single scores.
    studies
        How many to simulate.
    """
    rng = np.random.default_rng(0)
    scores = spread[0] * rng.standard_normal((studies, participants, 1))
    scores = scores + spread[1] * rng.standard_normal((studies, 1, runs))
    scores += spread[2] * rng.standard_normal((studies, participants, runs))
    low, high = bootstrap_interval(scores, 500, rng)
    return float(((low <= 0) & (high >= 0)).mean())


def main() -> None:
    """Print a table in Markdown."""
    lines = [f"| participants, runs | {' | '.join(SPREADS)} |", "|---" * (1 + len(SPREADS)) + "|"]
    for participants in (3, 8, 15):
        for runs in (4, 8):
            shares = [f"{coverage(participants, runs, s):.3f}" for s in SPREADS.values()]
            lines.append(f"| {participants}, {runs} | {' | '.join(shares)} |")
    sys.stdout.write("\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
