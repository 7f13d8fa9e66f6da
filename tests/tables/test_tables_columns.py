import pytest

from bidsapp.tables.columns import describe

TABLES = {
    "participant": (
        *("similarity", "weights", "unique", "autocorrelation", "regions", "quality", "runs"),
        "comparators",
    ),
    "group": (
        *("similarity", "unique", "comparisons", "lag", "components", "framepairs", "split"),
        *("quality", "comparators"),
    ),
}
DESIGN = {
    ("participant", "similarity"): "mode fit roi model run r n_pairs n_volumes visible note",
    ("participant", "weights"): "mode fit roi model run layer weight note",
    ("participant", "unique"): "mode fit roi control target n_runs r delta_r2 note",
    ("participant", "autocorrelation"): "roi run lag_s r note",
    ("group", "similarity"): (
        "mode fit roi model n n_runs r_mean r_sd r2_mean ceiling_paper ceiling_lower ceiling_upper "
        "ci_low ci_high t df p p_bonferroni q_fdr p_signflip p_null p_null_max p_null_fwe q_null "
        "visible n_volumes note"
    ),
    ("participant", "runs"): (
        "run n_volumes n_censored n_robust n_repeated n_uncovered n_undefined n_confounds df_left "
        "fd_mean fd_max fd_over_half_mm dvars_mean dvars_max flags"
    ),
    ("group", "quality"): (
        "participant run n_volumes n_censored n_robust fd_mean fd_max fd_over_half_mm tsnr_median "
        "n_regions regions_absent flags"
    ),
    ("group", "unique"): (
        "mode fit roi control target n n_runs r_mean r_sd delta_r2_mean delta_r2_sd t df p "
        "p_bonferroni q_fdr p_signflip p_null p_null_fwe note"
    ),
    ("group", "comparisons"): (
        "mode fit roi model_a model_b n n_runs diff_z t df p p_bonferroni q_fdr p_signflip note"
    ),
    ("group", "lag"): "fit roi model min_lag_s n r_mean r_sd note",
    ("group", "components"): "mode model layer pc1 pc2 pc3 pc4 pc5 note",
    ("participant", "comparators"): "mode method roi model layer run r n_pairs n_volumes note",
    ("group", "comparators"): (
        "mode method roi model layer n r_mean r_sd ceiling_lower ceiling_upper t df p p_bonferroni "
        "q_fdr p_signflip note"
    ),
    ("group", "framepairs"): ("mode component sign rank run onset_a onset_b film_a film_b loading"),
    ("group", "split"): "mode roi model r2_part note",
}


@pytest.mark.parametrize(("level", "desc"), [(k, d) for k, ds in TABLES.items() for d in ds])
def test_every_column_is_described(level, desc):
    for name, column in describe(desc, level).items():
        assert column["Description"].endswith("."), name
        assert set(column) <= {"Description", "Units"}


@pytest.mark.parametrize(("key", "columns"), DESIGN.items())
def test_columns_are_the_designs(key, columns):
    level, desc = key
    assert list(describe(desc, level)) == columns.split()


def test_same_name_means_another_thing_in_another_table():
    assert "Autocorrelation" in describe("autocorrelation", "participant")["r"]["Description"]
    assert "Pearson" in describe("similarity", "participant")["r"]["Description"]
    assert describe("weights") == describe("weights", "participant")


def test_unknown_table_is_an_error():
    with pytest.raises(KeyError):
        describe("nosuch")
