import pytest

from bidsapp.rsa.volumes import VolumeCount
from bidsapp.tables.notes import some, undefined, visibility

NOT_VISIBLE = ["not visible: cannot be found at any size of effect"]
BARELY_VISIBLE = ["barely visible: only large effects can be found"]


def test_long_lists_are_cut_and_counted():
    assert some(["a"]) == "a"
    assert some(["a", "b", "c"]) == "a, b, c"
    assert some(list("abcdefg")) == "a, b, c and 4 more"


@pytest.mark.parametrize(
    ("visible", "note"),
    [
        (0.0, NOT_VISIBLE),
        (0.0499, NOT_VISIBLE),
        (0.05, BARELY_VISIBLE),
        (0.1499, BARELY_VISIBLE),
        (0.15, []),
        (float("nan"), []),
    ],
)
def test_models_that_are_hard_to_see_are_noted(visible, note):
    assert visibility(visible) == note


@pytest.mark.parametrize(
    ("counts", "note"),
    [
        ([0, 0], []),
        ([3, 3], ["3 undefined volumes left out"]),
        ([5, 0, 2], ["0 to 5 undefined volumes left out"]),
    ],
)
def test_undefined_volumes_are_counted_and_other_reasons_are_not(counts, note):
    volumes = [VolumeCount(9, repeated=7, uncovered=8, undefined=n) for n in counts]
    assert undefined(volumes) == note
