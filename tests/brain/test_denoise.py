import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nilearn.signal import clean
from nipype.algorithms.confounds import cosine_filter

from bidsapp.analysis.spec import CompCor, Denoise
from bidsapp.brain.denoise import NuisanceDesign, check_cosines, nuisance_design, residuals
from bidsapp.errors import InputError

N = 40


def confounds(folder: Path, order: int = 0, **changes: object) -> tuple[Path, Path]:
    """Write a table whose CompCor columns come in an order that says nothing, and its metadata."""
    rng = np.random.default_rng(1)
    metadata = {}
    for mask, letter in (("combined", "a"), ("CSF", "c"), ("WM", "w")):
        for i in range(8):
            metadata[f"{letter}_comp_cor_{i:02d}"] = {
                "Method": "aCompCor",
                "Mask": mask,
                "Retained": True,
                "SingularValue": 10.0 * ((i * 3) % 8) + 1,  # not in the order of the names
                "VarianceExplained": 0.01 * ((i * 3) % 8),
            }
    metadata["t_comp_cor_00"] = {"Method": "tCompCor", "SingularValue": 1e6, "Retained": True}
    metadata["dropped_0"] = {
        "Method": "aCompCor", "Mask": "combined", "Retained": False, "SingularValue": 1e6,
    }  # fmt: skip
    names = [name for name in metadata if not name.startswith("dropped")]
    names += ["cosine00", "cosine01", "trans_x", "trans_x_derivative1"]
    table = pd.DataFrame(rng.normal(size=(N, len(names))), columns=names).assign(**changes)
    table.loc[0, "trans_x_derivative1"] = np.nan
    table = table[list(np.random.default_rng(order).permutation(table.columns))]
    tsv, sidecar = folder / "confounds.tsv", folder / "confounds.json"
    table.to_csv(tsv, sep="\t", na_rep="n/a", index=False)
    sidecar.write_text(json.dumps(metadata))
    return tsv, sidecar


def spec(**changes: object) -> Denoise:
    return Denoise.model_validate(changes)


@pytest.mark.parametrize("order", [0, 1, 2])
def test_components_are_chosen_by_metadata(tmp_path: Path, order: int) -> None:
    design = nuisance_design(*confounds(tmp_path, order), spec())
    strongest = sorted(range(8), key=lambda i: -((i * 3) % 8))[:5]
    assert design.names[:5] == tuple(f"a_comp_cor_{i:02d}" for i in strongest)
    assert set(design.names[5:7]) == {"cosine00", "cosine01"}
    assert design.names[-1] == "intercept"
    table = pd.read_csv(tmp_path / "confounds.tsv", sep="\t")
    for column, name in enumerate(design.names[:-1]):
        np.testing.assert_allclose(design.matrix[:, column], table[name])
    np.testing.assert_array_equal(design.matrix[:, -1], 1.0)
    assert design.provenance[design.names[0]] == {"mask": "combined", "variance_explained": 0.07}


@pytest.mark.parametrize(("mask", "letter"), [("CSF", "c"), ("WM", "w")])
def test_the_mask_is_the_analysis_choice(tmp_path: Path, mask: str, letter: str) -> None:
    asked = spec(compcor={"mask": mask, "components": 2}, cosines=False)
    names = nuisance_design(*confounds(tmp_path), asked).names
    assert len(names) == 3
    assert all(name.startswith(f"{letter}_comp_cor_") for name in names[:-1])


def test_further_columns_and_their_first_row(tmp_path: Path) -> None:
    asked = spec(
        compcor={"components": 0}, cosines=False, columns=["trans_x_derivative1", "trans_x"]
    )
    design = nuisance_design(*confounds(tmp_path), asked)
    assert design.names == ("trans_x_derivative1", "trans_x", "intercept")
    assert design.matrix[0, 0] == 0.0
    assert design.provenance == {}


def test_nothing_but_the_mean(tmp_path: Path) -> None:
    design = nuisance_design(*confounds(tmp_path), spec(compcor={"components": 0}, cosines=False))
    assert design.names == ("intercept",)
    assert design.matrix.shape == (N, 1)


@pytest.mark.parametrize("unsteady", [0, 2])
@pytest.mark.parametrize("volumes", [40, 63, 64, 65, 66, 200])
def test_runs_without_cosines_are_those_that_compcor_gives_none(
    tmp_path: Path, volumes: int, unsteady: int
) -> None:
    """nipype's filter makes fMRIPrep's cosines, of the volumes in the steady state."""
    table = pd.DataFrame({"trans_x": np.zeros(volumes)})
    for i in range(unsteady):
        table[f"non_steady_state_outlier{i:02d}"] = np.eye(volumes)[i]
    tsv = tmp_path / "confounds.tsv"
    table.to_csv(tsv, sep="\t", index=False)
    _, made = cosine_filter(np.ones((1, volumes - unsteady)), 2.0, 128)
    check_cosines(tsv, 2.0, spec(cosines=False))
    if made.size == 0:
        check_cosines(tsv, 2.0, spec())
        return
    with pytest.raises(InputError, match=r"confounds.tsv has no cosine drifts, .* to false"):
        check_cosines(tsv, 2.0, spec())
    table.assign(cosine00=made[:1, 0].mean()).to_csv(tsv, sep="\t", index=False)
    check_cosines(tsv, 2.0, spec())


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    files = confounds(tmp_path)
    with pytest.raises(InputError, match=r"8 retained .* mask combined .*, and 9 are asked"):
        nuisance_design(*files, spec(compcor={"components": 9}))
    with pytest.raises(InputError, match=r"no column 'trans_y' \(near: trans_x"):
        nuisance_design(*files, spec(columns=["trans_y"]))
    with pytest.raises(InputError, match="no readable metadata"):
        nuisance_design(files[0], tmp_path / "gone.json", spec())
    with pytest.raises(InputError, match="no readable table"):
        nuisance_design(tmp_path / "gone.tsv", files[1], spec())


def test_too_few_components_say_which_there_are(tmp_path: Path) -> None:
    tsv, sidecar = confounds(tmp_path)
    asked = spec(compcor={"components": 9})
    with pytest.raises(InputError) as error:
        nuisance_design(tsv, sidecar, asked)
    assert "retained: 8 of CSF, 8 of WM, 8 of combined" in str(error.value)
    assert "--return-all-components (it dropped 1 of this mask)" in str(error.value)
    described = json.loads(sidecar.read_text())
    without = {key: value for key, value in described.items() if value.get("Mask") != "combined"}
    sidecar.write_text(json.dumps(without))
    with pytest.raises(InputError) as error:
        nuisance_design(tsv, sidecar, spec())
    assert "has 0 retained aCompCor components of the mask combined" in str(error.value)
    assert "change denoise.compcor.mask or denoise.compcor.components" in str(error.value)
    assert "run fMRIPrep (1.4 or newer) again with --return-all-components, or" in str(error.value)


def test_retained_may_be_text(tmp_path: Path) -> None:
    tsv, sidecar = confounds(tmp_path)
    described = json.loads(sidecar.read_text())
    as_text = {
        name: facts | {"Retained": str(facts["Retained"])} for name, facts in described.items()
    }
    expected = nuisance_design(tsv, sidecar, spec()).names
    sidecar.write_text(json.dumps(as_text))
    assert nuisance_design(tsv, sidecar, spec()).names == expected


def test_singular_values_are_needed(tmp_path: Path) -> None:
    tsv, sidecar = confounds(tmp_path)
    sidecar.write_text(json.dumps({"a": {"Method": "aCompCor", "Mask": "combined"}}))
    with pytest.raises(InputError, match="no SingularValue of a"):
        nuisance_design(tsv, sidecar, spec())


@pytest.mark.parametrize(
    "stem", ["test_desc-confounds_regressors", "test-v21_desc-confounds_timeseries"]
)
def test_real_confounds(shared_data: Path, stem: str) -> None:
    """Old and new names of fMRIPrep's tables, with their real metadata."""
    folder = shared_data / "fmriprep-confounds"
    if not folder.is_dir():
        pytest.skip(f"no real confounds at {folder}")
    metadata = json.loads((folder / f"{stem}.json").read_text())
    design = nuisance_design(folder / f"{stem}.tsv", folder / f"{stem}.json", spec())
    chosen = design.names[:5]
    assert {metadata[name]["Mask"] for name in chosen} == {"combined"}
    strengths = [metadata[name]["SingularValue"] for name in chosen]
    assert strengths == sorted(strengths, reverse=True)
    assert strengths[0] == max(
        facts["SingularValue"] for facts in metadata.values() if facts.get("Mask") == "combined"
    )
    assert any(name.startswith("cosine") for name in design.names)
    asked = spec(
        compcor={"mask": "WM", "components": 4}, columns=["framewise_displacement", "*_derivative1"]
    )
    design = nuisance_design(folder / f"{stem}.tsv", folder / f"{stem}.json", asked)
    assert {metadata[name]["Mask"] for name in design.names[:4]} == {"WM"}
    assert np.isfinite(design.matrix).all()  # though derivatives have no first value


def test_residuals_are_those_of_least_squares_and_of_nilearn() -> None:
    rng = np.random.default_rng(0)
    design = np.column_stack([rng.normal(size=(N, 7)), np.ones(N)])
    series = rng.normal(1000, 10, (N, 30))
    left = residuals(series, design)
    assert left.dtype == np.float32
    weights = np.linalg.lstsq(design, series, rcond=None)[0]
    np.testing.assert_allclose(left, series - design @ weights, atol=1e-5)
    ours = left / left.std(axis=0)
    theirs = clean(
        series,
        confounds=design[:, :-1],
        detrend=False,
        standardize=None,
        standardize_confounds=True,
    )
    theirs = theirs - theirs.mean(axis=0)
    np.testing.assert_allclose(ours, theirs / theirs.std(axis=0), atol=1e-5)


@given(st.integers(0, 1000), st.floats(-1e3, 1e3))
def test_residuals_do_not_know_what_was_added_from_the_design(seed: int, size: float) -> None:
    rng = np.random.default_rng(seed)
    design = np.column_stack([rng.normal(size=(N, 3)) * [1e-4, 1.0, 1e4], np.ones(N)])
    series = rng.normal(size=(N, 4))
    added = design @ (rng.normal(size=(4, 4)) * [[1e4], [1.0], [1e-4], [1.0]]) * size
    np.testing.assert_allclose(
        residuals(series + added, design), residuals(series, design), atol=1e-4
    )


def test_residuals_of_a_design_without_full_rank() -> None:
    rng = np.random.default_rng(0)
    column = rng.normal(size=(N, 1))
    design = np.column_stack([column, 2 * column, np.zeros(N), np.ones(N)])
    series = rng.normal(size=(N, 5))
    expected = residuals(series, np.column_stack([column, np.ones(N)]))
    np.testing.assert_allclose(residuals(series, design), expected, atol=1e-6)
    assert np.abs(column.T @ residuals(series, design)).max() < 1e-5
    np.testing.assert_array_equal(residuals(series, np.empty((N, 0))), series.astype(np.float32))
    with pytest.raises(ValueError, match="40 volumes but 39 rows"):
        residuals(series, design[1:])


def plain_design(censored: Sequence[int] = ()) -> NuisanceDesign:
    """Return slow and fast regressors, two of them alike, spikes of censored volumes and a mean."""
    rng = np.random.default_rng(4)
    slow = np.cos(np.outer(np.arange(N) + 0.5, [1, 2]) * np.pi / N)
    columns = np.column_stack([slow, 1e4 * rng.normal(size=(N, 2)), 3 * slow[:, :1]])
    spikes = np.eye(N)[:, list(censored)]
    names = ("a", "b", "c", "d", "again", *(f"censored_{i}" for i in censored), "intercept")
    return NuisanceDesign(np.column_stack([columns, spikes, np.ones(N)]), names, {"a": {}})


VOLUMES = st.lists(st.booleans(), min_size=N, max_size=N).map(np.array)


@given(VOLUMES)
def test_the_basis_is_orthonormal_and_spans_the_regressors(volumes: np.ndarray) -> None:
    design = plain_design(censored=(3, 17))
    regressors = design.matrix[volumes]
    basis = design.basis(volumes)
    # Of unit norm, as the rank of columns of all sizes rests on the largest.
    norms = np.linalg.norm(regressors, axis=0)
    unit = regressors / np.where(norms > 0, norms, 1)
    rank = np.linalg.matrix_rank(unit) if volumes.any() else 0
    assert basis.shape == (volumes.sum(), rank)
    np.testing.assert_allclose(basis.T @ basis, np.eye(rank), atol=1e-10)
    np.testing.assert_allclose(basis @ (basis.T @ unit), unit, atol=1e-10)
    assert design.degrees_of_freedom_in(volumes) == volumes.sum() - rank


@given(VOLUMES)
def test_volumes_left_out_have_no_say_in_the_fit_of_the_others(volumes: np.ndarray) -> None:
    censored = (3, 17)
    design, without = plain_design(censored), plain_design(censored).leaving_out(volumes)
    gone = volumes | np.isin(np.arange(N), censored)
    np.testing.assert_array_equal(without.censored, gone)
    series = np.random.default_rng(5).normal(1000, 10, (N, 3))
    series[volumes] += 1e4
    left = residuals(series, without.matrix)
    np.testing.assert_allclose(left[gone], 0, atol=1e-3)
    weights = np.linalg.lstsq(design.matrix[~gone], series[~gone], rcond=None)[0]
    expected = series[~gone] - design.matrix[~gone] @ weights
    np.testing.assert_allclose(left[~gone], expected, atol=1e-3)
    assert without.degrees_of_freedom == design.degrees_of_freedom_in(~gone)


def test_volumes_left_out_have_a_regressor_each_and_the_rest_stays() -> None:
    design = plain_design(censored=(3, 17))
    without = design.leaving_out(np.isin(np.arange(N), [3, 8, 20]))
    assert without.names == ("left_out_8", "left_out_20", *design.names)
    np.testing.assert_array_equal(without.matrix[:, 2:], design.matrix)
    np.testing.assert_array_equal(without.matrix[:, :2], np.eye(N)[:, [8, 20]])
    assert without.n_confounds == design.n_confounds == 5
    assert without.provenance == design.provenance
    assert np.flatnonzero(design.censored).tolist() == [3, 17]  # as it was


def test_a_pattern_takes_every_column_that_matches_and_may_match_none(tmp_path):
    table = pd.DataFrame({"a_1": [0.0, 1, 0], "a_2": [1.0, 0, 0], "b": [3.0, 4, 5]})
    confounds, metadata = tmp_path / "c.tsv", tmp_path / "c.json"
    table.to_csv(confounds, sep="\t", index=False)
    metadata.write_text("{}")
    spec = Denoise(
        compcor=CompCor(components=0), cosines=False, columns=("b", "a_*", "non_steady_state*")
    )
    assert nuisance_design(confounds, metadata, spec).names == ("b", "a_1", "a_2", "intercept")


def test_a_volume_that_the_regressors_fit_exactly_keeps_no_residual() -> None:
    """A column that is zero in all volumes used but one is that one's own."""
    rng = np.random.default_rng(0)
    column = np.zeros(30)
    column[[10, 28]] = 1.0
    matrix = np.column_stack([rng.normal(size=(30, 2)), column, np.ones(30)])
    design = NuisanceDesign(matrix, ("a", "b", "twice", "intercept"), {})
    used = np.arange(30) < 25
    assert np.flatnonzero(used & ~design.with_residual(used)).tolist() == [10]
    every = np.ones(30, dtype=bool)
    np.testing.assert_array_equal(design.with_residual(every), every)
    left = design.with_residual(used)
    rows = design.basis_everywhere(left)
    np.testing.assert_array_equal(rows[left], design.basis(left))
    assert np.isnan(rows[~left]).all()
