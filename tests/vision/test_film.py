from pathlib import Path

import av
import numpy as np
import pytest
from vision_films import noise, number_of, numbered, write_film

from bidsapp.errors import InputError
from bidsapp.vision.film import decode, film_facts


def numbers(
    path: Path, start_s: float = 0.0, duration_s: float | None = None, n: int = 10**6
) -> list[int]:
    """Decode and read each frame's own number, modulo 50."""
    return [
        number_of(f.to_ndarray(format="rgb24")) for _, f in decode(path, start_s, duration_s, n)
    ]


def test_facts_of_a_real_film(shared_data: Path) -> None:
    facts = film_facts(shared_data / "video" / "bikes.mp4")
    assert (facts.n_frames, facts.frame_rate, facts.width, facts.height) == (250, 25.0, 640, 272)
    # exactly 5 volumes of 2 s
    assert facts.n_frames / facts.frame_rate / 2.0 == 5.0


def test_any_start_in_a_real_film_gives_the_same_frames(shared_data: Path) -> None:
    path = shared_data / "video" / "bikes.mp4"
    with av.open(str(path)) as container:
        whole = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    for start_s in (0.0, 0.04, 1.0, 3.48, 5.0, 9.96):
        first = round(start_s * 25)
        found = list(decode(path, start_s, None, 30))
        assert [index for index, _ in found] == list(range(min(30, 250 - first)))
        for index, frame in found:
            np.testing.assert_array_equal(frame.to_ndarray(format="gray"), whole[first + index])


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mkv", "ffv1"), ("a.mp4", "libx264"), ("a.avi", "mpeg4")]
)
def test_frames_are_exact_wherever_one_starts(tmp_path: Path, name: str, codec: str) -> None:
    path = write_film(tmp_path / name, numbered(110), codec=codec)
    assert film_facts(path).n_frames == 110
    assert numbers(path) == [*range(50), *range(50), *range(10)]
    assert numbers(path, start_s=3.0) == [*range(25, 50), *range(10)]
    assert numbers(path, start_s=2.2, duration_s=0.4) == list(range(5, 15))
    assert numbers(path, n=3) == [0, 1, 2]


def test_skipped_frames_are_held(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "gaps.mkv"
    write_film(path, numbered(20), stamps=[i for i in range(24) if i not in (5, 6, 7, 15)])
    assert numbers(path) == [0, 1, 2, 3, 4, 4, 4, 4, 5, 6, 7, 8, 9, 10, 11, 11, *range(12, 20)]
    assert "4 frames missing" in caplog.text


def test_what_is_no_film_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "film.mp4"
    text.write_text("not a film")
    with pytest.raises(InputError, match=r"film\.mp4"):
        film_facts(text)
    with pytest.raises(InputError, match=r"absent\.mp4"):
        film_facts(tmp_path / "absent.mp4")
    with pytest.raises(InputError, match=r"film\.mp4"):
        list(decode(text, 0, None, 5))


def test_a_film_cut_off_while_copied_has_the_frames_that_are_there(tmp_path: Path) -> None:
    path = write_film(tmp_path / "whole.mkv", noise(50))
    content = path.read_bytes()
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(content[: len(content) // 2])
    assert 15 < film_facts(cut).n_frames < 30


def test_sound_alone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 800), np.int16), format="s16", layout="mono"
        )
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    with pytest.raises(InputError, match="no video stream"):
        film_facts(path)
