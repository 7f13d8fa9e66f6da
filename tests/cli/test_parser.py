import errno
import os
from pathlib import Path

import pytest

from bidsapp.cli.parser import parse
from bidsapp.cli.run import effective_analysis, main
from bidsapp.errors import UsageError
from bidsapp.settings import to_toml


def test_labels_lose_their_prefix_and_both_spellings_are_read():
    dashes = parse(
        "bids out participant --participant-label sub-01 02 --task-id task-movie".split()
    )
    lines = parse("bids out participant --participant_label 01 sub-02 --task_id movie".split())
    assert dashes == lines
    assert dashes.participant_label == ("01", "02")
    assert dashes.task_id == ("movie",)


def test_paths_are_absolute_and_have_the_usual_defaults():
    settings = parse("bids out participant".split())
    assert settings.derivatives_dir == Path("bids/derivatives/fmriprep").absolute()
    assert settings.stimuli_dir == Path("bids/stimuli").absolute()
    assert settings.output_space == "T1w"


def test_derivatives_by_name_or_by_path():
    named = parse("bids out participant -d fmriprep=/prep".split())
    bare = parse("bids out participant --derivatives /prep".split())
    assert named.derivatives_dir == bare.derivatives_dir == Path("/prep")
    assert named.derivatives == bare.derivatives == {"fmriprep": Path("/prep")}


@pytest.mark.parametrize(
    "words", ["-d fmriprep=/prep -d rois=/mine", "-d rois=/mine fmriprep=/prep"]
)
def test_several_derivatives(words):
    settings = parse(f"bids out participant {words}".split())
    assert settings.derivatives_dir == settings.dataset_dir("fmriprep") == Path("/prep")
    assert settings.dataset_dir("rois") == Path("/mine")
    assert settings.further_datasets == {"rois": Path("/mine")}
    assert settings.dataset_dir("other") is None


def test_derivatives_of_a_config_file_give_way_to_the_command_line(tmp_path):
    file = tmp_path / "moviersa.toml"
    file.write_text(to_toml(parse("b o group -d fmriprep=/prep -d rois=/mine".split())))
    words = ["b", "o", "group", "--config-file", str(file)]
    assert parse(words).derivatives == {"fmriprep": Path("/prep"), "rois": Path("/mine")}
    changed = parse([*words, "-d", "rois=/other"]).derivatives
    assert changed == {"fmriprep": Path("/prep"), "rois": Path("/other")}
    file.write_text('derivatives = "/old"\n')
    assert parse(words).derivatives_dir == Path("/old")


def test_mem_is_mem_gb():
    assert parse("b o group --mem 3".split()).mem_gb == 3
    assert parse("b o group --mem_gb 3".split()).mem_gb == 3


def test_settings_survive_their_file_and_the_command_line_wins(tmp_path):
    settings = parse("bids out participant --participant-label 01 --nprocs 2 --mem-gb 2".split())
    file = tmp_path / "moviersa.toml"
    file.write_text(to_toml(settings))
    again = parse(["bids", "out", "participant", "--config-file", str(file)])
    assert again == settings
    wins = parse(["bids", "out", "participant", "--config-file", str(file), "--nprocs", "1"])
    assert wins == settings.model_copy(update={"nprocs": 1})


def test_a_space_may_have_a_resolution(tmp_path):
    plain = parse("b o participant --output-space MNI152NLin6Asym".split())
    assert (plain.output_space, plain.output_resolution) == ("MNI152NLin6Asym", None)
    assert plain.full_space == "MNI152NLin6Asym"
    fine = parse("b o participant --output-space MNI152NLin6Asym:res-2".split())
    assert (fine.output_space, fine.output_resolution) == ("MNI152NLin6Asym", "2")
    assert fine.full_space == "MNI152NLin6Asym:res-2"
    file = tmp_path / "moviersa.toml"
    file.write_text(to_toml(fine))
    words = ["b", "o", "participant", "--config-file", str(file)]
    assert parse(words) == fine
    # A space on the command line replaces the saved resolution too.
    assert parse([*words, "--output-space", "MNI152NLin6Asym"]) == plain


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("b o participant --output-space MNI152NLin6Asym:2", "MNI152NLin6Asym:res-2"),
        ("b o participant --output-space MNIPediatricAsym:cohort-2:res-1", "only a resolution"),
        ("b o participant --output-space space_T1w", "letters and digits"),
        ("b o participant --no-such-option", "--no-such-option"),
        ("b o subject", "subject"),
        ("b o", "level"),
        ("b o participant --nprocs two", "two"),
        ("b o participant --nprocs 0", "--nprocs"),
        ("b o participant --mem-gb inf", "--mem-gb"),
        ("b o participant --nprocs 1 --omp-nthreads 2", "--omp-nthreads"),
        ("b o participant -d aroma=/x", "aroma"),
        ("b o participant -d fmriprep=/x -d fmriprep=/y", "fmriprep twice: /x and /y"),
        ("b o participant -d raw=/x", "'raw' is no name"),
        ("b o participant -d a_b=/x", "'a_b' is no name"),
        ("b o group --participant-label 01", "--participant-label"),
        ("b o group --dry-run --boilerplate-only", "--boilerplate-only"),
        ("b o group --dry-run --reports-only", "--dry-run and --reports-only exclude each other"),
        ("b o group --analysis /no/such.yaml", "/no/such.yaml"),
        ("b o group --config-file /no/such.toml", "/no/such.toml"),
        ("b o participant --task-id rest", "movie, objectcategories"),
        ("b o participant --task-id objectcategories", "movie"),
        ("b o participant --session-label 1", "ses-movie"),
        ("b o participant --models nosuchnet", "nosuchnet"),
    ],
)
def test_wrong_usage_exits_64_with_one_clear_line(words, names, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(words.split())
    assert stop.value.code == 64
    message = capsys.readouterr().err
    assert names in message
    assert message.count("\n") == 1


def test_an_unknown_setting_in_the_config_file_is_named(tmp_path):
    file = tmp_path / "moviersa.toml"
    file.write_text("[settings]\nnprocz = 2\n")
    with pytest.raises(UsageError, match="nprocz"):
        parse(["b", "o", "group", "--config-file", str(file)])


def test_without_the_localizer_task_only_atlas_regions_are_left():
    analysis = effective_analysis(parse("b o participant --task-id movie".split()))
    assert analysis.localizer is None
    assert analysis.region_names[0] == "V1v"


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.startswith("moviersa 0.")


def test_a_full_disk_is_one_sentence(monkeypatch, capsys):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/out/a.json")

    monkeypatch.setattr("bidsapp.cli.run.run", full)
    with pytest.raises(SystemExit) as exit_:
        main(["b", "o", "group"])
    assert exit_.value.code == 1
    assert capsys.readouterr().err.startswith("moviersa: error: no room for /out/a.json: No space")
