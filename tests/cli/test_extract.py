"""``moviersa-models extract``, from its words to its files."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from bidsapp.cli.models import main
from bidsapp.dataset.derivatives import read_rdms
from bidsapp.rsa.rdm import to_square
from bidsapp.vision import features
from bidsapp.vision.catalogue import find_model
from bidsapp.vision.networks.network import build

REPOSITORY = Path(__file__).resolve().parents[2]
Run = Callable[..., str]


def write_film(path: Path, seed: int, n_frames: int = 75, rate: int = 25) -> Path:
    """Encode noise of 32 x 32 pixels without loss."""
    rng = np.random.default_rng(seed)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "bgr0"
        for index in range(n_frames):
            pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.fixture
def films(tmp_path: Path) -> list[Path]:
    return [write_film(tmp_path / f"{name}.mkv", seed) for seed, name in enumerate("ab")]


@pytest.fixture
def extract(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Call the command with volumes of 0.5 s; return what it prints."""

    def call(*words: object) -> str:
        folders = ["--out", tmp_path / "out", "-w", tmp_path / "work"]
        main(["extract", *map(str, words), "--tr", "0.5", *map(str, folders)])
        return capsys.readouterr().out

    return call


def refused(extract: Run, capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    with pytest.raises(SystemExit) as exit_:
        extract(*words)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return exit_.value.code, said


def rdm_files(out: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (out / "stimuli").glob("*.h5")}


def test_one_file_a_run_and_model(extract: Run, films: list[Path], tmp_path: Path) -> None:
    printed = extract("pixels", "torchvision:alexnet:avgpool@seed0", "--film", *films)
    paths = [Path(line) for line in printed.splitlines()]
    assert [path.name for path in paths] == [
        f"task-movie_run-{run}_stat-correlationdistance_desc-{model}_relmat.h5"
        for run in (1, 2)
        for model in ("pixels", "torchvisionalexnetavgpoolseed0")
    ]
    for path in paths:
        found = read_rdms(path)
        assert found.rdms.shape == (1, 15)
        np.testing.assert_allclose(found.onsets_s, 0.5 * np.arange(6) + 0.25)
        assert np.isfinite(found.rdms).all()
    assert not np.array_equal(read_rdms(paths[0]).rdms, read_rdms(paths[2]).rdms)
    sidecar = json.loads(paths[2].with_suffix(".json").read_text())
    assert sidecar["Frames"] == {"Taken": 14, "Broken": 0}
    assert sidecar["Volumes"]["Count"] == len(sidecar["Volumes"]["Coverage"]) == 6
    assert (sidecar["Descriptors"]["run"], sidecar["Descriptors"]["film"]) == ("2", "b.mkv")
    assert list((tmp_path / "out").rglob(".*")) == []


def test_dry_run_says_sizes_and_writes_nothing(
    extract: Run, films: list[Path], tmp_path: Path
) -> None:
    words = ("pixels", "resnet18-untrained", "--film", films[0], "--mem-gb", "1")
    said = extract(*words, "--dry-run")
    assert "75 frames at 25 Hz, 32 x 32; 14 frames taken, 6 volumes from 0.25 s" in said
    assert "decoded once, 32 frames at a time: pixels, resnet18-untrained\n" in said
    assert "pixels, 1 layers, 256 units, 6.14e-06 GB of scratch, 6e-05 MB; to be made" in said
    assert not (tmp_path / "out").exists()
    extract("pixels", "--film", films[0])
    said = extract(*words, "--dry-run")
    assert "decoded once, 32 frames at a time: resnet18-untrained\n" in said
    assert "MB; made" in said


def test_timing_can_be_told(extract: Run, films: list[Path], tmp_path: Path) -> None:
    nominal = read_rdms(Path(extract("pixels", "--film", films[0]).strip()))
    told = ("--volumes", "5", "--start-time", "0.5", "--run", "late", "--task", "clip")
    path = Path(extract("pixels", "--film", films[0], *told).strip())
    assert path.name.startswith("task-clip_run-late_")
    np.testing.assert_allclose(read_rdms(path).onsets_s, 0.5 * np.arange(5) + 0.5)
    # Frames a second late on the screen: volumes a second later see the same.
    events = tmp_path / "events.tsv"
    rows = [f"{frame / 25 + 1}\t0.04\t{frame + 1}" for frame in range(75)]
    events.write_text("\n".join(["onset\tduration\tframeidx", *rows]) + "\n")
    shown = ("--events", events, "--start-time", "1.25", "--run", "shown")
    found = read_rdms(Path(extract("pixels", "--film", films[0], *shown).strip()))
    np.testing.assert_allclose(found.rdms, nominal.rdms, atol=1e-5)


def test_what_is_made_is_kept_and_what_changed_is_made_again(
    extract: Run, films: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    extract("pixels", "--film", *films)
    before = rdm_files(out)
    extract("pixels", "--film", *films)
    assert rdm_files(out) == before
    write_film(films[1], 5)
    extract("pixels", "--film", *films)
    changed = [name for name, made in rdm_files(out).items() if made != before[name]]
    assert changed == ["task-movie_run-2_stat-correlationdistance_desc-pixels_relmat.h5"]
    extract("pixels", "--film", *films, "--hrf-s", "12")
    assert all(made != before[name] for name, made in rdm_files(out).items())


def test_what_the_film_covers_is_added_to_what_is_made(
    extract: Run, films: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(extract("pixels", "--film", films[0]).strip()).with_suffix(".json")
    before, complete = rdm_files(tmp_path / "out"), json.loads(path.read_text())
    older = {**complete, "Volumes": {"Count": 6, "Descriptor": "onset_s", "Units": "s"}}
    path.write_text(json.dumps(older))
    monkeypatch.setattr(features, "clips", None)  # nothing is decoded
    extract("pixels", "--film", films[0])
    assert json.loads(path.read_text()) == complete
    assert rdm_files(tmp_path / "out") == before


def test_an_interrupted_extraction_goes_on(
    extract: Run,
    films: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Four groups of one model; the third is interrupted in its middle."""
    passes: list[str] = []
    as_it_is = features.clips

    def counted(film, *more):
        passes.append(film.run)
        for position, batch in enumerate(as_it_is(film, *more)):
            if len(passes) == 3 and position == 2:
                raise KeyboardInterrupt
            yield batch

    monkeypatch.setattr(features, "clips", counted)
    words = ("pixels", "motionenergy", "--film", *films, "--scratch-gb", "1e-9", "--batch", "4")
    status, said = refused(extract, capsys, *words)
    assert (status, said) == (
        130,
        "moviersa-models: interrupted; run the same command again to go on\n",
    )
    done = rdm_files(tmp_path / "out")
    assert [name.split("_")[1] for name in sorted(done)] == ["run-1", "run-1"]
    extract(*words)
    assert passes == ["1", "1", "2", "2", "2"]
    after = rdm_files(tmp_path / "out")
    assert len(after) == 4
    assert done.items() <= after.items()


def test_a_killed_extraction_leaves_nothing_half_written(
    extract: Run, films: list[Path], tmp_path: Path
) -> None:
    """The process, which has no nipype, is killed while it decodes the second of two runs."""
    write_film(films[1], 1, n_frames=2000)
    words = ["pixels", "--film", *map(str, films), "--out", str(tmp_path / "out"), "--tr", "0.5"]
    code = "import sys; sys.modules['nipype'] = None; from bidsapp.cli.models import main; main()"
    command = [sys.executable, "-c", code, "extract"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    process = subprocess.Popen(
        [*command, *words, "--batch", "1"], cwd=tmp_path, env=environment, stderr=subprocess.PIPE
    )
    first = (
        tmp_path / "out/stimuli/task-movie_run-1_stat-correlationdistance_desc-pixels_relmat.json"
    )
    while not first.is_file() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = rdm_files(tmp_path / "out")
    assert len(done) == 1, "killed too late"
    extract("pixels", "--film", *films)  # and the dead process's lock is taken over
    after = rdm_files(tmp_path / "out")
    assert len(after) == 2
    assert done.items() <= after.items()
    assert read_rdms(first.with_suffix(".h5")).rdms.shape == (1, 15)


def test_bar_or_lines(
    extract: Run, films: list[Path], monkeypatch: pytest.MonkeyPatch, caplog, capsys
) -> None:
    extract("pixels", "--film", films[0])
    assert "run 1: pixels: 14 of 14 frames" in caplog.text
    assert "frames/s, 00:00 left" in caplog.text
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    main(["extract", "pixels", "--film", str(films[1]), "--run", "2", "--tr", "0.5",
          "--out", str(films[0].parent / "out")])  # fmt: skip
    assert "run 2: pixels: 100%" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["nonsense"], 64, "unknown model 'nonsense'"),
        (["pixels", "--run", "1", "2"], 64, "--run has 2 values for 1 films"),
        (["pixels", "pixels"], 64, "has one twice"),
        (["pixels", "--task", "a_b"], 64, "'a_b' is no label"),
        (["pixels", "--batch", "0"], 64, "--batch 0 must be at least 1"),
        (["pixels", "--mem-gb", "inf"], 64, "--mem-gb inf is no finite number"),
        (["pixels", "--hrf-s", "nan"], 64, "--hrf-s nan is no finite number"),
        (["pixels", "--start-time", "inf"], 64, "--start-time inf is no finite number"),
        (
            ["pixels", "--frame-rate", "inf", "--other-rate", "by_time"],
            64,
            "--frame-rate inf is no finite number",
        ),
        (["pixels", "--max-damaged", "2"], 64, "--max-damaged 2 must be a share"),
        (["pixels", "--other-rate", "by_time"], 64, "needs --frame-rate"),
        (["pixels", "--frame-rate", "24"], 1, "has 25 frames a second, but --frame-rate is 24"),
        (["pixels", "--frame-rate", "24"], 1, "Set --other-rate to by_time"),
        (["pixels", "--letterbox", "16", "16", "0", "0"], 1, "--letterbox takes 16 + 16 rows"),
        (["pixels", "--volumes", "9"], 1, "lasts 3.0 s, too short for 9 volumes"),
        (["pixels", "--start-time", "500"], 1, "volumes come 20 s or more after the last frame"),
        (["pixels", "--autocast", "bfloat16", "--device", "cpu"], 64, "is for GPUs"),
        (["pixels", "--device", "cuda:99"], 64, "'cuda:99' is not here"),
        (["resnet18-untrained", "--mem-gb", "0.01"], 64, "too little memory for one window"),
        (["timm:resnet18:nowhere*@seed0"], 64, "no layer 'nowhere*'"),
        (["resnet18-imagenet"], 1, "needs the weights resnet18-f37072fd.pth"),
        (["videomae-base-k400", "--frame-step", "1"], 1, "needs the weights"),
    ],
)
def test_bad_input_is_told_at_once(
    extract: Run,
    films: list[Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    status: int,
    message: str,
) -> None:
    found, said = refused(extract, capsys, *words, "--film", films[0])
    assert (found, message in said) == (status, True), said
    assert said.startswith("moviersa-models: error: ")
    assert not (tmp_path / "out" / "stimuli").exists()


def test_events_and_broken_frames_are_told_in_options(
    extract: Run, films: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events = tmp_path / "events.tsv"
    events.write_text("onset\tduration\n0\t1\n")
    words = ("pixels", "--film", films[0], "--events", events)
    assert "or leave --events out" in refused(extract, capsys, *words)[1]
    events.write_text("onset\tduration\tframeidx\n0\t1\t0\n")
    assert "(--first-frame-index) in line 2" in refused(extract, capsys, *words)[1]
    data = bytearray(films[0].read_bytes())
    for place in range(len(data) // 2, len(data) * 3 // 4):
        data[place] ^= place % 251
    films[0].write_bytes(data)
    words = ("pixels", "--film", films[0], "--max-damaged", "0")
    assert "allow more (--max-damaged)" in refused(extract, capsys, *words)[1]


def test_what_is_odd_about_a_film_is_said(
    extract: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    film = write_film(tmp_path / "fast.mkv", 0, n_frames=100, rate=50)
    extract("pixels", "motionenergy", "--film", film, "--crop", "40", "--dry-run")
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == [
        "fast.mkv: a crop of 40 is more than its picture of 32 x 32 pixels; what lies beyond is "
        "black",
        "the film has 50 frames a second, so that windows of several frames last 0.5 times as "
        "long as at 25: motionenergy",
    ]


class NotWeights:
    """What a pickle may hold."""


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("another architecture", "does not fit the architecture: it lacks"),
        ("truncated", "cannot be read as a PyTorch checkpoint"),
        ("not weights", "cannot be read as a PyTorch checkpoint"),
    ],
)
def test_a_bad_checkpoint_is_told_before_anything_is_decoded(
    extract: Run,
    films: list[Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    message: str,
) -> None:
    entry = find_model("resnet18-untrained-96px").model_dump(mode="json")
    checkpoint = {"file": "mine.pth", "url": "https://example.org", "licence": "mine"}
    entry |= {"name": "mine", "seed": None, "checkpoint": checkpoint}
    catalogue, path = tmp_path / "mine.yaml", tmp_path / "mine.pth"
    catalogue.write_text(json.dumps({"models": [entry]}))
    state = build(find_model("resnet18-untrained-96px")).state_dict()
    if kind == "another architecture":
        del state["conv1.weight"]
    torch.save(NotWeights() if kind == "not weights" else state, path)
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:1000])
    words = ("pixels", "mine", "--film", films[0], "--model-catalogue", catalogue)
    status, said = refused(extract, capsys, *words, "--weights", tmp_path)
    assert (status, message in said, "mine.pth" in said) == (1, True, True), said
    assert not (tmp_path / "out").exists()


def test_another_films_rdms_are_not_replaced(
    extract: Run, films: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    extract("pixels", "--film", films[0])
    before = rdm_files(tmp_path / "out")
    status, said = refused(extract, capsys, "pixels", "--film", films[1])
    assert status == 64
    assert "holds the RDMs of a.mkv, not of b.mkv: name runs with --run" in said
    assert rdm_files(tmp_path / "out") == before


def test_another_models_rdms_are_not_replaced(
    extract: Run, films: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Labels drop all but letters and digits, so two names may have one."""
    one, other = "torchvision:alexnet:avgpool@seed0", "torchvision:alexnet:avgpool*@seed0"
    extract(one, "--film", films[0])
    before = rdm_files(tmp_path / "out")
    status, said = refused(extract, capsys, other, "--film", films[0])
    assert status == 64
    assert f"holds the RDMs of the model {one}, not of {other}" in said
    assert rdm_files(tmp_path / "out") == before


@pytest.mark.parametrize("dissimilarity", ["correlation", "cosine", "euclidean"])
def test_a_volume_that_saw_nothing_is_undefined(
    extract: Run, films: list[Path], dissimilarity: str
) -> None:
    """A volume at the onset of the first frame."""
    words = ("--start-time", "0", "--dissimilarity", dissimilarity)
    path = Path(extract("pixels", "--film", films[0], *words).strip())
    square = to_square(read_rdms(path).rdms[0])
    assert np.isnan(square[0, 1:]).all()
    assert np.isfinite(square[1:, 1:]).all()


def test_a_film_shorter_than_a_window_or_three_volumes(
    extract: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch
) -> None:
    monkeypatch.setattr("bidsapp.workflows.extraction.load_network", lambda *_: None)
    short = write_film(tmp_path / "short.mkv", 0, n_frames=50)
    status, said = refused(extract, capsys, "videomae-base-k400", "--film", short)
    assert (status, "50 frames are fewer than one window" in said) == (1, True)
    shorter = write_film(tmp_path / "shorter.mkv", 0, n_frames=30)
    status, said = refused(extract, capsys, "pixels", "--film", shorter)
    assert (status, "2 volumes of 0.5 s, and at least 3 are needed" in said) == (1, True)


def test_any_rate_will_do(extract: Run, tmp_path: Path) -> None:
    film = write_film(tmp_path / "c.mkv", 0, n_frames=90, rate=30)
    said = extract("pixels", "--film", film, "--dry-run")
    assert "90 frames at 30 Hz, 32 x 32; 17 frames taken, 6 volumes" in said
