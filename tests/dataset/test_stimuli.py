from pathlib import Path

import pytest
from dataset_trees import write_lines

from bidsapp.dataset.stimuli import find_film
from bidsapp.errors import InputError


def test_one_film(tmp_path: Path) -> None:
    for name in ("fg_seg0.mp4", "below/fg_seg1.mp4", "fg_seg10.mp4", ".fg_seg0.mp4"):
        write_lines(tmp_path / name, "film")
    assert find_film(tmp_path, "*seg0.*") == tmp_path / "fg_seg0.mp4"
    assert find_film(tmp_path, "*seg1.*") == tmp_path / "below" / "fg_seg1.mp4"
    with pytest.raises(InputError, match=r"several files.*fg_seg0.mp4, fg_seg10.mp4"):
        find_film(tmp_path, "*seg*0.*")
    with pytest.raises(InputError, match=r"no film.*fits '\*seg7\*'; it holds fg_seg0.mp4"):
        find_film(tmp_path, "*seg7*")
    with pytest.raises(InputError, match="--stimuli"):
        find_film(tmp_path / "nowhere", "*")
