from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bidsapp.confounds import finite_columns, read_confounds
from bidsapp.errors import InputError

PATH = Path("sub-01_desc-confounds_timeseries.tsv")


def columns(table: dict, *names: str) -> np.ndarray:
    return finite_columns(pd.DataFrame(table), names, PATH, "denoise")


@pytest.mark.parametrize(
    "name",
    [
        "trans_x_derivative1",
        "csf_derivative1_power2",
        "framewise_displacement",
        "rmsd",
        "dvars",
        "std_dvars",
    ],
)
def test_what_has_no_first_value_is_zero_there(name: str) -> None:
    np.testing.assert_array_equal(columns({name: [np.nan, 2.0, 3.0]}, name), [[0.0], [2.0], [3.0]])


@pytest.mark.parametrize("name", ["trans_x", "a_comp_cor_00", "csf", "trans_x_power2"])
def test_a_first_value_that_should_be_there(name: str) -> None:
    with pytest.raises(InputError, match=rf"{PATH}: column '{name}' has nan in line 2 \(volume 1"):
        columns({name: [np.nan, 2.0]}, name)


@pytest.mark.parametrize(("value", "shown"), [(np.nan, "nan"), (np.inf, "inf"), ("1,5", "1,5")])
def test_a_value_that_is_no_number_is_named_with_its_row(value: object, shown: str) -> None:
    table = {"good": [1.0] * 4, "dvars": [np.nan, 1.0, value, 1.0]}
    with pytest.raises(InputError) as error:
        columns(table, "good", "dvars")
    assert f"{PATH}: column 'dvars' has {shown} in line 4 (volume 3)" in str(error.value)
    assert "change denoise in the analysis file" in str(error.value)


def test_no_column_is_no_column() -> None:
    assert columns({"a": [1.0, 2.0]}).shape == (2, 0)
    with pytest.raises(InputError, match=r"no column 'trans_y' \(near: trans_x\)"):
        columns({"trans_x": [1.0]}, "trans_y")


def test_no_table(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no readable table of confounds"):
        read_confounds(tmp_path / "gone.tsv")
