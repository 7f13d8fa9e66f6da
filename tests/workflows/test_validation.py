"""Of the validator's errors those stop a run that are in files it uses; the rest are told of."""

import json

import pytest
from other_studies import bare_run

from bidsapp.dataset.fmriprep import ParticipantInputs
from bidsapp.errors import InputError
from bidsapp.settings import Settings
from bidsapp.workflows.validation import validate_bids


def validate(study, participant="01"):
    runs = (bare_run(participant, run="1"),)
    person = ParticipantInputs(participant, (), runs, runs, None, {}, ())
    settings = Settings(
        bids_dir=study.bids, output_dir=study.out, level="participant", work_dir=study.work,
        nprocs=1, omp_nthreads=1, mem_gb=1,
    )  # fmt: skip
    validate_bids(settings, [person])


def add(study, name, **content):
    (study.bids / name).write_text(json.dumps(content))


def test_errors_elsewhere_are_one_short_warning(study, caplog):
    """As of the real studyforrest: its table of participants, funding, physiology."""
    description = json.loads((study.bids / "dataset_description.json").read_text())
    add(study, "dataset_description.json", **description, Funding="")
    columns = "\t".join(f"column_{i}" for i in range(90))
    (study.bids / "participants.tsv").write_text(f"participant_id\t{columns}\tcolumn_1\n")
    func = study.bids / "sub-01" / "ses-movie" / "func"
    (func / "sub-01_ses-movie_task-movie_run-1_physio.tsv.gz").write_bytes(b"")
    (func / "notes.txt").write_text("not BIDS")
    add(study, "task-objectcategories_bold.json")  # of a task that this run does not use
    validate(study)
    (record,) = caplog.records
    said = record.getMessage()
    assert record.levelname == "WARNING"
    for part in ("JSON_SCHEMA_VALIDATION_ERROR 1", "SIDECAR_KEY_REQUIRED", "bids-validator-deno"):
        assert part in said
    assert "column_50" not in said
    assert len(said) < 600


@pytest.mark.parametrize("ending", ["bold.json", "events.tsv"])
def test_errors_in_what_the_run_uses_stop_it(study, ending):
    name = f"sub-01_ses-movie_task-movie_run-1_{ending}"
    path = study.bids / "sub-01" / "ses-movie" / "func" / name
    path.write_text('{"RepetitionTime": "two"}' if ending == "bold.json" else "x\ty\n1\t2\n")
    with pytest.raises(InputError, match=r"files of .* that this run uses: .*run-1.*Mend"):
        validate(study)
    validate(study, "02")


def test_a_message_of_many_words_is_cut(study):
    columns = "\t".join(f"column_{i}" for i in range(90))
    events = study.events("01", "movie", "1")
    events.write_text(f"onset\tduration\t{columns}\tcolumn_1\n")
    with pytest.raises(InputError, match=r"TSV_COLUMN_HEADER_DUPLICATE") as error:
        validate(study)
    assert "column_50" not in str(error.value)
