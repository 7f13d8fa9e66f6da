"""The three levels, from the command line to the files that they leave."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from tiny_study import PARTICIPANTS, RUNS, VOLUMES, TinyStudy, listing

from bidsapp.analysis.spec import read_analysis
from bidsapp.cli.parser import parse
from bidsapp.cli.run import main
from bidsapp.dataset.derivatives import read_rdms, read_table

LEVELS = ("stimulus", "participant", "group")
PARTICIPANT_COLUMNS = {
    "similarity": "mode fit roi model run r n_pairs n_volumes visible note",
    "weights": "mode fit roi model run layer weight",
    "unique": "mode fit roi control target n_runs r delta_r2 note",
    "autocorrelation": "roi run lag_s r",
    "quality": "roi run n_voxels constant_voxels coverage tsnr lag1_r n_volumes n_censored "
    "n_confounds df_left fd_mean fd_max fd_over_half_mm flags",
}
GROUP_COLUMNS = {
    "similarity": "mode fit roi model n n_runs r_mean r_sd r2_mean ceiling_paper ceiling_lower "
    "ceiling_upper ci_low ci_high t df p p_bonferroni q_fdr p_signflip p_null p_null_max "
    "p_null_fwe q_null visible n_volumes note",
    "unique": "mode fit roi control target n n_runs r_mean r_sd delta_r2_mean delta_r2_sd t df p "
    "p_bonferroni q_fdr p_signflip p_null p_null_fwe note",
    "comparisons": "mode fit roi model_a model_b n n_runs diff_z t df p p_bonferroni q_fdr "
    "p_signflip",
    "lag": "fit roi model min_lag_s n r_mean r_sd",
    "components": "mode model layer pc1 pc2 pc3 pc4 pc5",
    "framepairs": "mode component sign rank run onset_a onset_b film_a film_b loading",
    "split": "mode roi model r2_part",
    "quality": "participant run n_volumes n_censored n_robust fd_mean fd_max fd_over_half_mm "
    "tsnr_median n_regions regions_absent flags",
}


@pytest.fixture(scope="session")
def done(built_study: TinyStudy, tmp_path_factory: pytest.TempPathFactory) -> TinyStudy:
    """The study with all three levels done; nothing may change it."""
    study = TinyStudy(tmp_path_factory.mktemp("levels") / "study")
    shutil.copytree(built_study.root, study.root)
    inputs = (study.bids, study.fmriprep, study.stimuli, study.atlas)
    before = listing(*inputs)
    for level in LEVELS:
        with pytest.raises(SystemExit) as exit_:
            main(study.arguments(level))
        assert exit_.value.code == 0
    assert listing(*inputs) == before
    return study


def check_table(path: Path, columns: str) -> pd.DataFrame:
    """Check a table's columns, and that its JSON describes each; a note may always be added."""
    table = pd.read_csv(path, sep="\t", na_values=["n/a"], keep_default_na=False)
    assert [name for name in table if name != "note" or "note" in columns] == columns.split()
    described = json.loads(path.with_suffix(".json").read_text())
    assert list(described) == list(table.columns)
    assert all(column["Description"] for column in described.values())
    return table


@pytest.mark.parametrize("desc", PARTICIPANT_COLUMNS)
@pytest.mark.parametrize("label", PARTICIPANTS)
def test_participant_tables(done, label, desc):
    name = f"sub-{label}_ses-movie_task-movie_desc-{desc}_stats.tsv"
    path = done.out / f"sub-{label}" / "ses-movie" / "func" / name
    table = check_table(path, PARTICIPANT_COLUMNS[desc])
    assert set(table["roi"]) == {"FFA", "V1v", "V1d"}
    if desc == "similarity":
        assert set(table["run"].astype(str)) == set(RUNS)
        assert len(table) == 2 * 3 * 3 * 2 * 4  # modes, fits, regions, models, runs
        assert table["r"].between(-1, 1).all()


@pytest.mark.parametrize("desc", GROUP_COLUMNS)
def test_group_tables(done, desc):
    path = done.out / "group" / f"task-movie_desc-{desc}_stats.tsv"
    table = check_table(path, GROUP_COLUMNS[desc])
    assert len(table) > 0
    if desc == "similarity":
        assert (table["n"] == 3).all()
        assert (table["n_runs"] == 3 * len(RUNS)).all()
        assert len(table) == 2 * 3 * 3 * 2
        assert table["p_null"].isna().all()  # the runs are short, and the table says so
        assert table["note"].str.contains("no p_null: run 1 has").all()


def test_every_table_is_described(done):
    tables = sorted(done.out.rglob("*.tsv"))
    assert len(tables) >= 3 * 8 + 8 + 1
    for path in tables:
        columns = path.read_text().splitlines()[0].split("\t")
        described = json.loads(path.with_suffix(".json").read_text())
        assert all(described[column]["Description"] for column in columns), path


def test_every_desc_has_a_row_that_describes_it(done):
    labels = {
        part.removeprefix("desc-")
        for path in done.out.rglob("*")
        for part in path.name.partition(".")[0].split("_")
        if part.startswith("desc-")
    }
    assert {"pixels", "rois", "roisrobust", "similarity", "top10"} <= labels
    table = read_table(done.out / "descriptions.tsv").set_index("desc_id")
    assert table.index.is_unique
    assert not {f"desc-{label}" for label in labels} - set(table.index)
    assert table["description"].notna().all()


@pytest.mark.parametrize("label", PARTICIPANTS)
def test_volumes_in_robust_are_as_many_in_all_tables(done, label):
    stem = done.out / f"sub-{label}/ses-movie/func/sub-{label}_ses-movie_task-movie_desc"
    runs, similarity = (
        read_table(Path(f"{stem}-{desc}_stats.tsv")).set_index("run")
        for desc in ("runs", "similarity")
    )
    robust = similarity[similarity["mode"] == "robust"]
    assert set(robust.index) == set(runs.index) == set(RUNS)
    assert (robust["n_volumes"] == runs.loc[robust.index, "n_robust"]).all()
    assert runs["n_robust"].between(1, VOLUMES - 1).all()
    reasons = ["n_robust", "n_repeated", "n_uncovered", "n_undefined"]
    assert (runs[reasons].sum(axis=1) == VOLUMES).all()
    group = read_table(done.out / "group/task-movie_desc-quality_stats.tsv")
    own = group[group["participant"] == label].set_index("run")
    assert own["n_robust"].tolist() == runs.loc[own.index, "n_robust"].tolist()


def test_rdm_files(done):
    layers = read_rdms(
        done.out / "stimuli/task-movie_run-2_stat-correlationdistance_desc-pixels_relmat.h5"
    )
    assert layers.rdms.shape == (len(layers.names), VOLUMES * (VOLUMES - 1) // 2)
    for label in PARTICIPANTS:
        found = sorted((done.out / f"sub-{label}").rglob("*_relmat.h5"))
        assert len(found) == 2 * len(RUNS)  # each mode has its own
        assert set(read_rdms(found[0]).names) == {"FFA", "V1v", "V1d"}


def test_maps_masks_and_reports(done):
    for label in PARTICIPANTS:
        folder = done.out / f"sub-{label}"
        assert len(list(folder.rglob("*_contrast-face_stat-*_statmap.nii.gz"))) == 4
        assert len(list(folder.rglob("*_space-T1w_label-FFA_desc-top10_mask.nii.gz"))) == 1
        assert len(list(folder.rglob("*_space-MNI*_label-FFA_desc-top10_mask.nii.gz"))) == 1
        assert len(list(folder.rglob("*_atlas-Wang2015_dseg.nii.gz"))) == 1
        page = (done.out / f"sub-{label}.html").read_text()
        assert f"sub-{label}" in page
    assert (done.out / "group.html").is_file()


def test_each_run_keeps_its_settings(done):
    folders = [path for path in (done.out / "logs").iterdir() if path.is_dir()]
    assert len(folders) == len(LEVELS)
    for folder in folders:
        assert {path.name for path in folder.iterdir()} == {
            "moviersa.toml", "analysis.yaml",
            "CITATION.md", "CITATION.html", "CITATION.tex", "CITATION.bib",
        }  # fmt: skip
        assert read_analysis(folder / "analysis.yaml") == read_analysis(done.analysis)
        saved = parse([*done.arguments("group")[:3], "--config-file", f"{folder}/moviersa.toml"])
        assert saved == parse(done.arguments("group"))


def test_saved_settings_run_again(done, moviersa):
    """A config file stands for all words but the three that have no dashes."""
    saved = next((done.out / "logs").glob("*/moviersa.toml"))
    words = done.arguments("participant", "--dry-run")
    asked = moviersa(*words)
    again = moviersa(*words[:3], "--config-file", str(saved), "--dry-run")
    assert again == replace(asked, err=again.err)
    assert "sub-03" in again.out


def test_output_is_valid_bids(done):
    command = [Path(sys.executable).with_name("bids-validator-deno"), done.out, "--format", "json"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    issues = json.loads(ran.stdout)["issues"]["issues"]
    assert [issue for issue in issues if issue["severity"] == "error"] == []


def test_pages_are_drawn_again_from_the_outputs_alone(done, moviersa, tmp_path):
    """Of one participant and of the group, with the input gone, and in another place."""
    out = tmp_path / "out"
    shutil.copytree(done.out, out)
    kept = {path: path.read_bytes() for path in out.rglob("*_stats.tsv")}
    pages = [out / "sub-01.html", out / "group.html"]
    before = {path: path.read_text() for path in pages}
    for path in (*pages, *out.rglob("*.svg")):
        path.unlink()
    nowhere = str(tmp_path / "nowhere")
    words = (nowhere, str(out))
    one = ("participant", "--participant-label", "01", "-w", nowhere, "--reports-only")
    assert moviersa(*words, *one).status == 0
    seen = ("--stimuli", str(done.stimuli), "--atlas", str(done.atlas))
    assert moviersa(*words, "group", "-w", nowhere, "--reports-only", *seen).status == 0
    assert [path.exists() for path in pages] == [True, True]
    assert pages[1].read_text() == before[pages[1]]
    assert "on white (no anatomy given)" in pages[0].read_text()
    assert {path: path.read_bytes() for path in kept} == kept
    assert not list(out.rglob("sub-02_*.svg"))
    folders = [path for path in (out / "logs").iterdir() if path.is_dir()]
    assert len(folders) == len(LEVELS)
    refused = moviersa(*words, "stimulus", "-w", nowhere, "--reports-only")
    assert refused.status == 64
    other = tmp_path / "other.yaml"
    other.write_text(done.analysis.read_text().replace("pixels", "motionenergy"))
    refused = moviersa(*words, "group", "-w", nowhere, "--reports-only", "--analysis", str(other))
    assert refused.status == 64
    assert "which differs in models" in refused.err
    (out / "sub-03/figures/sub-03_facts.json").unlink()
    lacking = moviersa(*words, "participant", "-w", nowhere, "--reports-only")
    assert lacking.status == 1
    assert "sub-03: cannot read" in lacking.err
    assert (out / "sub-02.html").exists()
    for folder in out.glob("sub-*/"):
        shutil.rmtree(folder)
    nobody = moviersa(*words, "participant", "-w", nowhere, "--reports-only")
    assert nobody.status == 64
    assert "holds no participant" in nobody.err


def test_outputs_of_several_places_make_one_group(done, moviersa, tmp_path):
    """Copied together as docs/usage.md says: tables and page are those of one OUTPUT_DIR."""
    places = {"first": PARTICIPANTS[:1], "second": PARTICIPANTS[1:]}
    for place, labels in places.items():
        away = [name for each in PARTICIPANTS if each not in labels for name in _names(each)]
        left_out = shutil.ignore_patterns("group", "group.html", *away)
        shutil.copytree(done.out, tmp_path / place, ignore=left_out)
    whole = tmp_path / "whole"
    for place in places:
        shutil.copytree(tmp_path / place, whole, dirs_exist_ok=True)
    words = done.arguments("group", "-w", tmp_path / "work")
    words[1] = str(whole)
    assert moviersa(*words).status == 0
    tables = sorted((done.out / "group").glob("*_stats.tsv"))
    assert len(tables) == len(GROUP_COLUMNS)
    for table in tables:
        assert (whole / "group" / table.name).read_bytes() == table.read_bytes(), table.name
    page = (whole / "group.html").read_text()
    assert all(f"sub-{label}" in page for label in PARTICIPANTS)
    assert "has no RDMs of it" not in page
    described = "dataset_description.json"
    assert (whole / described).read_bytes() == (done.out / described).read_bytes()


def _names(participant: str) -> tuple[str, str]:
    return f"sub-{participant}", f"sub-{participant}.html"


def test_second_run_repeats_no_step(done, moviersa, monkeypatch):
    """Only publishing (and the report) is done anew, with equal content."""
    pages = {label: (done.out / f"sub-{label}.html").read_text() for label in PARTICIPANTS}

    def write(tree, label, *_):  # figures take seconds
        tree.path("participant_report", sub=label).write_text(pages[label])

    monkeypatch.setattr("bidsapp.workflows.pages.participant_report", write)
    results = sorted((done.work / "participant_wf").rglob("result_*.pklz"))
    steps = {"localizer", "functional", "atlas", "patterns_4", "summary", "similarity", "publish"}
    for label in PARTICIPANTS:
        assert steps <= {path.parent.name for path in results if f"sub_{label}_wf" in str(path)}
    before = listing(*results)
    tables = {path: path.read_bytes() for path in done.out.rglob("*_stats.tsv")}
    outcome = moviersa(*done.arguments("participant"))
    assert outcome.status == 0
    after = listing(*results)
    repeated = {path.parent.name for path in results if before[path] != after[path]}
    assert repeated == {"publish"}
    assert all(path.read_bytes() == content for path, content in tables.items())


def test_dry_run(study, moviersa, monkeypatch):
    monkeypatch.delenv("MPLCONFIGDIR", raising=False)
    study.bold("03", "4").unlink()
    before = listing(study.root)
    outcome = moviersa(*study.arguments("participant", "--dry-run"))
    assert outcome.status == 0
    assert listing(study.root) == before
    assert not Path(os.environ["MPLCONFIGDIR"]).is_relative_to(study.root)
    said = outcome.out
    assert f"  sub-01\n    movie: run 1 ({VOLUMES} volumes), run 2" in said
    assert "TR 2 s, volumes taken 1 s after their onset" in said
    assert "    localizer: run 1 (72 volumes); TR 2 s" in said
    grid = "8 x 8 x 6 voxels of 4 x 4 x 4 mm (movie 1, movie 2, movie 3, movie 4, objectcategories"
    assert f"    space: T1w; {grid} 1)\n" in said
    assert "    transforms: MNI152NLin2009cAsym->T1w, MNI152NLin6Asym->T1w, T1w->MNI" in said
    assert "100% in view, of these 100% in the brain mask; 0.0 mm off there and back\n" in said
    assert "    fMRIPrep: 24.1.1; confounds in desc-confounds_timeseries.tsv\n" in said
    assert "missing: no preprocessed BOLD of sub-03, session movie, task movie, run 4" in said
    assert "run 2: seg_2.mkv, 400 frames at 5 Hz, 24 x 16" in said
    # The last volume is taken at 79 s, at 5 frames a second; what is shown later is not seen.
    assert "from frame 0 (0 s), 400 frames (80.00 s) shown at 5 Hz" in said
    assert "395 frames taken, every 1 (5 Hz), at 0.000 to 78.800 s; events name 400" in said
    assert "letterbox: no cut off, which leaves 24 x 16; crop: the central 16 x 16\n" in said
    assert "pixels: 1 layers, 0.00 GB of scratch; to be made for runs 1, 2, 3, 4" in said
    assert "ratings: feature table; to be made" in said
    assert "Regions: FFA, V1v, V1d" in said
    assert str(study.out) in said
    assert str(study.work) in said


def test_dry_run_of_stimulus_and_group(study, moviersa):
    before = listing(study.root)
    stimulus = moviersa(*study.arguments("stimulus", "--dry-run"))
    assert stimulus.status == 0
    assert "run 4: seg_4.mkv" in stimulus.out
    group = moviersa(*study.arguments("group", "--dry-run"))
    assert group.status == 0
    assert "run 1: RDMs of 0 participants" in group.out
    assert listing(study.root) == before


@pytest.mark.parametrize("level", LEVELS)
def test_boilerplate_only(study, moviersa, level):
    outcome = moviersa(*study.arguments(level, "--boilerplate-only"))
    assert outcome.status == 0
    assert study.heavy_files() == []
    (text,) = (study.out / "logs").glob("*/CITATION.md")
    assert "representational" in text.read_text().lower()


def test_localizer_left_out(study, moviersa, monkeypatch):
    """With the movie task only, atlas regions are all there is; the localizer is not looked at."""
    monkeypatch.setattr("bidsapp.workflows.pages.participant_report", lambda *_: None)
    for label in PARTICIPANTS:
        shutil.rmtree(study.fmriprep / f"sub-{label}" / "ses-localizer")
    words = ("--task-id", "movie", "--participant-label", "sub-01")
    outcome = moviersa(*study.arguments("participant", *words))
    assert outcome.status == 0
    (path,) = study.out.rglob("sub-01*_desc-similarity_stats.tsv")
    assert set(pd.read_csv(path, sep="\t")["roi"]) == {"V1v", "V1d"}
    assert not list(study.out.rglob("*_statmap.nii.gz"))
