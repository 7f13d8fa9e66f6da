"""Film frames are those on the screen before the volumes, and arrows follow what moves."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest
from matplotlib.quiver import Quiver

from bidsapp.errors import InputError
from bidsapp.reports import frame_pairs
from bidsapp.reports.blocks import Album
from bidsapp.reports.figures import Moment, moment_pairs
from bidsapp.reports.frame_pairs import _Film, frame_pair_blocks
from bidsapp.reports.outputs import Outputs
from bidsapp.reports.page import Notes, Picture
from bidsapp.vision.decoding import Damage
from bidsapp.vision.stretches import Stretch

RATE = 10
SECONDS = 60
SHAPE = (60, 80)
BEGAN_S = 1.5  # when the run's first frame was shown


def write_film(path: Path) -> None:
    """Dots drifting two pixels a frame to the right; the brightness of all tells the second."""
    dots = np.random.default_rng(0).integers(0, 110, SHAPE)
    dots = (dots + np.roll(dots, 1, 0) + np.roll(dots, 1, 1) + np.roll(dots, (1, 1), (0, 1))) // 4
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=RATE)
        stream.height, stream.width, stream.pix_fmt = *SHAPE, "bgr0"
        for index in range(RATE * SECONDS):
            picture = np.roll(dots, 2 * index, axis=1) + 2 * (index // RATE)
            frame = av.VideoFrame.from_ndarray(
                np.repeat(picture[..., None], 3, axis=2).astype(np.uint8), format="rgb24"
            )
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    write_film(folder / "seg1.mp4.mkv")
    for i in (2, 3, 4):
        (folder / f"seg{i}.mp4.mkv").hardlink_to(folder / "seg1.mp4.mkv")
    return folder


@pytest.fixture
def outputs(blank, tmp_path: Path) -> Outputs:
    movie = blank.analysis.movie
    runs = tuple(run.model_copy(update={"film": f"{run.film}.mkv"}) for run in movie.runs)
    analysis = blank.analysis.model_copy(update={"movie": movie.model_copy(update={"runs": runs})})
    ours = replace(blank, analysis=analysis)
    ours.group_table("framepairs", ours.frame_pairs(np.random.default_rng(0)))
    for run in movie.runs:
        path = tmp_path / f"stimuli/task-movie_run-{run.run}_desc-network_relmat.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"Descriptors": {"first_frame_s": str(BEGAN_S)}}))
    return Outputs(ours.tree, analysis, "T1w")


def album(outputs: Outputs) -> Album:
    root = outputs.tree.root
    return Album(root, lambda name: root / "group" / "figures" / f"{name}.svg")


def test_the_frame_is_the_one_on_the_screen_and_flow_is_its_motion(
    outputs: Outputs, films: Path
) -> None:
    film = _Film(outputs, films)
    moments = {time: film.moment("2", time) for time in (1.6, 21.7)}
    brightness = [moment.frame.mean() for moment in moments.values()]
    assert brightness[1] - brightness[0] == pytest.approx(
        2 * 20
    )  # seconds of the film, not the run
    assert moments[21.7].label == "0:21.7"
    # Two pixels a frame, ten frames a second, of a width of 80.
    right, down = np.median(moments[21.7].flow, axis=(0, 1))
    assert right == pytest.approx(2 * RATE / SHAPE[1], rel=0.1)
    assert abs(down) < 0.02


def test_a_minute_is_never_sixty_seconds_long(outputs: Outputs, films: Path) -> None:
    record = next((outputs.tree.root / "stimuli").glob("*_run-2_*"))
    record.write_text(json.dumps({"Descriptors": {"first_frame_s": "1.47"}}))
    assert _Film(outputs, films).moment("2", 59.97).label == "1:00.0"


def test_a_film_matched_by_time_moves_as_fast_as_in_its_file(outputs: Outputs, films: Path) -> None:
    """At 25 shown frames for ten of the file, the next one shown is often the same picture."""
    movie = outputs.analysis.movie.model_copy(update={"frame_rate": 25, "other_rate": "by_time"})
    analysis = outputs.analysis.model_copy(update={"movie": movie})
    film = _Film(replace(outputs, analysis=analysis), films)
    for time_s in (21.5, 21.54, 21.58, 21.62, 2.0 * SECONDS):  # the last: the film's end
        right = np.median(film.moment("2", time_s).flow[..., 0])
        assert right == pytest.approx(2 * RATE / SHAPE[1], rel=0.1)


def test_broken_frames_are_no_hindrance(
    outputs: Outputs, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed = []

    def decode(stretch: Stretch, n_frames: int, damage: Damage) -> Iterator[object]:
        damage.count(stretch)
        allowed.append(damage.n_frames)
        return whole(stretch, n_frames)

    whole = frame_pairs.decode
    monkeypatch.setattr(frame_pairs, "decode", decode)
    film = _Film(outputs, films)
    assert film.moment("2", 21.7).label == "0:21.7"
    assert allowed == [1]


def test_each_mode_has_a_figure_that_names_its_rows(outputs: Outputs, films: Path) -> None:
    blocks = list(frame_pair_blocks(outputs, album(outputs), films))
    assert all(isinstance(block, Picture) for block in blocks)
    assert [block.file for block in blocks] == [
        "group/figures/framepairs-replicate.svg", "group/figures/framepairs-robust.svg",
    ]  # fmt: skip
    for title in ("Component 1, high loadings", "Component 2, low loadings"):
        assert title in blocks[0].svg


def test_without_films_or_records_it_is_said(outputs: Outputs, films: Path) -> None:
    (note,) = frame_pair_blocks(outputs, album(outputs), None)
    assert isinstance(note, Notes)
    assert "--stimuli" in note.sentences[0]
    with pytest.raises(InputError, match="no folder of films"):
        list(frame_pair_blocks(outputs, album(outputs), films / "absent"))
    for path in (outputs.tree.root / "stimuli").iterdir():
        path.write_text("{}")
    with pytest.raises(InputError, match="run the stimulus level again"):
        list(frame_pair_blocks(outputs, album(outputs), films))


def test_a_pair_of_an_unknown_run_is_named(outputs: Outputs, films: Path) -> None:
    path = outputs.group_path("framepairs")
    table = pd.read_csv(path, sep="\t", keep_default_na=False)
    table.assign(run="9").to_csv(path, sep="\t", index=False)
    with pytest.raises(InputError, match="unknown run 9"):
        list(frame_pair_blocks(outputs, album(outputs), films))


def test_arrows_are_mean_flow_on_one_scale_and_none_where_nothing_moves() -> None:
    frame = np.zeros((70, 70, 3), np.uint8)
    flow = np.zeros((70, 70, 2))
    half = flow.copy()
    half[:, :35, 1] = 0.5  # down, in the left half
    full = np.full((70, 70, 2), [1.0, 0.0])
    pair = [Moment(frame, its, "") for its in (half, full)]
    figure = moment_pairs({"row": [("first", *pair), ("second", *[Moment(frame, flow, "")] * 2)]})
    arrows = [[c for c in axis.collections if isinstance(c, Quiver)] for axis in figure.axes]
    assert [len(found) for found in arrows] == [1, 1, 0, 0, 0, 0]
    (left,), (right,) = arrows[:2]
    assert len(right.U) == 49
    np.testing.assert_allclose(right.U, 0.12 * 70)
    assert right.U.max() < np.diff(np.unique(right.X)).min()  # within its cell
    np.testing.assert_allclose(left.V.max(), 0.06 * 70)  # half as fast
    assert left.X.max() < 40
