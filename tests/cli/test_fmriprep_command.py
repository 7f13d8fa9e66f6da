"""What ``moviersa-fmriprep`` prints is what fmriprep-docker's own parser understands."""

import json
import shlex
from pathlib import Path

import fmriprep_docker.__main__ as wrapper
import pytest
from bids import BIDSLayout

from bidsapp.analysis.preparation import bids_filter, output_spaces
from bidsapp.analysis.spec import MaskRegions, changed, default_analysis, read_analysis
from bidsapp.cli.fmriprep import main
from bidsapp.errors import UsageError

ANALYSIS = read_analysis(default_analysis())


def printed(capsys: pytest.CaptureFixture[str], *words: object) -> list[str]:
    with pytest.raises(SystemExit) as exit_:
        main([str(word) for word in words])
    assert exit_.value.code == 0
    return shlex.split(capsys.readouterr().out)


@pytest.fixture
def bids(tmp_path: Path) -> Path:
    folder = tmp_path / "bïds dir"
    for label in ("01", "02"):
        (folder / f"sub-{label}").mkdir(parents=True)
    return folder


def test_the_wrapper_understands_every_word_or_hands_it_on(tmp_path, bids, capsys):
    licence = tmp_path / "license.txt"
    licence.touch()
    command = printed(
        *(capsys, bids, tmp_path / "out", "--participant-label", "sub-01", "02", "--nprocs", 8),
        *("--mem-gb", 31.5, "-w", tmp_path / "work", "--fs-license-file", licence),
        *("--", "--fs-no-reconall"),
    )
    assert command[0] == "fmriprep-docker"
    known, handed_on = wrapper.get_parser().parse_known_args(command[1:])
    assert (known.bids_dir, known.output_dir) == (str(bids), str(tmp_path / "out"))
    assert known.analysis_level == "participant"
    assert known.output_spaces == ["T1w", "MNI152NLin6Asym", "MNI152NLin2009cAsym"]
    assert known.work_dir == str(tmp_path / "work")
    assert known.fs_license_file == str(licence)
    assert handed_on == [
        *("--participant-label", "01", "02", "--nprocs", "8", "--mem_mb", "31500"),
        "--fs-no-reconall",
    ]
    content = json.loads(Path(known.bids_filter_file).read_text())
    assert content == bids_filter(ANALYSIS)


def test_the_space_of_the_bold_is_the_one_that_moviersa_is_given(tmp_path, bids, capsys):
    space = "MNI152NLin2009cAsym:res-2"
    command = printed(capsys, bids, tmp_path / "out", "--output-space", space)
    known = wrapper.get_parser().parse_args(command[1:])
    assert known.output_spaces == [space, "MNI152NLin6Asym"]


def test_the_spaces_are_those_that_regions_live_in():
    functional = ANALYSIS.functional.model_copy(update={"template": "MNIPediatricAsym+2"})
    masks = MaskRegions.model_validate(
        {
            "regions": [
                {"name": "a", "file": "a.nii.gz", "space": "MNI305"},
                {"name": "b", "file": {"L": "x/tpl-MNIColin27_b.nii", "R": "space-T1w_c.nii"}},
            ]
        }
    )
    analysis = changed(ANALYSIS, functional=functional, masks=masks)
    templates = ("MNI152NLin6Asym", "MNI305", "MNIColin27", "MNI152NLin2009cAsym")
    assert output_spaces(analysis) == ("T1w", "MNIPediatricAsym:cohort-2", *templates)
    unused = changed(analysis, functional=functional.model_copy(update={"regions": ()}))
    assert output_spaces(unused, "MNI305", "native") == (
        *("MNI305", "MNI152NLin6Asym", "MNIColin27", "MNI152NLin2009cAsym"),
    )


def test_a_template_of_many_cohorts_needs_one():
    functional = ANALYSIS.functional.model_copy(update={"template": "MNIPediatricAsym"})
    with pytest.raises(UsageError, match=r"such as MNIPediatricAsym\+2"):
        output_spaces(changed(ANALYSIS, functional=functional))


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        ("--participant-label 03", 64, "no participant sub-03 in"),
        ("--participant-label ../x", 64, "a label is letters and digits"),
        ("--nprocs 0", 64, "--nprocs 0: give a number above 0"),
        ("--mem-gb -4", 64, "--mem-gb -4: give a number above 0"),
        ("--mem-gb inf", 64, "--mem-gb inf: give a number above 0"),
        ("--mem-gb nan", 64, "--mem-gb nan: give a number above 0"),
        ("--fs-license-file /no/such.txt", 1, "no file /no/such.txt"),
        ("--output-space MNI152NLin6Asym:2", 64, "MNI152NLin6Asym:res-2"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(tmp_path, bids, capsys, words, status, says):
    with pytest.raises(SystemExit) as exit_:
        main([str(bids), str(tmp_path / "out"), *words.split()])
    assert exit_.value.code == status
    [sentence] = capsys.readouterr().err.splitlines()
    assert says in sentence
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("below", [".", "sub-01/fmriprep"])
def test_nothing_is_written_into_the_raw_data(bids, capsys, below):
    with pytest.raises(SystemExit) as exit_:
        main([str(bids), str(bids / below)])
    assert exit_.value.code == 64
    assert "lies in the raw data" in capsys.readouterr().err
    assert sorted(path.name for path in bids.rglob("*")) == ["sub-01", "sub-02"]
    printed(capsys, bids, bids / "derivatives" / "fmriprep")


def test_a_file_is_no_dataset(tmp_path, capsys):
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit) as exit_:
        main([str(tmp_path / "file"), str(tmp_path / "out")])
    assert exit_.value.code == 1
    assert "is no folder" in capsys.readouterr().err


def test_without_options_resources_are_left_to_fmriprep(tmp_path, bids, capsys):
    command = printed(capsys, bids, tmp_path / "out")
    assert wrapper.get_parser().parse_known_args(command[1:])[1] == []


def test_the_filters_find_the_runs_of_the_analysis_and_no_others(tmp_path):
    """PyBIDS reads them as fMRIPrep hands them to it: beside datatype and suffix."""
    (tmp_path / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.9.0"}')
    wanted = []
    for session, task in (
        *(("movie", "movie"), ("movie", "retmapclk"), ("auditory", "movie")),
        ("localizer", "objectcategories"),
    ):
        name = f"sub-01_ses-{session}_task-{task}_run-1_bold.nii.gz"
        path = tmp_path / "sub-01" / f"ses-{session}" / "func" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        wanted += [name] if task != "retmapclk" and session != "auditory" else []
    layout = BIDSLayout(tmp_path, validate=False)
    query = {"datatype": "func", "suffix": "bold", "part": ["mag", None]}
    query |= bids_filter(ANALYSIS)["bold"]
    found = layout.get(return_type="filename", extension=[".nii.gz"], **query)
    assert sorted(Path(path).name for path in found) == sorted(wanted)


def test_a_run_in_any_session_is_not_filtered_by_session():
    movie = ANALYSIS.movie.model_copy(update={"session": None})
    assert "session" not in bids_filter(changed(ANALYSIS, movie=movie))["bold"]


def test_run_starts_the_command_and_passes_on_its_exit_status(tmp_path, bids, monkeypatch, capfd):
    program = tmp_path / "bin" / "fmriprep-docker"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "$3"\nexit 7\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    with pytest.raises(SystemExit) as exit_:
        main([str(bids), str(tmp_path / "out"), "--run"])
    assert exit_.value.code == 7
    assert capfd.readouterr().out == "participant\n"


def test_run_without_the_wrapper(tmp_path, bids, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit) as exit_:
        main([str(bids), str(tmp_path / "out"), "--run"])
    assert exit_.value.code == 1
    assert "pip install fmriprep-docker" in capsys.readouterr().err


def test_no_such_dataset(tmp_path, capsys):
    with pytest.raises(SystemExit) as exit_:
        main([str(tmp_path / "none"), str(tmp_path / "out")])
    assert exit_.value.code == 1
    assert "does not exist" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
