"""What the step keeps of a participant comes back as it was."""

import numpy as np

from bidsapp.interfaces.controlled import read_scores, write_scores
from bidsapp.rsa.controlled import Controlled
from bidsapp.rsa.unique import Unique


def test_scores_come_back(tmp_path):
    rng = np.random.default_rng(0)
    values, flags = rng.normal(size=(2, 2, 3, 1, 4)), rng.random((2, 2, 3, 1, 4)) < 0.5
    unique = Unique(*values, *flags, flags[0, :, 0, 0])
    scores = Controlled(unique, rng.normal(size=(5, 3, 2)).astype(np.float32))
    write_scores(tmp_path / "scores.npz", scores)
    again = read_scores(tmp_path / "scores.npz")
    np.testing.assert_array_equal(again.at_draws, scores.at_draws)
    for name, value in vars(unique).items():
        np.testing.assert_array_equal(getattr(again.unique, name), value)
