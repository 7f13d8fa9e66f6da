"""The command line of ``moviersa``: words into Settings, nothing else."""

import argparse
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from bidsapp import __version__
from bidsapp.cli.limits import memory_gb
from bidsapp.errors import EXIT_USAGE, UsageError
from bidsapp.settings import FMRIPREP, RAW, Settings, make_settings, read_toml
from bidsapp.workflows.plugins import NAMES, example

_MACHINE = ("nprocs", "mem_gb")  # settings whose defaults are this machine's


class Parser(argparse.ArgumentParser):
    """An argument parser that fails with one clear line and the exit status of BIDS Apps."""

    def error(self, message: str) -> NoReturn:
        """Exit 64 with ``message`` on one line."""
        self.exit(EXIT_USAGE, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


class _PrintPlugin(argparse.Action):
    """Print an example of a plugin file and exit, as ``--help`` does with its text."""

    def __call__(self, parser: argparse.ArgumentParser, *words: Any) -> NoReturn:  # noqa: ANN401
        sys.stdout.write(example(words[1]))
        parser.exit()


def parse(argv: Sequence[str] | None = None) -> Settings:
    """Turn the command line, and the config file that it may name, into settings.

    Raises
    ------
    UsageError
        Arguments contradict each other, or a value is wrong.
    """
    parser = build_parser()
    words = parser.parse_known_args(argv, argparse.Namespace(**dict.fromkeys(_MACHINE)))[0]
    config = words.config_file
    saved = {} if config is None else _joined(read_toml(config))
    datasets = saved.pop("derivatives", {})
    parser.set_defaults(**saved)
    values = vars(parser.parse_args(argv))
    values.pop("config_file")
    chosen = saved.keys() - set(values.get("of_this_machine", ()))
    unsaid = (name for name in _MACHINE if getattr(words, name) is None and name not in chosen)
    values["of_this_machine"] = tuple(unsaid)
    values["participant_label"] = _labels(values["participant_label"], "sub-")
    values["session_label"] = _labels(values["session_label"], "ses-")
    values["task_id"] = _labels(values["task_id"], "task-")
    values["derivatives"] = {**_saved(datasets), **_datasets(values["derivatives"] or ())}
    if values["output_space"] is not None:
        space, resolution = parse_space(values["output_space"])
        values |= {"output_space": space, "output_resolution": resolution}
    settings = make_settings({key: value for key, value in values.items() if value is not None})
    _check(settings)
    return settings


def build_parser() -> Parser:
    """Build the parser; every option may be spelled with ``-`` or ``_`` between words."""
    parser = Parser(
        prog="moviersa",
        description="How close is the visual brain to a vision model while one watches a film? "
        "Representational similarity of fMRI and vision models, from BIDS and fMRIPrep data.",
        allow_abbrev=False,
    )
    parser.add_argument("bids_dir", type=_path, help="the raw BIDS dataset")
    parser.add_argument("output_dir", type=_path, help="where the results go")
    parser.add_argument(
        "level",
        choices=("stimulus", "participant", "group"),
        help="stimulus: RDMs of the models (once per dataset); participant: regions, brain RDMs, "
        "similarity; group: statistics over the participants in OUTPUT_DIR",
    )
    parser.add_argument("--version", action="version", version=f"moviersa {__version__}")
    _what(parser)
    _where(parser)
    _how(parser)
    return parser


def _what(parser: Parser) -> None:
    group = parser.add_argument_group("what is analysed")
    _option(
        group,
        "--participant-label",
        nargs="+",
        metavar="LABEL",
        help="these participants, with or without sub-, not at group level (default: all who have "
        "BOLD of the movie's task)",
    )
    _option(group, "--session-label", nargs="+", metavar="LABEL", help="use these sessions only")
    _option(
        group,
        "--task-id",
        nargs="+",
        metavar="TASK",
        help="use these tasks of the analysis only; must include the movie's; without the "
        "localizer's, atlas regions and masks only",
    )
    _option(
        group, "--bids-filter-file", type=_path, help="JSON of PyBIDS filters; those for bold count"
    )
    _option(group, "--analysis", type=_path, help="analysis file (default: the paper's)")
    _option(
        group,
        "--models",
        nargs="+",
        metavar="NAME",
        help="models instead of the analysis file's; each name once",
    )
    _option(
        group,
        "--output-space",
        metavar="SPACE[:res-N]",
        help="space of fMRIPrep's BOLD and, where it has several, its resolution (default: T1w)",
    )
    _option(
        group,
        "--allow-template-mismatch",
        action="store_true",
        help="accept the transform of another MNI template (2 to 4 mm off); recorded in "
        "sidecars and reports",
    )


def _where(parser: Parser) -> None:
    group = parser.add_argument_group("where things are")
    _option(
        group,
        "--derivatives",
        "-d",
        nargs="+",
        action="extend",
        metavar="NAME=PATH",
        help="fmriprep=PATH: fMRIPrep's outputs, of release 1.4 to 25.2 (default: "
        "BIDS_DIR/derivatives/fmriprep); another name: the dataset that masks.dataset of the "
        "analysis names; may be given several times",
    )
    _option(group, "--stimuli", type=_path, help="films and tables (default: BIDS_DIR/stimuli)")
    _option(
        group,
        "--atlas",
        type=_path,
        help="the Wang et al. (2015) atlas as downloaded: 50 volumes, here or in subj_vol_all",
    )
    _option(
        group,
        "--weights",
        type=_path,
        help="folder of checkpoints, under the names that moviersa-models info NAME gives",
    )
    _option(group, "--model-catalogue", type=_path, help="YAML file with models of your own")
    _option(
        group,
        "--template-transform",
        type=_path,
        help="ITK transform from the atlas's template to MNI152NLin2009cAsym, where fMRIPrep made "
        "none for the atlas's template",
    )
    _option(
        group, "--work-dir", "-w", type=_path, default=_path("work"),
        help="scratch and cache, outside of all input (default: ./work)",
    )  # fmt: skip
    _option(
        group,
        "--bids-database-dir",
        type=_path,
        help="where PyBIDS keeps its index between runs; it is made anew when files of the "
        "participants asked for come or go, and old ones may be deleted",
    )
    _option(
        group,
        "--config-file",
        type=_path,
        help="TOML of settings, such as logs/*/moviersa.toml; what the command line says goes "
        "first, but a flag that the file switches on stays on",
    )


def _how(parser: Parser) -> None:
    group = parser.add_argument_group("how it is run")
    cores = len(os.sched_getaffinity(0))
    _option(group, "--nprocs", type=int, default=cores, help=f"cores (default: {cores})")
    _option(group, "--omp-nthreads", type=int, default=1, help="threads of one step (default: 1)")
    group.add_argument(
        *_spellings("--mem-gb"), "--mem", dest="mem_gb", type=float, default=memory_gb(),
        help="memory that may be used, in GB (default: 90%% of the machine's, the container's or "
        "the SLURM job's, whichever is least)",
    )  # fmt: skip
    _option(
        group,
        "--scratch-gb",
        type=float,
        help="disk, in GB, that features may take in the work directory; models that fit share "
        "one decoding of the film (default: 50)",
    )
    _option(
        group, "--device", help="auto (a GPU where there is one), cpu, cuda ... (default: auto)"
    )
    _option(group, "--nipype-plugin-file", type=_path, help="YAML of a nipype plugin, e.g. SLURM")
    _option(
        group, "--print-plugin-file", action=_PrintPlugin, choices=NAMES, default=argparse.SUPPRESS,
        help="print an example of such a file and exit",
    )  # fmt: skip
    _option(
        group, "--random-seed", type=int,
        help="of the shifts of p_null and p_null_fwe, and of sign flips beyond 15 participants "
        "(default: 0)",
    )  # fmt: skip
    _option(
        group, "--error-bars", choices=("sd", "se"),
        help="of the group's bars: standard deviation over participants, as in the paper "
        "(default), or standard error",
    )  # fmt: skip
    for flag, text in (
        ("--stop-on-first-crash", "stop at the first error instead of finishing the rest"),
        (
            "--skip-bids-validation",
            "do not run the BIDS validator on BIDS_DIR, of whose "
            "errors those stop a run that are in files which it uses",
        ),
        ("--clean-workdir", "empty the work directory first"),
        ("--dry-run", "say what is there, what is missing, what would be made; write nothing"),
        (
            "--boilerplate-only",
            "write the description of OUTPUT_DIR and, in its "
            "logs, the methods text in all its formats only",
        ),
        (
            "--reports-only",
            "with participant or group: draw figures and pages again from what OUTPUT_DIR holds",
        ),
    ):
        _option(group, flag, action="store_true", help=text)
    group.add_argument("-v", "--verbose", action="count", help="more messages")


def _option(group: argparse._ArgumentGroup, name: str, *short: str, **keywords: Any) -> None:  # noqa: ANN401
    keywords.setdefault("default", None if keywords.get("action") != "store_true" else False)
    group.add_argument(
        *short, *_spellings(name), dest=name.lstrip("-").replace("-", "_"), **keywords
    )


def _spellings(name: str) -> tuple[str, ...]:
    other = "--" + name.lstrip("-").replace("-", "_")
    return (name,) if other == name else (name, other)


def _path(text: str) -> Path:
    return Path(text).expanduser().absolute()


def _labels(given: Sequence[str] | None, prefix: str) -> tuple[str, ...] | None:
    return None if given is None else tuple(dict.fromkeys(g.removeprefix(prefix) for g in given))


def parse_space(given: str) -> tuple[str, str | None]:
    """Read a space and its resolution, as fMRIPrep has them: ``MNI152NLin6Asym:res-2``.

    Raises
    ------
    UsageError
        It is something else.
    """
    label, *modifiers = given.removeprefix("space-").split(":")
    if not label.isalnum():
        raise UsageError(f"--output-space {given}: a space is letters and digits, such as T1w")
    if not modifiers:
        return label, None
    resolution = modifiers[0].removeprefix("res-")
    if len(modifiers) > 1 or modifiers[0] == resolution or not resolution.isalnum():
        raise UsageError(
            f"--output-space {given}: after the space only a resolution is understood, such as "
            f"{label}:res-2"
        )
    return label, resolution


def _joined(saved: dict[str, object]) -> dict[str, object]:
    """Join a config file's space and resolution, as the command line replaces both or none."""
    resolution = saved.pop("output_resolution", None)
    if resolution is not None:
        saved["output_space"] = f"{saved.get('output_space', 'T1w')}:res-{resolution}"
    return saved


def _saved(datasets: object) -> dict[str, Path]:
    """Read the datasets of a config file: a table of names and paths, or fMRIPrep's path."""
    if isinstance(datasets, dict):
        return _datasets([f"{name}={path}" for name, path in datasets.items()])
    return _datasets([str(datasets)])


def _datasets(given: Sequence[str]) -> dict[str, Path]:
    """Read ``NAME=PATH``; a bare path is fMRIPrep's.

    Raises
    ------
    UsageError
        A name is no name, or is given twice.
    """
    datasets: dict[str, Path] = {}
    for item in given:
        name, path = item.split("=", 1) if "=" in item else (FMRIPREP, item)
        if name == RAW or not re.fullmatch("[0-9a-zA-Z]+", name):
            raise UsageError(
                f"--derivatives {item}: {name!r} is no name for a dataset; names have letters and "
                f"digits, and {RAW} is BIDS_DIR"
            )
        if name in datasets:
            raise UsageError(f"--derivatives names {name} twice: {datasets[name]} and {path}")
        datasets[name] = _path(path)
    return datasets


def _check(settings: Settings) -> None:
    if settings.omp_nthreads > settings.nprocs:
        raise UsageError(
            f"--omp-nthreads {settings.omp_nthreads} is more than --nprocs {settings.nprocs}"
        )
    if settings.level == "group" and settings.participant_label:
        raise UsageError(
            "--participant-label does not go with the group level, which uses every participant "
            "in OUTPUT_DIR"
        )
    alone = {
        "--dry-run": settings.dry_run,
        "--boilerplate-only": settings.boilerplate_only,
        "--reports-only": settings.reports_only,
    }
    asked = [option for option, given in alone.items() if given]
    if len(asked) > 1:
        raise UsageError(f"{' and '.join(asked)} exclude each other")
