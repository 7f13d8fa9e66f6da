from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from vision_films import noise, number_of, numbered, write_film

from bidsapp.errors import InputError
from bidsapp.vision import decoding
from bidsapp.vision.decoding import Damage, decode
from bidsapp.vision.stretches import Stretch, cut


def numbers(stretch: Stretch, n: int = 10**6) -> list[int]:
    """Decode and read each frame's own number, modulo 50."""
    return [number_of(f.to_ndarray(format="rgb24")) for _, f in decode(stretch, n)]


def test_any_start_in_a_real_film_gives_the_same_frames(shared_data: Path) -> None:
    path = shared_data / "video" / "bikes.mp4"
    with av.open(str(path)) as container:
        whole = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    for start_s in (0.0, 0.04, 1.0, 3.48, 5.0, 9.96):
        first = round(start_s * 25)
        found = list(decode(cut(path, start_s), 30))
        assert [index for index, _ in found] == list(range(min(30, 250 - first)))
        for index, frame in found:
            np.testing.assert_array_equal(frame.to_ndarray(format="gray"), whole[first + index])


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mkv", "ffv1"), ("a.mp4", "libx264"), ("a.avi", "mpeg4")]
)
def test_frames_are_exact_wherever_one_starts(tmp_path: Path, name: str, codec: str) -> None:
    path = write_film(tmp_path / name, numbered(110), codec=codec)
    assert numbers(cut(path)) == [*range(50), *range(50), *range(10)]
    assert numbers(cut(path, start_s=3.0)) == [*range(25, 50), *range(10)]
    assert numbers(cut(path, start_s=2.2, duration_s=0.4)) == list(range(5, 15))
    assert numbers(cut(path), n=3) == [0, 1, 2]


@pytest.mark.parametrize(
    "rate", [Fraction(24), Fraction(24000, 1001), Fraction(30000, 1001), Fraction(30), Fraction(50)]
)
def test_frames_are_exact_at_any_rate(tmp_path: Path, rate: Fraction) -> None:
    path = write_film(tmp_path / "a.mp4", numbered(200), rate=rate, codec="libx264")
    for first in (0, 1, 77, 130):
        start_s = round(float(first / rate), 3)
        assert numbers(cut(path, start_s), 40) == [(first + i) % 50 for i in range(40)]


def test_skipped_frames_are_held(tmp_path: Path) -> None:
    path = tmp_path / "gaps.mkv"
    write_film(path, numbered(20), stamps=[i for i in range(24) if i not in (5, 6, 7, 15)])
    held = [0, 1, 2, 3, 4, 4, 4, 4, 5, 6, 7, 8, 9, 10, 11, 11, *range(12, 20)]
    assert numbers(cut(path)) == held
    assert numbers(cut(path, start_s=0.24)) == held[6:]  # begins with a frame that is not there


@pytest.mark.parametrize("rate", [20, 24, 50])
def test_by_time_a_film_of_another_rate_is_what_a_player_shows(tmp_path: Path, rate: int) -> None:
    path = write_film(tmp_path / "a.mkv", numbered(4 * rate), rate=rate)
    shown = numbers(cut(path, 1.0, 2.0, 25, "by_time"))
    assert shown == [(rate + i * rate // 25) % 50 for i in range(50)]
    assert numbers(cut(path, 1.0, 2.0, 25, "by_number"), 5) == [25, 26, 27, 28, 29]


def test_decoding_begins_near_the_stretch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_film(tmp_path / "long.mp4", numbered(1500, 16, 16), codec="libx264")
    read: list[int] = []
    as_it_is = decoding.decoded

    def counting(*args: object) -> Iterator[tuple[Fraction, av.VideoFrame]]:
        for seconds, frame in as_it_is(*args):
            read.append(round(seconds * 25))
            yield seconds, frame

    monkeypatch.setattr(decoding, "decoded", counting)
    assert len(numbers(cut(path, 50.0), 20)) == 20
    # a second before the stretch, a group of 30 frames before that, and what reordering delays
    assert 1250 - 25 - 30 - 5 <= read[0] <= 1250
    assert read[-1] == 1269


def test_what_breaks_off_is_named_with_its_time(tmp_path: Path) -> None:
    text = tmp_path / "film.mp4"
    text.write_text("not a film")
    with pytest.raises(InputError, match=r"film\.mp4"):
        list(decode(Stretch(text, 0, 5, Fraction(25), Fraction(25)), 5))
    path = write_film(tmp_path / "a.mkv", noise(30))
    with pytest.raises(InputError, match="ends before"):
        cut(path, 2.0)


def broken(path: Path, packets: list[int], codec: str = "libx264") -> Path:
    """Write a film whose packets of these numbers, in the file's order, are overwritten by zeros.

    Less than a whole packet need not be noticed: in H.264 other bytes can be another picture.
    """
    write_film(path, noise(120, 32, 32), codec=codec)
    with av.open(str(path)) as container:
        stored = [bytes(packet) for packet in container.demux(video=0)]
    content = path.read_bytes()
    for frame in (stored[number] for number in packets):
        assert frame in content
        content = content.replace(frame, bytes(len(frame)))
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.avi", "mpeg4")]
)
@pytest.mark.parametrize("threads", [1, 2])
def test_broken_frames_are_counted_and_the_ones_before_them_held(
    tmp_path: Path, name: str, codec: str, threads: int
) -> None:
    path = broken(tmp_path / name, [50, 80], codec)
    damage = Damage(0.05)
    frames = list(decode(cut(path), 120, threads, damage))
    assert [index for index, _ in frames] == list(range(120))
    assert damage.n_frames == 2
    held = [
        after
        for (_, earlier), (after, later) in pairwise(frames)
        if np.array_equal(earlier.to_ndarray(format="gray"), later.to_ndarray(format="gray"))
    ]
    assert len(held) == 2
    assert not any(frame.is_corrupt for _, frame in frames)


def test_broken_frames_elsewhere_in_the_file_do_not_count(tmp_path: Path) -> None:
    path = broken(tmp_path / "a.mp4", [100])
    assert len(list(decode(cut(path, duration_s=2.0), 50))) == 50


def test_frames_before_the_key_frame_that_a_seek_lands_on_are_not_broken(tmp_path: Path) -> None:
    """MPEG-TS has no index: a seek lands between key frames, and decoding begins anew."""
    path = write_film(tmp_path / "a.ts", numbered(400), codec="libx264", key_frames_apart=150)
    damage = Damage()
    found = [
        number_of(f.to_ndarray(format="rgb24"))
        for _, f in decode(cut(path, 9.0, 2.0), 50, 1, damage)
    ]
    assert found == [*range(25, 50), *range(25)]
    assert damage.n_frames == 0


def test_too_many_broken_frames_are_refused(tmp_path: Path) -> None:
    path = broken(tmp_path / "a.mp4", list(range(50, 60)))
    with pytest.raises(InputError, match=r"a\.mp4 is damaged: more than 0\.05 of the 120 frames"):
        list(decode(cut(path), 120, damage=Damage(0.05)))
    with pytest.raises(InputError, match=r"extraction\.max_damaged"):
        list(decode(cut(path), 120))
