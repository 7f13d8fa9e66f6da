import pytest
import yaml

from bidsapp.analysis.spec import Analysis, default_analysis, differing_keys, read_analysis
from bidsapp.errors import UsageError


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
        (lambda c: c["robust"].update(min_lag_s="long"), ["robust.min_lag_s"]),
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
