"""Noise alone does not pass p_null, and the calibration sees it when the null is broken."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from bench import calibration, calibration_bold
from bench.calibration_cells import CELLS
from bench.calibration_films import MODELS, TABLES, Timing, run_films
from bench.calibration_noise import high_pass
from bench.calibration_shares import ANY, flagged, interval, shares
from bench.calibration_study import Setting, make_study, p_values, shift_seed, studies
from bidsapp.analysis.spec import Analysis
from bidsapp.rsa import modes, shifts
from bidsapp.rsa.gram import run_products
from bidsapp.rsa.pairs import lagged_pairs
from bidsapp.rsa.rdm import to_square
from bidsapp.rsa.shifts import shifted_parts
from bidsapp.tables.null import null_table, region_null

SMALL = Setting(participants=4, volumes=110, draws=60)
SLOW_TABLES = tuple(table for table in TABLES if table.endswith("100s"))
SEVERAL_LAYERS = tuple(name for name, model in MODELS.items() if len(model.layers) > 1)
# The robust mode as it once was.
BEFORE = {"min_coverage": 0.0, "regressed_on": "all", "noise_removed": False}


def share(tests, test="p_null"):
    return (tests[test] < 0.05).mean()


def test_noise_seldom_passes_in_robust():
    tests = studies(SMALL, range(20))
    assert len(tests) == 20 * len(MODELS)
    assert share(tests) < 0.08  # docs/calibration.md has what it is in the long run
    assert tests["p_null"].mean() == pytest.approx(0.5, abs=0.1)
    assert abs(tests["r"].mean()) < 0.003


def test_slow_tables_pass_noise_where_every_volume_is_used():
    setting = replace(SMALL, noise="ar.5", participants=8, volumes=150, models=SLOW_TABLES)
    assert share(studies(replace(setting, **BEFORE), range(15))) > 0.5
    assert share(studies(setting, range(15))) < 0.1


def test_slow_tables_pass_real_bold_where_every_volume_is_used(shared_data):
    folder = shared_data / "haxby2001/sub001/BOLD"
    setting = replace(CELLS["real BOLD"].setting, fits=("ols",), models=SLOW_TABLES)
    assert share(studies(replace(setting, **BEFORE), range(15), folder)) > 0.3
    assert share(studies(setting, range(15), folder)) < 0.1


def test_models_filtered_as_the_brain_is_pass_noise():
    """Both then have the waves' shape along the run, whatever the film."""
    setting = replace(SMALL, filtered=True, noise_removed=False, models=TABLES)
    assert share(studies(setting, range(15))) > 0.3


def test_noise_always_passes_the_t_test_in_replicate():
    setting = replace(SMALL, models=("shots", "drift", "mixed"), modes=("replicate",))
    tests = studies(setting, range(10))
    assert share(tests, "p_t") > 0.9


@pytest.mark.parametrize("planted", ["shots-5s", "mixed"])
def test_planted_effect_passes(planted):
    setting = replace(SMALL, models=(planted,), planted=planted, effect=0.8)
    assert share(studies(setting, range(3))) == 1


def test_shuffled_volumes_are_no_null(monkeypatch):
    """Instead of shifts: the order of volumes is random, and noise passes nearly always."""

    def shuffled(models, targets, pairs, preparation, run, _nuisance=None, _given=None):
        n = pairs.n_volumes
        orders = np.tile(np.arange(n), (n, 1))
        orders[1:] = np.random.default_rng(0).permuted(orders[1:], axis=1)
        square = to_square(models)
        every = [
            run_products(
                square[:, order[:, None], order][:, *np.triu_indices(n, 1)],
                *(targets, pairs, preparation, run),
            )
            for order in orders
        ]
        xy = np.array([one.xy for one in every])
        present = every[0].present
        return shifts.ShiftedProducts(every[0], xy, present, present.any(axis=0))

    monkeypatch.setattr(shifts, "shifted_products", shuffled)
    setting = replace(SMALL, volumes=80, models=("shots", "drift"), modes=("replicate",))
    assert share(studies(setting, range(3))) > 0.85


def test_circular_lags_leave_slow_models_with_what_noise_has_too(monkeypatch):
    """Means at min(d, n - d) instead of d: the mistake that the preparation of robust avoids."""

    def circular(n_volumes, *arguments):
        pairs = lagged_pairs(n_volumes, *arguments)
        lag = np.minimum(pairs.lag, len(pairs.kept) - pairs.lag)
        order = np.argsort(lag, kind="stable")
        return replace(pairs, index=pairs.index[order], lag=lag[order])

    monkeypatch.setattr(modes, "lagged_pairs", circular)
    assert share(studies(replace(SMALL, volumes=150, models=("drift",)), range(5))) > 0.5


def test_p_is_that_of_the_app():
    setting = replace(SMALL, modes=("replicate", "robust"), fits=("ols", "ridge"))
    runs = make_study(setting, 0)
    layers = {name: model.layers for name, model in MODELS.items()}
    analysis = Analysis.model_validate(
        {
            "name": "calibration",
            "movie": {"task": "movie", "runs": [{"run": r, "film": "film.mkv"} for r in "1234"]},
            "atlas": {"regions": ["hV4"]},
            "models": ["vgg16"],
            "fits": setting.fits,
            "statistics": {"null_draws": dict.fromkeys(setting.fits, setting.draws)},
        }
    )
    parts = [shifted_parts(run, analysis.robust.min_lag_s, analysis.modes) for run in runs]
    nulls = region_null(parts, layers, "hV4", analysis, shift_seed(setting, 0))
    app = null_table(nulls, list(layers), {"hV4": "atlas"})
    both = p_values(runs, setting, 0).merge(app, on=["mode", "fit", "model"], suffixes=("", "_app"))
    assert len(both) == 2 * (len(MODELS) + len(SEVERAL_LAYERS))
    np.testing.assert_array_equal(both["p_null"], both["p_null_app"])
    ols = both[both["fit"] == "ols"]
    np.testing.assert_array_equal(ols["p_null_max"], ols["p_null_max_app"])


def test_films_cover_what_they_show():
    timing = Timing(100, 2.0)
    whole, holed = (
        run_films(timing, 1, np.random.default_rng(0), gaps=gaps)[0].coverage for gaps in (0, 2)
    )
    np.testing.assert_allclose(whole[4:7], [0.840, 0.904, 0.914], atol=0.001)
    np.testing.assert_allclose(whole[10:], 1)
    assert (holed[10:] < 0.5).sum() >= 2


def test_waves_are_those_of_fmriprep():
    assert [high_pass(volumes, 2.0).shape for volumes in (31, 90, 150)] == [
        (31, 1),
        (90, 2),
        (150, 4),
    ]


def test_counted_is_how_often_p_is_low():
    rows = [
        ("robust", "ols", model, "all", i, p, p, 0.2, 0.1)
        for i, p in enumerate((0.01, 0.04, 0.05, 0.5))
        for model in ("a", "b")
    ]
    names = ["mode", "fit", "model", "region", "seed", "p_null", "p_null_max", "p_t", "r"]
    table = shares(pd.DataFrame(rows, columns=names)).set_index("model")
    assert list(table.loc["a", ["p_null", "p_t", "studies"]]) == [0.5, 0, 4]
    assert table.loc["a", "r"] == pytest.approx(0.1)
    assert table.loc[ANY, "p_null_max"] == 0.5
    assert interval(200) == (0.02, 0.08)


def test_shares_outside_chance_are_flagged_where_nothing_is_planted():
    cells = ["ar.5", "ar.5", "ar.5", "drift of size 0.4"]
    table = pd.DataFrame({"cell": cells, "p_null": [0.09, 0.05, 0.01, 1.0]})
    table = flagged(table.assign(mode="robust", model="drift", studies=200))
    assert list(table["chance"]) == ["above", "", "under", ""]


def test_finished_studies_are_kept(tmp_path, monkeypatch, capsys):
    arguments = f"x --only white --studies 2 --work {tmp_path} --out {tmp_path / 'table.tsv'}"
    monkeypatch.setattr("sys.argv", arguments.split())
    calibration.main()
    first = (tmp_path / "table.tsv").read_text()
    monkeypatch.setattr(calibration, "studies", None)
    calibration.main()
    assert (tmp_path / "table.tsv").read_text() == first
    assert "1 of 1 chunks" in capsys.readouterr().out


def test_cells_of_real_bold_are_left_out_where_it_is_absent(tmp_path, capsys):
    assert not calibration_bold.is_there(tmp_path)
    assert calibration._possible(["white", "real BOLD"], tmp_path) == ["white"]
    assert "left out are real BOLD" in capsys.readouterr().out
