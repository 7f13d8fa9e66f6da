"""How often the 95% interval of a mean score holds the true mean: ``python -m bench.intervals``.

Scores are sums of effects of participants, of runs, and of noise, all normal; in the second table
some are missing at random.
"""

import sys

import numpy as np

from bidsapp.rsa.inference import interval, two_factor

STUDIES = 20_000
MISSING = (0.0, 0.15)
SPREADS = {
    "participants and runs": (1.0, 1.0, 1.0),
    "participants": (1.0, 0.0, 1.0),
    "runs": (0.0, 1.0, 1.0),
    "neither": (0.0, 0.0, 1.0),
}


def coverage(
    participants: int, runs: int, spread: tuple[float, float, float], missing: float
) -> float:
    """Share of simulated studies whose interval holds the true mean.

    Parameters
    ----------
    participants, runs
        Numbers of each.
    spread
        SD over participants, over runs, and of single scores.
    missing
        Share of scores that are missing. A study in which fewer than two participants or runs are
        left has no interval, which counts as not holding the mean.
    """
    rng = np.random.default_rng(0)
    scores = spread[0] * rng.standard_normal((STUDIES, participants, 1))
    scores = scores + spread[1] * rng.standard_normal((STUDIES, 1, runs))
    scores += spread[2] * rng.standard_normal((STUDIES, participants, runs))
    scores[rng.random(scores.shape) < missing] = np.nan
    low, high = interval(two_factor(scores))
    return float(((low <= 0) & (high >= 0)).mean())


def main() -> None:
    """Print a table in Markdown for each share of missing scores."""
    for missing in MISSING:
        lines = [
            f"{missing:.0%} of scores missing\n",
            f"| participants, runs | {' | '.join(SPREADS)} |",
            "|---" * (1 + len(SPREADS)) + "|",
        ]
        for participants in (3, 8, 15):
            for runs in (4, 8):
                shares = (coverage(participants, runs, s, missing) for s in SPREADS.values())
                row = " | ".join(f"{share:.3f}" for share in shares)
                lines.append(f"| {participants}, {runs} | {row} |")
        sys.stdout.write("\n".join([*lines, "", ""]))


if __name__ == "__main__":
    main()
