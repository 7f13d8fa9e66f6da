import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from vision_films import noise, numbered, write_film

from bidsapp.errors import InputError
from bidsapp.vision.film import film_facts

RATES = [Fraction(24), Fraction(24000, 1001), Fraction(30000, 1001), Fraction(30), Fraction(50)]


def test_facts_of_a_real_film(shared_data: Path) -> None:
    facts = film_facts(shared_data / "video" / "bikes.mp4")
    assert (facts.n_frames, facts.n_missing, facts.frame_rate) == (250, 0, 25)
    assert (facts.width, facts.height, facts.pixel_aspect) == (640, 272, 1.0)
    # exactly 5 volumes of 2 s
    assert facts.n_frames / facts.frame_rate / 2 == 5


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize(("name", "codec"), [("a.mkv", "ffv1"), ("a.mp4", "libx264")])
def test_any_constant_rate_is_found_exactly(
    tmp_path: Path, rate: Fraction, name: str, codec: str
) -> None:
    facts = film_facts(write_film(tmp_path / name, numbered(120), rate=rate, codec=codec))
    assert facts.frame_rate == rate
    assert (facts.n_frames, facts.n_missing) == (120, 0)


def test_frames_on_every_second_tick_have_half_the_rate(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mkv", numbered(40), rate=Fraction(50), stamps=range(0, 80, 2))
    assert (film_facts(path).frame_rate, film_facts(path).n_frames) == (25, 40)


def test_missing_frames_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "gaps.mkv"
    write_film(path, numbered(20), stamps=[i for i in range(24) if i not in (5, 6, 7, 15)])
    facts = film_facts(path)
    assert (facts.n_frames, facts.n_missing, facts.frame_rate) == (24, 4, 25)


@pytest.mark.parametrize("name", ["v.mkv", "v.mp4"])
def test_a_variable_rate_is_refused_with_figures(tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(0)
    stamps = np.cumsum(rng.integers(20, 70, 60)).tolist()  # ms
    path = write_film(tmp_path / name, numbered(60), Fraction(1000), "libx264", stamps=stamps)
    with pytest.raises(InputError, match=r"variable frame rate: .* (2\d) to (6\d) ms apart.*fps="):
        film_facts(path)


def test_the_digest_is_of_the_frames_and_not_of_the_name(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mkv", noise(10))
    copied = Path(shutil.copy(path, tmp_path / "b.mkv"))
    other = write_film(tmp_path / "c.mkv", noise(10, seed=1))
    slower = write_film(tmp_path / "d.mkv", noise(10), rate=24)
    digests = [film_facts(each).digest for each in (path, copied, other, slower)]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


def test_pixels_that_are_not_square_are_known(tmp_path: Path) -> None:
    path = tmp_path / "dvd.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(64, 45)
        for index in range(5):
            frame = av.VideoFrame.from_ndarray(noise(1)[0], format="rgb24")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert film_facts(path).pixel_aspect == pytest.approx(64 / 45)


def test_what_is_no_film_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "film.mp4"
    text.write_text("not a film")
    with pytest.raises(InputError, match=r"film\.mp4"):
        film_facts(text)
    with pytest.raises(InputError, match=r"absent\.mp4"):
        film_facts(tmp_path / "absent.mp4")


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
