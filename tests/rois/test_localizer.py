"""The localizer's model against plain nilearn, on simulated and on real BOLD."""

import gzip
import logging
import re

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nilearn.glm.first_level import FirstLevelModel
from scipy.stats import gamma

from bidsapp.analysis.spec import Contrast, Localizer
from bidsapp.errors import InputError
from bidsapp.rois.localizer import (
    LocalizerRun,
    contrast_vector,
    design_matrix,
    fit_localizer,
    motion_confounds,
)

TR, N_VOLUMES, SHAPE = 2.0, 100, (9, 8, 7)
MOTION = ("trans_x_derivative1", "rot_z")
HAXBY = ("bottle", "cat", "chair", "face", "house", "scissors", "scrambledpix", "shoe")


def spec_of(conditions: tuple[str, ...] = ("face", "house"), **keys) -> Localizer:
    contrasts = {"house": Contrast(plus=("house",), minus=("face",))}
    return Localizer(
        task="objectcategories",
        runs=("1",),
        conditions=conditions,
        contrasts=contrasts,
        **{"confounds": MOTION, **keys},
    )


@pytest.fixture
def events():
    onsets = np.arange(12.0, 190.0, 24.0)
    names = ["face", "house"] * 4
    return pd.DataFrame({"onset": onsets, "duration": 16.0, "trial_type": names})


@pytest.fixture
def confounds_file(tmp_path):
    rng = np.random.default_rng(5)
    table = pd.DataFrame(
        rng.normal(size=(N_VOLUMES, 3)), columns=["trans_x_derivative1", "rot_z", "csf"]
    )
    table["non_steady_state_outlier00"] = [1.0] + [0.0] * (N_VOLUMES - 1)
    table.loc[0, "trans_x_derivative1"] = np.nan
    path = tmp_path / "confounds.tsv"
    table.to_csv(path, sep="\t", index=False, na_rep="n/a")
    return path


def write_run(folder, name: str, seed: int, design: pd.DataFrame) -> LocalizerRun:
    """Noise with a house response in one corner; some voxels are constant."""
    rng = np.random.default_rng(seed)
    data = 500 + 5 * rng.normal(size=(*SHAPE, len(design)))
    data[2:5, 2:5, 2:5] += 15 * design["house"].to_numpy()
    data[0, 0, 0] = 0
    affine = np.diag([3.0, 3.0, 3.3, 1.0])
    mask = np.ones(SHAPE, dtype=np.uint8)
    mask[-1] = 0
    nib.save(nib.Nifti1Image(data.astype(np.float32), affine), folder / f"{name}_bold.nii.gz")
    nib.save(nib.Nifti1Image(mask, affine), folder / f"{name}_mask.nii.gz")
    return LocalizerRun(folder / f"{name}_bold.nii.gz", folder / f"{name}_mask.nii.gz", design)


def plain_maps(runs, spec, **keys):
    """The same fit with nothing but nilearn, on the mask as it stands."""
    model = FirstLevelModel(
        mask_img=nib.load(runs[0].mask), smoothing_fwhm=4.0, noise_model="ar1", **keys
    )
    model.fit([run.bold for run in runs], design_matrices=[run.design for run in runs])
    vectors = [contrast_vector(spec.contrasts["house"], run.design.columns) for run in runs]
    return model.compute_contrast(vectors, stat_type="t", output_type="all")


def test_confounds(confounds_file):
    table = motion_confounds(confounds_file, spec_of())
    assert list(table.columns) == ["trans_x_derivative1", "rot_z", "non_steady_state_outlier00"]
    assert table["trans_x_derivative1"][0] == 0
    assert np.isfinite(table.to_numpy()).all()


def test_a_constant_confound_is_left_out_and_said(confounds_file, caplog):
    table = pd.read_csv(confounds_file, sep="\t").assign(rot_z=0.0)
    table.to_csv(confounds_file, sep="\t", index=False)
    with caplog.at_level(logging.INFO):
        assert "rot_z" not in motion_confounds(confounds_file, spec_of())
    assert "rot_z" in caplog.text


def test_a_missing_confound_is_named(confounds_file, tmp_path):
    with pytest.raises(InputError, match=r"confounds\.tsv has no column 'trans_q'"):
        motion_confounds(confounds_file, spec_of(confounds=("trans_q",)))
    with pytest.raises(InputError, match="no readable table of confounds"):
        motion_confounds(tmp_path / "absent.tsv", spec_of())


def test_the_design_has_the_responses_derivatives_and_slow_cosines(events, confounds_file):
    spec = spec_of()
    confounds = motion_confounds(confounds_file, spec)
    design = design_matrix(events, confounds, N_VOLUMES, TR, 0.5, spec)
    names = list(design.columns)
    assert names[:4] == ["face", "face_derivative", "house", "house_derivative"]
    assert names[4:7] == list(confounds.columns)
    assert [n for n in names[7:] if n.startswith("drift")] == [
        "drift_1",
        "drift_2",
        "drift_3",
        "drift_4",
    ]
    np.testing.assert_allclose(design.index, np.arange(N_VOLUMES) * TR + 0.5)


def test_the_response_is_a_block_convolved_with_a_double_gamma(events):
    design = design_matrix(events, None, N_VOLUMES, TR, 1.0, spec_of())
    step = 0.05
    t = np.arange(0, 32, step)
    # SPM's, which is also FSL's: delays 6 and 16 s, undershoot a sixth.
    response = gamma.pdf(t, 6) - gamma.pdf(t, 16) / 6
    fine = np.arange(0, N_VOLUMES * TR, step)
    onsets = events["onset"][events["trial_type"] == "house"].to_numpy()
    boxcar = ((fine >= onsets[:, np.newaxis]) & (fine < onsets[:, np.newaxis] + 16)).any(axis=0)
    predicted = np.convolve(boxcar, response)[: fine.size] * step
    expected = np.interp(design.index, fine, predicted)
    assert np.corrcoef(design["house"], expected)[0, 1] > 0.9999


def test_frame_times_shift_the_response(events):
    spec = spec_of(confounds=())
    early, late = (design_matrix(events, None, N_VOLUMES, TR, s, spec)["face"] for s in (0.0, 1.0))
    slope = np.gradient(early.to_numpy(), TR)
    assert np.corrcoef(late.to_numpy() - early.to_numpy(), slope)[0, 1] > 0.95


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda e: e[e.trial_type != "house"],
            "sub-01_events.tsv has no event of the condition 'house'",
        ),
        (
            lambda e: e.replace("face", "Face"),
            "sub-01_events.tsv has the trial type 'Face', which the analysis writes 'face'",
        ),
        (
            lambda e: e.replace("face", " face "),
            "sub-01_events.tsv has the trial type ' face ', which the analysis writes 'face'",
        ),
        (
            lambda e: e.replace("face", "castle"),
            "has the trial type 'castle', which localizer.conditions does not list (its trial "
            "types: castle, house; conditions: face, house)",
        ),
        (
            lambda e: e.replace("face", None),
            "has an event without a trial type in line 2",
        ),
        (lambda e: e.drop(columns="duration"), "has no column duration"),
        (lambda e: pd.concat([e, e.iloc[:1]]), "has the same event twice"),
        (
            lambda e: e.assign(onset=1000 * e.onset + 1000),
            "has no event of the condition 'face' within the run's 200 s",
        ),
        (
            lambda e: e.assign(onset=e.onset - 1000),
            "give onsets in seconds after the first volume",
        ),
        (
            lambda e: e.assign(duration=e.duration.where(e.index != 1, -16.0)),
            "has the negative duration -16 s in line 3",
        ),
    ],
)
def test_events_that_do_not_fit(events, change, message):
    with pytest.raises(InputError, match=re.escape(message)):
        design_matrix(change(events), None, N_VOLUMES, TR, 1.0, spec_of(), "sub-01_events.tsv")


def test_confounds_of_another_length(events, confounds_file):
    confounds = motion_confounds(confounds_file, spec_of())
    with pytest.raises(InputError, match="100 rows for 90 volumes"):
        design_matrix(events, confounds, 90, TR, 1.0, spec_of())


def test_too_short_a_run(events):
    with pytest.raises(InputError, match="5 volumes are too few"):
        design_matrix(events, None, 5, 40.0, 1.0, spec_of())


@pytest.mark.filterwarnings("ignore:Mean values of 0 observed")
@pytest.mark.filterwarnings("ignore:.*Generation of a mask has been requested")
@pytest.mark.parametrize("n_runs", [1, 2])
def test_the_fit_equals_plain_nilearn(tmp_path, events, confounds_file, n_runs):
    spec = spec_of()
    confounds = motion_confounds(confounds_file, spec)
    designs = [design_matrix(events, confounds, N_VOLUMES, TR, 1.0, spec)]
    # A second run may have other columns: its contrast vector is made from its own design.
    designs.append(design_matrix(events, confounds[["rot_z"]], N_VOLUMES, TR, 1.0, spec))
    runs = [write_run(tmp_path, f"run{i}", i, designs[i]) for i in range(n_runs)]
    maps = fit_localizer(runs, spec)["house"]
    plain = plain_maps(runs, spec)
    inside = maps.t.get_fdata() != 0
    assert inside.sum() == nib.load(runs[0].mask).get_fdata().sum() - 1  # less the constant voxel
    for ours, theirs in (
        (maps.t, "stat"),
        (maps.z, "z_score"),
        (maps.effect, "effect_size"),
        (maps.variance, "effect_variance"),
    ):
        expected = plain[theirs].get_fdata()[inside]
        np.testing.assert_allclose(ours.get_fdata()[inside], expected, rtol=1e-5, atol=1e-5)
    peak = np.unravel_index(maps.t.get_fdata().argmax(), SHAPE)
    assert all(2 <= i < 5 for i in peak)


@pytest.mark.filterwarnings("ignore:Mean values of 0 observed")
@pytest.mark.filterwarnings("ignore:.*Generation of a mask has been requested")
def test_explicit_weights_equal_nilearns_contrast(tmp_path, events, confounds_file):
    """Against nilearn's own reading of a formula, and sides against weights of the same scale."""
    weights = {"house": 3, "face": -3}
    contrasts = {
        "weighted": Contrast(weights=weights),
        "sides": Contrast(plus=("house",), minus=("face",)),
    }
    spec = spec_of().model_copy(update={"contrasts": contrasts})
    design = design_matrix(events, motion_confounds(confounds_file, spec), N_VOLUMES, TR, 1.0, spec)
    run = write_run(tmp_path, "run", 3, design)
    maps = fit_localizer([run], spec)
    constant = np.asarray(nib.load(run.bold).dataobj).std(axis=3) == 0
    mask = nib.Nifti1Image(
        ((np.asarray(nib.load(run.mask).dataobj) > 0) & ~constant).astype(np.uint8),
        nib.load(run.mask).affine,
    )
    model = FirstLevelModel(mask_img=mask, smoothing_fwhm=4.0, noise_model="ar1")
    model.fit([run.bold], design_matrices=[design])
    plain = model.compute_contrast("3 * house - 3 * face", output_type="all")
    for name, statistic in (("t", "stat"), ("z", "z_score"), ("effect", "effect_size")):
        ours = getattr(maps["weighted"], name).get_fdata()
        np.testing.assert_allclose(ours, plain[statistic].get_fdata(), rtol=1e-5, atol=1e-5)
    t = maps["weighted"].t.get_fdata()
    np.testing.assert_allclose(t, maps["sides"].t.get_fdata(), rtol=1e-5, atol=1e-6)
    assert np.abs(t).max() > 5


def test_broken_input_is_named(tmp_path, events):
    spec = spec_of(confounds=())
    design = design_matrix(events, None, N_VOLUMES, TR, 1.0, spec)
    run = write_run(tmp_path, "run", 0, design)
    with pytest.raises(InputError, match="its design has 40 volumes"):
        fit_localizer([LocalizerRun(run.bold, run.mask, design[:40])], spec)

    image = nib.load(run.bold)
    moved = nib.Nifti1Image(nib.load(run.mask).get_fdata(), np.diag([3.0, 3.0, 3.0, 1.0]))
    nib.save(moved, tmp_path / "moved.nii.gz")
    with pytest.raises(InputError, match=r"moved\.nii\.gz does not lie on the grid"):
        fit_localizer([LocalizerRun(run.bold, tmp_path / "moved.nii.gz", design)], spec)

    data = image.get_fdata()
    data[1, 1, 1, 3] = np.nan
    nib.save(nib.Nifti1Image(data, image.affine), tmp_path / "nan.nii.gz")
    with pytest.raises(
        InputError, match=r"nan\.nii\.gz has values that are not finite in 1 voxels"
    ):
        fit_localizer([LocalizerRun(tmp_path / "nan.nii.gz", run.mask, design)], spec)

    cut = tmp_path / "cut.nii.gz"
    cut.write_bytes(run.bold.read_bytes()[:20000])
    with pytest.raises(InputError, match=r"cut\.nii\.gz is cut off or broken"):
        fit_localizer([LocalizerRun(cut, run.mask, design)], spec)
    stored = bytearray(gzip.compress(gzip.decompress(run.bold.read_bytes()), compresslevel=0))
    stored[len(stored) // 2] ^= 1  # unpacks without complaint: only the checksum tells
    cut.write_bytes(bytes(stored))
    with pytest.raises(InputError, match=r"cut\.nii\.gz is cut off or broken \(CRC"):
        fit_localizer([LocalizerRun(cut, run.mask, design)], spec)
    with pytest.raises(InputError, match=r"no image at .*absent\.nii\.gz"):
        fit_localizer([LocalizerRun(tmp_path / "absent.nii.gz", run.mask, design)], spec)


def test_runs_on_two_grids_are_refused(tmp_path, events):
    spec = spec_of(confounds=())
    design = design_matrix(events, None, N_VOLUMES, TR, 1.0, spec)
    runs = [write_run(tmp_path, f"run{i}", i, design) for i in range(2)]
    image = nib.load(runs[1].bold)
    shifted = image.affine.copy()
    shifted[0, 3] = 31.0
    nib.save(nib.Nifti1Image(image.get_fdata(dtype=np.float32), shifted), runs[1].bold)
    with pytest.raises(InputError, match="lies on another grid"):
        fit_localizer(runs, spec)


def haxby_runs(folder, tmp_path, spec, numbers):
    """Real BOLD (one slice through ventral temporal cortex), with its motion as confounds."""
    runs = []
    for number in numbers:
        here = folder / f"sub001/BOLD/task001_run{number:03d}"
        motion = pd.DataFrame(np.loadtxt(here / "bold_moest.txt"), columns=list(spec.confounds))
        motion.to_csv(tmp_path / f"{number}.tsv", sep="\t", index=False)
        events = pd.read_csv(here / "bold_events.tsv", sep="\t")
        confounds = motion_confounds(tmp_path / f"{number}.tsv", spec)
        design = design_matrix(events, confounds, 121, 2.5, 0.0, spec)
        bold = nib.load(here / "bold_1slice.nii.gz")
        signal = bold.get_fdata().mean(axis=3)
        mask = nib.Nifti1Image((signal > 0.2 * signal.max()).astype(np.uint8), bold.affine)
        nib.save(mask, tmp_path / "mask.nii.gz")
        runs.append(LocalizerRun(here / "bold_1slice.nii.gz", tmp_path / "mask.nii.gz", design))
    return runs


@pytest.mark.filterwarnings("ignore:.*Generation of a mask has been requested")
def test_house_against_face_in_real_bold(shared_data, tmp_path):
    spec = spec_of(
        HAXBY,
        confounds=tuple(f"motion{i}" for i in range(6)),
        hrf_model="glover + derivative",  # nilearn's own default response
    )
    runs = haxby_runs(shared_data / "haxby2001", tmp_path, spec, range(1, 5))
    maps = fit_localizer(runs, spec)["house"]
    plain = plain_maps(runs, spec)
    inside = maps.t.get_fdata() != 0
    difference = np.abs(maps.z.get_fdata() - plain["z_score"].get_fdata())[inside]
    assert difference.max() < 1e-5
    # Four runs of the one slice reach z 7.5 (all twelve 11.0).
    assert 7.4 < maps.z.get_fdata().max() < 7.7
