from bidsapp.tables.notes import some


def test_long_lists_are_cut_and_counted():
    assert some(["a"]) == "a"
    assert some(["a", "b", "c"]) == "a, b, c"
    assert some(list("abcdefg")) == "a, b, c and 4 more"
