"""Figures show the numbers that they are given."""

import base64
import io
import re
from collections.abc import Callable
from itertools import permutations, product
from xml.parsers import expat

import numpy as np
import pandas as pd
import pytest
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Normalize
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.distance import squareform

from bidsapp.reports.compact import compact
from bidsapp.reports.figures import (
    RDM_PIXELS,
    RobustPairs,
    autocorrelation,
    carpet_plot,
    component_paths,
    design_figure,
    lag_curve,
    rdm_grid,
    similarity_bars,
    unique_matrices,
)
from bidsapp.reports.style import PALE, described, model_looks, svg_text
from bidsapp.rsa.pairs import lagged_pairs
from bidsapp.rsa.volumes import FilmVolumes

Texts = Callable[[str], list[str]]
MODELS = ("a", '<b> & "c" $x$')
REGIONS = ("FFA", "V1v")
MODES = ("replicate", "robust")
LAGS = pd.DataFrame({"roi": "V1", "model": "a", "min_lag_s": [0.0, 4.0], "r_mean": [0.2, 0.1]})


@pytest.fixture
def bars() -> pd.DataFrame:
    rows = pd.MultiIndex.from_product(
        [MODES, REGIONS, MODELS], names=["mode", "roi", "model"]
    ).to_frame(index=False)
    return rows.assign(
        r_mean=np.arange(1, 9) / 100,
        r_sd=0.01,
        ceiling_lower=0.2,
        ceiling_upper=0.3,
        ceiling_paper=0.25,
    )


@pytest.fixture
def points(bars: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([bars.assign(r=bars["r_mean"] + shift) for shift in (-0.01, 0.01)])


def test_bars_have_the_means_and_dots_the_points(bars: pd.DataFrame, points: pd.DataFrame) -> None:
    figure = similarity_bars(bars, points, REGIONS, model_looks(MODELS), MODES)
    for panel, mode in enumerate(MODES):
        axis = figure.axes[panel]
        ours = bars[bars["mode"] == mode]
        heights = [
            bar.get_height()
            for group in axis.containers
            if hasattr(group, "patches")
            for bar in group
        ]
        np.testing.assert_allclose(sorted(heights), sorted(ours["r_mean"]))
        dots = [patch.get_path().vertices for patch in axis.patches if patch.get_label() == "_dots"]
        dots = np.concatenate(dots)
        drawn = points[points["mode"] == mode]["r"]
        assert set(np.round(drawn, 6)) <= set(np.round(dots[:, 1], 6))


def test_bars_stand_over_their_region(bars: pd.DataFrame, points: pd.DataFrame) -> None:
    figure = similarity_bars(bars, points, REGIONS, model_looks(MODELS), ("robust",))
    group = next(c for c in figure.axes[0].containers if hasattr(c, "patches"))  # the first model's
    ours = bars[(bars["mode"] == "robust") & (bars["model"] == MODELS[0])].set_index("roi")[
        "r_mean"
    ]
    for place, region in enumerate(REGIONS):
        bar = group.patches[place]
        assert round(bar.get_x() + bar.get_width() / 2) == place
        assert bar.get_height() == pytest.approx(ours[region])


def test_the_ceiling_band_spans_lower_to_upper(bars: pd.DataFrame, points: pd.DataFrame) -> None:
    figure = similarity_bars(bars, points, REGIONS, model_looks(MODELS), MODES)
    axis = figure.axes[0]
    in_bars = {bar for group in axis.containers if hasattr(group, "patches") for bar in group}
    bands = [
        patch for patch in axis.patches if isinstance(patch, Rectangle) and patch not in in_bars
    ]
    assert [(band.get_y(), round(band.get_height(), 6)) for band in bands] == [(0.2, 0.1)] * len(
        REGIONS
    )
    assert axis.get_ylim()[1] >= 0.3


def test_a_star_marks_only_what_p_null_fwe_marks(bars: pd.DataFrame, points: pd.DataFrame) -> None:
    marked = bars.assign(p_null_fwe=[0.01, *[0.2] * 6, np.nan])
    figure = similarity_bars(marked, points, REGIONS, model_looks(MODELS), MODES)
    stars = [[text for text in axis.texts if text.get_text() == "*"] for axis in figure.axes]
    assert [len(found) for found in stars] == [1, 0]


def test_error_bars_are_sd_or_standard_error(bars: pd.DataFrame, points: pd.DataFrame) -> None:
    ours = bars.assign(r_sd=np.arange(1, 9) / 1000, n=16)
    for kind, divisor in (("sd", 1), ("se", 4)):
        figure = similarity_bars(ours, points, REGIONS, model_looks(MODELS), ("robust",), kind)
        spreads = [
            (segment[1, 1] - segment[0, 1]) / 2
            for container in figure.axes[0].containers
            if isinstance(container, ErrorbarContainer)
            for segment in container[2][0].get_segments()
        ]
        expected = ours[ours["mode"] == "robust"]["r_sd"] / divisor
        np.testing.assert_allclose(sorted(spreads), sorted(expected))


def test_a_star_stands_above_error_bar_and_dots(bars: pd.DataFrame, points: pd.DataFrame) -> None:
    high = pd.concat([points, points.assign(r=0.4)])
    figure = similarity_bars(
        bars.assign(p_null_fwe=0.01), high, REGIONS, model_looks(MODELS), ("robust",)
    )
    stars = [text for text in figure.axes[0].texts if text.get_text() == "*"]
    assert [star.xy[1] for star in stars] == [0.4] * 4


def test_many_bars_are_broken_into_rows_of_one_scale() -> None:
    regions, models = [f"R{i}" for i in range(11)], [f"m{i}" for i in range(12)]
    rows = pd.MultiIndex.from_product([MODES, regions, models], names=["mode", "roi", "model"])
    table = rows.to_frame(index=False).assign(r_mean=np.linspace(0.01, 0.2, len(rows)), r_sd=0.0)
    figure = similarity_bars(
        table, table.assign(r=table["r_mean"]), regions, model_looks(models), MODES
    )
    assert len(figure.axes) == 4
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()
    labels = [tick.get_text() for axis in figure.axes[:2] for tick in axis.get_xticklabels()]
    assert labels == regions


def test_missing_values_leave_gaps(
    bars: pd.DataFrame, points: pd.DataFrame, svg_texts: Texts
) -> None:
    gaps = bars.assign(
        r_sd=np.nan, ceiling_lower=np.nan, ceiling_upper=np.nan, ceiling_paper=np.nan
    )
    gaps.loc[0, "r_mean"] = np.nan
    svg = svg_text(
        similarity_bars(gaps, points.iloc[:0], REGIONS, model_looks(MODELS), MODES), "gaps"
    )
    assert "nan" not in re.sub(r">[^<]*<", "><", svg).lower()
    assert not any("ceiling" in text for text in svg_texts(svg))


def test_svg_is_valid_names_all_and_repeats(
    bars: pd.DataFrame, points: pd.DataFrame, svg_texts: Texts
) -> None:
    def draw() -> str:
        return svg_text(similarity_bars(bars, points, REGIONS, model_looks(MODELS), MODES), "one")

    found = svg_texts(draw())
    assert {*MODELS, *REGIONS, *MODES} <= set(found)
    assert draw() == draw()


def test_ids_of_two_figures_differ_and_are_found(bars: pd.DataFrame, points: pd.DataFrame) -> None:
    figure = similarity_bars(bars, points, REGIONS, model_looks([f"m{i}" for i in range(9)]), MODES)
    first, second = svg_text(figure, "one"), svg_text(figure, "two")
    ids = set(re.findall(r'\bid="([^"]+)"', first))
    assert not ids & set(re.findall(r'\bid="([^"]+)"', second))
    used = re.findall(r"url\(#([^)]+)\)", first) + re.findall(r'xlink:href="#([^"]+)"', first)
    assert used
    assert set(used) <= ids


def test_models_look_different_and_keep_their_look() -> None:
    models = [f"m{i}" for i in range(20)]
    looks = model_looks(models)
    assert len({(look.colour, look.hatch) for look in looks.values()}) == 20
    assert len({(look.colour, look.marker) for look in looks.values()}) == 20
    assert model_looks(models[:5]) == {model: looks[model] for model in models[:5]}


def squares(figure: Figure, n: int) -> list[np.ndarray]:
    """Cut the matrices of a row, n pixels a side, out of the one picture: RGBA."""
    whole = np.asarray(figure.axes[0].images[0].get_array())
    top, step = round(1.26 * n) - n, round(1.06 * n)
    return [whole[top : top + n, x : x + n] for x in range(0, whole.shape[1] - n + 1, step)]


def coloured(figure: Figure, square: np.ndarray) -> np.ndarray:
    """Colour values as the figure's colour bar says."""
    colours = colormaps["cividis"].resampled(64).with_extremes(bad=PALE)
    scale = Normalize(*figure.axes[1].get_ylim())
    return colours(scale(np.ma.masked_invalid(square)), bytes=True)


def test_rdm_grid_shows_each_matrix(svg_texts: Texts) -> None:
    n = 30
    rdm = np.random.default_rng(0).uniform(0, 2, n * (n - 1) // 2)
    figure = rdm_grid(
        {"FFA": rdm, "PPA": 2 - rdm}, np.arange(n) * 2.0 + 1, RobustPairs(np.arange(26), 10), 26
    )
    for shown, given in zip(squares(figure, n), (rdm, 2 - rdm), strict=True):
        expected = squareform(given)
        np.fill_diagonal(expected, np.nan)
        np.testing.assert_array_equal(shown, coloured(figure, expected))
    assert {"FFA", "PPA", "59 s"} <= set(svg_texts(svg_text(figure, "rdms")))


def picture_in(svg: str) -> np.ndarray:
    """Return the pixels of the first picture in an SVG, RGBA."""
    content = base64.b64decode(re.search(r"base64,([^\"]+)", svg)[1])
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGBA"))


def test_no_pair_of_an_rdm_is_white_as_the_outside_is() -> None:
    # Rounding decides whether a value is under the end of the scale: several are tried.
    n = 40
    for seed in range(4):
        signal = gaussian_filter1d(np.random.default_rng(seed).normal(size=(2, 30, n)), 2.5)
        pairs = np.triu_indices(n, 1)
        rdms = {
            str(number): (1 - np.corrcoef(its.T)[pairs]).astype(np.float32)  # as files hold them
            for number, its in enumerate(signal)
        }
        picture = picture_in(svg_text(rdm_grid(rdms, np.arange(n) * 2.0), "rdms"))
        top, step = round(1.26 * n) - n, round(1.06 * n)
        white = (picture == 255).all(axis=-1)
        assert white[:top].all()
        for left in (0, step):
            assert not white[top : top + n, left : left + n].any()


def test_lines_part_what_robust_leaves_out_from_what_it_keeps() -> None:
    n, trimmed, lag = 100, 20, 10
    kept = lagged_pairs(n, lag, FilmVolumes.whole(n, trimmed))
    rdm = np.ones(n * (n - 1) // 2)
    robust = RobustPairs(np.arange(n - trimmed), lag)
    figure = rdm_grid({"FFA": rdm}, np.arange(n) * 2.0, robust, n - trimmed)
    lines, cross = (its.get_segments() for its in figure.axes[0].collections)
    top = round(1.26 * n) - n
    lags = sorted(abs((y - top) - x) for (x, y), _ in lines)
    np.testing.assert_allclose(lags[:2], kept.lag.min() - 0.5)
    np.testing.assert_allclose(lags[2:], kept.lag.max() + 0.5)
    end = kept.kept[-1] + 0.5
    np.testing.assert_allclose([cross[0][0][1] - top, cross[1][0][0]], end)
    assert max(max(x, y - top) for _, (x, y) in lines) == pytest.approx(end)


def test_lines_bend_where_volumes_are_censored() -> None:
    n, lag = 60, 6
    defined = ~np.isin(np.arange(n), [0, 20, 21, 22, 40])
    pairs = lagged_pairs(n, lag, defined=defined)
    rdm = np.ones(n * (n - 1) // 2)
    figure = rdm_grid({"FFA": rdm}, np.arange(n) * 2.0, RobustPairs(pairs.kept, lag))
    top = round(1.26 * n) - n
    lines = figure.axes[0].collections[0].get_segments()
    *cross, near, _, far, _ = (np.subtract(line, (0, top)) for line in lines)
    assert len(cross) == 2  # before the first volume that is kept
    assert len(near) < len(pairs.kept) / 2
    rows, columns = (its[pairs.index] for its in np.triu_indices(n, 1))
    for row in pairs.kept[: len(pairs.kept) - lag]:
        ours = columns[rows == row]
        # Between the last pixel on one side of a line and the first on the other.
        assert np.interp(row, near[:, 1], near[:, 0]) == ours.min() - 0.5
        if row <= far[-1, 1]:
            assert np.interp(row, far[:, 1], far[:, 0]) == ours.max() + 0.5


@pytest.mark.parametrize("long", [1, 4])
def test_a_cross_stands_before_the_first_volume_that_robust_keeps(long: int) -> None:
    """Of a long run, ``long`` volumes are averaged to a pixel."""
    n, lag = RDM_PIXELS * long, 20
    rdm = np.ones(n * (n - 1) // 2)

    def lines(first: int) -> list[np.ndarray]:
        kept = RobustPairs(np.arange(first, n), lag)
        figure = rdm_grid({"FFA": rdm, "PPA": rdm}, np.arange(n) * 2.0, kept)
        return figure.axes[0].collections[0].get_segments()

    assert len(lines(0)) == 2 * 4
    crossed = lines(12)
    assert len(crossed) == 2 * (4 + 2)
    top, step = round(1.26 * RDM_PIXELS) - RDM_PIXELS, round(1.06 * RDM_PIXELS)
    at = 12 / long
    for i, left in enumerate((0, step)):
        row, column = (np.subtract(line, (left - 0.5, top - 0.5)) for line in crossed[6 * i :][:2])
        np.testing.assert_allclose(row, [(0, at), (RDM_PIXELS, at)])
        np.testing.assert_allclose(column, [(at, 0), (at, RDM_PIXELS)])


@pytest.mark.parametrize(
    "robust", [None, RobustPairs(np.arange(30), 0), RobustPairs(np.arange(30), 16)]
)
def test_no_lines_where_robust_keeps_all_or_nothing(robust: RobustPairs | None) -> None:
    figure = rdm_grid({"FFA": np.ones(435)}, np.arange(30) * 2.0, robust)
    assert not figure.axes[0].collections


def test_a_long_rdm_is_averaged_without_undefined_pairs() -> None:
    n = 2 * RDM_PIXELS
    square = np.random.default_rng(1).uniform(0, 2, (n, n))
    square = square + square.T
    np.fill_diagonal(square, 0)
    square[5] = square[:, 5] = np.nan
    figure = rdm_grid({"FFA": square[np.triu_indices(n, 1)]}, np.arange(n) * 2.0)
    (shown,) = squares(figure, RDM_PIXELS)
    assert shown.shape == (RDM_PIXELS, RDM_PIXELS, 4)
    means = np.array([square[20:22, 40:42].mean(), square[4, 40:42].mean()])
    np.testing.assert_array_equal(shown[[10, 2], 20], coloured(figure, means))


def test_an_undefined_rdm_is_still_a_figure(svg_texts: Texts) -> None:
    figure = rdm_grid({"FFA": np.full(45, np.nan)}, np.arange(10) * 2.0)
    assert "FFA" in svg_texts(svg_text(figure, "empty"))


def test_lag_curve_draws_each_model_in_each_region() -> None:
    rows = pd.MultiIndex.from_product(
        [REGIONS, MODELS, (0.0, 10.0, 20.0)], names=["roi", "model", "min_lag_s"]
    )
    table = rows.to_frame(index=False).assign(r_mean=np.arange(12) / 100)
    figure = lag_curve(table.sample(frac=1, random_state=0), REGIONS, model_looks(MODELS))
    lines = [line for line in figure.axes[1].lines if len(line.get_xdata()) == 3]
    np.testing.assert_allclose(
        [line.get_ydata() for line in lines], [[0.06, 0.07, 0.08], [0.09, 0.10, 0.11]]
    )


def test_the_lowest_lag_curve_of_each_column_names_the_times() -> None:
    regions = [f"R{i}" for i in range(8)]  # six columns
    figure = lag_curve(
        pd.concat([LAGS.assign(roi=name) for name in regions]), regions, model_looks("a")
    )
    named = [axis.xaxis.get_tick_params()["labelbottom"] for axis in figure.axes[:8]]
    assert named == [False, False, *[True] * 6]


@pytest.mark.parametrize("n_models", [3, 6, 12])
@pytest.mark.parametrize("n_regions", [1, 4, 6])
def test_labels_of_matrices_are_within_the_figure(n_models: int, n_regions: int) -> None:
    models, regions = [f"m{i}" for i in range(n_models)], [f"R{i}" for i in range(n_regions)]
    rows = [(region, *pair) for region in regions for pair in permutations(models, 2)]
    table = pd.DataFrame(rows, columns=["roi", "control", "target"]).assign(r_mean=0.02)
    figure = unique_matrices(table, regions, models)
    FigureCanvasAgg(figure).draw()
    labels = [figure.axes[-1].yaxis.label, *figure.texts, figure._supxlabel, figure._supylabel]
    for label in labels:
        box = label.get_window_extent()
        assert 0 <= box.x0 < box.x1 <= figure.bbox.x1, label.get_text()
        assert 0 <= box.y0 < box.y1 <= figure.bbox.y1, label.get_text()


def test_autocorrelation_averages_runs_and_names_extremes() -> None:
    rows = pd.MultiIndex.from_product(
        [("A", "B", "C"), ("1", "2"), (2.0, 4.0)], names=["roi", "run", "lag_s"]
    )
    table = rows.to_frame(index=False).assign(
        r=[0.5, 0.2, 0.7, 0.4, 0.1, 0.0, 0.1, 0.0, 0.3, 0.1, 0.3, 0.1]
    )
    axis = autocorrelation(table, ("A", "B", "C")).axes[0]
    named = {
        line.get_label(): line.get_ydata()
        for line in axis.lines
        if not line.get_label().startswith("_")
    }
    np.testing.assert_allclose(named["A"], [0.6, 0.3])
    np.testing.assert_allclose(named["B"], [0.1, 0.0])
    np.testing.assert_allclose(named["mean of regions"], [1.0 / 3, 0.4 / 3])


def test_matrices_have_controls_in_rows_targets_in_columns_and_one_scale() -> None:
    models, regions = ("a", "b", "c"), ("V1", "FFA", "nobody")
    rows = [
        (region, control, target, 0.01 * (i + 1))
        for i, (region, (control, target)) in enumerate(
            product(regions[:2], permutations(models, 2))
        )
    ]
    table = pd.DataFrame(rows, columns=["roi", "control", "target", "r_mean"])
    figure = unique_matrices(table.sample(frac=1, random_state=0), regions, models)
    drawn = [axis.images[0] for axis in figure.axes[:3]]
    values = np.asarray(drawn[1].get_array().filled(np.nan))
    by_pair = table[table["roi"] == "FFA"].set_index(["control", "target"])["r_mean"]
    for (control, target), value in by_pair.items():
        assert values[models.index(control), models.index(target)] == value
    assert np.isnan(np.diag(values)).all()
    assert drawn[2].get_array().mask.all()  # a region that nobody has is grey
    assert {image.get_clim() for image in drawn} == {(-0.12, 0.12)}
    written = [text.get_text() for text in figure.axes[0].texts]
    assert written[:2] == [".01", ".02"]


@pytest.mark.parametrize("n_models", [3, 12])
def test_a_dot_lies_in_the_corner_of_each_cell_under_05(n_models: int) -> None:
    models = [f"m{i}" for i in range(n_models)]
    rows = [(region, *pair) for region in ("V1", "FFA") for pair in permutations(models, 2)]
    table = pd.DataFrame(rows, columns=["roi", "control", "target"]).assign(r_mean=0.02)
    pairs = {"V1": {("m0", "m2"), ("m2", "m1")}, "FFA": set()}
    table["p_null_fwe"] = [
        0.049 if (control, target) in pairs[region] else 0.05 for region, control, target in rows
    ]
    table.loc[table["control"] == "m1", "p_null_fwe"] = np.nan
    figure = unique_matrices(table, ("V1", "FFA"), models)
    for axis, region in zip(figure.axes, ("V1", "FFA"), strict=False):
        marks, rims = (patch.get_path().vertices[::2] for patch in axis.patches)
        np.testing.assert_array_equal(marks, rims)
        cells = {(models[round(y)], models[round(x)]) for x, y in marks}
        assert cells == pairs[region]
        assert len(marks) == len(cells)
        right, above = marks[:, 0] % 1, -marks[:, 1] % 1
        assert ((right > 0.2) & (right < 0.5) & (above > 0.2) & (above < 0.5)).all()
    plain = unique_matrices(table.drop(columns="p_null_fwe"), ("V1", "FFA"), models)
    assert not plain.axes[0].patches


def test_many_models_have_matrices_without_written_values() -> None:
    models = [f"a-model-with-a-very-long-name-{i}" for i in range(12)]
    table = pd.DataFrame(permutations(models, 2), columns=["control", "target"])
    figure = unique_matrices(table.assign(roi="V1", r_mean=-0.1), ("V1",), models)
    axis = figure.axes[0]
    assert not axis.texts
    assert [tick.get_text() for tick in axis.get_xticklabels()] == [str(i) for i in range(1, 13)]
    assert axis.get_yticklabels()[11].get_text() == "a-model-with-a-very-long-…  12"


def test_paths_follow_the_layers_from_a_marked_start() -> None:
    table = pd.DataFrame(
        {
            "mode": ["robust"] * 5,
            "model": ["a", "a", "a", MODELS[1], "gone"],
            "pc1": [1.0, 3.0, 2.0, 5.0, np.nan],
            "pc2": [0.0, 1.0, 4.0, 2.0, np.nan],
        }
    )
    looks = model_looks((*MODELS, "gone"))
    figure = component_paths(table, looks, ("robust",), {"pc1": {"robust": 0.41}})
    lines = [line for line in figure.axes[0].lines if line.get_color() == looks["a"].colour]
    path, start = lines
    np.testing.assert_array_equal(path.get_xydata(), [[1, 0], [3, 1], [2, 4]])
    np.testing.assert_array_equal(start.get_xydata(), [[1, 0]])
    assert start.get_markersize() > path.get_markersize()
    assert len(figure.axes[0].lines) == 2 + 4  # two through zero, none of the model without scores
    assert figure.axes[0].get_xlabel() == "component 1 (41% of the variance over layers)"
    assert figure.axes[0].get_ylabel() == "component 2"


def test_a_file_says_itself_what_it_shows() -> None:
    svg = described(svg_text(lag_curve(LAGS, ("V1",), model_looks("a")), "x"), "<b>", "of & t.tsv")
    assert "<title>&lt;b&gt;</title>" in svg
    assert "<desc>of &amp; t.tsv</desc>" in svg
    assert expat.ParserCreate().Parse(svg, True) == 1


def test_carpet_shows_voxels_of_both_states_and_names_regions(svg_texts: Texts) -> None:
    table = pd.DataFrame({"onset": np.arange(10) * 2.0, "framewise_displacement": np.nan})
    table = table.assign(censored=0)
    for i, (state, level) in enumerate(product(("before", "after"), (0.5, 1.5))):
        table[f"V1 v {i % 2} {state}"] = level * (1 if state == "before" else 0.5)
    figure = carpet_plot(table)
    pictures = [np.asarray(axis.images[0].get_array()) for axis in figure.axes if axis.images]
    np.testing.assert_allclose(pictures[0][:, 0], [0.5, 1.5])
    np.testing.assert_allclose(pictures[1][:, 0], [0.25, 0.75])
    assert {"V1 v", "as measured", "denoised"} <= set(svg_texts(svg_text(figure, "carpet")))


def test_design_scales_each_regressor_and_weighs_conditions() -> None:
    design = pd.DataFrame({"face": [0, 2.0], "scene": [-4.0, 0], "constant": [1.0, 1]})
    figure = design_figure(design, {"face": {"face": 1, "scene": -1}})
    matrix, weights = (np.asarray(axis.images[0].get_array()) for axis in figure.axes)
    np.testing.assert_allclose(matrix, [[0, -1, 1], [1, 0, 1]])
    np.testing.assert_allclose(weights, [[1, -1, 0]])


def test_weights_lose_only_the_zero_before_the_point() -> None:
    design = pd.DataFrame({"face": [0, 2.0], "scene": [-4.0, 0], "body": [1.0, 0]})
    figure = design_figure(design, {"face": {"face": 10.5, "scene": -0.5, "body": 0.25}})
    assert {"10.5", "-.5", ".25"} <= {text.get_text() for text in figure.axes[1].texts}


def test_smaller_svg_draws_the_same_pixels() -> None:
    pixels = np.array([[[255, 0, 0, 255], [0, 0, 255, 128]]], np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    content = base64.b64encode(stream.getvalue()).decode()
    svg = compact(
        f'<svg><image href="data:image/png;base64,{content}"/>\n   '
        '<use x="1.23456" y="2" style="fill: red"/>\n <use x="3" y="4" style="fill: red"/>'
        "<text>1.23456</text></svg>"
    )
    assert '<g style="fill: red"><use x="1.23" y="2"/>\n<use x="3" y="4"/></g>' in svg
    assert "<text>1.23456</text>" in svg
    again = Image.open(io.BytesIO(base64.b64decode(re.search(r"base64,([^\"]+)", svg)[1])))
    assert again.mode == "P"
    np.testing.assert_array_equal(np.asarray(again.convert("RGBA")), pixels)
