import csv
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from bidsapp.analysis.spec import Analysis, default_analysis, differing_keys, read_analysis
from bidsapp.errors import UsageError

INF = float("inf")


@pytest.fixture
def content():
    return yaml.safe_load(default_analysis().read_text())


def rejected(tmp_path, content) -> str:
    file = tmp_path / "analysis.yaml"
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(UsageError) as error:
        read_analysis(file)
    assert str(file) in str(error.value)
    return str(error.value)


def test_the_default_is_the_paper():
    analysis = read_analysis(default_analysis())
    assert [run.run for run in analysis.movie.runs] == list("12345678")
    assert [run.shared_with_next_s for run in analysis.movie.runs] == [16] * 7 + [0]
    assert analysis.region_names == (
        *("OFA", "FFA", "fSTS", "EBA", "FBA", "bSTS", "mFus", "MTG", "TOS", "PPA", "RSC"),
        *("V1v", "V1d", "V2v", "V2d", "V3v", "V3d", "hV4", "VO1", "VO2", "PHC1", "PHC2"),
    )
    assert len(analysis.robust.penalties) == 17
    assert analysis.robust.penalties[0] == pytest.approx(1e-4)
    assert analysis.robust.penalties[-1] == pytest.approx(1e4)


def test_left_centres_are_left_and_right_ones_right():
    for region in read_analysis(default_analysis()).functional.regions:
        assert region.search["L"].centre_mm[0] < 0 < region.search["R"].centre_mm[0]


def test_contrast_weights_sum_to_zero():
    contrasts = read_analysis(default_analysis()).localizer.contrasts
    assert (
        contrasts["scene"].condition_weights["house"]
        == contrasts["scene"].condition_weights["scene"]
        == 0.5
    )
    for contrast in contrasts.values():
        assert sum(contrast.condition_weights.values()) == pytest.approx(0)


def tables(content, runs_of):
    content["feature_tables"] = [
        {"name": name.strip(), "files": dict.fromkeys(runs, "*.tsv")}
        for name, runs in runs_of.items()
    ]


def contrast(content, plus, minus):
    content["localizer"]["contrasts"]["x"] = {"plus": [plus], "minus": [minus]}


def weights(content, **of_conditions):
    content["localizer"]["contrasts"]["face"] = {"weights": of_conditions}


def mask(content, **keys):
    region = {"name": "LOC", "file": "sub-{participant}/*.nii.gz", **keys}
    content["masks"] = {"dataset": "rois", "regions": [region]}


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (lambda c: c.update(flim=1), ["flim", "localizer"]),
        (lambda c: c["movie"]["runs"][0].update(flim=1), ["movie.runs.0.flim", "duration_s"]),
        (lambda c: c.update(fits=["olss"]), ["fits.0", "'ols', 'nnls' or 'ridge'"]),
        (lambda c: c["movie"].update(frame_timing="x"), ["frame_timing", "'events' or 'nominal'"]),
        (lambda c: c["movie"].update(runs=c["movie"]["runs"][:2]), ["movie.runs", "3"]),
        (lambda c: c["movie"]["runs"][1].update(run="1"), ["listed twice"]),
        (lambda c: c["movie"].update(letterbox={"topp": 9}), ["letterbox.topp", "bottom"]),
        (lambda c: c["movie"].update(frame_rate=None, other_rate="by_time"), ["needs frame_rate"]),
        (lambda c: contrast(c, "tool", "face"), ["tool", "scramble"]),
        (lambda c: contrast(c, "face", "face"), ["both sides"]),
        (lambda c: c["functional"]["regions"][0].update(contrast="tool"), ["OFA", "tool", "scene"]),
        (lambda c: c["atlas"].update(regions=["V1v", "V1v"]), ["V1v", "twice"]),
        (lambda c: c.pop("localizer"), ["localizer"]),
        (lambda c: c.update(models=[]), ["models"]),
        (lambda c: c["denoise"]["censor"].update(fd=1), ["denoise.censor.fd", "min_volumes"]),
        (lambda c: c["denoise"]["censor"].update(after=1), ["denoise.censor", "before and after"]),
        (lambda c: weights(c, face=1, body=-0.9), ["face", "sum to 0", "0.1"]),
        (lambda c: weights(c, face=0, body=0), ["not all be 0"]),
        (lambda c: weights(c, tool=1, body=-1), ["tool", "scramble"]),
        (lambda c: c["localizer"]["contrasts"]["face"].update(weights={}), ["not both"]),
        (lambda c: c["localizer"]["contrasts"].update(face={"plus": ["face"]}), ["plus and minus"]),
        (lambda c: c.update(hemispheres="left"), ["hemispheres", "'joined' or 'separate'"]),
        (lambda c: c["functional"]["regions"][0].update(voxels=2), ["regions.0.voxels"]),
        (lambda c: c["atlas"].update(min_coverage=75), ["atlas.min_coverage"]),
        (lambda c: mask(c, file="sub-{subject}/x.nii"), ["{subject}", "{participant}"]),
        (lambda c: mask(c, file="sub-{participant/x.nii"), ["masks.regions.0.file"]),
        (lambda c: mask(c, file={"L": "l", "R": "r"}, label={"L": 1}), ["same hemispheres"]),
        (lambda c: mask(c, file={"both": "l", "R": "r"}), ["same hemispheres"]),
        (lambda c: mask(c, label=1, threshold=0.5), ["not both"]),
        (lambda c: mask(c, name="FFA"), ["region is listed twice"]),
        (lambda c: mask(c, threshold=0), ["threshold", "greater than 0"]),
        (lambda c: c["robust"].update(min_lag_s="long"), ["robust.min_lag_s"]),
        (lambda c: c["statistics"].update(lag_curve_s=[INF]), ["lag_curve_s.0", "finite"]),
        (lambda c: c.update(replicate={"lag_regressors_s": [INF]}), ["regressors_s.0", "finite"]),
        (lambda c: c["functional"].update(min_peak_z=INF), ["functional.min_peak_z", "finite"]),
        (lambda c: c.update(comparators={"methods": ["cka", "cka"]}), ["comparator", "twice"]),
        (lambda c: c.update(comparators={"methods": ["tau"]}), ["methods.0", "'tau-a'"]),
        (lambda c: c.update(comparators={"regions": ["X1"]}), ["comparators.regions", "'X1'"]),
        (lambda c: c.update(searchlight={"layers": {"x": ["a"]}}), ["searchlight.layers", "'x'"]),
        (lambda c: c.update(searchlight={"stride": 0}), ["searchlight.stride"]),
        (lambda c: c.update(dissimilarity={"brain": "cos"}), ["dissimilarity.brain", "'cosine'"]),
        (lambda c: c.update(dissimilarity={"models": {"x": "cosine"}}), ["'x'", "resnet18"]),
        (lambda c: tables(c, {"x": "12345678", "x ": "12345678"}), ["feature table", "twice"]),
        (lambda c: tables(c, {"x": "1234568"}), ["feature table x", "no file of run 7"]),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_what_is_allowed(tmp_path, content, change, names):
    change(content)
    message = rejected(tmp_path, content)
    assert all(name in message for name in names)


def test_what_is_not_yaml_or_not_there_is_said(tmp_path):
    broken = tmp_path / "broken.yaml"
    broken.write_text("movie: [")
    with pytest.raises(UsageError, match="not valid YAML"):
        read_analysis(broken)
    with pytest.raises(UsageError, match="cannot read"):
        read_analysis(tmp_path / "absent.yaml")


def test_differing_keys_are_named_with_dots(content):
    ours = Analysis.model_validate(content)
    content["robust"]["min_lag_s"] = 30
    content["models"] = ["pixels"]
    assert differing_keys(ours, Analysis.model_validate(content)) == ["models", "robust.min_lag_s"]
    assert differing_keys(ours, ours) == []


def test_separate_hemispheres_are_regions_of_the_same_families(content):
    content["hemispheres"] = "separate"
    content["functional"]["regions"] = content["functional"]["regions"][:2]
    del content["functional"]["regions"][1]["search"]["L"]
    content["atlas"]["regions"] = ["V1v"]
    content["masks"] = {
        "regions": [
            {"name": "LOC", "file": "a"},
            {"name": "MT", "file": {"R": "b"}},
            {"name": "V6", "file": "c", "label": {"R": 2, "L": "left"}},
        ]
    }
    analysis = Analysis.model_validate(content)
    assert analysis.region_sets == {
        "functional": ("OFA_L", "OFA_R", "FFA_R"),
        "atlas": ("V1v_L", "V1v_R"),
        "mask": ("LOC_L", "LOC_R", "MT_R", "V6_L", "V6_R"),
    }
    assert analysis.region_names == sum(analysis.region_sets.values(), ())
    assert Analysis.model_validate(analysis.model_dump(mode="json")) == analysis
    content["hemispheres"] = "joined"
    joined = Analysis.model_validate(content)
    assert joined.region_sets["mask"] == ("LOC", "MT", "V6")
    v6 = joined.masks.regions[2]
    assert (v6.sides, v6.file_of("L"), v6.label_of("L"), v6.label_of("R")) == (
        ("L", "R"), "c", "left", 2,
    )  # fmt: skip


def test_masks_alone_are_enough(content):
    del content["localizer"]
    content["functional"]["regions"] = content["atlas"]["regions"] = []
    mask(content)
    assert Analysis.model_validate(content).region_names == ("LOC",)


def test_a_run_may_have_a_session_of_its_own(content):
    content["movie"]["runs"][5]["session"] = "second"
    movie = Analysis.model_validate(content).movie
    assert movie.session_of(movie.runs[0]) == "movie"
    assert movie.session_of(movie.runs[5]) == "second"
    assert movie.sessions == ("movie", "second")


def yaml_of(page: str, after: str):
    """Read the first YAML block of a page of the documentation after some words."""
    text = (Path(__file__).parents[2] / "docs" / page).read_text()
    return yaml.safe_load(text[text.index(after) :].split("```yaml")[1].split("```")[0])


def test_the_dataset_authors_contrasts_are_those_on_record(content, shared_data):
    """The worked example of the documentation, against the authors' own design files."""
    content["localizer"]["contrasts"] = yaml_of("analysis-file.md", "## The authors' contrasts")
    content["functional"]["regions"] = []
    ours = Analysis.model_validate(content).localizer.contrasts
    path = shared_data / "studyforrest-visualrois/contrasts_from_fsf.tsv"
    rows = {
        row["name"]: row for row in csv.DictReader(path.read_text().splitlines(), delimiter="\t")
    }
    names = {
        "body": "bodies", "face": "faces", "house": "houses", "object": "small objects",
        "scene": "landscapes", "scramble": "scrambled pictures",
    }  # fmt: skip
    assert set(ours) == {"FFA", "PPA", "EBA", "LOC", "VIS", "FFAalt", "PPAalt", "EBAalt", "LOCalt"}
    for name, contrast in ours.items():
        theirs = rows[name.replace("alt", "_alt")]
        for condition, column in names.items():
            weight = contrast.condition_weights.get(condition, 0)
            assert weight == float(theirs[column]), (name, condition)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"modes": []}, "modes"),
        ({"fits": ["ols", "ols"]}, "a fit is listed twice"),
        ({"robust": {"penalties": []}}, "penalties"),
        (
            {
                "replicate": {"lag_regressors_s": [4]},
                "comparators": {"methods": ["spearman"]},
            },
            "lag_regressors_s go into fits alone",
        ),
    ],
)
def test_what_could_only_fail_later_is_refused(content, changes, words):
    with pytest.raises(ValidationError, match=words):
        Analysis.model_validate(content | changes)
