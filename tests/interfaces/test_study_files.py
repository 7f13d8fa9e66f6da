"""Files that are whole, but do not fit each other."""

from pathlib import Path

import numpy as np
import pytest

from bidsapp.dataset.rdms import write_rdms
from bidsapp.errors import InputError
from bidsapp.interfaces.study import check_layers, read_models


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Models of 6 and 6 volumes, one of 5, and one of 6 on another clock."""
    rng = np.random.default_rng(0)
    paths = []
    for i, (n, start) in enumerate(((6, 0.0), (6, 0.0), (5, 0.0), (6, 1.0))):
        paths.append(tmp_path / f"{i}_relmat.h5")
        rdms = rng.random((1, n * (n - 1) // 2))
        write_rdms(paths[-1], rdms, ["layer"], "layer", 2.0 * np.arange(n) + start, {"run": "1"})
    return paths


def test_models_of_one_run_have_its_volumes_and_one_clock(paths):
    assert [len(file.onsets_s) for file in read_models(paths[:2], 6)] == [6, 6]
    with pytest.raises(InputError, match=r"2_relmat\.h5 has 5 volumes, and the run has 6"):
        read_models(paths[:3], 6)
    with pytest.raises(InputError, match=r"3_relmat\.h5 and .*0_relmat\.h5 have volumes up to 1"):
        read_models(paths[::3], 6)


def test_a_model_has_the_same_layers_in_all_runs(paths):
    check_layers(paths[0], ("a", "b"), ("a", "b"))
    for names in (("b", "a"), ("a",)):
        with pytest.raises(InputError, match=r"0_relmat\.h5 has the layers .* first run has a, b"):
            check_layers(paths[0], names, ("a", "b"))
