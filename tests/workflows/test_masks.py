"""The user's own masks of a participant, as the steps are given them."""

from other_studies import bare_run

from bidsapp.analysis.spec import Analysis
from bidsapp.dataset.fmriprep import ParticipantInputs
from bidsapp.settings import Settings
from bidsapp.workflows.masks import mask_inputs


def test_masks_are_of_the_first_runs_session_even_where_that_run_cannot_be_used(tmp_path):
    for session in ("one", "two"):
        file = tmp_path / f"sub-01/ses-{session}/anat/sub-01_space-T1w_label-LOC_mask.nii.gz"
        file.parent.mkdir(parents=True)
        file.touch()
    region = {"name": "LOC", "file": "sub-{participant}/ses-{session}/anat/*_mask.nii.gz"}
    analysis = Analysis.model_validate(
        {
            "name": "two_sessions",
            "movie": {
                "task": "movie",
                "runs": [{"run": run, "film": f"{run}.mp4"} for run in ("1", "2", "3")],
            },
            "masks": {"dataset": "rois", "regions": [region]},
            "models": ["pixels"],
        }
    )
    settings = Settings(
        bids_dir=tmp_path, output_dir=tmp_path, level="participant", work_dir=tmp_path,
        derivatives={"rois": tmp_path}, nprocs=1, omp_nthreads=1, mem_gb=1,
    )  # fmt: skip
    found = (
        bare_run("01", session="one", run="1"),
        bare_run("01", session="two", run="2"),
        bare_run("01", session="two", run="3"),
    )
    for usable in (found, found[1:]):
        person = ParticipantInputs("01", (), usable, found, None, {}, ())
        assert "/ses-one/" in mask_inputs(settings, analysis, person)["LOC"]["both"]["path"]
