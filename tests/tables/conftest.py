"""A small study: 4 runs, 5 participants, 3 regions, models of 2 and 1 layers."""

import numpy as np
import pytest

from bidsapp.analysis.spec import default_analysis, read_analysis
from bidsapp.rsa.rdm import correlation_distance
from bidsapp.rsa.study import RunRDMs
from bidsapp.rsa.volumes import FilmVolumes

LAYERS = {"good": ("first", "second"), "bad": ("only",)}
REGIONS = ("FFA", "V1v", "V1d")
SETS = {"functional": ("FFA",), "atlas": ("V1v", "V1d")}
LENGTHS = (50, 46, 52, 48)


def one_run(rng, name, n):
    features = [rng.normal(size=(n, 30)) for _ in range(3)]
    models = np.array([correlation_distance(f) for f in features])
    strength = {"FFA": 1.0, "V1v": 0.6, "V1d": 0.0}
    targets = [
        [
            correlation_distance(
                strength[region] * (features[0] + features[1]) + rng.normal(size=(n, 30))
            )
            for _ in range(5)
        ]
        for region in REGIONS
    ]
    film = FilmVolumes.whole(n, n_repeated=2)
    return RunRDMs(name, models, np.array(targets), 2.0, film)


@pytest.fixture
def runs():
    rng = np.random.default_rng(7)
    return [one_run(rng, str(i + 1), n) for i, n in enumerate(LENGTHS)]


@pytest.fixture(scope="session")
def analysis():
    return read_analysis(default_analysis())
