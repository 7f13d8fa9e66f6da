"""What was planted is found, what was not is not, and each mistake that matters is caught."""

import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import truth_study
from truth_study import Study

from bidsapp.demo.check import (
    check,
    check_centres,
    check_overlap,
    check_peaks,
    check_timing,
    check_winners,
)
from bidsapp.demo.size import SMALL
from bidsapp.demo.write import write_stimuli
from bidsapp.files import lock, whole_file
from bidsapp.interfaces import functional_regions, regions
from bidsapp.rois import functional, transforms

SEEDS = (1, 2, 3, 4, 5)
pytestmark = [
    # pandas, inside pybids
    pytest.mark.filterwarnings("ignore::FutureWarning:bids"),
]
MakeStudy = Callable[[int], Study]


@pytest.fixture(scope="session")
def make_study(tmp_path_factory, worker_id) -> MakeStudy:
    """Write and analyse the small demo of a seed; the film and its models are made once for all."""
    base = tmp_path_factory.getbasetemp()
    shared = (base if worker_id == "master" else base.parent) / "film"
    with lock(shared / "lock", poll_s=0.5):
        made = shared / "stimuli.pickle"
        if not made.is_file():
            with whole_file(made) as temporary:
                temporary.write_bytes(pickle.dumps(write_stimuli(shared, SMALL)))
        stimuli = pickle.loads(made.read_bytes())  # noqa: S301  # our own, of a moment ago
    studies: dict[int, Study] = {}

    def make(seed: int) -> Study:
        if seed not in studies:
            directory = tmp_path_factory.mktemp(f"seed{seed}")
            study = truth_study.make_study(directory, seed, shared / "stimuli", stimuli)
            models = study.settings.output_dir / "stimuli"
            with lock(shared / "lock", poll_s=0.5):
                if (shared / "models").is_dir():
                    shutil.copytree(shared / "models", models)
                else:
                    truth_study.run_models(study)
                    shutil.copytree(models, shared / "models")
            truth_study.run_brains(study)
            studies[seed] = study
        return studies[seed]

    return make


@pytest.mark.parametrize(
    "seed",
    [pytest.param(seed, marks=pytest.mark.xdist_group("mistakes")) for seed in SEEDS[:1]]
    + list(SEEDS[1:]),
)
def test_what_was_planted_is_found(make_study, seed):
    assert list(check(make_study(seed).results)) == []


@pytest.fixture(scope="session")
def study(make_study) -> Study:
    """Study of the first seed."""
    return make_study(SEEDS[0])


@pytest.mark.xdist_group("mistakes")
class TestMistakesAreCaught:
    """Each makes the truth test fail; nothing else is changed."""

    def test_regions_found_again_are_right_without_a_mistake(self, study, tmp_path):
        results = truth_study.find_regions_again(study, tmp_path / "out")
        assert list(check_centres(results)) == []
        assert list(check_peaks(results)) == []
        assert list(check_overlap(results)) == []

    @pytest.mark.parametrize("volumes", [-1, 1])
    def test_a_model_one_volume_off(self, study, tmp_path, volumes):
        results = truth_study.shift_models(study, tmp_path / "out", volumes)
        planted = [model for model in study.results.truth["winner"].values() if model]
        assert len(list(check_timing(results))) == len(planted)

    def test_runs_permuted(self, study, tmp_path):
        swapped = {"1": "2", "2": "3", "3": "4", "4": "1"}
        results = truth_study.compare_again(study, tmp_path / "out", swapped)
        planted = [model for model in study.results.truth["winner"].values() if model]
        assert len(list(check_winners(results))) > 3 * len(planted)  # of 6 modes and fits each

    def test_transforms_reversed(self, study, tmp_path, monkeypatch):
        def reversed_transforms(*given):
            right = transforms.template_transforms(*given)
            return replace(right, to_native=right.to_template, to_template=right.to_native)

        monkeypatch.setattr(regions, "template_transforms", reversed_transforms)
        results = truth_study.find_regions_again(study, tmp_path / "out")
        assert list(check_centres(results))
        assert list(check_overlap(results))

    def test_left_and_right_swapped(self, study, tmp_path, monkeypatch):
        def mirrored(spec, to_template):
            flipped = [
                region.model_copy(
                    update={
                        "search": {
                            side: sphere.model_copy(
                                update={
                                    "centre_mm": tuple(np.multiply(sphere.centre_mm, (-1, 1, 1)))
                                }
                            )
                            for side, sphere in region.search.items()
                        }
                    }
                )
                for region in spec.regions
            ]
            wrong = spec.model_copy(update={"regions": tuple(flipped)})
            return functional.native_priors(wrong, to_template)

        monkeypatch.setattr(functional_regions, "native_priors", mirrored)
        results = truth_study.find_regions_again(study, tmp_path / "out")
        assert list(check_centres(results))
        assert list(check_peaks(results))

    def test_points_in_lps_taken_for_ras(self, study, tmp_path, monkeypatch):
        def unflipped(transform, points_mm):
            return np.array([transform.TransformPoint(point) for point in points_mm.tolist()])

        monkeypatch.setattr(functional, "carry_points", unflipped)
        results = truth_study.find_regions_again(study, tmp_path / "out")
        assert list(check_centres(results))

    def test_images_in_lps_taken_for_ras(self, study, tmp_path, monkeypatch):
        monkeypatch.setattr(transforms, "_LPS_FROM_RAS", np.eye(4))
        results = truth_study.find_regions_again(study, tmp_path / "out")
        assert list(check_overlap(results))

    def test_the_wrong_template(self, study, tmp_path):
        results = truth_study.find_regions_again(study, tmp_path / "out", "MNI152NLin2009cAsym")
        assert list(check_centres(results))
        assert list(check_overlap(results))
